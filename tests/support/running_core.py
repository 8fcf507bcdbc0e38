# SPDX-License-Identifier: Apache-2.0
"""
A real core for black-box tests: the command that a user would type, and what it shows.

`RunningCore(path)` is `greengrass run path --json` in a process of its own. Tests wait for events
(`wait`), never for time, and act through the other commands (`command`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Event = dict[str, Any]

EXAMPLES = Path(__file__).parents[2] / "examples"
# -P: neither the current folder nor the tree may shadow the installed package.
GREENGRASS = [sys.executable, "-P", "-m", "greengrass_sdk"]
GREENGRASSD = [
    sys.executable,
    "-P",
    "-c",
    "from greengrass_sdk.cli.greengrassd import main; exit(main())",
]

# Pinned functions start again at once: what waits for them does not wait for long.
_AT_ONCE = """
from greengrass_sdk.core.functions.backoff import Backoff
Backoff.__init__.__defaults__ = (0.02, 0.02, 60.0)
from greengrass_sdk.cli import main
exit(main())
"""

EVENT_S = 20.0
STOP_S = 20.0


def environment(runtime: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, cut off from the user's own cores."""
    runtime.mkdir(mode=0o700, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GREENGRASS_")}
    for name in ("GREENGRASS_SDK_NATIVE", "GREENGRASS_DEBUGGABLE"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return {
        **kept,
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_STATE_HOME": str(runtime),
        "NO_COLOR": "1",
        **(extra or {}),
    }


def copy_example(name: str, folder: Path, *edits: tuple[str, str]) -> Path:
    """Copy an example and edit its group files; each edit must change something."""
    target = folder / name
    shutil.copytree(EXAMPLES / name, target, ignore=shutil.ignore_patterns(".greengrass"))
    for old, new in edits:
        files = list(target.glob("*.toml"))
        if not any(old in file.read_text() for file in files):
            raise AssertionError(f"no group file of {name} contains {old!r}")
        for file in files:
            file.write_text(file.read_text().replace(old, new))
    return target


class RunningCore:
    """`greengrass run PATH --json`; a context manager that stops it and checks how it ended."""

    def __init__(
        self,
        path: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        status: int = 0,
        restart_at_once: bool = False,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="core-"))
        command = [sys.executable, "-P", "-c", _AT_ONCE] if restart_at_once else GREENGRASS
        self._command = [*command, "run", str(path), "--json", *options]
        self._environment = environment(self._folder / "run", env)
        self._status = status
        self._changed = Condition()
        self._ended = False
        self._refusals: list[str] = []
        self.events: list[Event] = []
        self.root = Path()

    def __enter__(self) -> Self:
        self._errors = (self._folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            started = self.wait(lambda event: event["event"] == "started")
        except BaseException:
            self._finish()
            raise
        self.root = Path(started["root"])
        return self

    def __exit__(self, *failure: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the core did not stop within {STOP_S:g} s\n{self.told()}"
            ) from None
        finally:
            told = self.told()
            self._finish()
        if failure == (None, None, None) and status != self._status:
            raise AssertionError(f"the core ended with {status}\n{told}")

    def _finish(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            document = json.loads(line)
            with self._changed:
                if "event" in document:
                    self.events.append(document)
                else:
                    self._refusals.append(line)  # the command ends with an error
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def told(self) -> str:
        """Return what the core said, for the message of a failed test."""
        lines = [json.dumps(event) for event in self.events[-50:]]
        return "\n".join([*lines, *self._refusals, (self._folder / "stderr").read_text()])

    def wait(
        self, wanted: Callable[[Event], bool], *, count: int = 1, timeout_s: float = EVENT_S
    ) -> Event:
        """Return the `count`-th event that is `wanted`, seen already or yet to come."""

        def found() -> list[Event]:
            return [event for event in self.events if wanted(event)]

        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(found()) >= count, timeout_s)
            if len(found()) >= count:
                return found()[count - 1]
        state = "ended" if self._ended else f"did not show it within {timeout_s:g} s"
        raise AssertionError(f"waited for an event, but the core {state}:\n{self.told()}")

    def message(
        self,
        subject: str,
        *,
        target: str | None = "cloud",
        count: int = 1,
        timeout_s: float = EVENT_S,
    ) -> Event:
        """Return the `count`-th message on `subject` for `target`."""
        return self.wait(
            lambda event: (
                event["event"] == "message"
                and (event["subject"], event["target"]) == (subject, target)
            ),
            count=count,
            timeout_s=timeout_s,
        )

    def messages(self, subject: str, *, target: str | None = "cloud") -> list[Event]:
        """Return the messages on `subject` for `target` so far."""
        with self._changed:
            return [
                event
                for event in self.events
                if event["event"] == "message"
                and (event["subject"], event["target"]) == (subject, target)
            ]

    def log(self, function: str | None, text: str) -> Event:
        """Wait for a record with `text` in a function's log, or the system's (None)."""
        return self.wait(
            lambda event: (
                event["event"] == "log"
                and event["function"] == function
                and text in event["message"]
            )
        )

    def command(
        self, *arguments: str, status: int | None = 0, payload: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run another command on this core, and check how it ends."""
        done = subprocess.run(
            [*GREENGRASS, arguments[0], "--root", str(self.root), *arguments[1:]],
            cwd=self._folder,
            env=self._environment,
            input=payload,
            capture_output=True,
            timeout=EVENT_S,
            check=False,
        )
        if status is not None and done.returncode != status:
            raise AssertionError(
                f"greengrass {' '.join(arguments)} ended with {done.returncode}:\n"
                f"{done.stdout.decode()}{done.stderr.decode()}\n{self.told()}"
            )
        return done

    def publish(self, topic: str, payload: str = "{}", *, status: int = 0) -> None:
        """Publish as the cloud."""
        self.command("publish", topic, payload, status=status)

    def publish_bytes(self, topic: str, payload: bytes) -> None:
        """Publish bytes as the cloud, by way of standard input."""
        self.command("publish", topic, "-", payload=payload)

    def wait_for_status(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the status until it is as `wanted`; a question takes long enough to pause."""
        deadline = time.monotonic() + EVENT_S
        while not wanted(status := self.status()):
            if time.monotonic() > deadline:
                raise AssertionError(f"the status stayed {json.dumps(status)}\n{self.told()}")
        return status

    def status(self) -> dict[str, Any]:
        """Return what `greengrass status --json` says."""
        document: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return document

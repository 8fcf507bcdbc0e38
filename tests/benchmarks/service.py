# SPDX-License-Identifier: Apache-2.0
"""A core as a service runs it, its functions on chosen processors, its sources told."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from groups import environment
from peers.kit import LostError
from peers.live import LOST_S, rate_of

from greengrass_sdk import Client
from greengrass_sdk.errors import RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BENCH = "bench"
STOP_S = 20.0
CALLS_S = 120.0

# `greengrassd start --foreground` with the functions as the user who measures: nobody watches it,
# while `greengrass run` shows what happens.
_SERVICE = """
import sys
from pathlib import Path
from greengrass_sdk.cli._serve import Supervision, build_core, serve
from greengrass_sdk.core.loop import run_core
from greengrass_sdk.model.group import load_group
core = build_core(load_group(Path(sys.argv[1])), Path(sys.argv[2]), as_current_user=True)
run_core(serve(core, Supervision(on_ready=lambda: print("ready", flush=True))))
"""


class Service:
    """
    A running core of a group.

    Attributes:
        root: Of the core.
        pid: Of its process.
    """

    def __init__(self, group: Path) -> None:
        self._group = group
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="core-")))
        self.root = folder / "root"
        self.root.mkdir()
        errors = self._stack.enter_context((folder / "stderr").open("w+"))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVICE, str(self._group), str(self.root)],
            cwd=folder,
            env=environment(folder / "run"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        self._stack.callback(self._stop)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            if output.readline() != b"ready\n":
                self._stop()
                told = (folder / "stderr").read_text()
                self._stack.close()
                raise AssertionError(f"the core did not start:\n{told}")
        self.pid = self._process.pid
        self.client = self._stack.enter_context(Client(root=self.root, name=BENCH))
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def workers(self) -> dict[str, list[int]]:
        """Return the processes of each function."""
        command = [sys.executable, "-P", "-m", "greengrass_sdk", "status", "--json"]
        done = subprocess.run(
            [*command, "--root", str(self.root)],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        functions = json.loads(done.stdout)["functions"]
        return {one["name"]: [worker["pid"] for worker in one["workers"]] for one in functions}

    def rings(self, name: str) -> bool:
        """Whether a function's worker has rings; otherwise it has a plain socket."""
        (pid,) = self.workers()[name]
        return "memfd:" in Path(f"/proc/{pid}/maps").read_text()

    def rate(self, source: str, consumers: int, **command: Any) -> float:
        """Return how many messages a second each consumer got of a source."""
        command["consumers"] = consumers
        self.client.publish(f"go/{source}", json.dumps(command))
        try:
            done = self.client.receive(timeout_s=command["seconds"] + LOST_S)
        except RequestTimeoutError:
            raise LostError("not all that was sent was acknowledged") from None
        return rate_of(json.loads(done.payload))

    def spans(self, function: str, **command: Any) -> list[int]:
        """Return the nanoseconds that a function measured."""
        import array

        found = array.array("q")
        found.frombytes(self.client.invoke(function, command, timeout_s=CALLS_S).payload)
        return list(found)


@contextlib.contextmanager
def pinned(places: Mapping[int, int]) -> Iterator[None]:
    """Keep processes, with all their threads, on processors: {pid: cpu}."""
    before = os.sched_getaffinity(0)
    for pid, cpu in places.items():
        _place(pid, {cpu})
    try:
        yield
    finally:
        for pid in places:
            _place(pid, before)


def _place(pid: int, cpus: Iterable[int]) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cpus)


def write_plane_group(
    folder: Path,
    functions: Mapping[str, str],
    rows: Sequence[tuple[str, str, str]],
    *,
    clients: Sequence[str] = (),
    limits: str = "",
) -> Path:
    """Write a group of functions of `functions/plane.py`, each with its own keys."""
    code = folder / "code"
    code.mkdir(parents=True)
    here = Path(__file__).parent
    for file in (here / "functions" / "plane.py", here / "window.py"):
        shutil.copy(file, code)
    common = 'code = "code/"\npinned = true\ntimeout_s = 600\n'
    parts = ['schema = 1\n[group]\nname = "bench"\ncore = "bench-core"\n', limits]
    parts += [f"[clients.{name}]\n" for name in (BENCH, *clients)]
    parts += [f"[functions.{name}]\n{common}{keys}\n" for name, keys in functions.items()]
    parts += [
        f'[[subscriptions]]\nsource = "{source}"\nsubject = "{subject}"\ntarget = "{target}"\n'
        for source, subject, target in rows
    ]
    (folder / "group.toml").write_text("".join(parts))
    return folder


def binary(handler: str, environment: str = "") -> str:
    """Return the keys of a function that takes bytes."""
    return f'handler = "plane.{handler}"\nencoding = "binary"\n{environment}'

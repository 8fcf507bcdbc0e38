# SPDX-License-Identifier: Apache-2.0
"""The process of a real core, as the test's process holds it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from greengrass_sdk.errors import CoreUnavailableError, error_from_code
from greengrass_sdk.testing import host

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.model.group import Group

    Event = dict[str, Any]

__all__ = ["CoreProcess"]

_START_S = 60.0
_STOP_S = 20.0
_SYNC_S = 30.0
_SHOWN = 4000  # characters of what a core said on standard error


class CoreProcess:
    """
    A core that runs in a temporary folder; made when it is ready.

    Args:
        take: Gets each event, on a thread that reads them.
        prepare: Is called with the root before the core starts.

    Raises:
        GreengrassError: The core refused to start; the class tells why.
        CoreUnavailableError: It ended, or it was not ready in time.
    """

    def __init__(
        self,
        group: Group,
        take: Callable[[Event], None],
        prepare: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._take = take
        self._changed = Condition()
        self._ended = False
        self._refusal: Event | None = None
        self._synced = 0
        self._asked = 0
        self.count = 0
        """How many events came so far."""
        with ExitStack() as undo:
            temporary = TemporaryDirectory(prefix="greengrass-core-", ignore_cleanup_errors=True)
            folder = Path(undo.enter_context(temporary))
            self.root = folder / host.ROOT
            (folder / "run").mkdir(mode=0o700)
            (folder / host.GROUP).write_bytes(pickle.dumps(group))
            prepare(self.root)
            self._errors = undo.enter_context((folder / "stderr").open("w+b"))
            self._process = self._spawn(folder)
            undo.callback(self._end)
            self._reader = Thread(target=self._read, name="greengrass-events", daemon=True)
            self._reader.start()
            self._wait_ready()
            self._running = undo.pop_all()

    def _spawn(self, folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", host.__name__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # Where the user's own cores are registered is not the place for this one.
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder / "run")},
            start_new_session=True,  # Ctrl-C is for the test, which then stops the core
        )

    def _wait_ready(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.count or self._ended, _START_S)
            if self._refusal is not None:
                raise error_from_code(self._refusal["code"], self._refusal["message"])
            if not self.count or self._ended:
                raise self.gone()

    def gone(self) -> CoreUnavailableError:
        """Return the error for a core that does not answer, with its last words."""
        state = "has ended" if self._ended else "does not answer"
        self._errors.seek(0)
        told = self._errors.read().decode("utf-8", "replace")[-_SHOWN:].strip()
        return CoreUnavailableError(f"the core of this test {state}" + (told and f":\n{told}"))

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        for line in self._process.stdout:
            event = json.loads(line)
            with self._changed:
                if event["event"] == "sync":
                    self._synced = int(event["line"])
                elif event["event"] == "refused":
                    self._refusal = event
                else:
                    self._take(event)
                    self.count += 1
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def locked(self) -> Condition:
        """Return what is held while an event is taken."""
        return self._changed

    def sync(self) -> None:
        """Return when everything that had happened in the core has been taken."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._asked += 1
        try:
            self._process.stdin.write(b"%d\n" % self._asked)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self.gone() from error
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._synced >= self._asked, _SYNC_S)
            if self._synced < self._asked:
                raise self.gone()

    def wait_for_news(self, count: int, timeout_s: float) -> None:
        """Return when there are other than `count` events, or after a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.count != count, timeout_s)
            if self._ended:
                raise self.gone()

    def pass_time(self, seconds: float) -> None:
        """Return after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, seconds)
            if self._ended:
                raise self.gone()

    def stop(self) -> None:
        """End the core and everything that belongs to it."""
        self._running.close()

    def _end(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it is gone, and did not hear the last question
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its zygotes see it die and kill what is left
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

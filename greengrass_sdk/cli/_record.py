# SPDX-License-Identifier: Apache-2.0
"""
`greengrass run --record`: a thread writes what happens on a core to a tape.

The core never waits for the disk. What cannot be written in time, and what the router left out
because nobody took it in time, is missing: the tape says where (`skipped`), its last line (`ended`)
how much, and `close` raises. A tape without that last line was cut off.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._live import JsonLines
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from greengrass_sdk.model.group import Group

    Event = dict[str, Any]

__all__ = ["TapeWriter"]

VERSION = 1
QUEUED_BYTES = 64 * 1024 * 1024
EVENT_BYTES = 512  # of an event beside its payloads
CLOSE_S = 30.0


class TapeWriter:
    """
    Writes the events of a core to a file; `put` never blocks, and any thread may call it.

    Args:
        path: A new file; only its owner may read it.

    Raises:
        ConfigError: The file is there already, or cannot be made.
    """

    def __init__(self, path: Path, group: Group, *, queued_bytes: int = QUEUED_BYTES) -> None:
        self.path = path
        self._head = _head(group, path)
        self._bound = queued_bytes
        self._stream = _create(path)
        self._render = JsonLines().render
        self._queue: deque[tuple[int, Event]] = deque()
        self._queued = 0
        self._lost = 0
        self._skipped = 0
        self._started = False
        self._ended = False
        self._error: OSError | None = None
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="greengrass-tape", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue one event; beyond the bound it is only counted."""
        size = _size(event)
        with self._wake:
            if self._queued + size > self._bound:
                self._lost += 1
            else:
                self._queued += size
                self._queue.append((size, event))
                self._started = self._started or event["event"] == "started"
            self._wake.notify()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """
        Write what is queued, and end the tape; that of a core that did not start is removed.

        Raises:
            ConfigError: Something is missing on the tape.
        """
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(timeout_s)
        if not self._started:
            self.path.unlink(missing_ok=True)
            return
        if self._thread.is_alive():
            raise ConfigError(
                f"{self.path} cannot be replayed: the disk did not take its last events within"
                f" {timeout_s:g} s"
            )
        if self._error is not None:
            raise ConfigError(
                f"{self.path} cannot be replayed: it could not be written:"
                f" {self._error.strerror or self._error}"
            ) from self._error
        if self._skipped:
            raise ConfigError(
                f"{self.path} cannot be replayed: {self._skipped} events are missing, because more"
                " happened than could be recorded; its lines `skipped` say where"
            )

    # The thread.

    def _write(self) -> None:
        with self._stream:
            while (batch := self._next_batch()) is not None:
                self._write_lines(batch)
            at_ms = time.time_ns() // 1_000_000
            self._write_lines([{"event": "ended", "at_ms": at_ms, "skipped": self._skipped}])

    def _write_lines(self, events: list[Event]) -> None:
        if self._error is not None:
            return
        try:
            for event in events:
                if event["event"] == "skipped":
                    self._skipped += event["count"]
                complete = {**event, **self._head} if event["event"] == "started" else event
                self._stream.write(self._render(complete) + "\n")
            self._stream.flush()
        except OSError as error:
            self._error = error

    def _next_batch(self) -> list[Event] | None:
        with self._wake:
            while not (self._queue or self._lost or self._ended):
                self._wake.wait()
            if not (self._queue or self._lost):
                return None
            batch = [event for _, event in self._queue]
            self._queue.clear()
            self._queued = 0
            if self._lost:
                at_ms = time.time_ns() // 1_000_000
                batch.append({"event": "skipped", "at_ms": at_ms, "count": self._lost})
                self._lost = 0
            return batch


def _create(path: Path) -> Any:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="\n")
    except FileExistsError:
        raise ConfigError(f"{path} is there already; move it away, or name another file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}") from error


def _size(event: Event) -> int:
    size = EVENT_BYTES + len(event.get("payload") or event.get("message") or "")
    request = event.get("request")
    if request:
        size += len(request["payload"]) + len((request["result"] or {}).get("payload", ""))
    return size


def _head(group: Group, path: Path) -> Event:
    """Return what a replay needs to know of the group: who is who, and where its file lies."""
    beside = path.absolute().parent

    def near(file: Path) -> str:
        return os.path.relpath(file.absolute(), beside)

    functions = {
        function.name: {
            "code": near(function.code),
            "handler": function.handler,
            "pinned": function.pinned,
            "encoding": function.encoding,
        }
        for function in group.functions.values()
    }
    rows = [
        {
            "source": group.name_of(row.source),
            "subject": row.subject,
            "target": group.name_of(row.target),
        }
        for row in group.subscriptions
    ]
    return {
        "tape": VERSION,
        "group": {
            "name": group.name,
            "file": None if group.path is None else near(group.path),
            "functions": functions,
            "devices": list(group.devices),
            "clients": list(group.clients),
            "subscriptions": rows,
        },
    }

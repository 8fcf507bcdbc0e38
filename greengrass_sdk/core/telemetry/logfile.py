# SPDX-License-Identifier: Apache-2.0
"""
One log on disk.

The newest records are in `NAME.log`, older ones in `NAME.log.1`, `.2`, `.3`. Together they never
exceed the space of the log: room is made before a record is written, by dropping the oldest file.
A record is never split over two files and never half there: one that could not be written whole is
cut off again.

A log must not be the reason why the core fails. An error of the disk is reported once, the records
it costs are counted, and the first record after it says how many are missing.

Writing appends to memory; `schedule` decides when that goes to disk, usually at the end of the
event loop's iteration. Any thread may write.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from greengrass_sdk.core.telemetry.lines import format_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["LogFile", "segments"]

SEGMENTS = 4
PENDING_BYTES = 256 * 1024

_CUT = b" ... (cut: the record is larger than the space of this log)\n"
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class LogFile:
    """
    A log that is rotated within its space.

    Args:
        path: The file of the newest records. Folders that are missing are made.
        space_kib: What all files of this log together may take.
        now_ms: Epoch milliseconds.
        schedule: Called with a flush that is due soon; None writes every record at once.
            It is called only in the thread that made this object.
        report: Called with a text when writing starts to fail.
    """

    def __init__(
        self,
        path: Path,
        space_kib: int,
        *,
        now_ms: Callable[[], int],
        schedule: Callable[[Callable[[], None]], object] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self.lost = 0
        self._space = space_kib * 1024
        self._now_ms = now_ms
        self._schedule = schedule
        self._report = report
        self._thread = threading.get_ident()
        self._lock = threading.RLock()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._due = False
        self._descriptor = -1
        self._identity = (0, 0)
        self._size = 0
        self._older: list[int] = []  # sizes of NAME.log.1, .2, ...
        self._missing = 0  # records lost since the last one that was written
        self._reported = False

    def write(self, record: str) -> None:
        """Append one record; never raises for what the disk does."""
        data = record.encode("utf-8", "backslashreplace")
        if not data.endswith(b"\n"):
            data += b"\n"
        with self._lock:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes >= PENDING_BYTES or not self._is_scheduled():
                self.flush()

    def flush(self) -> None:
        """Write what is pending; never raises for what the disk does."""
        with self._lock:
            self._due = False
            queue = deque(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            if not queue:
                return
            try:
                self._open()
                if self._missing:
                    self._append(deque([self._gap()]))
                    self._missing = 0
                while queue:
                    self._append(queue)
                self._reported = False
            except OSError as error:
                self._fail(error, len(queue))

    def _is_scheduled(self) -> bool:
        """Return whether a flush is due that need not be waited for; schedule it if it can be."""
        if self._schedule is None or threading.get_ident() != self._thread:
            return False
        if not self._due:
            try:
                self._schedule(self.flush)
            except RuntimeError:  # the event loop is closed: these are the last words
                return False
            self._due = True
        return True

    def close(self) -> None:
        """Write what is pending and close the file; a later write opens it again."""
        with self._lock:
            self.flush()
            self._close()

    def descriptor(self) -> int:
        """
        Return a new descriptor of the current file, for what writes without Python.

        Raises:
            OSError: The file cannot be opened.
        """
        with self._lock:
            self._open()
            return os.dup(self._descriptor)

    # --- appending

    def _append(self, queue: deque[bytes]) -> None:
        """Move records from `queue` into the current file: as many as fit, at least one."""
        first = _fitted(queue[0], self._space)
        limit = self._space // SEGMENTS
        if self._size and self._size + len(first) > limit:
            self._rotate()
        batch, total = [first], len(first)
        for record in islice(queue, 1, None):
            if self._size + total + len(record) > limit:
                break
            batch.append(record)
            total += len(record)
        self._make_room(total)
        written, error = _write(self._descriptor, b"".join(batch))
        for record in batch:
            if len(record) > written:
                break
            written -= len(record)
            self._size += len(record)
            queue.popleft()
        if error is not None:
            with suppress(OSError):  # cut off the record that is there in part
                os.ftruncate(self._descriptor, self._size)
            raise error

    def _fail(self, error: OSError, count: int) -> None:
        self._close()
        self.lost += count
        self._missing += count
        if not self._reported:
            self._reported = True
            reason = error.strerror or str(error)
            if self._report is not None:
                self._report(f"cannot write {self.path}: {reason}; records are lost until it can")

    def _gap(self) -> bytes:
        text = f"{self._missing} records before this one are missing: the log could not be written"
        return format_line(self._now_ms(), "WARN", "logfile.py:0", text).encode()

    # --- files

    def _open(self) -> None:
        """Have the current file open; one that was moved away or removed is made anew."""
        if self._descriptor >= 0:
            try:
                found = self.path.lstat()
            except FileNotFoundError:
                self._close()
            else:
                if (found.st_dev, found.st_ino) == self._identity:
                    return
                self._close()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, _FLAGS, 0o600)
        found = os.fstat(self._descriptor)
        if found.st_mode & 0o077:
            os.fchmod(self._descriptor, 0o600)
        self._identity = (found.st_dev, found.st_ino)
        self._size = found.st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._size += os.write(self._descriptor, b"\n")  # a crash tore the last record
        self._older = [file.stat().st_size for file in self._settle()]

    def _settle(self) -> list[Path]:
        """Number the older files 1, 2, 3 and return them; a crash may have left gaps."""
        kept = []
        for number, file in enumerate(reversed(segments(self.path)[:-1]), start=1):
            wanted = self._segment(number)
            if file != wanted:
                file.replace(wanted)
            kept.append(wanted)
        return kept

    def _rotate(self) -> None:
        for number in range(len(self._older), 0, -1):
            self._segment(number).replace(self._segment(number + 1))
        self.path.replace(self._segment(1))
        self._older.insert(0, self._size)
        self._close()
        self._open()

    def _make_room(self, size: int) -> None:
        while self._older and (
            len(self._older) >= SEGMENTS or self._size + sum(self._older) + size > self._space
        ):
            self._segment(len(self._older)).unlink(missing_ok=True)
            self._older.pop()

    def _segment(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


def segments(path: Path) -> list[Path]:
    """Return the files of a log that exist, the oldest first and `path` itself last."""
    prefix = f"{path.name}."
    numbers = []
    with suppress(OSError), os.scandir(path.parent) as entries:
        numbers = [
            int(entry.name[len(prefix) :])
            for entry in entries
            if entry.name.startswith(prefix) and entry.name[len(prefix) :].isdecimal()
        ]
    older = [path.with_name(f"{prefix}{number}") for number in sorted(numbers, reverse=True)]
    return [*older, path]


def _fitted(record: bytes, space: int) -> bytes:
    if len(record) <= space:
        return record
    return record[: space - len(_CUT)].decode("utf-8", "ignore").encode() + _CUT


def _write(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    """Return how many bytes went out, and what stopped the others."""
    view = memoryview(data)
    done = 0
    try:
        while done < len(view):
            done += os.write(descriptor, view[done:])
    except OSError as error:
        return done, error
    return done, None

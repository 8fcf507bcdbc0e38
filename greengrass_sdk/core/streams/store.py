# SPDX-License-Identifier: Apache-2.0
"""
Where streams are kept: a folder, with one folder for each stream; or memory, for tests.

The folder of a stream has a number, because a name of 255 characters may be no name of a file. It
holds `stream.json`, the definition, beside the segments. How far exports are is in `exports.db`, a
sqlite file: a batch that was exported is noted before the next one is sent.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import shutil
import sqlite3
from typing import IO, TYPE_CHECKING, Any, Protocol

from attrs import define, field, frozen

from greengrass_sdk.core.storage.files import FolderFiles, MemoryFiles
from greengrass_sdk.errors import StreamError
from greengrass_sdk.model.stream import ExportStatus, MessageStreamDefinition

if TYPE_CHECKING:
    from pathlib import Path

    from greengrass_sdk.core.storage.files import Files

__all__ = ["FolderStore", "MemoryStore", "Store", "Stored"]

log = logging.getLogger(__name__)

_DEFINITION = "stream.json"
_DELETED = ".deleted"
_EXPORTS = "exports.db"
_LOCK = "lock"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS export (
    stream INTEGER NOT NULL,
    identifier TEXT NOT NULL,
    last INTEGER NOT NULL,
    time_ms INTEGER,
    bytes INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (stream, identifier)
) WITHOUT ROWID
"""


@frozen
class Stored:
    """A stream that is kept."""

    number: int
    definition: MessageStreamDefinition
    files: Files


class Store(Protocol):
    """
    Keeps streams.

    Raises:
        OSError: From every method: it cannot be read or written.
    """

    def load(self) -> list[Stored]:
        """Return all streams."""

    def add(self, definition: MessageStreamDefinition) -> Stored:
        """Make a stream; it is durable when this returns."""

    def change(self, number: int, definition: MessageStreamDefinition) -> None:
        """Give a stream another definition; it is durable when this returns."""

    def remove(self, number: int) -> None:
        """Remove a stream with all its data."""

    def exports(self, number: int) -> dict[str, ExportStatus]:
        """Return how far the exports of a stream are, by their identifiers."""

    def save_export(self, number: int, status: ExportStatus) -> None:
        """Note how far an export is; it survives the end of the process when this returns."""

    def forget_export(self, number: int, identifier: str) -> None:
        """Forget an export."""

    def close(self) -> None:
        """Let go of the place."""


@define(eq=False)
class FolderStore:
    """Keeps streams in a folder."""

    folder: Path
    _database: sqlite3.Connection | None = field(default=None, init=False)
    _lock: IO[bytes] | None = field(default=None, init=False)
    _last: int = field(default=0, init=False)

    def load(self) -> list[Stored]:
        """Return all streams; what was being deleted is gone, what cannot be read is told."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take()
        found = []
        for path in sorted(self.folder.iterdir()):
            if path.name.endswith(_DELETED):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir() and path.name.isdecimal():
                self._last = max(self._last, int(path.name))
                stored = _load(path)
                if stored is not None:
                    found.append(stored)
        return found

    def add(self, definition: MessageStreamDefinition) -> Stored:
        """Make a folder with the definition in it."""
        self._last += 1
        files = FolderFiles(self._path(self._last))
        try:
            self._forget_exports(self._last)
            files.save(_DEFINITION, _encode(definition))
            FolderFiles(self.folder).sync()
        except OSError:
            shutil.rmtree(files.folder, ignore_errors=True)
            raise
        return Stored(self._last, definition, files)

    def change(self, number: int, definition: MessageStreamDefinition) -> None:
        """Replace the definition."""
        FolderFiles(self._path(number)).save(_DEFINITION, _encode(definition))

    def remove(self, number: int) -> None:
        """Rename the folder, which deletes it at once, then remove what is in it."""
        path = self._path(number)
        deleted = path.rename(path.with_name(path.name + _DELETED))
        try:
            FolderFiles(self.folder).sync()
            shutil.rmtree(deleted, ignore_errors=True)
            self._forget_exports(number)
        except OSError as error:  # it is deleted all the same; the number's next owner forgets
            log.warning("%s, while a stream was deleted", error)

    def _forget_exports(self, number: int) -> None:
        if self._database is not None or (self.folder / _EXPORTS).exists():
            self._execute("DELETE FROM export WHERE stream = ?", (number,))

    def exports(self, number: int) -> dict[str, ExportStatus]:
        """Return how far the exports of a stream are."""
        if self._database is None and not (self.folder / _EXPORTS).exists():
            return {}
        rows = self._execute(
            "SELECT identifier, last, time_ms, bytes, messages FROM export WHERE stream = ?",
            (number,),
        )
        return {
            name: ExportStatus(name, last, time_ms, None, size, count)
            for name, last, time_ms, size, count in rows
        }

    def save_export(self, number: int, status: ExportStatus) -> None:
        """Note how far an export is."""
        self._execute(
            "INSERT OR REPLACE INTO export VALUES (?, ?, ?, ?, ?, ?)",
            (
                number,
                status.export_config_identifier,
                status.last_exported_sequence_number,
                status.last_export_time,
                status.exported_bytes_from_stream,
                status.exported_messages_count,
            ),
        )

    def forget_export(self, number: int, identifier: str) -> None:
        """Forget an export."""
        self._execute(
            "DELETE FROM export WHERE stream = ? AND identifier = ?", (number, identifier)
        )

    def close(self) -> None:
        """Close the file of exports, and leave the folder to others."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take(self) -> None:
        """Take the folder: two that write to it would destroy it."""
        lock = (self.folder / _LOCK).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise OSError(
                errno.EBUSY, f"{self.folder} belongs to the streams of another core that runs"
            ) from error
        self._lock = lock

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}"

    def _execute(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        try:
            if self._database is None:
                self._database = _open_exports(self.folder / _EXPORTS)
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{self.folder / _EXPORTS}: {error}") from error


def _open_exports(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _load(path: Path) -> Stored | None:
    files = FolderFiles(path)
    content = files.load(_DEFINITION)
    if not content:
        shutil.rmtree(path, ignore_errors=True)  # the core ended while it was made
        return None
    try:
        definition = MessageStreamDefinition.from_dict(json.loads(content)["definition"]).check()
    except (ValueError, LookupError, TypeError, AttributeError, StreamError) as error:
        log.error("%s cannot be read (%s); its stream is left alone", path / _DEFINITION, error)  # noqa: TRY400 - told, not a fault
        return None
    return Stored(int(path.name), definition, files)


def _encode(definition: MessageStreamDefinition) -> bytes:
    return json.dumps({"format": 1, "definition": definition.as_dict()}, indent=1).encode()


@define(eq=False)
class MemoryStore:
    """Keeps streams until it is forgotten itself."""

    _streams: dict[int, Stored] = field(factory=dict, init=False)
    _exports: dict[int, dict[str, ExportStatus]] = field(factory=dict, init=False)
    _last: int = field(default=0, init=False)

    def load(self) -> list[Stored]:
        """Return all streams."""
        return list(self._streams.values())

    def add(self, definition: MessageStreamDefinition) -> Stored:
        """Make a stream."""
        self._last += 1
        stored = self._streams[self._last] = Stored(self._last, definition, MemoryFiles())
        return stored

    def change(self, number: int, definition: MessageStreamDefinition) -> None:
        """Give a stream another definition."""
        self._streams[number] = Stored(number, definition, self._streams[number].files)

    def remove(self, number: int) -> None:
        """Remove a stream."""
        del self._streams[number]
        self._exports.pop(number, None)

    def exports(self, number: int) -> dict[str, ExportStatus]:
        """Return how far the exports of a stream are."""
        return {name: status.replaced() for name, status in self._exports.get(number, {}).items()}

    def save_export(self, number: int, status: ExportStatus) -> None:
        """Note how far an export is."""
        kept = self._exports.setdefault(number, {})
        kept[status.export_config_identifier] = status.replaced(error_message=None)

    def forget_export(self, number: int, identifier: str) -> None:
        """Forget an export."""
        self._exports.get(number, {}).pop(identifier, None)

    def close(self) -> None:
        """Keep everything."""

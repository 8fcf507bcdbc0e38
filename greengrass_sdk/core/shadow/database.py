# SPDX-License-Identifier: Apache-2.0
"""
Shadows on disk: one sqlite file, in which a commit is durable when it returns.

There are two connections, so that reading does not wait for the disk of a commit, which runs in a
thread. Each row has a checksum, which sqlite does not have for what lies inside of a page; all are
looked at when the file is opened.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

from attrs import define

from greengrass_sdk.core.shadow.store import Record
from greengrass_sdk.core.sqlitefile import FileFormat, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from greengrass_sdk.core.shadow.requests import ShadowId

__all__ = ["Database"]

_SCHEMA = """
CREATE TABLE shadow (
    thing TEXT NOT NULL,
    name TEXT NOT NULL,     -- empty: the classic one
    version INTEGER NOT NULL,
    document BLOB,          -- NULL: deleted
    checksum INTEGER NOT NULL,
    PRIMARY KEY (thing, name)
) WITHOUT ROWID
"""
_FILE = FileFormat(
    what="shadows",
    application=0x67675368,  # "ggSh"
    version=1,
    schema=(_SCHEMA,),
    probe="SELECT thing, name, version, document, checksum FROM shadow LIMIT 1",
)
_PUT = "INSERT OR REPLACE INTO shadow VALUES (?, ?, ?, ?, ?)"


@define(eq=False)
class Database:
    """The store of a core. Reading belongs to one thread, `commit` to one thread at a time."""

    path: Path
    _reader: sqlite3.Connection
    _writer: sqlite3.Connection

    @classmethod
    def open(cls, path: Path) -> Database:
        """
        Open the file, or make it.

        Raises:
            ConfigError: It is damaged, or no file of shadows, or of a newer version, or cannot be
                opened. It is left as it is.
        """
        _FILE.prepare(path)
        try:
            _verify(path)
            reader, writer = _FILE.connect(path), _FILE.connect(path)
        except sqlite3.Error as error:
            raise _FILE.unusable(path, str(error)) from error
        return cls(path, reader, writer)

    def close(self) -> None:
        """Close the file; what was committed is in it."""
        self._reader.close()
        self._writer.close()

    def load(self, shadow: ShadowId) -> Record | None:
        """Return what is kept of a shadow."""
        question = "SELECT version, document FROM shadow WHERE thing = ? AND name = ?"
        for version, document in self._read(question, shadow.thing, shadow.name):
            return Record(version, document)
        return None

    def names(self, thing: str) -> list[str]:
        """Return the names of the named shadows of a thing."""
        question = (
            "SELECT name FROM shadow WHERE thing = ? AND name != '' AND document IS NOT NULL"
            " ORDER BY name"
        )
        return [name for (name,) in self._read(question, thing)]

    def all(self) -> list[tuple[str, str, int]]:
        """Return thing, name and version of every shadow that is not deleted, sorted."""
        question = (
            "SELECT thing, name, version FROM shadow WHERE document IS NOT NULL"
            " ORDER BY thing, name"
        )
        return self._read(question)

    def commit(self, changes: Mapping[ShadowId, Record]) -> None:
        """Keep all of `changes` or none; they are on disk when this returns."""
        rows = [_row(shadow, record) for shadow, record in changes.items()]
        try:
            if len(rows) == 1:  # is a transaction by itself
                self._writer.execute(_PUT, rows[0])
                return
            with transaction(self._writer):
                self._writer.executemany(_PUT, rows)
        except sqlite3.Error as error:
            raise self._failure("write", error) from error

    def _read(self, question: str, *values: str) -> list[Any]:
        try:
            return self._reader.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure("read", error) from error

    def _failure(self, verb: str, error: sqlite3.Error) -> OSError:
        return OSError(f"cannot {verb} the shadows in {self.path}: {error}")


def _row(shadow: ShadowId, record: Record) -> tuple[str, str, int, bytes | None, int]:
    values = shadow.thing, shadow.name, record.version, record.document
    return *values, _checksum(*values)


def _checksum(thing: str, name: str, version: int, document: bytes | None) -> int:
    head = f"{thing}/{name}/{version}/{document is None}"
    return zlib.crc32(document or b"", zlib.crc32(head.encode()))


def _verify(path: Path) -> None:
    """Look at every row, without changing the file or its log."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        for *values, checksum in connection.execute("SELECT * FROM shadow"):
            thing, name, version, document = values
            if checksum != _checksum(thing, name, version, document):
                of = f"{name!r} of {thing!r}" if name else repr(thing)
                raise sqlite3.DatabaseError(
                    f"it is damaged: shadow {of} does not match its checksum"
                )

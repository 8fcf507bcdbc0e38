# SPDX-License-Identifier: Apache-2.0
"""
Shadows on disk: one sqlite file, in which a commit is durable when it returns.

sqlite keeps its promise with a write-ahead log and synchronous=FULL: after `kill -9` or a power cut
every commit that returned is there, and of the one that did not all or nothing. There are two
connections, so that reading does not wait for the disk of a commit, which runs in a thread.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from attrs import define

from greengrass_sdk.core.shadow.store import Record
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from greengrass_sdk.core.shadow.requests import ShadowId

__all__ = ["Database"]

_APPLICATION = 0x67675368  # "ggSh": whose file this is
_FORMAT = 1
_SCHEMA = """
CREATE TABLE shadow (
    thing TEXT NOT NULL,
    name TEXT NOT NULL,     -- empty: the classic one
    version INTEGER NOT NULL,
    document BLOB,          -- NULL: deleted
    PRIMARY KEY (thing, name)
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO shadow (thing, name, version, document) VALUES (?, ?, ?, ?)"


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
        try:
            _make(path)
            _check(path)
            reader, writer = _connect(path), _connect(path)
        except (sqlite3.Error, OSError) as error:
            raise _unusable(path, str(error)) from error
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
        rows = [
            (shadow.thing, shadow.name, record.version, record.document)
            for shadow, record in changes.items()
        ]
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany(_PUT, rows)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._failure("write", error) from error

    def _read(self, question: str, *values: str) -> list[Any]:
        try:
            return self._reader.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure("read", error) from error

    def _failure(self, verb: str, error: sqlite3.Error) -> OSError:
        return OSError(f"cannot {verb} the shadows in {self.path}: {error}")


def _connect(path: Path) -> sqlite3.Connection:
    # Not checked: the writer works in a thread of its own, one commit after the other.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")  # what is not had, is not insisted upon
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make the file if there is none, whole at once: a crash leaves no half of it."""
    if path.exists():
        return
    if _beside(path, "-wal").exists():
        raise sqlite3.DatabaseError("the file is missing, but its write-ahead log is there")
    new = _beside(path, ".new")
    new.unlink(missing_ok=True)
    new.touch(0o600)
    with closing(_connect(new)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.execute("COMMIT")
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(path: Path) -> None:
    """Look whether the file can be used, without changing it or its log."""
    unfinished = _beside(path, "-journal").exists()  # only where there is no write-ahead log
    uri = f"{path.absolute().as_uri()}?mode={'rw' if unfinished else 'ro'}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        application = _number(connection, "application_id")
        if application != _APPLICATION:
            what = "it is the database of something else" if application else "it is damaged"
            raise sqlite3.DatabaseError(what)
        found = _number(connection, "user_version")
        if found != _FORMAT:
            raise sqlite3.DatabaseError(
                f"its format is {found}, this version reads {_FORMAT}; run the one that wrote it"
            )
        faults = [str(fault) for (fault,) in connection.execute("PRAGMA quick_check(3)")]
        if faults != ["ok"]:
            raise sqlite3.DatabaseError(f"it is damaged: {'; '.join(faults)}")
        connection.execute("SELECT thing, name, version, document FROM shadow LIMIT 1")


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _unusable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"cannot use the shadows in {path}: {reason}; nothing was changed. Restore the file from a"
        f" backup, or move it and {path.name}-wal away to begin without shadows"
    )

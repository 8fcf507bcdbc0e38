# SPDX-License-Identifier: Apache-2.0
"""
Sealed secrets on disk: a file of sqlite that core and commands share.

There are few secrets and they change rarely, so the contents are read and changed as a whole: a
change is a function from contents to contents, and one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk.core.secrets.changes import Changes
from greengrass_sdk.core.secrets.store import Version
from greengrass_sdk.core.sqlitefile import FileFormat, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Contents", "Database", "Sealed", "WrappedKey"]

_FORMAT = FileFormat(
    what="secrets",
    application=0x67675365,  # "ggSe"
    version=1,
    schema=(
        """
        CREATE TABLE data_key (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            wrapped BLOB NOT NULL,
            wrapper TEXT NOT NULL,     -- identity of the key that wraps it
            place TEXT NOT NULL,       -- where that key was, for people
            deployment TEXT NOT NULL,  -- digest of the group that it was made for
            made_ms INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE version (
            secret TEXT NOT NULL,
            id TEXT NOT NULL,
            stages TEXT NOT NULL,      -- JSON
            created_ms INTEGER NOT NULL,
            binary INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (secret, id)
        ) WITHOUT ROWID
        """,
    ),
    probe="SELECT secret, version.id, stages, created_ms, binary, sealed, wrapped, wrapper, place,"
    " deployment, made_ms FROM version, data_key LIMIT 1",
    pragmas=("secure_delete = ON", "busy_timeout = 5000"),
)
_SECRETS = "SELECT secret, id, stages, created_ms, binary, sealed FROM version ORDER BY 1, 4, 2"
_KEY = "SELECT wrapped, wrapper, place, deployment, made_ms FROM data_key"
_PUT = "INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?, ?, ?)"
_PUT_KEY = "INSERT OR REPLACE INTO data_key VALUES (1, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM version WHERE secret = ? AND id = ?"


@frozen
class WrappedKey:
    """The data key, encrypted; `deployment` is a digest of the group that it was made for."""

    wrapped: bytes = field(repr=False)
    wrapper: str
    place: str
    deployment: str
    made_ms: int


@frozen
class Sealed:
    """A version with its value, encrypted."""

    version: Version
    sealed: bytes = field(repr=False)


@frozen
class Contents:
    """All that is in the file."""

    key: WrappedKey | None = None
    secrets: tuple[Sealed, ...] = ()

    @cached_property
    def _by_name(self) -> Mapping[str, list[Sealed]]:
        found: dict[str, list[Sealed]] = {}
        for each in self.secrets:
            found.setdefault(each.version.secret, []).append(each)
        return found

    @cached_property
    def _versions(self) -> Mapping[str, tuple[Version, ...]]:
        return {
            name: tuple(each.version for each in found) for name, found in self._by_name.items()
        }

    @cached_property
    def _sealed(self) -> Mapping[Version, bytes]:
        return {each.version: each.sealed for each in self.secrets}

    def of(self, secret: str) -> Sequence[Sealed]:
        """Return the versions of one secret, with their values."""
        return self._by_name.get(secret, ())

    def versions(self, secret: str) -> tuple[Version, ...]:
        """Return the versions of one secret, the same object each time."""
        return self._versions.get(secret, ())

    def sealed(self, version: Version) -> bytes | None:
        """Return the value of a version, encrypted; None if there is no such version."""
        return self._sealed.get(version)

    def without(self, secret: str) -> tuple[Sealed, ...]:
        """Return the versions of all other secrets."""
        return tuple(each for each in self.secrets if each.version.secret != secret)


@define(eq=False)
class Database:
    """
    The file, for one thread of this process; others may have it open, too.

    Raises:
        OSError: From `load`, `is_new` and `change`: it cannot be read or written.
    """

    path: Path
    _connection: sqlite3.Connection
    _cursor: sqlite3.Cursor
    _changes: Changes
    _seen: int = -1
    _settled: bytes = b""  # how the counters looked when `_seen` was all there was

    @classmethod
    def open(cls, path: Path) -> Database:
        """
        Open the file, or make it.

        Raises:
            ConfigError: It is damaged, or no file of secrets, or of a newer version, or cannot be
                opened. It is left as it is.
        """
        _FORMAT.prepare(path)
        try:
            changes = Changes.open(path.with_name(f"{path.name}-changes"))
            connection = _FORMAT.connect(path)
        except (sqlite3.Error, OSError) as error:
            raise _FORMAT.unusable(path, str(error)) from error
        return cls(path, connection, connection.cursor(), changes)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._changes.close()

    def is_new(self) -> bool:
        """Return whether somebody else may have changed the file since `load` was called."""
        look = self._changes.look()
        if look == self._settled:
            return False
        try:
            new = self._version() != self._seen
        except sqlite3.Error as error:
            raise self._failure("read", error) from error
        if not new and self._changes.is_settled(look):
            self._settled = look
        return new

    def load(self) -> Contents:
        """Return what is in the file."""
        try:
            self._seen = self._version()  # before: what comes in between is only read twice
            self._connection.execute("BEGIN")
            try:
                return self._read()
            finally:
                self._connection.execute("ROLLBACK")
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._failure("read", error) from error

    def change(self, change: Callable[[Contents], Contents]) -> Contents:
        """
        Replace the contents by what `change` makes of them: all of it or nothing.

        It is on disk when this returns, and what it replaced is overwritten, if nobody else is
        reading just now.
        """
        try:
            with transaction(self._connection):
                self._changes.begin()
                before = self._read()
                after = change(before)
                self._write(before, after)
            self._seen = self._version()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._failure("write", error) from error
        finally:
            self._changes.end()
        return after

    def unusable(self, reason: str) -> Exception:
        """Return the ConfigError for contents that cannot be used."""
        return _FORMAT.unusable(self.path, reason)

    def _version(self) -> int:
        return int(self._cursor.execute("PRAGMA data_version").fetchone()[0])

    def _read(self) -> Contents:
        row = self._connection.execute(_KEY).fetchone()
        secrets = tuple(
            Sealed(
                Version(secret, identifier, tuple(json.loads(stages)), created_ms, bool(binary)),
                sealed,
            )
            for secret, identifier, stages, created_ms, binary, sealed in self._connection.execute(
                _SECRETS
            )
        )
        return Contents(None if row is None else WrappedKey(*row), secrets)

    def _write(self, before: Contents, after: Contents) -> None:
        connection = self._connection
        kept = {(each.version.secret, each.version.id) for each in after.secrets}
        for each in before.secrets:
            place = each.version.secret, each.version.id
            if place not in kept:
                connection.execute(_DELETE, place)
        unchanged = set(before.secrets)
        for each in after.secrets:
            if each not in unchanged:
                version = each.version
                stages = json.dumps(version.stages)
                row = (version.secret, version.id, stages, version.created_ms, version.binary)
                connection.execute(_PUT, (*row, each.sealed))
        if after.key is not None and after.key != before.key:
            key = after.key
            row_of_key = (key.wrapped, key.wrapper, key.place, key.deployment, key.made_ms)
            connection.execute(_PUT_KEY, row_of_key)

    def _failure(self, verb: str, error: Exception) -> OSError:
        return OSError(f"cannot {verb} the secrets in {self.path}: {error}")

# SPDX-License-Identifier: Apache-2.0
"""
Files of sqlite in which a commit is durable when it returns, and that are never made worse.

sqlite keeps its promise with a write-ahead log and synchronous=FULL: after `kill -9` or a power cut
every commit that returned is there, and of the one that did not all or nothing. What is damaged, or
no file of ours, is refused and left as it is.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FileFormat", "transaction"]


@frozen
class FileFormat:
    """
    What a file of sqlite is about.

    Attributes:
        what: What is in it, for messages, as in "cannot use the shadows in PATH".
        application: Four bytes that say whose file it is.
        version: Of the format; other versions are refused.
        schema: The statements that make it.
        probe: A query that only a file with this schema answers.
        pragmas: Set on every connection, beside those for durability.
    """

    what: str
    application: int
    version: int
    schema: tuple[str, ...]
    probe: str
    pragmas: tuple[str, ...] = ()

    def prepare(self, path: Path) -> None:
        """
        Make the file if there is none, and check it.

        Raises:
            ConfigError: It cannot be used. It is left as it is.
        """
        try:
            self._make(path)
            self._check(path)
        except (sqlite3.Error, OSError) as error:
            raise self.unusable(path, str(error)) from error

    def connect(self, path: Path) -> sqlite3.Connection:
        """
        Return a connection, which any one thread at a time may use.

        Raises:
            sqlite3.Error: The file cannot be opened.
        """
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # what is not had, is not insisted upon
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cell_size_check = ON")
            for pragma in self.pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def unusable(self, path: Path, reason: str) -> ConfigError:
        """Return the error for a file that cannot be used."""
        return ConfigError(
            f"cannot use the {self.what} in {path}: {reason}; nothing was changed. Restore the file"
            f" from a backup, or move it and {path.name}-wal away to begin without {self.what}"
        )

    def _make(self, path: Path) -> None:
        """Make the file if there is none, whole at once: a crash leaves no half of it."""
        if path.exists():
            return
        if _beside(path, "-wal").exists():
            raise sqlite3.DatabaseError("the file is missing, but its write-ahead log is there")
        new = _beside(path, ".new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        with closing(self.connect(new)) as connection, transaction(connection):
            for statement in self.schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self.application}")
            connection.execute(f"PRAGMA user_version = {self.version}")
        new.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _check(self, path: Path) -> None:
        """Look whether the file can be used, without changing it or its log."""
        unfinished = _beside(path, "-journal").exists()  # only where there is no write-ahead log
        uri = f"{path.absolute().as_uri()}?mode={'rw' if unfinished else 'ro'}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            application = _number(connection, "application_id")
            if application != self.application:
                what = "it is the database of something else" if application else "it is damaged"
                raise sqlite3.DatabaseError(what)
            found = _number(connection, "user_version")
            if found != self.version:
                raise sqlite3.DatabaseError(
                    f"its format is {found}, this version reads {self.version}; run the one that"
                    " wrote it"
                )
            faults = [str(fault) for (fault,) in connection.execute("PRAGMA quick_check(3)")]
            if faults != ["ok"]:
                raise sqlite3.DatabaseError(f"it is damaged: {'; '.join(faults)}")
            connection.execute(self.probe)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is written within, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])

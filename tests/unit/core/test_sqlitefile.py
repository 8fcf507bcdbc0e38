# SPDX-License-Identifier: Apache-2.0
"""Files of sqlite that are durable, and never made worse."""

import sqlite3
from contextlib import closing

import pytest

from greengrass_sdk.core.sqlitefile import FileFormat, transaction
from greengrass_sdk.errors import ConfigError

FORMAT = FileFormat(
    what="things",
    application=0x67675474,
    version=3,
    schema=("CREATE TABLE thing (name TEXT NOT NULL)", "CREATE TABLE other (name TEXT)"),
    probe="SELECT thing.name, other.name FROM thing, other",
    pragmas=("secure_delete = ON",),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "things.db"
    FORMAT.prepare(path)
    return path


def rows(path):
    with closing(FORMAT.connect(path)) as connection:
        return connection.execute("SELECT name FROM thing").fetchall()


def test_a_file_is_made_whole_and_for_its_owner_alone(path):
    beside = {path.name + ending for ending in ("", "-wal", "-shm")}
    assert set() == {each.name for each in path.parent.iterdir()} - beside
    assert 0o600 == path.stat().st_mode & 0o777
    assert [] == rows(path)


def test_a_file_that_is_there_stays_as_it_is(path):
    with closing(FORMAT.connect(path)) as connection, transaction(connection):
        connection.execute("INSERT INTO thing VALUES ('a')")
    FORMAT.prepare(path)
    assert [("a",)] == rows(path)


def test_a_connection_is_durable_and_has_the_pragmas_of_the_format(path):
    with closing(FORMAT.connect(path)) as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete")
        }
    assert {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1} == settings


def test_a_transaction_that_fails_leaves_nothing(path):
    with closing(FORMAT.connect(path)) as connection:
        with pytest.raises(sqlite3.IntegrityError), transaction(connection):
            connection.executemany("INSERT INTO thing VALUES (?)", [("a",), (None,)])
        assert not connection.in_transaction
    assert [] == rows(path)


def test_what_a_crash_left_of_a_new_file_is_replaced(tmp_path):
    path = tmp_path / "things.db"
    (tmp_path / "things.db.new").write_bytes(b"half")
    FORMAT.prepare(path)
    assert [] == rows(path)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_bytes(b"x" * 5000), "not a database"),
        (lambda path: path.write_bytes(b""), "it is damaged"),
        (lambda path: _pragma(path, "application_id = 7"), "database of something else"),
        (lambda path: _pragma(path, "user_version = 4"), "its format is 4, this version reads 3"),
        (lambda path: _execute(path, "DROP TABLE other"), "no such table: other"),
        (lambda path: (path.unlink(), _log_of(path).write_bytes(b"x")), "its write-ahead log is"),
        (lambda path: (path.unlink(), path.mkdir()), "disk I/O error|unable to open"),
    ],
)
def test_what_is_no_file_of_ours_is_refused_and_left_alone(path, spoil, why):
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ConfigError, match=why) as caught:
        FORMAT.prepare(path)
    assert "cannot use the things in" in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else None)


def _execute(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def _pragma(path, setting):
    _execute(path, f"PRAGMA {setting}")


def _log_of(path):
    return path.with_name(f"{path.name}-wal")


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "no" / "things.db"
    with pytest.raises(ConfigError, match=r"things\.db"):
        FORMAT.prepare(path)

# SPDX-License-Identifier: Apache-2.0
"""Sealed secrets in their file."""

import sqlite3
from contextlib import closing

import pytest
from attrs import evolve

from greengrass_sdk.core.secrets.changes import Changes
from greengrass_sdk.core.secrets.database import Contents, Database, Sealed, WrappedKey
from greengrass_sdk.core.secrets.store import Version
from greengrass_sdk.errors import ConfigError

KEY = WrappedKey(b"wrapped", "file:1", "/key", "digest", 7)
ONE = Sealed(Version("a", "1", ("AWSPREVIOUS",), 1), b"sealed one")
TWO = Sealed(Version("a", "2", ("AWSCURRENT", "blue"), 2, binary=True), b"sealed two")
OTHER = Sealed(Version("b", "1", ("AWSCURRENT",), 3), b"sealed other")


@pytest.fixture
def database(tmp_path):
    with closing(Database.open(tmp_path / "secrets.db")) as database:
        yield database


def test_a_new_file_is_empty_and_for_its_owner_alone(database):
    assert Contents() == database.load()
    assert 0o600 == database.path.stat().st_mode & 0o777


def test_what_was_written_is_read_again_by_all(database):
    contents = Contents(KEY, (ONE, TWO, OTHER))
    assert contents == database.change(lambda _: contents)
    with closing(Database.open(database.path)) as other:
        assert contents == other.load()
    assert ([ONE, TWO], (OTHER,)) == (contents.of("a"), contents.without("a"))


def test_rows_that_are_gone_are_deleted_and_rows_that_changed_are_replaced(database):
    database.change(lambda _: Contents(KEY, (ONE, OTHER)))
    renamed = evolve(ONE, version=evolve(ONE.version, stages=("blue",)))
    key = evolve(KEY, wrapped=b"new")
    database.change(lambda found: evolve(found, key=key, secrets=(renamed, TWO)))
    assert Contents(key, (renamed, TWO)) == database.load()


def test_nothing_is_written_when_the_change_fails(database):
    database.change(lambda _: Contents(KEY, (ONE,)))

    def fail(found):
        raise LookupError(len(found.secrets))

    with pytest.raises(LookupError):
        database.change(fail)
    assert Contents(KEY, (ONE,)) == database.load()


def test_it_is_known_when_somebody_else_changed_the_file(database):
    assert database.is_new()
    database.load()
    assert not database.is_new()
    database.change(lambda _: Contents(KEY, (ONE,)))
    assert not database.is_new()
    with closing(Database.open(database.path)) as other:
        other.change(lambda found: evolve(found, secrets=()))
        assert database.is_new()
        assert () == database.load().secrets
        assert not database.is_new()


def test_the_change_of_a_writer_that_was_killed_is_known(database, monkeypatch):
    database.load()
    assert not database.is_new()
    with closing(Database.open(database.path)) as other:
        monkeypatch.setattr(Changes, "end", lambda _: None)  # it never came so far
        other.change(lambda _: Contents(KEY, (ONE,)))
        assert database.is_new()
        assert (ONE,) == database.load().secrets
        assert not database.is_new()
        other.change(lambda _: Contents(KEY, (ONE, TWO)))
    assert database.is_new()


def test_the_file_is_asked_only_after_a_change(database):
    database.load()
    assert not database.is_new()
    database._seen = -1  # what the file would have to be asked for
    assert not database.is_new()
    with closing(Database.open(database.path)) as other:
        other.change(lambda _: Contents(KEY, (ONE,)))
    assert database.is_new()


def test_two_writers_lose_nothing_of_each_other(database):
    database.change(lambda _: Contents(KEY, (ONE,)))
    with closing(Database.open(database.path)) as other:
        other.change(lambda found: evolve(found, secrets=(*found.secrets, OTHER)))
        after = database.change(lambda found: evolve(found, secrets=(*found.secrets, TWO)))
    assert {ONE, TWO, OTHER} == set(after.secrets)


def test_what_was_replaced_is_not_left_in_the_file(database):
    database.change(lambda _: Contents(KEY, (ONE, TWO)))
    database.change(lambda found: evolve(found, secrets=(TWO,)))
    files = list(database.path.parent.iterdir())
    assert b"sealed two" in b"".join(file.read_bytes() for file in files)
    assert b"sealed one" not in b"".join(file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_bytes(b"no database at all, but long enough" * 100), "database"),
        (lambda path: path.write_bytes(path.read_bytes()[:4096]), "damaged|malformed"),
        (lambda path: path.write_bytes(b""), "damaged"),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(tmp_path, spoil, why):
    path = tmp_path / "secrets.db"
    with closing(Database.open(path)) as database:
        database.change(lambda _: Contents(KEY, (ONE, TWO)))
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=why) as caught:
        Database.open(path)
    assert "nothing was changed" in str(caught.value)
    assert before == path.read_bytes()


def test_rows_that_make_no_sense_are_an_error_of_reading(database):
    database.change(lambda _: Contents(KEY, (ONE,)))
    with closing(sqlite3.connect(database.path)) as connection, connection:
        connection.execute("UPDATE version SET stages = '{'")
    with pytest.raises(OSError, match="cannot read the secrets"):
        database.load()


def test_a_file_that_cannot_be_written_is_an_error_of_writing(database):
    with closing(sqlite3.connect(database.path, timeout=0)) as connection:
        connection.execute("DROP TABLE version")
        connection.commit()
    with pytest.raises(OSError, match="cannot write the secrets"):
        database.change(lambda _: Contents(KEY, (ONE,)))


def test_nothing_sealed_is_shown():
    assert "sealed" not in repr(Contents(KEY, (ONE,))).replace("Sealed(", "")
    assert "wrapped" not in repr(KEY).replace("WrappedKey(", "").replace("wrapper", "")

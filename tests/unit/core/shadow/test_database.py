# SPDX-License-Identifier: Apache-2.0

import random
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from greengrass_sdk.core.shadow.database import Database
from greengrass_sdk.core.shadow.requests import ShadowId
from greengrass_sdk.core.shadow.store import Record
from greengrass_sdk.errors import ConfigError

T = ShadowId("T")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shadows.db"


def write(path, count=1):
    with closing(Database.open(path)) as database:
        for number in range(count):
            database.commit({ShadowId(f"T{number}"): Record(1, b"x" * 500)})


def contents(path):
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def test_shadows_are_there_after_a_restart(path):
    write(path)
    with closing(Database.open(path)) as database:
        assert Record(1, b"x" * 500) == database.load(ShadowId("T0"))


def test_nobody_else_reads_the_file(path):
    write(path)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_all_shadows_are_those_that_are_not_deleted(path):
    with closing(Database.open(path)) as database:
        database.commit(
            {
                ShadowId("U", "N"): Record(3, b""),
                ShadowId("U"): Record(2, b""),
                T: Record(1, None),
            }
        )
        assert [("U", "", 2), ("U", "N", 3)] == database.all()


def test_thousands_of_things_have_their_shadows_after_a_restart(path):
    shadows = [ShadowId(f"T{number}", name) for number in range(5000) for name in ("", "N")]
    with closing(Database.open(path)) as database:
        for start in range(0, len(shadows), 500):
            batch = shadows[start : start + 500]
            database.commit({each: Record(1, each.shown.encode()) for each in batch})
    with closing(Database.open(path)) as database:
        for each in shadows:
            assert Record(1, each.shown.encode()) == database.load(each)
        assert sorted((each.thing, each.name) for each in shadows) == [
            row[:2] for row in database.all()
        ]


def test_a_commit_is_seen_while_reading(path):
    with closing(Database.open(path)) as database:
        assert database.load(T) is None
        database.commit({T: Record(1, b"new")})
        assert Record(1, b"new") == database.load(T)


def test_the_disk_is_waited_for(path):
    with closing(Database.open(path)) as database:
        settings = [
            database._writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert ["wal", 2] == settings


def test_a_commit_that_fails_changes_nothing_and_says_where(path):
    with closing(Database.open(path)) as database:
        database.commit({T: Record(1, b"old")})
        database._writer.execute("PRAGMA query_only = ON")
        with pytest.raises(OSError, match=f"cannot write the shadows in {re.escape(str(path))}"):
            database.commit({T: Record(2, b"new"), ShadowId("U"): Record(1, b"")})
        database._writer.execute("PRAGMA query_only = OFF")
        assert (Record(1, b"old"), None) == (database.load(T), database.load(ShadowId("U")))
        database.commit({T: Record(2, b"new")})
        assert Record(2, b"new") == database.load(T)


def test_a_full_disk_is_an_error_and_leaves_what_was_there(path):
    with closing(Database.open(path)) as database:
        database.commit({T: Record(1, b"old")})
        database._writer.execute("PRAGMA max_page_count = 2")
        with pytest.raises(OSError, match="full"):
            database.commit({ShadowId(f"U{n}"): Record(1, b"x" * 4000) for n in range(50)})
        assert Record(1, b"old") == database.load(T)


def test_a_closed_store_says_that_it_cannot_be_read(path):
    database = Database.open(path)
    database.close()
    with pytest.raises(OSError, match="cannot read the shadows in"):
        database.load(T)


# --- files that cannot be used ---------------------------------------------------


def of_something_else(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")
        connection.execute("CREATE TABLE t (a)")
        connection.commit()


def of_a_newer_version(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
        connection.commit()


def with_zeros_in_the_middle(path):
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(content)


def with_another_letter_in_a_document(path):
    content = path.read_bytes()
    assert 0 <= content.find(b"xxxx")
    path.write_bytes(content.replace(b"xxxx", b"xxXx", 1))


def with_another_thing(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b"T77", b"T7\xff", 1))


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-4096])


def without_its_file(path):
    path.rename(path.with_name("shadows.db-wal"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"no database" * 500), "not a database"),
        (lambda path: path.write_bytes(b""), "it is damaged"),
        (with_zeros_in_the_middle, "damaged|malformed"),
        (with_another_letter_in_a_document, "shadow 'T[0-9]+' does not match its checksum"),
        (with_another_thing, "decode|checksum|damaged"),
        (cut_off, "damaged|malformed"),
        (of_something_else, "something else"),
        (of_a_newer_version, "its format is 2, this version reads 1"),
        (without_its_file, "write-ahead log is there"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_as_it_is(path, damage, said):
    write(path, 100)
    damage(path)
    before = contents(path)
    with pytest.raises(ConfigError, match=said) as caught:
        Database.open(path)
    assert str(path) in str(caught.value)
    assert "Restore the file from a backup" in str(caught.value)
    after = contents(path)
    after.pop("shadows.db-shm", None)  # sqlite's scratch, made anew each time
    assert before == {name: text for name, text in after.items() if text or name in before}


def test_a_folder_that_is_not_there_is_named(path):
    with pytest.raises(ConfigError, match="cannot use the shadows in"):
        Database.open(path / "shadows.db")


# --- kill -9 -----------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from greengrass_sdk.core.shadow.database import Database
from greengrass_sdk.core.shadow.requests import ShadowId
from greengrass_sdk.core.shadow.store import Record

database = Database.open(Path(sys.argv[1]))
version = 0
for name in ("A", "B"):
    record = database.load(ShadowId(name))
    version = max(version, record.version if record else 0)
while True:
    version += 1
    record = Record(version, b"%d" % version * 300)
    database.commit({ShadowId("A"): record, ShadowId("B"): record})
    print(version, flush=True)
"""


def test_whatever_was_acknowledged_survives_kill_9(path):
    """And of the commit in between all or nothing: both shadows have the same version."""
    choose = random.Random(5)
    acknowledged = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(choose.randint(1, 60)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split("\n")[:-1]
        acknowledged = int(rest[-1]) if rest else acknowledged
        with closing(Database.open(path)) as database:
            first, second = (database.load(ShadowId(name)) for name in ("A", "B"))
        assert first is not None
        assert first == second
        assert first.version in (acknowledged, acknowledged + 1)
        assert b"%d" % first.version * 300 == first.document

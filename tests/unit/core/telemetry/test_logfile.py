# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.telemetry.logfile: bounded, whole, and never in the way."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from greengrass_sdk.core.telemetry.logfile import SEGMENTS, LogFile, segments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPACE_KIB = 64
SPACE = SPACE_KIB * 1024


@contextmanager
def opened(path, space_kib=SPACE_KIB, **options):
    file = LogFile(path, space_kib, now_ms=lambda: 0, **options)
    try:
        yield file
    finally:
        file.close()


def content(path: Path) -> str:
    return "".join(segment.read_text() for segment in segments(path) if segment.exists())


def total(path: Path) -> int:
    return sum(segment.stat().st_size for segment in segments(path) if segment.exists())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "user" / "us-east-1" / "NAME.log"


# --- writing and rotating


def test_records_are_written_in_order_and_folders_are_made(path):
    with opened(path) as file:
        file.write("one\n")
        file.write("two")

        assert "one\ntwo\n" == path.read_text()


def test_only_the_owner_can_read_a_log(path):
    old = os.umask(0)
    try:
        with opened(path) as file:
            file.write("x")
    finally:
        os.umask(old)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_a_log_that_others_could_read_is_closed_to_them(path):
    path.parent.mkdir(parents=True)
    path.write_text("old\n")
    path.chmod(0o644)

    with opened(path) as file:
        file.write("new")

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert "old\nnew\n" == path.read_text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, SPACE + 10_000), max_size=60), flush_every=st.integers(1, 9))
@example(sizes=[SPACE - 3, SPACE - 2, SPACE - 1, SPACE, 0], flush_every=1)
@example(sizes=[16_000] * 9, flush_every=4)
def test_space_holds_the_newest_is_there_and_lines_are_whole(tmp_path_factory, sizes, flush_every):
    """At every moment: total <= space, the last record is the newest, no record is split."""
    path = tmp_path_factory.mktemp("log") / "a.log"
    with opened(path, schedule=lambda flush: None) as file:
        written = []
        for number, size in enumerate(sizes):
            record = f"<{number} " + "x" * size + ">\n"
            file.write(record)
            written.append(record)
            if number % flush_every == 0:
                file.flush()
                assert total(path) <= SPACE
        file.flush()

        kept = content(path).splitlines(keepends=True)
        assert total(path) <= SPACE
        assert len(segments(path)) <= SEGMENTS
        for record, expected in zip(reversed(kept), reversed(written), strict=False):
            assert record == expected or (
                len(expected) > SPACE and record.endswith("larger than the space of this log)\n")
            )
        assert not written or kept


def test_at_least_half_of_the_space_is_used_once_it_was_filled(path):
    with opened(path, schedule=lambda flush: None) as file:
        for number in range(5000):
            file.write(f"{number:05d} " + "x" * 90)

    assert SPACE * 0.7 < total(path) <= SPACE
    assert content(path).endswith("04999 " + "x" * 90 + "\n")


def test_a_record_beyond_the_space_is_cut_at_a_character(path):
    with opened(path) as file:
        file.write("before")
        file.write("ä" * SPACE)

    text = content(path)
    assert text.endswith(" ... (cut: the record is larger than the space of this log)\n")
    assert total(path) <= SPACE
    assert "before" not in text


def test_a_smaller_space_takes_effect_with_the_next_record(path):
    with opened(path, 1024, schedule=lambda flush: None) as file:
        for _ in range(10_000):
            file.write("x" * 100)
    assert total(path) > SPACE

    with opened(path) as file:
        file.write("new")

    assert total(path) <= SPACE
    assert content(path).endswith("new\n")


def test_a_torn_record_is_ended_before_the_next_one(path):
    path.parent.mkdir(parents=True)
    path.write_text("whole\nto")

    with opened(path) as file:
        file.write("new")

    assert "whole\nto\nnew\n" == path.read_text()


def test_a_gap_in_the_numbers_of_older_files_is_closed(path):
    path.parent.mkdir(parents=True)
    for number in (2, 5):
        path.with_name(f"{path.name}.{number}").write_text(f"{number}\n")
    path.with_name(f"{path.name}.backup").write_text("mine\n")

    with opened(path) as file:
        file.write("new")

    assert ["NAME.log.2", "NAME.log.1", "NAME.log"] == [file.name for file in segments(path)]
    assert "5\n2\nnew\n" == content(path)
    assert "mine\n" == path.with_name(f"{path.name}.backup").read_text()


def test_a_log_that_was_moved_away_is_made_anew(path):
    with opened(path) as file:
        file.write("one")
        path.rename(path.with_name("moved"))
        file.write("two")
        path.unlink()
        file.write("three")

    assert "three\n" == path.read_text()


def test_text_that_is_no_unicode_is_written_escaped(path):
    with opened(path) as file:
        file.write("a\udcffb")

    assert "a\\udcffb\n" == path.read_text()


# --- when it goes to disk


def test_a_flush_is_scheduled_once_for_many_records(path):
    flushes: list[Callable[[], None]] = []
    with opened(path, schedule=flushes.append) as file:
        file.write("one")
        file.write("two")
        assert 1 == len(flushes)
        assert not path.exists()

        flushes.pop()()
        assert "one\ntwo\n" == path.read_text()

        file.write("three")
        assert 1 == len(flushes)
    assert "one\ntwo\nthree\n" == path.read_text()


def test_much_pending_does_not_wait_for_the_schedule(path):
    with opened(path, 4096, schedule=lambda flush: None) as file:
        file.write("x" * 300_000)

        assert path.exists()


def test_another_thread_writes_at_once_and_schedules_nothing(path):
    flushes: list[Callable[[], None]] = []
    with opened(path, schedule=flushes.append) as file:
        thread = threading.Thread(target=file.write, args=("from a thread",))
        thread.start()
        thread.join()

        assert "from a thread\n" == path.read_text()
        assert [] == flushes


def test_after_the_event_loop_records_are_written_at_once(path):
    def closed(_):
        raise RuntimeError("Event loop is closed")

    with opened(path, schedule=closed) as file:
        file.write("last words")

        assert "last words\n" == path.read_text()


def test_threads_do_not_mix_their_records(path):
    with opened(path, 4096) as file:

        def write(name):
            for _ in range(200):
                file.write(name * 50)

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = content(path).splitlines()
    assert 800 == len(lines)
    assert all(len(line) == 50 and len(set(line)) == 1 for line in lines)


# --- a disk that does not take it


class Disk:
    """os.write of a disk with room for `room` bytes."""

    def __init__(self, monkeypatch):
        self.room = None
        self._write = os.write
        monkeypatch.setattr("greengrass_sdk.core.telemetry.logfile.os.write", self.write)

    def write(self, descriptor, data):
        if self.room is None:
            return self._write(descriptor, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = self._write(descriptor, data[: self.room])
        self.room -= done
        return done


def test_a_full_disk_is_reported_once_and_the_gap_is_told_after_it(path, monkeypatch):
    disk = Disk(monkeypatch)
    reports: list[str] = []
    with opened(path, report=reports.append) as file:
        file.write("before")
        disk.room = 5
        file.write("lost in part")
        file.write("lost")
        file.write("lost too")
        assert "before\n" == path.read_text()
        disk.room = None
        file.write("after")

    assert 3 == file.lost
    assert [
        f"cannot write {path}: No space left on device; records are lost until it can"
    ] == reports
    gap = "[1970-01-01T00:00:00.000Z][WARN]-logfile.py:0,3 records before this one are missing: "
    assert f"before\n{gap}the log could not be written\nafter\n" == path.read_text()


def test_the_next_outage_is_reported_again(path, monkeypatch):
    disk = Disk(monkeypatch)
    reports: list[str] = []
    with opened(path, report=reports.append) as file:
        for room in (0, None, 0, None):
            disk.room = room
            file.write("x")

    assert 2 == len(reports)
    assert 2 == file.lost


def test_of_a_batch_the_records_that_fit_are_kept_whole(path, monkeypatch):
    disk = Disk(monkeypatch)
    with opened(path, schedule=lambda flush: None) as file:
        for record in ("aaaa", "bbbb", "cccc"):
            file.write(record)
        disk.room = 12
        file.flush()

        assert "aaaa\nbbbb\n" == path.read_text()
        assert 1 == file.lost


def test_a_full_disk_that_is_reported_to_the_same_log_does_not_recurse(path, monkeypatch):
    disk = Disk(monkeypatch)
    files: list[LogFile] = []
    with opened(path, report=lambda text: files[-1].write(text + "!")) as file:
        files.append(file)
        disk.room = 0
        file.write("x")
        disk.room = None
        file.write("y")

    assert 2 == file.lost
    assert path.read_text().endswith("y\n")


def test_a_folder_that_cannot_be_made_does_not_raise(tmp_path):
    (tmp_path / "file").write_text("")
    reports: list[str] = []

    with opened(tmp_path / "file" / "a.log", report=reports.append) as file:
        file.write("x")

    assert 1 == file.lost
    assert "File exists" in reports[0]


def test_a_link_in_the_place_of_the_log_is_not_followed(path):
    path.parent.mkdir(parents=True)
    victim = path.with_name("victim")
    victim.write_text("precious\n")
    path.symlink_to(victim)
    reports: list[str] = []

    with opened(path, report=reports.append) as file:
        file.write("x")

    assert "precious\n" == victim.read_text()
    assert 1 == len(reports)


def test_the_kernels_file_size_limit_is_an_outage_like_any_other(path):
    """A real failing write, not a faked one, in a process of its own: limits stay."""
    script = f"""
import resource
from pathlib import Path
from greengrass_sdk.core.telemetry.logfile import LogFile
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
reports = []
file = LogFile(Path({str(path)!r}), 64, now_ms=lambda: 0, report=reports.append)
for number in range(100):
    file.write(f"{{number:03d}} " + "x" * 95)
resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
file.write("after")
file.close()
print(len(reports), file.lost)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )

    assert (0, "1 90\n", "") == (done.returncode, done.stdout, done.stderr)
    lines = path.read_text().splitlines()
    assert [f"{number:03d}" for number in range(10)] == [line[:3] for line in lines[:10]]
    assert ["after"] == lines[11:]


@pytest.mark.needs_root
def test_a_full_file_system_is_survived(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", mount], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("may not mount")
    try:
        reports: list[str] = []
        with opened(mount / "a.log", report=reports.append) as file:
            for number in range(1000):
                file.write(f"{number:04d} " + "x" * 94)
            assert 1 == len(reports)
            assert file.lost > 0
            kept = (mount / "a.log").read_text().splitlines()
            assert all(len(line) == 99 for line in kept)
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_process_that_is_killed_leaves_whole_records_up_to_one(path):
    """After kill -9 at any instant every line but the last is whole, and the next start goes on."""
    script = f"""
import sys
from pathlib import Path
from greengrass_sdk.core.telemetry.logfile import LogFile
file = LogFile(Path({str(path)!r}), 64, now_ms=lambda: 0)
for number in range(10_000_000):
    file.write(f"{{number:08d}} " + "x" * 91)
    if number == 3000:
        print("go", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"go\n" == process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    with opened(path) as file:
        file.write("next start")

    assert total(path) <= SPACE
    lines = content(path).splitlines()
    assert "next start" == lines[-1]
    numbers = [int(line[:8]) for line in lines[:-2]]
    assert list(range(numbers[0], numbers[0] + len(numbers))) == numbers

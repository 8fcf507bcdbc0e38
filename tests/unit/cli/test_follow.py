# SPDX-License-Identifier: Apache-2.0
"""Reading a log while it is written and rotated."""

from __future__ import annotations

from pathlib import Path

import pytest

from greengrass_sdk.cli._follow import Follower


class Log:
    """A log file and its rotation, as the core does it."""

    def __init__(self, path):
        self.path = path

    def write(self, text):
        with self.path.open("a") as file:
            file.write(text)

    def rotate(self):
        numbered = self.path.parent
        for number in (3, 2, 1):
            older = numbered / f"{self.path.name}.{number}"
            if older.exists():
                older.rename(numbered / f"{self.path.name}.{number + 1}")
        self.path.rename(numbered / f"{self.path.name}.1")


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "hello.log")


@pytest.fixture
def follower(log):
    follower = Follower(log.path)
    yield follower
    follower.close()


def test_what_is_there_comes_first_the_oldest_file_before_the_newer(log, follower):
    log.write("1\n")
    log.rotate()
    log.write("2\n")
    log.rotate()
    log.write("3\n")

    assert follower.lines() == ["1", "2", "3"]
    assert follower.lines() == []


def test_each_line_comes_once(log, follower):
    log.write("1\n")
    assert follower.lines() == ["1"]
    log.write("2\n3\n")
    assert follower.lines() == ["2", "3"]


def test_a_line_without_its_end_waits(log, follower):
    log.write("1\n2")
    assert follower.lines() == ["1"]
    log.write("2\n")
    assert follower.lines() == ["22"]


def test_nothing_is_lost_over_a_rotation(log, follower):
    log.write("1\n")
    assert follower.lines() == ["1"]
    log.write("2\n")
    log.rotate()
    log.write("3\n")

    assert follower.lines() == ["2", "3"]


def test_nothing_is_lost_over_several_rotations_between_two_looks(log, follower):
    log.write("1\n")
    assert follower.lines() == ["1"]
    for line in ("2", "3", "4"):
        log.rotate()
        log.write(f"{line}\n")

    assert follower.lines() == ["2", "3", "4"]


def test_when_the_open_file_was_dropped_all_others_are_newer(log, follower):
    log.write("1\n")
    assert follower.lines() == ["1"]
    log.write("2\n")
    log.path.unlink()
    log.write("3\n")

    assert follower.lines() == ["2", "3"]


def test_a_log_that_does_not_exist_yet_is_waited_for(log, follower):
    assert follower.lines() == []
    log.write("1\n")
    assert follower.lines() == ["1"]


def test_bytes_that_are_no_text_do_not_stop_it(log, follower):
    log.path.write_bytes(b"\xff\n")

    assert follower.lines() == ["\ufffd"]


def test_closing_leaves_no_descriptor(log, follower):
    log.write("1\n")
    before = len(list(Path("/proc/self/fd").iterdir()))
    follower.lines()
    follower.close()

    assert len(list(Path("/proc/self/fd").iterdir())) == before

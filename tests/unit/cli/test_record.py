# SPDX-License-Identifier: Apache-2.0
"""`run --record`: what is written, who may read it, and what is told when something is missing."""

from __future__ import annotations

import errno
import json
import threading

import pytest

from greengrass_sdk.cli import _record
from greengrass_sdk.cli._record import TapeWriter
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.group import load_group, parse_group
from greengrass_sdk.testing.tape import TapeError, read_tape

GROUP = """
schema = 1
[group]
name = "house"
core = "c"
[devices.switch]
[clients.panel]
[functions.light]
code = "code/"
handler = "light.handler"
environment = { PASSWORD = "hunter2" }
[[subscriptions]]
source = "cloud"
subject = "a/#"
target = "light"
"""
STARTED = {"event": "started", "at_ms": 1, "schema": 1, "root": "/r", "pid": 7}
LOG = {"event": "log", "at_ms": 2, "function": None, "level": "INFO", "message": "m"}


@pytest.fixture
def group(tmp_path):
    (tmp_path / "project" / "code").mkdir(parents=True)
    (tmp_path / "project" / "group.toml").write_text(GROUP)
    return load_group(tmp_path / "project" / "group.toml")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_events_stand_on_the_tape_in_their_order_and_it_ends(path, group):
    tape = TapeWriter(path, group)
    tape.put(STARTED)
    tape.put(LOG)
    tape.close()

    started, log, ended = lines(path)
    assert STARTED == {key: started[key] for key in STARTED}
    assert LOG == log
    assert ("ended", 0) == (ended["event"], ended["skipped"])
    assert 0.0 < read_tape(path).length_s


def test_the_first_line_says_what_group_it_is_of_and_no_secrets(path, group):
    tape = TapeWriter(path, group)
    tape.put(STARTED)
    tape.close()

    started = lines(path)[0]
    assert 1 == started["tape"]
    assert {
        "name": "house",
        "file": "project/group.toml",
        "functions": {
            "light": {
                "code": "project/code",
                "handler": "light.handler",
                "pinned": False,
                "encoding": "json",
            }
        },
        "devices": ["switch"],
        "clients": ["panel"],
        "subscriptions": [{"source": "cloud", "subject": "a/#", "target": "light"}],
    } == started["group"]
    assert "hunter2" not in path.read_text()


def test_a_group_that_was_made_for_a_zip_has_no_file(path, group, tmp_path):
    made = parse_group(GROUP, base=tmp_path / "project", file="<group>")
    tape = TapeWriter(path, made)
    tape.put(STARTED)
    tape.close()

    assert lines(path)[0]["group"]["file"] is None


def test_only_its_owner_may_read_a_tape(path, group):
    TapeWriter(path, group)

    assert 0o600 == path.stat().st_mode & 0o777


def test_a_file_that_is_there_is_not_overwritten(path, group):
    path.write_text("precious")

    with pytest.raises(ConfigError, match=r"tape\.jsonl is there already; move it away"):
        TapeWriter(path, group)
    assert "precious" == path.read_text()


def test_a_file_that_cannot_be_made(tmp_path, group):
    with pytest.raises(ConfigError, match="cannot be made: No such file or directory"):
        TapeWriter(tmp_path / "none" / "tape.jsonl", group)


def test_the_tape_of_a_core_that_did_not_start_is_removed(path, group):
    tape = TapeWriter(path, group)
    tape.put(LOG)
    tape.close()

    assert not path.exists()


def test_what_the_router_left_out_is_an_error(path, group):
    tape = TapeWriter(path, group)
    tape.put(STARTED)
    tape.put({"event": "skipped", "at_ms": 3, "count": 5})
    tape.put({"event": "skipped", "at_ms": 4, "count": 2})

    with pytest.raises(ConfigError, match="cannot be replayed: 7 events are missing"):
        tape.close()
    assert 7 == lines(path)[-1]["skipped"]
    with pytest.raises(TapeError, match="5 events are missing here"):
        read_tape(path)


class Gate:
    """A disk that takes nothing until it is told to."""

    def __init__(self, stream):
        self._stream = stream
        self.open = threading.Event()
        self.reached = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()

    def write(self, text):
        self.reached.set()
        self.open.wait()
        self._stream.write(text)

    def flush(self):
        self._stream.flush()


def test_what_a_slow_disk_cannot_take_is_an_error_and_told_where(path, group, monkeypatch):
    gates = []

    def create(path):
        gates.append(Gate(path.open("w")))
        return gates[0]

    monkeypatch.setattr(_record, "_create", create)
    tape = TapeWriter(path, group, queued_bytes=3000)
    tape.put(STARTED)
    gates[0].reached.wait()  # the thread is in the disk's hands now
    for _ in range(20):
        tape.put(LOG)
    gates[0].open.set()

    with pytest.raises(ConfigError, match="cannot be replayed: 15 events are missing"):
        tape.close()
    kinds = [line["event"] for line in lines(path)]
    assert ["started", *["log"] * 5, "skipped", "ended"] == kinds


def test_a_disk_that_takes_nothing_is_an_error(path, group, monkeypatch):
    gate = Gate(path.open("w"))
    monkeypatch.setattr(_record, "_create", lambda _: gate)
    tape = TapeWriter(path, group)
    tape.put(STARTED)
    gate.reached.wait()

    with pytest.raises(ConfigError, match="the disk did not take its last events within 0 s"):
        tape.close(0)
    gate.open.set()
    tape.close()


def test_a_full_disk_is_an_error(path, group, monkeypatch):
    class Full(Gate):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_record, "_create", lambda path: Full(path.open("w")))
    tape = TapeWriter(path, group)
    tape.put(STARTED)
    tape.put(LOG)

    with pytest.raises(ConfigError, match="could not be written: No space left on device"):
        tape.close()

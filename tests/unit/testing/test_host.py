# SPDX-License-Identifier: Apache-2.0
"""The program that a real core of a test runs in."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest

from greengrass_sdk.model.group import parse_group
from greengrass_sdk.testing import host

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

GROUP = """
schema = 1
group = { name = "g", core = "c" }
"""
ENDS_S = 30


@pytest.fixture
def program(tmp_path):
    (tmp_path / host.GROUP).write_bytes(
        pickle.dumps(parse_group(GROUP, base=tmp_path, file="group.toml"))
    )
    command = [sys.executable, "-P", "-m", host.__name__, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def next_sync(program):
    for line in program.stdout:
        event = json.loads(line)
        if event["event"] == "sync":
            return event["line"]
    return None


def test_it_tells_events_answers_lines_and_stops_at_the_end_of_its_input(program):
    started = json.loads(program.stdout.readline())
    assert ("started", program.pid) == (started["event"], started["pid"])
    program.stdin.write("first\nsecon")
    program.stdin.flush()
    assert "first" == next_sync(program)
    program.stdin.write("d\n")
    program.stdin.flush()
    assert "second" == next_sync(program)
    program.stdin.close()
    program.stdout.read()
    assert 0 == program.wait(ENDS_S)


def test_it_ends_when_its_input_ends_before_it_was_asked_anything(program):
    program.stdin.close()
    assert "started" == json.loads(program.stdout.readline())["event"]
    program.stdout.read()
    assert 0 == program.wait(ENDS_S)

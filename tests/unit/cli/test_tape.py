# SPDX-License-Identifier: Apache-2.0
"""`greengrass tape`: what is told of a replay, and what is written."""

from __future__ import annotations

import json
import subprocess

import pytest
from tapes import TapeBuilder
from user_tests import PYTEST

LIGHT = """
import greengrasssdk, json, time
client = greengrasssdk.client("iot-data")

def handler(event, context):
    client.publish(topic="on", payload=json.dumps({"got": event, "at": time.time()}))
"""
GROUP = """
schema = 1
[group]
name = "house"
core = "c"
[functions.light]
code = "code"
handler = "light.handler"
[functions.clock]
code = "code"
handler = "light.handler"
[[subscriptions]]
source = "cloud"
subject = "#"
target = "light"
"""


@pytest.fixture
def tape(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "light.py").write_text(LIGHT)
    (tmp_path / "group.toml").write_text(GROUP)
    builder = TapeBuilder().message(1, "cloud", "a", "1", "light")
    return builder.message(1, "light", "on", '{"got": 1, "at": 0}').write(
        tmp_path / "my-tape.jsonl"
    )


def test_a_replay_that_agrees_is_told_in_one_line(run, tape):
    code, out, err = run("tape", "replay", tape, "--ignore", "at")

    assert (0, f"{tape}: 1 stimulus gave 1 output, as recorded\n", "") == (code, out, err)


def test_a_replay_that_differs_is_told_and_the_exit_code_is_1(run, tape):
    code, out, err = run("tape", "replay", tape)

    assert code == 1
    assert f"the replay of {tape} differs (- recorded, + replayed):\nlight on on:\n  - " in out
    hint = "only values of these keys differ; if they do each time, as times do: --ignore at\n"
    assert err == hint


def test_no_test_is_written_of_a_replay_that_differs(run, tape):
    assert run("tape", "to-test", tape)[0] == 1
    assert not (tape.parent / "test_my_tape.py").exists()


def test_the_test_stands_beside_the_tape_and_passes(run, tape):
    code, out, err = run("tape", "to-test", tape, "--ignore", "at")
    file = tape.parent / "test_my_tape.py"

    assert (0, f"wrote {file}\n", f"run it: python -m pytest {file}\n") == (code, out, err)
    done = subprocess.run(
        [*PYTEST, file], cwd=tape.parent, capture_output=True, text=True, check=False
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_test_may_go_to_a_file_or_to_standard_output(run, tape):
    file = tape.parent / "elsewhere.py"
    assert run("tape", "to-test", tape, "--ignore", "at", "-o", file)[1] == f"wrote {file}\n"
    printed = run("tape", "to-test", tape, "--ignore", "at", "-o", "-")[1]

    assert "def test_my_tape(greengrass):" in file.read_text()
    assert "def test_my_tape(greengrass):" in printed


def test_a_test_that_is_there_is_not_overwritten(run, tape):
    (tape.parent / "test_my_tape.py").write_text("mine")
    code, _out, err = run("tape", "to-test", tape, "--ignore", "at")

    assert code == 3
    assert "test_my_tape.py is there already; move it away, or name another: -o FILE" in err
    assert (tape.parent / "test_my_tape.py").read_text() == "mine"


def test_a_file_that_cannot_be_written(run, tape):
    code, _out, err = run("tape", "to-test", tape, "--ignore", "at", "-o", tape / "x.py")

    assert code == 3
    assert "cannot be written: Not a directory" in err


def test_replay_writes_no_file(run, tape):
    code, _out, err = run("tape", "replay", tape, "-o", "x.py")

    assert code == 2
    assert "replay writes no file" in err


def test_a_bad_tape_is_named_with_its_line(run, tape):
    tape.write_text(tape.read_text()[:-5])
    code, _out, err = run("tape", "replay", tape)

    assert code == 1
    assert err.startswith(f"error: {tape}:4: the line is cut off")


def test_programs_get_one_document(run, tape):
    code, out, _err = run("tape", "replay", tape, "--json")
    document = json.loads(out)

    assert code == 1
    assert (document["stimuli"], document["outputs"], document["volatile_keys"]) == (1, 1, ["at"])
    assert "light on on:" in document["differences"]
    file = tape.parent / "test_my_tape.py"
    code, out, _err = run("tape", "to-test", tape, "--ignore", "at", "--json")
    assert (code, json.loads(out)["differences"], json.loads(out)["wrote"]) == (0, None, str(file))

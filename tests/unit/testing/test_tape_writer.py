# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.testing.tape_writer: the test that is written passes, and finds a change."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from tapes import TapeBuilder, build_house

from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.tape_writer import write_test

LIGHT = """
import json, os, time, greengrasssdk
client = greengrasssdk.client("iot-data")

def handler(event, context):
    if event == "raise":
        raise KeyError("it's \\"x\\"")
    if event == "exit":
        os._exit(3)
    if event == "sleep":
        time.sleep(60)
    if event == "bytes":
        client.publish(topic="raw", payload=b"\\xff")
    if event != "silent":
        client.publish(topic="on", payload=json.dumps({"got": event, "at": time.time()}))
    return 'text' if event == "text" else {"got": [event, None, True]}
"""


@pytest.fixture
def house(tmp_path):
    return build_house(tmp_path, LIGHT)


@pytest.fixture
def written(house):
    """Replay a tape and return the test that is written of it."""

    def make(builder, ignore=("at",), where="test_it.py"):
        tape = builder.write(house / "the-tape.jsonl")
        with FakeCore() as core:
            replay = core.replay(tape, ignore=ignore)
            _ = core.errors
            return write_test(replay, house / where, ignore)

    return make


@pytest.fixture
def passes(house):
    """Run a test that was written."""

    def run(text, where="test_it.py"):
        namespace: dict[str, Any] = {"__file__": str(house / where), "__name__": "test_it"}
        exec(compile(text, str(house / where), "exec"), namespace)
        with FakeCore() as core:
            namespace["test_the_tape"](core)

    return run


def everything():
    builder = TapeBuilder()
    builder.message(1, "cloud", "a/b", '"x"', "light").message(2, "switch", "c", "[1]", "light")
    builder.message(3, "cloud", "bad", '"raise"', "light")
    builder.invoked(4, "light", '"silent"').invoked(4.5, "light", '"silent"', client_context="{}")
    builder.invoked(5, "light", '"raise"').invoked(6, "light", '"exit"')
    builder.invoked(7, "light", '"sleep"', client_context='{"a": "b"}')
    return builder.invoked(8, "light", '"text"', type="event", result=None)


def test_a_test_of_everything_passes(written, passes):
    text = written(everything())

    passes(text)
    assert "from greengrass_sdk import FunctionHandledError, FunctionTimeoutError, Func" in text
    assert 'greengrass.deliver("c", "[1]", source="switch")' in text
    assert 'greengrass.invoke("light", \'"sleep"\', client_context=\'{"a": "b"}\')' in text
    assert '("light", "bad"),  # KeyError: ' in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('topic="on"', 'topic="off"'),
        ('{"got": event,', '{"have": event,'),
        ("[event, None, True]", "[event, None, False]"),
        ('raise KeyError("it', 'raise ValueError("it'),
        ("os._exit(3)", "pass"),
        ("time.sleep(60)", "pass"),
    ],
)
def test_the_test_finds_a_change_of_the_function(written, passes, write, before, after):
    text = written(everything())
    assert before in LIGHT
    write(LIGHT.replace(before, after), "code/light.py")

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        passes(text)


def test_the_test_finds_a_change_of_the_rows(written, passes, house):
    text = written(TapeBuilder().message(1, "cloud", "a", '"x"', "light"))
    group = house / "group.toml"
    group.write_text(group.read_text().replace('source = "light"', 'source = "switch"'))

    with pytest.raises(AssertionError):
        passes(text)


def test_ignored_keys_do_not_count_and_others_do(written, passes):
    builder = TapeBuilder().message(1, "cloud", "a", '"bytes"', "light")

    passes(written(builder).replace("begin_at(datetime(2027", "begin_at(datetime(2031"))
    strict = written(builder, ignore=())
    passes(strict)
    with pytest.raises(AssertionError):
        passes(strict.replace("begin_at(datetime(2027", "begin_at(datetime(2031"))


def test_a_test_of_text_reads_as_text_and_one_of_bytes_as_bytes(written):
    builder = TapeBuilder().message(1, "cloud", "a", '"x"', "light")
    assert '("light", "on", \'{"got": "x", "at": ' in written(builder, ignore=())

    builder.message(2, "cloud", "a", '"bytes"', "light")
    assert "m.payload" in written(builder, ignore=())
    assert "b'\\xff'" in written(builder, ignore=())


def test_a_test_of_nothing_asserts_that(written, passes):
    text = written(TapeBuilder())

    passes(text)
    assert "assert not greengrass.published()" in text


def test_a_group_without_a_file_is_written_out(written, passes):
    builder = TapeBuilder(file=None).message(1, "cloud", "a", '"x"', "light")
    del builder.group["functions"]["clock"]
    builder.group["subscriptions"] = [{"source": "cloud", "subject": "#", "target": "light"}]
    text = written(builder)

    passes(text)
    assert 'greengrass.subscribe("cloud", "#", "light")' in text


def test_what_a_strict_group_refuses_is_refused_again(written, passes, house):
    group = house / "group.toml"
    group.write_text(group.read_text().replace('core = "c"', 'core = "c"\nstrict = true'))
    text = written(TapeBuilder().message(1, "switch", "$no/row", "1"))

    passes(text)
    assert "with pytest.raises(NoSubscriptionError):\n        greengrass.deliver(" in text


def test_paths_are_relative_to_the_test(written):
    text = written(TapeBuilder(), where="tests/deep/test_it.py")

    assert 'greengrass.load(HERE / "../../group.toml")' in text


def test_whatever_a_message_holds_the_test_is_python(written, passes):
    payload = """\\'"'"{}\\n\u2028\x00 \U0001f600"""
    builder = TapeBuilder().message(1, "cloud", "a'\"\\{b}", payload)
    builder.group["name"] = 'it "is"'
    text = written(builder)

    ast.parse(text)
    passes(text)

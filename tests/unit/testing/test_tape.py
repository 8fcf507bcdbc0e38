# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.testing.tape: what stands on a tape, and which tapes are refused."""

from __future__ import annotations

import json

import pytest
from tapes import START_MS, TapeBuilder

from greengrass_sdk import GreengrassError
from greengrass_sdk.testing.tape import Output, Stimulus, TapeError, failure_text, read_tape


@pytest.fixture
def builder():
    return TapeBuilder()


@pytest.fixture
def read(tmp_path):
    return lambda builder, **when: read_tape(builder.write(tmp_path / "tape.jsonl", **when))


def test_messages_of_the_cloud_devices_and_clients_are_stimuli(builder, read):
    builder.message(1, "cloud", "a", "1", "light").message(2, "switch", "b", "2", "light")
    tape = read(builder.message(3.5, "panel", "c", "3"))

    assert [
        Stimulus(1.0, 2, "message", "cloud", "a", b"1"),
        Stimulus(2.0, 3, "message", "switch", "b", b"2"),
        Stimulus(3.5, 4, "message", "panel", "c", b"3"),
    ] == tape.stimuli
    assert [] == tape.outputs


def test_messages_of_functions_are_outputs(builder, read):
    tape = read(builder.message(1, "light", "on", "yes", "cloud").message(2, "light", "x"))

    assert [
        Output("message", "light", "on", b"yes", ("cloud",), 1.0),
        Output("message", "light", "x", b"{}", (), 2.0),
    ] == tape.outputs


def test_a_message_to_several_targets_is_one(builder, read):
    builder.message(1, "light", "on", "yes", "cloud", "clock")
    builder.message(1, "cloud", "off", "no", "light", "clock")
    tape = read(builder)

    assert [("cloud", "clock")] == [output.targets for output in tape.outputs]
    assert ["off"] == [stimulus.target for stimulus in tape.stimuli]


def test_two_messages_alike_are_two(builder, read):
    for _ in range(2):
        builder.message(1, "light", "on", "yes", "cloud", "clock")
        builder.message(1, "cloud", "off", "no", "light")
    for _ in range(3):
        builder.message(2, "light", "lost")
    tape = read(builder)

    assert 2 == len(tape.stimuli)
    assert ["on", "on", "lost", "lost", "lost"] == [output.about for output in tape.outputs]


def test_other_events_may_stand_between_the_targets_of_a_message(builder, read):
    builder.message(1, "light", "on", "yes", "cloud", "clock")
    log = {"event": "log", "at_ms": START_MS, "function": None, "level": "INFO", "message": "m"}
    builder.events.insert(2, log)

    assert 1 == len(read(builder).outputs)


def test_devices_and_clients_do_not_count_as_targets_because_they_come_and_go(builder, read):
    tape = read(builder.message(1, "light", "on", "yes", "panel", "cloud", "switch"))

    assert [("cloud",)] == [output.targets for output in tape.outputs]


def test_what_services_of_the_core_publish_is_neither(builder, read):
    tape = read(builder.message(1, "GGShadowService", "$aws/things/x", "{}", "light"))

    assert ([], []) == (tape.stimuli, tape.outputs)


def test_an_invocation_from_outside_is_a_stimulus_when_it_began_and_its_result_an_output(
    builder, read
):
    builder.message(1.05, "light", "on", "yes", "cloud").message(1.2, "cloud", "a", "1", "light")
    builder.invoked(1, "light", '{"a": 1}', result='{"b": 2}', client_context='{"c": 3}')
    tape = read(builder)

    assert [
        Stimulus(1.0, 4, "call", "tool", "light", b'{"a": 1}', '{"c": 3}'),
        Stimulus(1.2, 3, "message", "cloud", "a", b"1"),
    ] == tape.stimuli
    assert Output("result", "light", "", b'{"b": 2}', (), 1.1) == tape.outputs[1]


def test_an_event_from_outside_has_no_result(builder, read):
    tape = read(builder.invoked(1, "light", type="event", result=None))

    assert ["event"] == [stimulus.kind for stimulus in tape.stimuli]
    assert [] == tape.outputs


def test_what_functions_ask_each_other_is_neither(builder, read):
    tape = read(builder.run(1, "light", type="call", caller="clock"))

    assert ([], []) == (tape.stimuli, tape.outputs)


def test_what_is_asked_of_the_shadow_service_is_a_stimulus(builder, read):
    tape = read(builder.invoked(1, "GGShadowService", client_context="{}"))

    assert ["GGShadowService"] == [stimulus.target for stimulus in tape.stimuli]
    assert [] == tape.outputs


def test_an_invocation_that_failed_is_an_output(builder, read):
    error = {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": []}
    tape = read(builder.invoked(1, "light", outcome="handled", error=error))

    assert [("failure", b"KeyError: 'x'")] == [(o.kind, o.payload) for o in tape.outputs]


def test_an_error_that_no_caller_was_told_is_an_output(builder, read):
    builder.failed(1, "light", "a/b", "KeyError", "'x'")
    error = {"errorType": "x", "errorMessage": "pid 5", "stackTrace": []}
    builder.invoked(2, "clock", type="event", outcome="timeout", error=error, result=None)
    tape = read(builder)

    assert [
        ("error", "light", "a/b", b"KeyError: 'x'"),
        ("error", "clock", "invocation", b"timeout"),
    ] == [output[:4] for output in tape.outputs]


def test_an_error_that_a_function_was_told_is_that_functions_own(builder, read):
    error = {"errorType": "KeyError", "errorMessage": "", "stackTrace": []}
    run = {"caller": "clock", "type": "call", "outcome": "handled", "error": error}

    assert [] == read(builder.run(1, "light", **run)).outputs


def test_payloads_that_are_no_text_are_read(builder, read):
    tape = read(builder.message(1, "light", "on", "/wA=", "cloud", encoding="base64"))

    assert [b"\xff\x00"] == [output.payload for output in tape.outputs]


def test_second_0_is_when_the_pinned_functions_ran(builder, read):
    builder.add(0.5, "function", function="light", state="running", pid=1, reason=None)
    builder.add(2, "function", function="clock", state="running", pid=1, reason=None)
    builder.add(3, "function", function="clock", state="running", pid=2, reason=None)
    tape = read(builder.message(5, "cloud", "a", "1", "light"), ended_s=9)

    assert (START_MS / 1000 + 2, 7.0) == (tape.began_at, tape.length_s)
    assert [3.0] == [stimulus.at_s for stimulus in tape.stimuli]


def test_second_0_is_the_start_if_something_comes_before(builder, read):
    builder.message(1, "cloud", "a", "1", "light")
    builder.add(2, "function", function="clock", state="running", pid=1, reason=None)

    assert START_MS / 1000 == read(builder).began_at


def test_second_0_is_the_first_message_if_it_comes_while_the_core_starts(builder, read):
    builder.message(-0.5, "cloud", "a", "1", "light")

    tape = read(builder.message(1, "cloud", "b", "1", "light"))
    assert START_MS / 1000 - 0.5 == tape.began_at
    assert [0.0, 1.5] == [stimulus.at_s for stimulus in tape.stimuli]


def test_second_0_is_when_a_pinned_function_publishes_in_its_import(builder, read):
    builder.message(0.4, "clock", "tick", "1")
    builder.add(0.5, "function", function="clock", state="running", pid=1, reason=None)

    assert START_MS / 1000 + 0.4 == read(builder).began_at


def test_files_are_named_relative_to_the_tape(read, tmp_path):
    tape = read(TapeBuilder(file="../project/group.toml"))

    assert tmp_path.parent / "project" / "group.toml" == tape.group_file
    assert read(TapeBuilder(file=None)).group_file is None


def test_events_of_later_versions_are_passed_over(builder, read):
    assert [] == read(builder.add(1, "something", new=1)).stimuli


def test_reasons_that_differ_from_run_to_run_are_left_out():
    assert b"unhandled" == failure_text("unhandled", "Runtime.ExitError", "pid 5 exited")
    assert b"KeyError: 'x'" == failure_text("handled", "KeyError", "'x'")


# --- tapes that are refused ------------------------------------------------------


def refused(tmp_path, text):
    path = tmp_path / "tape.jsonl"
    path.write_text(text)
    with pytest.raises(TapeError) as caught:
        read_tape(path)
    assert isinstance(caught.value, GreengrassError | ValueError)
    where = f"{path}:{caught.value.line}: " if caught.value.line else f"{path}: "
    assert str(caught.value).startswith(where)
    return caught.value.line, str(caught.value).removeprefix(where)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TapeError, match=r"none\.jsonl: cannot be read: No such file"):
        read_tape(tmp_path / "none.jsonl")


def test_an_empty_file(tmp_path):
    assert (0, "the file is empty") == refused(tmp_path, "\n")


def test_a_line_that_is_cut_off(tmp_path, builder):
    text = builder.message(1, "cloud", "a", "1", "light").text()
    cut = text[: text.index("light", text.index("message")) + 3]

    line, message = refused(tmp_path, cut)
    assert 2 == line
    assert "cut off in the middle" in message


def test_a_tape_whose_end_is_missing(tmp_path, builder):
    whole = builder.message(1, "cloud", "a", "1", "light").text()

    line, message = refused(tmp_path, "".join(whole.splitlines(keepends=True)[:-1]))
    assert 2 == line
    assert "the tape ends before the recording did" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "the line is not JSON"),
        ("[" * 100_000, "the line is not JSON"),
        ("[]", "no event of a tape"),
        ('{"event": 5}', "no event of a tape"),
        ('{"event": "log"}', "has no time"),
        ('{"event": "message", "at_ms": 1}', "the event 'message' is not complete: KeyError"),
        ('{"event": "invocation", "at_ms": 1, "function": "light", "type": "call", "request": 5}',
         "the event 'invocation' is not complete: TypeError"),
        ('{"event": "skipped", "at_ms": 1, "count": 12}', "12 events are missing here"),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_is_named(tmp_path, builder, line, message):
    lines = builder.text().splitlines()

    number, text = refused(tmp_path, "\n".join([lines[0], line, *lines[1:], ""]))
    assert 2 == number
    assert message in text


def test_a_payload_that_is_no_base64(tmp_path, builder):
    builder.message(1, "cloud", "a", "?", "light", encoding="base64")

    assert "the payload is no base64" in refused(tmp_path, builder.text())[1]


def test_a_tape_without_its_beginning(tmp_path, builder):
    lines = builder.message(1, "cloud", "a", "1", "light").text().splitlines(keepends=True)

    assert "begins with the event 'started'" in refused(tmp_path, "".join(lines[1:]))[1]


def test_the_output_of_run_json_is_no_tape(tmp_path, builder):
    del builder.events[0]["tape"]

    message = refused(tmp_path, builder.text())[1]
    assert "record a tape with `greengrass run --record FILE`" in message


def test_a_tape_of_another_version(tmp_path, builder):
    builder.events[0]["tape"] = 2

    assert (1, "the tape is of version 2, this package reads version 1") == refused(
        tmp_path, builder.text()
    )


@pytest.mark.parametrize("group", [None, [], {"file": "x"}])
def test_a_tape_of_no_group(tmp_path, builder, group):
    builder.events[0]["group"] = group

    assert (1, "the tape does not say what group it is of") == refused(tmp_path, builder.text())


def test_the_builder_writes_what_a_recorder_does(builder):
    assert ["started", "ended"] == [
        json.loads(each)["event"] for each in builder.text().split("\n") if each
    ]

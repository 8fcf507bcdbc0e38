# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.testing.tape_replay: what comes out of a replay, and how it is compared."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from tapes import START_MS, TapeBuilder, build_house

from greengrass_sdk import InvalidInputError
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.tape import TapeError
from greengrass_sdk.testing.tape_replay import without_keys

LIGHT = """
import json, time, greengrasssdk
client = greengrasssdk.client("iot-data")

def handler(event, context):
    if event == "fail":
        raise KeyError("x")
    if event != "silent":
        client.publish(topic="on", payload=json.dumps({"got": event, "at": time.time()}))
    return event
"""
CLOCK = """
import threading, greengrasssdk
client = greengrasssdk.client("iot-data")

def tick():
    client.publish(topic="tick", payload="now")
    timer = threading.Timer(4, tick)
    timer.daemon = True
    timer.start()

tick()

def handler(event, context):
    pass
"""


@pytest.fixture
def house(tmp_path):
    return build_house(tmp_path, LIGHT)


@pytest.fixture
def replay(core, house):
    return lambda builder, **options: core.replay(
        builder.write(house / "tape.jsonl", options.pop("ended_s", 10)), **options
    )


def got(value, at_s):
    return json.dumps({"got": value, "at": START_MS / 1000 + at_s})


def test_the_stimuli_are_given_in_order_and_at_their_times(replay, core):
    builder = TapeBuilder()
    for number, source in enumerate(["cloud", "switch", "panel"], start=1):
        builder.message(number, source, "a", str(number), "light")
        builder.message(number, "light", "on", got(number, number), "cloud")
    result = replay(builder)

    assert "" == result.differences
    result.check()
    assert [1, 2, 3] == [m.json()["got"] for m in core.published("on")]
    assert START_MS / 1000 + 10 == core.now.timestamp()
    assert "agrees" in repr(result)


def test_what_came_out_otherwise_is_told_beside_what_was_recorded(replay):
    builder = TapeBuilder()
    for number in range(1, 8):
        builder.message(number, "cloud", "a", str(number), "light")
        recorded = 99 if number == 5 else number
        builder.message(number, "light", "on", got(recorded, number), "cloud")
    result = replay(builder, ignore=["at"])

    with pytest.raises(AssertionError) as caught:
        result.check()
    assert (
        f"the replay of {result.tape.path} differs from it (- recorded, + replayed):\n"
        "light on on:\n"
        "    (2 more)\n"
        '    {"got": 3} -> cloud\n'
        '    {"got": 4} -> cloud\n'
        '  - {"got": 99} -> cloud\n'
        '  + {"got": 5} -> cloud\n'
        '    {"got": 6} -> cloud\n'
        '    {"got": 7} -> cloud'
    ) == str(caught.value)
    assert "differs" in repr(result)


def test_who_got_a_message_counts(replay):
    builder = TapeBuilder().message(1, "cloud", "a", "1", "light")
    result = replay(builder.message(1, "light", "on", got(1, 1)))

    assert "-> nobody" in result.differences


def test_a_message_that_does_not_come_is_told(replay):
    builder = TapeBuilder().message(1, "cloud", "a", '"silent"', "light")
    result = replay(builder.message(1, "light", "on", "1", "cloud"))

    assert "light on on:\n  - 1 -> cloud" == result.differences


def test_a_message_that_comes_in_addition_is_told(replay):
    result = replay(TapeBuilder().message(1, "cloud", "a", "5", "light"), ignore=["at"])

    assert 'light on on:\n  + {"got": 5} -> cloud' == result.differences


def test_keys_whose_values_differ_each_time_are_proposed_and_ignored(replay, house):
    builder = TapeBuilder().message(1, "cloud", "a", "1", "light")
    builder.message(1, "light", "on", '{"got": 1, "at": 5}', "cloud")
    result = replay(builder)

    assert ["at"] == result.volatile_keys()
    with pytest.raises(AssertionError, match=r"as times do: ignore=\['at'\]"):
        result.check()
    with FakeCore() as core:
        core.replay(house / "tape.jsonl", ignore=["at"]).check()


def test_keys_are_not_proposed_where_they_would_not_help(replay):
    builder = TapeBuilder().message(1, "cloud", "a", "1", "light")
    builder.message(1, "light", "on", '{"got": 1, "at": 5}', "cloud")
    builder.message(2, "light", "other", "x", "cloud")

    assert [] == replay(builder).volatile_keys()


def test_the_order_does_not_count_on_demand(replay):
    builder = TapeBuilder().message(1, "cloud", "a", "1", "light")
    builder.message(1, "cloud", "a", "2", "light")
    builder.message(1.01, "light", "on", '{"got": 2}', "cloud")

    assert "" == replay(builder.message(1.02, "light", "on", '{"got": 1}', "cloud"),
                        ignore=["at"]).differences  # fmt: skip


def test_the_order_counts_for_pinned_functions(replay):
    builder = TapeBuilder().message(1, "cloud", "a", "1", "light")
    builder.message(1, "cloud", "a", "2", "light")
    builder.message(1.01, "light", "on", '{"got": 2}', "cloud")
    builder.message(1.02, "light", "on", '{"got": 1}', "cloud")
    builder.group["functions"]["light"]["pinned"] = True

    assert "" != replay(builder, ignore=["at"]).differences


def test_results_are_compared(replay):
    builder = TapeBuilder().invoked(1, "light", '"silent"', result='"silent"')
    assert "" == replay(builder).differences


def test_a_result_that_differs_is_told(replay):
    builder = TapeBuilder().invoked(1, "light", '"silent"', result="5")
    assert 'results of light:\n  - 5\n  + "silent"' == replay(builder).differences


def test_failures_of_invocations_are_compared(replay):
    error = {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": []}
    builder = TapeBuilder().invoked(1, "light", '"fail"', outcome="handled", error=error)
    assert "" == replay(builder).differences


def test_a_failure_instead_of_a_result_is_told(replay):
    builder = TapeBuilder().invoked(1, "light", '"fail"', result="1")
    assert (
        "results of light:\n  - 1\nfailures of light:\n  + KeyError: 'x'"
        == replay(builder).differences
    )


def test_errors_that_stand_on_the_tape_need_not_be_looked_at(replay, core):
    builder = TapeBuilder().message(1, "cloud", "a", '"fail"', "light")
    builder.failed(1, "light", "a", "KeyError", "'x'")
    builder.invoked(2, "light", '"fail"', type="event", outcome="handled", result=None,
                    error={"errorType": "KeyError", "errorMessage": "'x'"})  # fmt: skip

    assert "" == replay(builder).differences
    assert [] == core.unread_errors


def test_errors_that_were_unread_before_stay_so(core, house):
    core.load(house / "group.toml")
    core.deliver("a", '"fail"')
    core.replay(TapeBuilder().write(house / "tape.jsonl"))

    assert ["a"] == [error.trigger for error in core.unread_errors]
    assert core.errors


def test_an_error_of_an_import_stays_for_the_test_to_look_at(replay, core, write):
    write("raise OSError('no')\n", "code/clock.py")

    replay(TapeBuilder(), ended_s=1)
    assert {"import"} == {error.outcome for error in core.errors}


def test_timers_tick_as_often_as_they_did(replay, write):
    write(CLOCK, "code/clock.py")
    builder = TapeBuilder()
    for at_s in (0.05, 4.06, 8.07):
        builder.message(at_s, "clock", "tick", "now")

    assert "" == replay(builder).differences


def test_one_tick_more_may_fit_in_at_the_end_where_timers_run_late(replay, write):
    write(CLOCK, "code/clock.py")
    builder = TapeBuilder().message(0.05, "clock", "tick", "now")

    assert "" == replay(builder.message(4.06, "clock", "tick", "now"), ended_s=8.05).differences


def test_a_tick_more_in_the_middle_is_told(replay, write):
    write(CLOCK, "code/clock.py")
    builder = TapeBuilder().message(0.05, "clock", "tick", "now")

    assert "  + now -> nobody" in replay(builder, ended_s=8.05).differences


def test_what_a_stimulus_at_the_end_causes_in_addition_is_told(replay):
    builder = TapeBuilder().message(9.9, "cloud", "a", "1", "light")

    assert "" != replay(builder).differences


def test_a_failure_is_told_however_late_it_comes(replay, write):
    write("import time\ndef handler(event, context): time.sleep(60)\n", "code/light.py")
    result = replay(TapeBuilder().invoked(9, "light", result="1"))

    assert "results of light:\n  - 1\nfailures of light:\n  + timeout" == result.differences


def test_a_core_that_has_a_group_keeps_it(core, house, write):
    core.add_function("light", lambda event, context: None)
    core.add_function("clock", lambda event, context: None)
    tape = TapeBuilder(file="gone.toml").message(1, "cloud", "a", "1", "light")

    core.replay(tape.write(house / "tape.jsonl")).check()
    assert not core.messages[0].targets


def test_a_group_without_a_file_is_built_from_the_tape(core, house):
    builder = TapeBuilder(file=None).message(1, "cloud", "a", "1", "light")
    builder.group["subscriptions"] = [
        {"source": "cloud", "subject": "a", "target": "light"},
        {"source": "light", "subject": "on", "target": "cloud"},
    ]
    builder.message(1, "light", "on", got(1, 1), "cloud")

    core.replay(builder.write(house / "tape.jsonl")).check()


def test_a_group_file_that_is_gone(replay, house):
    (house / "group.toml").unlink()

    with pytest.raises(TapeError, match=r"group\.toml is not there any more; load one before"):
        replay(TapeBuilder())


def test_functions_that_the_core_has_not_are_named(core, house):
    core.add_function("other", lambda event, context: None)

    with pytest.raises(TapeError, match="functions that this core has not: clock, light"):
        core.replay(TapeBuilder().write(house / "tape.jsonl"))


def test_a_core_that_runs_already_keeps_its_time(core, house):
    core.load(house / "group.toml")
    core.advance(5)
    before = core.now
    core.replay(TapeBuilder().write(house / "tape.jsonl"))

    assert 10 == (core.now - before).total_seconds()


def test_the_clock_begins_where_it_is_told_to(core):
    moment = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
    core.begin_at(moment)
    core.add_function("f", lambda event, context: time.time())

    assert moment.timestamp() == core.invoke("f").json()
    with pytest.raises(InvalidInputError, match="the clock runs already"):
        core.begin_at(moment)


def test_without_keys_looks_at_every_depth():
    assert {"a": [{"b": 1}]} == without_keys({"a": [{"b": 1, "at": 2}], "at": {}}, {"at"})

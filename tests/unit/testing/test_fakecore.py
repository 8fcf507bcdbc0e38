# SPDX-License-Identifier: Apache-2.0
"""The double as a test uses it."""

from __future__ import annotations

import gc
import threading
import weakref
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import MagicMock

import pytest

import greengrasssdk
from greengrass_sdk import (
    Client,
    CoreUnavailableError,
    FunctionHandledError,
    FunctionNotFoundError,
    FunctionTimeoutError,
    FunctionUnhandledError,
    InvalidInputError,
    LimitExceededError,
    NoSubscriptionError,
    QueueFullError,
)
from greengrass_sdk.model.group import Limits
from greengrass_sdk.testing import FakeCore, SimulationError, UnreadErrors

iot = greengrasssdk.client("iot-data")  # before there is any core, as functions do
client = Client()


def echo(event, _context):
    iot.publish(topic="out", payload=str(event["n"]))
    return event


def test_a_message_is_routed_to_a_function_and_what_it_publishes_to_the_cloud(core):
    core.add_function("echo", echo)
    core.subscribe("cloud", "in/#", "echo")
    core.subscribe("echo", "out", "cloud")
    sent = core.deliver("in/a", {"n": 1})
    assert ("echo",) == sent.targets
    message = core.published("out").one()
    assert ("out", "echo", b"1", "delivered", ("cloud",)) == (
        message.subject,
        message.source,
        message.payload,
        message.outcome,
        message.targets,
    )
    assert [b"1"] == core.cloud.received.payloads
    assert ["in/a", "out"] == [each.subject for each in core.messages]


def test_what_nobody_subscribes_to_is_published_and_dropped(core):
    core.add_function("echo", echo)
    core.subscribe("cloud", "in", "echo")
    core.subscribe("echo", "other", "cloud")
    core.deliver("in", {"n": 1})
    message = core.published().one()
    assert "dropped" == message.outcome
    assert "no subscription matches" == message.reason
    assert "nearest is subscription 'row-2' (echo -> cloud), but its subject is 'other'" == (
        message.nearest
    )


def test_a_result_is_returned_as_to_a_client(core):
    core.add_function("echo", echo)
    assert {"n": 2} == core.invoke("echo", {"n": 2}).json()


def test_an_event_returns_its_request_id_and_its_error_is_kept(core):
    core.add_function("echo", echo)
    number = core.invoke_async("echo", {})
    (failure,) = core.errors
    assert (number, "echo", "handled", "invocation") == (
        failure.request_id,
        failure.function,
        failure.outcome,
        failure.trigger,
    )


def test_an_error_of_a_handler_is_raised_with_what_it_raised_as_its_cause(core):
    core.add_function("echo", echo)
    with pytest.raises(FunctionHandledError) as caught:
        core.invoke("echo", {})
    assert isinstance(caught.value.__cause__, KeyError)
    assert "KeyError" == caught.value.json()["errorType"]
    assert [] == core.errors


def test_errors_under_deliver_are_kept_for_the_test(core):
    core.add_function("echo", echo)
    core.subscribe("cloud", "in", "echo")
    core.deliver("in", {})
    (failure,) = core.errors
    assert ("handled", "in") == (failure.outcome, failure.trigger)
    assert isinstance(failure.exception, KeyError)
    assert "KeyError: 'n'" == failure.last_line


def test_a_core_that_is_closed_with_unread_errors_fails():
    core = FakeCore()
    core.add_function("echo", echo)
    core.subscribe("cloud", "in", "echo")
    core.deliver("in", {})
    with pytest.raises(UnreadErrors, match=r"function 'echo' \(handled on in\):\nTraceback"):
        core.close()


def test_a_block_that_fails_is_not_failed_again_by_unread_errors():
    with pytest.raises(ZeroDivisionError), FakeCore() as core:  # noqa: PT012 - the end is the test
        core.add_function("echo", echo)
        core.subscribe("cloud", "in", "echo")
        core.deliver("in", {})
        raise ZeroDivisionError


def test_functions_invoke_each_other(core):
    def outer(event, _context):
        return {"inner": client.invoke("inner", event).json()}

    core.add_function("outer", outer)
    core.add_function("inner", lambda event, _context: event["n"] + 1)
    assert {"inner": 3} == core.invoke("outer", {"n": 2}).json()


def test_a_function_may_invoke_itself(core):
    def down(event, _context):
        return event if event == 0 else client.invoke("down", event - 1).json()

    core.add_function("down", down)
    assert 0 == core.invoke("down", 5).json()


def test_a_client_context_reaches_the_handler(core):
    core.add_function("who", lambda _event, context: context.client_context.custom)
    assert {"a": 1} == core.invoke("who", client_context={"custom": {"a": 1}}).json()


def test_a_result_that_is_not_json_fails_as_in_a_core(core):
    core.add_function("bad", lambda _event, _context: object())
    with pytest.raises(FunctionHandledError, match="result is not JSON serialisable"):
        core.invoke("bad")


def test_an_unknown_function_and_a_wrong_qualifier_are_not_found(core):
    core.add_function("echo", echo)
    with pytest.raises(FunctionNotFoundError):
        core.invoke("ehco")
    with pytest.raises(FunctionNotFoundError):
        core.invoke("echo", qualifier="7")
    assert {"n": 1} == core.invoke("echo", {"n": 1}, qualifier="1").json()


def test_wrong_topics_and_payloads_are_refused_with_the_texts_of_a_core(core):
    with pytest.raises(InvalidInputError, match="wildcard"):
        core.deliver("in/#", b"")
    with pytest.raises(InvalidInputError, match="of type set"):
        core.deliver("in", {1})
    with pytest.raises(LimitExceededError, match="topic_payload_bytes"):
        core.deliver("in", bytes(131_073))
    with pytest.raises(InvalidInputError, match="the group has no"):
        core.deliver("in", source="nobody")


def test_a_function_is_refused_what_a_core_refuses(core):
    def publish(event, _context):
        client.publish(event["topic"], "x" * event["size"])

    core.add_function("publish", publish)
    with pytest.raises(FunctionHandledError, match="wildcard"):
        core.invoke("publish", {"topic": "a/+", "size": 1})
    with pytest.raises(FunctionHandledError, match="topic_payload_bytes"):
        core.invoke("publish", {"topic": "a", "size": 131_073})


def test_a_strict_core_refuses_what_no_row_matches():
    with FakeCore(strict=True) as core:
        core.add_function("echo", echo)
        with pytest.raises(NoSubscriptionError):
            core.deliver("in", {"n": 1})
        with pytest.raises(FunctionHandledError, match="no subscription matches"):
            core.invoke("echo", {"n": 1})


def test_limits_of_the_core_may_be_set():
    with (
        FakeCore(limits=Limits(topic_payload_bytes=2048)) as core,
        pytest.raises(LimitExceededError, match="2048"),
    ):
        core.deliver("in", bytes(2049))


def test_a_binary_function_gets_bytes(core):
    core.add_function("raw", lambda event, _context: event[::-1], encoding="binary")
    assert b"cba" == core.invoke("raw", b"abc").payload


def test_what_a_function_is_declared_with_is_checked_as_in_a_group_file(core):
    with pytest.raises(InvalidInputError, match="timeout_s"):
        core.add_function("echo", echo, timeout_s=-1)
    core.add_function("echo", echo)
    with pytest.raises(InvalidInputError, match="'echo' is taken"):
        core.add_function("echo", echo)
    with pytest.raises(InvalidInputError, match="did you mean 'echo'"):
        core.subscribe("ehco", "a", "cloud")


def test_functions_and_rows_may_be_added_while_the_core_runs(core):
    core.add_function("echo", echo)
    core.subscribe("cloud", "in", "echo")
    core.deliver("in", {"n": 1})
    seen = []
    core.add_function("late", lambda event, _context: seen.append(event))
    core.subscribe("echo", "out", "late")
    core.deliver("in", {"n": 2})
    assert [2] == seen
    assert [(), ("late",)] == [message.targets for message in core.published("out")]


def test_a_device_may_send_and_receive_nothing_is_connected(core):
    core.add_device("sensor")
    core.add_function("echo", echo)
    core.subscribe("sensor", "t", "echo")
    core.subscribe("echo", "out", "sensor")
    core.deliver("t", {"n": 1}, source="sensor")
    assert "not connected" == core.published().one().reason


def test_messages_run_in_the_order_of_their_publishing_and_rows(core):
    seen = []

    def source(_event, _context):
        for n in range(3):
            client.publish("t", n)

    core.add_function("source", source)
    for name in ("b", "a"):
        core.add_function(name, lambda e, _c, name=name: seen.append((name, e)), pinned=True)
        core.subscribe("source", "t", name)
    core.invoke("source")
    assert [(name, n) for n in range(3) for name in ("b", "a")] == seen


def test_an_endless_exchange_of_messages_is_cut_and_shown():
    with FakeCore(max_steps=100) as core:
        core.add_function("ping", lambda _e, _c: client.publish("ping", ""), encoding="binary")
        core.add_function("pong", lambda _e, _c: client.publish("pong", ""), encoding="binary")
        core.subscribe("ping", "ping", "pong")
        core.subscribe("pong", "pong", "ping")
        core.subscribe("cloud", "go", "ping")
        with pytest.raises(SimulationError, match="endless loop") as caught:
            core.deliver("go")
    assert "ping publishes 'ping'" in str(caught.value)
    assert "pong publishes 'pong'" in str(caught.value)


def test_a_function_that_burns_real_time_is_told_with_the_place():
    with FakeCore(busy_s=0.05) as core:
        stop: list[int] = []

        def spin(_event, _context):
            while not stop:
                pass

        core.add_function("spin", spin)
        with pytest.raises(SimulationError, match=r"'spin' has run for 0.05 s.*") as caught:
            core.invoke("spin")
        stop.append(1)
    assert "while not stop" in str(caught.value)


def test_a_full_queue_refuses_calls_and_drops_messages(core):
    fn = core.add_function("echo", echo)
    core.subscribe("cloud", "in", "echo")
    fn.queue_full()
    with pytest.raises(QueueFullError):
        core.invoke(fn, {"n": 1})
    assert "queue full" == core.deliver("in", {"n": 1}).reason
    fn.queue_full(False)
    assert ("echo",) == core.deliver("in", {"n": 1}).targets


def test_a_crash_ends_the_next_run_and_no_other(core):
    fn = core.add_function("echo", echo)
    fn.crash()
    with pytest.raises(FunctionUnhandledError, match=r"signal 9 \(SIGKILL\)"):
        core.invoke(fn, {"n": 1})
    assert {"n": 1} == core.invoke(fn, {"n": 1}).json()
    assert 2 == fn.starts


def test_a_timeout_takes_the_time_it_has_and_has_the_text_of_lambda(core):
    fn = core.add_function("echo", echo, timeout_s=7)
    before = core.now
    fn.timeout()
    with pytest.raises(FunctionTimeoutError, match=r"Z [0-9a-f-]+ Task timed out after 7.00 sec"):
        core.invoke(fn, {"n": 1})
    assert 7.0 == (core.now - before).total_seconds()


def test_out_of_memory_names_the_limit(core):
    fn = core.add_function("echo", echo, memory_kib=16384)
    fn.out_of_memory()
    with pytest.raises(FunctionUnhandledError, match="memory_kib = 16384"):
        core.invoke(fn, {"n": 1})


def test_a_function_that_exits_ends_unhandled(core):
    def leave(_event, _context):
        raise SystemExit(3)

    core.add_function("leave", leave)
    with pytest.raises(FunctionUnhandledError, match="exited with code 3"):
        core.invoke("leave")


def test_a_group_file_is_loaded_with_its_functions_and_rows(core, write):
    folder = write(
        """
        import greengrasssdk
        client = greengrasssdk.client("iot-data")
        count = 0
        def handler(event, context):
            global count
            count += 1
            client.publish(topic="count", payload=str(count))
        """,
        "counter/main.py",
    ).parent
    (folder / "group.toml").write_text(
        """
        schema = 1
        [group]
        name = "counting"
        core = "counting-core"
        [functions.counter]
        code = "counter/"
        handler = "main.handler"
        pinned = true
        [[subscriptions]]
        id = "tick"
        source = "cloud"
        subject = "tick"
        target = "counter"
        [[subscriptions]]
        id = "count"
        source = "counter"
        subject = "count"
        target = "cloud"
        """
    )
    core.load(folder)
    core.deliver("tick")
    core.deliver("tick")
    assert [b"1", b"2"] == core.published("count").payloads
    assert 1 == core.function("counter").workers


def test_code_of_a_test_may_act_as_a_function(core):
    core.add_function("a", echo)
    core.add_function("b", echo)
    with core.acting_as("b"):
        iot.publish(topic="t", payload="x")
    assert "b" == core.published("t").one().source


def test_a_function_cannot_drive_its_core(core):
    core.add_function("driver", lambda _e, _c: core.deliver("t"))
    with pytest.raises(FunctionHandledError, match="cannot drive the FakeCore"):
        core.invoke("driver")


def test_the_clock_starts_where_the_test_wants_it():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with FakeCore(start=start) as core:
        assert start == core.now
        core.advance(days=8)
        assert datetime(2026, 1, 9, tzinfo=UTC) == core.now


def test_after_a_simple_test_a_core_does_not_wait_for_the_garbage_collector():
    before = set(threading.enumerate())
    core = FakeCore()
    core.add_function("f", lambda _event, _context: iot.publish(topic="out", payload="1"))
    core.subscribe("cloud", "in", "f")
    core.deliver("in")
    assert 1 == len(core.published("out"))
    core.close()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    kept = weakref.ref(core)
    gc.disable()
    try:
        del core
        assert kept() is None
    finally:
        gc.enable()


def test_a_closed_core_says_so():
    core = FakeCore()
    core.close()
    core.close()
    with pytest.raises(CoreUnavailableError, match="was closed"):
        core.deliver("t")


def test_two_cores_do_not_see_each_other(core):
    with FakeCore() as other:
        for each in (core, other):
            each.add_function("echo", echo)
            each.subscribe("cloud", "in", "echo")
        core.deliver("in", {"n": 1})
        other.deliver("in", {"n": 2})
        assert [b"1"] == core.published().payloads
        assert [b"2"] == other.published().payloads


def test_the_code_of_a_function_may_be_a_zip_as_for_a_core(core, tmp_path):
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return __file__\n")
    core.add_function("f", "app.handler", code=tmp_path / "code.zip")
    unpacked = Path(core.invoke("f").json())
    assert unpacked.is_file()
    core.close()
    assert not unpacked.exists()


def test_a_mock_may_be_a_handler(core):
    handler = MagicMock(return_value={"a": 1})
    core.add_function("f", handler)
    assert {"a": 1} == core.invoke("f", 7).json()
    assert 7 == handler.call_args.args[0]


def test_what_was_recorded_can_be_asked_for_after_the_end(core):
    core.add_function("echo", echo)
    core.subscribe("cloud", "in", "echo")
    core.deliver("in", {"n": 1})
    core.close()
    assert [b"1"] == core.published("out").payloads
    assert [] == core.logs("echo")
    with pytest.raises(InvalidInputError, match="no function 'ehco'; there are: echo"):
        core.logs("ehco")

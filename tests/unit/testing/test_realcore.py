# SPDX-License-Identifier: Apache-2.0
"""
The fixture's other world.

What is alike on both worlds stands in `tests/conformance`; here stands what only a core has.
"""

from __future__ import annotations

import functools
import threading
from unittest.mock import MagicMock

import pytest

import greengrasssdk
from greengrass_sdk import (
    Client,
    CoreUnavailableError,
    FunctionHandledError,
    FunctionTimeoutError,
    InvalidInputError,
    NoSubscriptionError,
    PackageError,
)
from greengrass_sdk.testing import UnreadErrors
from greengrass_sdk.testing.differences import DIFFERENCES, WAIT_S, WorldDifference
from greengrass_sdk.testing.realcore import RealCore

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(120)]

iot = greengrasssdk.client("iot-data")


def echo(event, _context):
    iot.publish(topic="out", payload=str(event["n"]))
    return event


@functools.wraps(echo)
def wrapped(event, context):
    return echo(event, context)


def start_thread(_event, _context):
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


@pytest.fixture
def core():
    core = RealCore()
    yield core
    core.close()


def differs(key):
    return pytest.raises(WorldDifference, match=DIFFERENCES[key].reason)


def test_messages_results_and_logs_are_those_of_a_core(core):
    function = core.add_function("echo", echo)
    core.subscribe("cloud", "in/#", function)
    core.subscribe(function, "out", "cloud")
    sent = core.deliver("in/a", {"n": 1})
    message = core.published("out").one()
    assert (("echo",), ("cloud",), b"1") == (sent.targets, message.targets, message.payload)
    assert [b"1"] == core.cloud.received.payloads
    assert {"n": 2} == core.invoke(function, {"n": 2}).json()
    assert 36 == len(core.invoke_async("echo", {"n": 3}))
    assert [b"1", b"2", b"3"] == core.published("out").payloads
    assert ("arn:aws:lambda:us-east-1:000000000000:function:echo:1", 1) == (
        core.function("echo").arn,
        core.function("echo").workers,
    )


def test_errors_have_the_traceback_that_the_function_logged(core):
    core.add_function("echo", wrapped)
    core.subscribe("cloud", "in", "echo")
    with pytest.raises(FunctionHandledError, match="KeyError: 'n'"):
        core.invoke("echo", {})
    core.deliver("in", {})
    number = core.invoke_async("echo", {})
    first, second = core.errors
    assert ("in", "invocation", number) == (first.trigger, second.trigger, second.request_id)
    assert 'iot.publish(topic="out", payload=str(event["n"]))' in first.text
    assert "KeyError: 'n'" == first.last_line


def test_errors_of_threads_imports_and_timeouts_are_found(core, write):
    core.add_function("threads", start_thread)
    folder = write("raise OSError('no')", "broken/app.py")
    core.add_function("broken", "app.handler", code=folder, pinned=True)
    folder = write("import time\ndef handler(event, context):\n  time.sleep(60)", "slow/app.py")
    core.add_function("slow", "app.handler", code=folder, timeout_s=0.1)
    core.invoke("threads")
    with pytest.raises(FunctionTimeoutError):
        core.invoke("slow")
    assert {("thread", "ZeroDivisionError: division by zero"), ("import", "OSError: no")} == {
        (failure.outcome, failure.last_line) for failure in core.errors
    }


def test_unread_errors_fail_the_test():
    core = RealCore()
    core.add_function("echo", echo)
    core.invoke_async("echo", {})
    with pytest.raises(UnreadErrors, match="KeyError"):
        core.close()


def test_a_pinned_function_may_never_return_from_its_import(core, write):
    folder = write(
        """
        import time
        import greengrasssdk
        greengrasssdk.client("iot-data").publish(topic="up", payload="1")
        while True:
            time.sleep(3600)
        """
    )
    core.add_function("loop", "app.handler", code=folder, pinned=True)
    assert [b"1"] == core.published("up").payloads


def test_time_is_waited_for(core, write):
    folder = write(
        """
        import threading
        import greengrasssdk
        client = greengrasssdk.client("iot-data")
        timer = threading.Timer(0.2, client.publish, kwargs={"topic": "late", "payload": "1"})
        timer.start()
        def handler(event, context):
            pass
        """
    )
    core.add_function("timer", "app.handler", code=folder, pinned=True)
    before = core.now
    core.advance(1)
    assert 1 <= (core.now - before).total_seconds()
    assert [b"1"] == core.published("late").payloads
    with differs("advance"):
        core.advance(WAIT_S, minutes=1)


def test_a_group_file_is_loaded_and_a_strict_group_refuses(core, write):
    folder = write("def handler(event, context):\n  return 1", "code/app.py").parent
    (folder / "group.toml").write_text("""
        schema = 1
        group = { name = "g", core = "c", strict = true }
        functions.one = { code = "code/", handler = "app.handler" }
    """)
    core.load(folder)
    with pytest.raises(NoSubscriptionError, match="no subscription matches topic 't' from this"):
        core.deliver("t")
    assert 1 == core.invoke("one").json()
    assert ["one"] == core.function_names


@pytest.mark.parametrize(
    "handler",
    [lambda _e, _c: 1, MagicMock(), functools.partial(echo), "text".join, print],
    ids=["lambda", "mock", "partial", "method", "builtin"],
)
def test_what_a_worker_cannot_import_is_a_difference(core, handler):
    with differs("closure"):
        core.add_function("f", handler)


def test_what_is_added_late_is_a_difference(core, tmp_path):
    core.add_function("echo", echo)
    assert [] == core.messages
    for late in (
        lambda: core.add_function("more", echo),
        lambda: core.add_device("sensor"),
        lambda: core.subscribe("cloud", "t", "echo"),
        lambda: core.load(tmp_path),
    ):
        with differs("late"):
            late()


def test_the_sdk_in_the_test_itself_is_a_difference(core):
    core.add_function("echo", echo)
    with differs("acting"):
        iot.publish(topic="t", payload="x")
    with differs("acting"):
        core.acting_as("echo")
    with pytest.raises(InvalidInputError, match="did you mean 'echo'"):
        core.acting_as("ehco")
    core.shut_down()
    with pytest.raises(CoreUnavailableError):
        Client().publish("t", "x")


def test_a_core_that_does_not_start_says_why_and_a_stopped_one_that_it_is(core, tmp_path):
    (tmp_path / "code.zip").write_bytes(b"no zip")
    core.add_function("f", "app.handler", code=tmp_path / "code.zip")
    with pytest.raises(PackageError, match=r"code\.zip"):
        core.deliver("t")
    core.shut_down()
    with pytest.raises(CoreUnavailableError, match="was stopped"):
        core.add_function("g", echo)


def test_what_happened_is_known_after_the_end(core):
    assert ([], {}) == core.recorded()
    core.add_function("echo", echo)
    core.invoke("echo", {"n": 1})
    core.shut_down()
    core.shut_down()
    assert [b"1"] == core.published().payloads
    assert "out 1: dropped" in core.describe()


def test_neither_the_clock_nor_a_client_is_the_tests_to_play(core, tmp_path):
    group = 'schema = 1\n[group]\nname = "g"\ncore = "c"\n[clients.panel]\n'
    (tmp_path / "group.toml").write_text(group)
    core.load(tmp_path / "group.toml")
    with differs("begin"):
        core.begin_at(core.now)
    with differs("client"):
        core.deliver("a", source="panel")

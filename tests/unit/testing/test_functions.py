# SPDX-License-Identifier: Apache-2.0
"""Workers come and go as in a core."""

from __future__ import annotations

import time

import pytest

from greengrass_sdk import Client, FunctionUnhandledError

client = Client()
TICKER = """
import time
import greengrasssdk
greengrasssdk.client("iot-data").publish(topic="started", payload="")
def handler(event, context):
    return event
"""
BROKEN = """
import greengrasssdk
raise ValueError("no sensor")
"""


def test_a_pinned_function_starts_with_the_first_call(core, write):
    fn = core.add_function("f", "app.handler", code=write(TICKER), pinned=True)
    core.subscribe(fn, "started", "cloud")
    assert ("cloud",) == core.published("started").one().targets
    assert (1, 1) == (fn.workers, fn.starts)


def test_a_pinned_function_that_dies_is_started_again_after_a_pause_that_doubles(core, write):
    fn = core.add_function("f", "app.handler", code=write(TICKER), pinned=True)
    for pause in (1, 2, 4):
        fn.crash()
        with pytest.raises(FunctionUnhandledError):
            core.invoke(fn)
        before = fn.starts
        core.advance(seconds=pause - 0.01)
        assert before == fn.starts
        core.advance(seconds=0.01)
        assert before + 1 == fn.starts
    core.advance(seconds=60)
    fn.exit(2)
    with pytest.raises(FunctionUnhandledError, match="exited with code 2"):
        core.invoke(fn)
    core.advance(seconds=1)
    assert 5 == fn.starts


def test_an_idle_worker_is_ended_and_another_one_started_on_demand(core, write):
    fn = core.add_function("f", "app.handler", code=write(TICKER), idle_s=60)
    core.invoke(fn, 1)
    core.advance(seconds=59)
    assert 1 == fn.workers
    core.advance(seconds=1)
    assert 0 == fn.workers
    assert 2 == core.invoke(fn, 2).json()
    assert 2 == len(core.published("started"))


def test_an_import_that_fails_on_demand_ends_the_item_that_wanted_it(core, write):
    core.add_function("f", "app.handler", code=write(BROKEN))
    core.subscribe("cloud", "t", "f")
    with pytest.raises(FunctionUnhandledError, match="ValueError: no sensor") as caught:
        core.invoke("f")
    assert isinstance(caught.value.__cause__, ValueError)
    core.deliver("t")
    (failure,) = core.errors
    assert ("unhandled", "t") == (failure.outcome, failure.trigger)
    levels = [record.level for record in core.logs("f")]
    assert "FATAL" == levels[0]
    assert "Failed to import handler function 'app.handler'" in core.logs("f")[0].message


def test_an_import_that_fails_pinned_is_told_and_tried_again(core, write):
    fn = core.add_function("f", "app.handler", code=write(BROKEN), pinned=True)
    (failure,) = core.errors
    assert ("import", "ValueError: no sensor") == (failure.outcome, failure.last_line)
    core.advance(seconds=1)
    assert 2 == fn.starts
    assert 2 == len(core.errors)


def test_parallel_invocations_have_workers_of_their_own(core):
    def slow(_event, _context):
        time.sleep(1)

    fn = core.add_function("slow", slow, max_workers=2)
    core.subscribe("cloud", "t", fn)
    begin = core.now
    with core.acting_as(fn):
        numbers = [client.invoke_async("slow") for _ in range(4)]
    assert 4 == len(set(numbers))
    assert 2 == fn.workers
    assert 2 == (core.now - begin).total_seconds()


def test_a_pinned_function_works_in_order_on_one_worker(core):
    seen = []

    def slow(event, _context):
        seen.append(("begin", event))
        time.sleep(1)
        seen.append(("end", event))

    fn = core.add_function("slow", slow, pinned=True)
    with core.acting_as(fn):
        for n in range(2):
            client.invoke_async("slow", n)
    assert [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)] == seen
    assert 1 == fn.starts


def test_a_run_that_is_under_way_can_be_crashed(core):
    def wait(_event, _context):
        time.sleep(2)

    fn = core.add_function("wait", wait, pinned=True)
    core.subscribe("cloud", "t", fn)
    core.cloud.latency(1)
    core.deliver("t", "{}")
    core.advance(seconds=1.5)
    fn.crash()
    (failure,) = core.errors
    assert ("unhandled", "t") == (failure.outcome, failure.trigger)
    assert "SIGKILL" in failure.text


def test_finally_blocks_of_a_dead_worker_are_not_heard(core):
    def leave(_event, _context):
        try:
            time.sleep(10)
        finally:
            print("too late")  # noqa: T201 - the test
            client.publish("t", "too late")

    core.add_function("f", leave)
    core.subscribe("cloud", "t", "f")
    core.deliver("t", "{}")
    assert "timeout" == core.errors[0].outcome
    assert [] == list(core.published())
    assert not [record for record in core.logs("f") if record.message == "too late"]

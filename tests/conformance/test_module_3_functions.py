# SPDX-License-Identifier: Apache-2.0
"""
Module 3 of the guide, with our examples: Hello World and the two counters.

Ref: Greengrass V1 guide, module 3 (part 1), "Lambda functions on AWS IoT Greengrass";
module 3 (part 2), "Long-lived Lambda functions", "On-demand Lambda functions"
"""

from __future__ import annotations

import json
import platform
from itertools import pairwise

import pytest
from running_core import RunningCore, copy_example

TRIGGER = "hello/world/counter/trigger"
COUNTER = "hello/world/counter"
HELLO = f"Hello world! Sent from Greengrass Core running on platform: {platform.platform()}"


def counter(event):
    text = json.loads(event["payload"])["message"]
    sent, _, count = text.partition(".  Invocation Count: ")
    assert HELLO == sent
    return int(count)


@pytest.fixture
def hello(tmp_path):
    return copy_example("hello_world", tmp_path, ('INTERVAL_S = "5"', 'INTERVAL_S = "0.2"'))


def test_a_pinned_function_starts_with_the_core_and_publishes_without_being_invoked(hello):
    """GG-M3-01"""
    with RunningCore(hello) as core:
        messages = [core.message("hello/world", count=number) for number in (1, 2, 3)]
        assert not [event for event in core.events if event["event"] == "invocation"]
    assert [("hello", "delivered", HELLO)] * 3 == [
        (event["source"], event["outcome"], event["payload"]) for event in messages
    ]


def test_a_pinned_function_starts_again_when_the_core_does(hello):
    """GG-M3-02"""
    for _ in range(2):
        with RunningCore(hello) as core:
            core.message("hello/world")


def test_without_a_subscription_nothing_is_delivered(hello):
    """GG-M3-03"""
    group = hello / "group.toml"
    group.write_text(group.read_text().partition("[[subscriptions]]")[0])
    with RunningCore(hello) as core:
        core.message("hello/world", target=None, count=2)
        assert [] == core.messages("hello/world")


def test_messages_stop_when_the_function_and_its_subscription_are_removed(hello):
    """GG-M3-04: editing the group file and restarting stands in for a deployment."""
    with RunningCore(hello) as core:
        core.message("hello/world")
    group = hello / "group.toml"
    group.write_text(group.read_text().partition("[functions.hello]")[0])
    with RunningCore(hello) as core:
        assert [] == core.status()["functions"]
        assert not [event for event in core.events if event["event"] == "message"]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_hello_world_arrives_every_five_seconds(tmp_path):
    """GG-M3-05: the guide's interval."""
    with RunningCore(copy_example("hello_world", tmp_path)) as core:
        at_ms = [core.message("hello/world", count=number)["at_ms"] for number in (1, 2, 3)]
    assert all(4.5 <= (later - sooner) / 1000 < 15 for sooner, later in pairwise(at_ms)), at_ms


def test_a_pinned_counter_is_one_process_that_counts_all_triggers_in_turn(tmp_path):
    """GG-M3-06: the payload does not matter, triggers wait, and none is lost."""
    example = copy_example("counter", tmp_path, ('PAUSE_S = "20"', 'PAUSE_S = "0.3"'))
    with RunningCore(example) as core:
        for _ in range(3):
            core.publish(TRIGGER, '{"message": "Hello from AWS IoT console"}')
        counts = [counter(core.message(COUNTER, count=number)) for number in (1, 2, 3)]
        (function,) = core.status()["functions"]
    assert [1, 2, 3] == counts
    assert 1 == len(function["workers"])


def test_nothing_comes_before_the_first_trigger_and_a_function_does_not_trigger_itself(tmp_path):
    """GG-M3-07"""
    example = copy_example("counter", tmp_path, ('PAUSE_S = "20"', 'PAUSE_S = "0"'))
    with RunningCore(example) as core:
        core.publish("hello/world/other", status=1)
        assert [] == core.messages(COUNTER)
        core.publish(TRIGGER)
        core.message(COUNTER)
        core.publish(TRIGGER)
        core.message(COUNTER, count=2)
        assert [] == core.messages(COUNTER, target="counter")
        assert [1, 2] == [counter(event) for event in core.messages(COUNTER)]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_pinned_counter_takes_twenty_seconds_for_each_trigger(tmp_path):
    """GG-M3-08: the guide's pause."""
    with RunningCore(copy_example("counter", tmp_path)) as core:
        for _ in range(3):
            core.publish(TRIGGER)
        events = [core.message(COUNTER, count=number, timeout_s=50) for number in (1, 2, 3)]
        assert [1, 2, 3] == [counter(event) for event in events]
    at_ms = [event["at_ms"] for event in events]
    assert all(19.5 <= (later - sooner) / 1000 < 40 for sooner, later in pairwise(at_ms)), at_ms


def test_an_on_demand_counter_runs_in_parallel_and_reuses_an_idle_process(tmp_path):
    """GG-M3-09: three triggers, three processes that count 1; a later trigger counts 2."""
    example = copy_example("counter", tmp_path, ('PAUSE_S = "20"', 'PAUSE_S = "2"'))
    with RunningCore(example / "on-demand.toml") as core:
        assert [] == core.status()["functions"][0]["workers"]
        for _ in range(3):
            core.publish(TRIGGER)
        core.message(COUNTER, count=3)
        core.wait_for_status(lambda status: status["functions"][0]["running"] == 0)
        core.publish(TRIGGER)
        core.message(COUNTER, count=4)
        assert [1, 1, 1, 2] == [counter(event) for event in core.messages(COUNTER)]


def test_idle_processes_of_an_on_demand_function_end_and_the_count_starts_over(tmp_path):
    """GG-M3-10"""
    example = copy_example(
        "counter",
        tmp_path,
        ('PAUSE_S = "20"', 'PAUSE_S = "0"'),
        ("timeout_s", "idle_s = 0.5\ntimeout_s"),
    )
    with RunningCore(example / "on-demand.toml") as core:
        core.publish(TRIGGER)
        core.message(COUNTER)
        core.wait(lambda event: event["event"] == "function" and event["state"] == "stopped")
        core.publish(TRIGGER)
        core.message(COUNTER, count=2)
        assert [1, 1] == [counter(event) for event in core.messages(COUNTER)]

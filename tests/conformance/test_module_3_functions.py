# SPDX-License-Identifier: Apache-2.0
"""
Module 3 of the guide, with our examples: Hello World and the two counters.

Ref: Greengrass V1 guide, module 3 (part 1), "Lambda functions on AWS IoT Greengrass";
module 3 (part 2), "Long-lived Lambda functions", "On-demand Lambda functions"
"""

from __future__ import annotations

import platform
from itertools import pairwise

import pytest
from running_core import RunningCore, copy_example

TRIGGER = "hello/world/counter/trigger"
COUNTER = "hello/world/counter"
HELLO = f"Hello world! Sent from Greengrass Core running on platform: {platform.platform()}"
BURST = """
import greengrasssdk
client = greengrasssdk.client("iot-data")
def handler(event, context):
    for number in range(3):
        client.publish(topic="hello/world/counter/trigger", payload=str(number))
"""
# The guide's own intervals pass at once on the double.
REAL_INTERVALS = ["fake", pytest.param("core", marks=[pytest.mark.slow, pytest.mark.needs_core])]


@pytest.fixture
def hello(tmp_path):
    return copy_example("hello_world", tmp_path, ('INTERVAL_S = "5"', 'INTERVAL_S = "0.2"'))


@pytest.fixture
def counter(tmp_path):
    """Return what loads a group of the counter, with three triggers at once as `burst`."""

    def counter(greengrass, group="group.toml", pause="0", *edits):
        example = copy_example("counter", tmp_path, ('PAUSE_S = "20"', f'PAUSE_S = "{pause}"'))
        greengrass.load(example / group)
        (tmp_path / "burst.py").write_text(BURST)
        greengrass.add_function("burst", "burst.handler", code=tmp_path)
        greengrass.subscribe("burst", TRIGGER, "counter")

    return counter


def counts(greengrass):
    """Return what the counter published for the cloud."""
    texts = [message.json()["message"] for message in greengrass.published(COUNTER)]
    parted = [text.partition(".  Invocation Count: ") for text in texts]
    assert {HELLO} >= {sent for sent, _, _ in parted}
    return [int(count) for _, _, count in parted]


def test_a_pinned_function_starts_with_the_core_and_publishes_without_being_invoked(
    greengrass, hello
):
    """GG-M3-01"""
    greengrass.load(hello)
    greengrass.advance(2)
    messages = greengrass.published()
    assert len(messages) >= 3
    assert {("hello/world", "hello", ("cloud",), HELLO)} == {
        (message.subject, message.source, message.targets, message.text) for message in messages
    }
    assert messages == greengrass.messages[: len(messages)]  # a real clock goes on


def test_a_pinned_function_starts_again_when_the_core_does(hello):
    """GG-M3-02"""
    for _ in range(2):
        with RunningCore(hello) as core:
            core.message("hello/world")


def test_without_a_subscription_nothing_is_delivered(greengrass, hello):
    """GG-M3-03"""
    group = hello / "group.toml"
    group.write_text(group.read_text().partition("[[subscriptions]]")[0])
    greengrass.load(group)
    greengrass.advance(1)
    assert {"dropped"} == {message.outcome for message in greengrass.published("hello/world")}
    assert [] == greengrass.cloud.received


def test_messages_stop_when_the_function_and_its_subscription_are_removed(hello):
    """GG-M3-04: editing the group file and restarting stands in for a deployment."""
    with RunningCore(hello) as core:
        core.message("hello/world")
    group = hello / "group.toml"
    group.write_text(group.read_text().partition("[functions.hello]")[0])
    with RunningCore(hello) as core:
        assert [] == core.status()["functions"]
        assert not [event for event in core.events if event["event"] == "message"]


@pytest.mark.parametrize("greengrass_world", REAL_INTERVALS)
@pytest.mark.timeout(60)
def test_hello_world_arrives_every_five_seconds(greengrass, tmp_path):
    """GG-M3-05: the guide's interval."""
    greengrass.load(copy_example("hello_world", tmp_path))
    greengrass.advance(seconds=12)
    times = [message.time for message in greengrass.published("hello/world")]
    assert 3 == len(times)
    assert all(4.5 <= later - sooner < 7 for sooner, later in pairwise(times)), times


def test_a_pinned_counter_is_one_process_that_counts_all_triggers_in_turn(greengrass, counter):
    """GG-M3-06: the payload does not matter, triggers wait, and none is lost."""
    counter(greengrass, pause="0.3")
    greengrass.invoke("burst")
    greengrass.deliver(TRIGGER, '{"message": "Hello from AWS IoT console"}')
    assert [1, 2, 3, 4] == counts(greengrass)
    assert 1 == greengrass.function("counter").workers
    assert {("cloud",)} == {message.targets for message in greengrass.published(COUNTER)}


def test_nothing_comes_before_the_first_trigger_and_a_function_does_not_trigger_itself(
    greengrass, counter
):
    """GG-M3-07"""
    counter(greengrass)
    assert () == greengrass.deliver("hello/world/other").targets
    assert [] == counts(greengrass)
    for count in (1, 2):
        greengrass.deliver(TRIGGER)
        assert list(range(1, count + 1)) == counts(greengrass)


@pytest.mark.parametrize("greengrass_world", REAL_INTERVALS)
@pytest.mark.timeout(120)
def test_the_pinned_counter_takes_twenty_seconds_for_each_trigger(greengrass, counter):
    """GG-M3-08: the guide's pause."""
    counter(greengrass, pause="20")
    begin = greengrass.now
    greengrass.deliver(TRIGGER)
    greengrass.deliver(TRIGGER)
    assert [1, 2] == counts(greengrass)
    assert 39.5 <= (greengrass.now - begin).total_seconds() < 80


def test_an_on_demand_counter_runs_in_parallel_and_reuses_an_idle_process(greengrass, counter):
    """GG-M3-09: three triggers, three processes that count 1; a later trigger counts 2."""
    counter(greengrass, "on-demand.toml", "2")
    assert 0 == greengrass.function("counter").workers
    greengrass.invoke("burst")
    assert 3 == greengrass.function("counter").workers
    greengrass.deliver(TRIGGER)
    assert [1, 1, 1, 2] == counts(greengrass)


def test_idle_processes_of_an_on_demand_function_end_and_the_count_starts_over(
    greengrass, tmp_path
):
    """GG-M3-10"""
    example = copy_example(
        "counter",
        tmp_path,
        ('PAUSE_S = "20"', 'PAUSE_S = "0"'),
        ("timeout_s", "idle_s = 0.5\ntimeout_s"),
    )
    greengrass.load(example / "on-demand.toml")
    greengrass.deliver(TRIGGER)
    greengrass.advance(5)
    assert 0 == greengrass.function("counter").workers
    greengrass.deliver(TRIGGER)
    assert [1, 1] == counts(greengrass)

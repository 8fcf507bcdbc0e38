# SPDX-License-Identifier: Apache-2.0
"""
Who gets a message: the subscription table.

Ref: Greengrass V1 guide, "Managed subscriptions in the MQTT messaging workflow", "Message-based
invocation", "Communication flow in Greengrass applications", connectors ("Inputs and outputs")
"""

from __future__ import annotations

import pytest

import greengrasssdk
from greengrass_sdk import InvalidInputError, LimitExceededError, NoSubscriptionError

client = greengrasssdk.client("iot-data")
GROUP = """
schema = 1
group = { name = "strict", core = "strict-core", strict = true }
functions.sink = { code = "code/", handler = "sink.handler" }
"""


def sink(event, context):
    """Show what came as a log record."""
    print(context.client_context.custom["subject"], event)  # noqa: T201 - a function's log


def relay(event, context):
    """Publish what it is told to, and return what the SDK raised."""
    try:
        client.publish(
            topic=event["topic"],
            payload=event.get("payload", "") * event.get("times", 1),
            queueFullPolicy=event.get("policy", ""),
        )
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises
        return f"{type(error).__name__}: {error}"


def burst(event, context):
    """Publish numbers, and count those that were refused."""
    refused = 0
    for number in range(event):
        try:
            client.publish(topic="n", payload=str(number), queueFullPolicy="AllOrException")
        except Exception:  # noqa: BLE001 - whatever the SDK raises
            refused += 1
    return refused


def slow(event, context):
    import time

    time.sleep(0.3)


def seen(greengrass, name="sink"):
    return [record.message for record in greengrass.logs(name)]


def test_a_message_goes_where_a_row_with_its_source_and_subject_says(greengrass):
    """GG-RT-01"""
    for name in ("sink", "other"):
        greengrass.add_function(name, sink)
        greengrass.subscribe("cloud", f"to/{name}", name)
    assert ("sink",) == greengrass.deliver("to/sink", "1").targets
    assert () == greengrass.deliver("to/nobody", "2").targets
    assert (["to/sink 1"], []) == (seen(greengrass), seen(greengrass, "other"))


def test_rows_have_a_direction(greengrass):
    """GG-RT-02"""
    greengrass.add_function("relay", relay)
    greengrass.subscribe("cloud", "t", "relay")
    greengrass.deliver("t", {"topic": "t"})
    assert ["dropped"] == [message.outcome for message in greengrass.published("t")]
    assert [] == greengrass.cloud.received


MATCHES = {
    "a/+/c": {"a/b/c": True, "a//c": True, "a/c": False, "a/b/b/c": False},
    "a/#": {"a/b": True, "a/b/c": True, "a/": True, "a": False, "ab/c": False},
    "+/b": {"a/b": True, "/b": True, "b": False},
    "#": {"a": True, "/": True, "$aws/a": False},
    "/resnet-50/predictions": {"/resnet-50/predictions": True, "resnet-50/predictions": False},
    "Case": {"Case": True, "case": False},
}


@pytest.mark.parametrize("subject", MATCHES)
def test_wildcards_stand_for_levels(greengrass, subject):
    """GG-RT-03: `+` for one; GG-RT-04: `#` for the rest; GG-RT-05: empty levels count."""
    greengrass.add_function("sink", sink, encoding="binary")
    greengrass.subscribe("cloud", subject, "sink")
    topics = MATCHES[subject]
    assert topics == {topic: bool(greengrass.deliver(topic).targets) for topic in topics}


def test_nobody_publishes_to_a_wildcard(greengrass):
    """GG-RT-06"""
    greengrass.add_function("relay", relay)
    greengrass.subscribe("relay", "#", "cloud")
    for topic in ("a/+", "a/#"):
        assert "wildcard" in greengrass.invoke("relay", {"topic": topic}).json()
        with pytest.raises(InvalidInputError, match="wildcard"):
            greengrass.deliver(topic)
    assert [] == greengrass.published()


def test_a_target_gets_a_message_once_however_many_rows_match(greengrass):
    """GG-RT-07: and every target gets it."""
    greengrass.add_function("one", sink)
    greengrass.add_function("two", sink)
    for subject, target in [("t", "one"), ("+", "two"), ("#", "one")]:
        greengrass.subscribe("cloud", subject, target)
    assert ("one", "two") == greengrass.deliver("t", "1").targets
    assert (["t 1"], ["t 1"]) == (seen(greengrass, "one"), seen(greengrass, "two"))


def test_a_device_is_a_source_of_its_own(greengrass):
    """GG-RT-08: who is not connected gets nothing."""
    greengrass.add_device("thermometer")
    greengrass.add_device("display")
    greengrass.add_function("sink", sink)
    greengrass.subscribe("thermometer", "t", "sink")
    greengrass.subscribe("thermometer", "t", "display")
    assert ("sink",) == greengrass.deliver("t", "1", source="thermometer").targets
    assert () == greengrass.deliver("t", "2", source="display").targets
    assert ["t 1"] == seen(greengrass)


def test_a_function_hears_itself_only_by_a_row(greengrass):
    """GG-RT-09"""
    greengrass.add_function("relay", relay)
    greengrass.add_function("loop", relay)
    greengrass.subscribe("cloud", "in", "relay")
    greengrass.subscribe("loop", "again", "loop")
    greengrass.deliver("in", {"topic": "in", "payload": "{}"})
    greengrass.invoke("loop", {"topic": "again", "payload": '{"topic": "end"}'})
    assert ["in", "again", "end"] == [message.subject for message in greengrass.published()]


def test_messages_of_one_source_to_one_target_keep_their_order(greengrass):
    """GG-RT-10"""
    greengrass.add_function("burst", burst)
    greengrass.add_function("sink", sink, pinned=True)
    greengrass.subscribe("burst", "n", "sink")
    greengrass.invoke("burst", 50)
    assert [f"n {number}" for number in range(50)] == seen(greengrass)


def test_what_no_row_matches_is_dropped_and_the_publisher_is_not_told(greengrass):
    """GG-RT-11"""
    greengrass.add_function("relay", relay)
    for policy in ("", "BestEffort", "AllOrException"):
        assert greengrass.invoke("relay", {"topic": "t", "policy": policy}).json() is None
    assert ["no subscription matches"] * 3 == [m.reason for m in greengrass.published("t")]


def test_a_strict_group_tells_the_publisher(greengrass, tmp_path, code):
    """GG-RT-12"""
    code(sink="def handler(event, context): pass")
    (tmp_path / "group.toml").write_text(GROUP)
    greengrass.load(tmp_path)
    with pytest.raises(NoSubscriptionError, match="no subscription matches topic 't'"):
        greengrass.deliver("t")


def test_a_message_has_at_most_128_kib(greengrass):
    """GG-RT-13"""
    greengrass.add_function("relay", relay)
    greengrass.subscribe("relay", "t", "cloud")
    most = {"topic": "t", "payload": "x", "times": 131_072}
    assert greengrass.invoke("relay", most).json() is None
    assert "131072" in greengrass.invoke("relay", {**most, "times": 131_073}).json()
    assert [131_072] == [len(payload) for payload in greengrass.cloud.received.payloads]
    with pytest.raises(LimitExceededError, match="131072"):
        greengrass.deliver("t", bytes(131_073))


def test_all_or_exception_raises_where_a_queue_is_full_and_loses_nothing_it_accepted(greengrass):
    """GG-RT-14"""
    greengrass.add_function("burst", burst, timeout_s=20)
    greengrass.add_function("slow", slow, pinned=True, queue_items=2)
    greengrass.subscribe("burst", "n", "slow")
    refused = greengrass.invoke("burst", 9).json()
    outcomes = [message.outcome for message in greengrass.published("n")]
    assert 0 < refused < 9
    assert refused == outcomes.count("dropped")
    assert {"queue full"} == {m.reason for m in greengrass.published("n") if m.reason}

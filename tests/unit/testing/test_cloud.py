# SPDX-License-Identifier: Apache-2.0
"""The link to the cloud, when it fails."""

from __future__ import annotations

import pytest

from greengrass_sdk import Client, CoreUnavailableError, InvalidInputError
from greengrass_sdk.testing import FakeCore

client = Client()


@pytest.fixture
def seen(core):
    seen: list[object] = []
    core.add_function("f", lambda event, _context: seen.append(event))
    core.subscribe("f", "#", "cloud")
    core.subscribe("cloud", "#", "f")
    return seen


def publish(core, *payloads):
    with core.acting_as("f"):
        for payload in payloads:
            client.publish("up", payload)


def test_messages_for_the_cloud_wait_while_it_is_down(core, seen):
    core.cloud.down()
    publish(core, "1", "2")
    assert not core.cloud.is_up
    assert ["waiting", "waiting"] == [message.outcome for message in core.published()]
    assert [] == core.cloud.received.payloads
    core.cloud.up()
    assert [b"1", b"2"] == core.cloud.received.payloads
    assert ["delivered", "delivered"] == [message.outcome for message in core.published()]


def test_the_oldest_are_replaced_where_no_more_can_wait(core, seen):
    core.cloud.down()
    publish(core, *(bytes([n]) * 131_072 for n in range(21)))
    core.cloud.up()
    assert [bytes([n]) for n in range(1, 21)] == [p[:1] for p in core.cloud.received.payloads]
    assert "replaced by newer messages for the cloud" == core.published()[0].reason


def test_messages_from_the_cloud_wait_too(core, seen):
    core.cloud.down()
    sent = core.deliver("down", 1)
    assert ("waiting", "the cloud is down", []) == (sent.outcome, sent.reason, seen)
    core.cloud.up()
    assert [1] == seen


def test_latency_takes_virtual_time_in_both_directions(core, seen):
    core.cloud.latency(2)
    assert "waiting" == core.deliver("down", 1).outcome
    publish(core, "1")
    core.advance(seconds=1.9)
    assert ([], []) == (seen, core.cloud.received.payloads)
    core.advance(seconds=0.1)
    assert ([1], [b"1"]) == (seen, core.cloud.received.payloads)


def test_a_share_of_the_messages_is_lost_the_same_in_every_run(core, seen):
    core.cloud.drop(0.5, seed=7)
    publish(core, *range(20))
    first = core.cloud.received.payloads
    assert 0 < len(first) < 20
    core.cloud.drop(0.5, seed=7)
    publish(core, *range(20))
    assert first * 2 == core.cloud.received.payloads
    core.cloud.drop(1)
    assert "lost on the way to the cloud" == core.deliver("down", 1).reason


def test_nonsense_is_refused(core):
    with pytest.raises(InvalidInputError):
        core.cloud.drop(1.5)
    with pytest.raises(InvalidInputError):
        core.cloud.latency(-1)


def test_what_has_arrived_is_known_after_the_end_and_nothing_else_arrives():
    with FakeCore() as core:
        core.add_function("f", lambda _event, _context: client.publish("up", "1"))
        core.subscribe("f", "up", "cloud")
        core.invoke("f")
        core.cloud.down()
        core.deliver("down", "2")
    assert [b"1"] == core.cloud.received.payloads
    with pytest.raises(CoreUnavailableError, match="was closed and takes no message on 'down'"):
        core.cloud.up()

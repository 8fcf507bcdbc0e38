# SPDX-License-Identifier: Apache-2.0
"""Order, time, and loops."""

from __future__ import annotations

import pytest

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk.core.router.table import Table
from greengrass_sdk.model.group import Group, Limits, Subscription
from greengrass_sdk.testing import SimulationError
from greengrass_sdk.testing.clock import VirtualClock
from greengrass_sdk.testing.engine import Engine, _cycle


@pytest.fixture
def engine():
    rows = [Subscription("loop", "cloud", "a", "cloud"), Subscription("x", "cloud", "x", "cloud")]
    group = Group(name="g", core="c", subscriptions=rows)
    engine = Engine(VirtualClock(0.0), Limits(), strict=False, max_steps=10, busy_s=5.0)
    table = Table(group)
    engine.serve(table.numbers["cloud"], lambda _: None)
    engine.install(table)
    return engine


def test_a_message_for_a_service_reaches_it_and_is_told(engine):
    seen, told = [], []
    cloud = engine.table.numbers["cloud"]
    engine.serve(cloud, lambda send: seen.append((send.topic, send.payload)))
    engine.on_publish(lambda frame, taps: told.append((frame.topic, len(taps))))
    engine.send(cloud, b"a", b"1")
    engine.send(cloud, b"nobody", b"2")
    assert [(b"a", b"1")] == seen
    assert [(b"a", 1), (b"nobody", 1)] == told


def test_time_moves_to_what_is_due_and_no_further(engine):
    fired = []
    for delay in (2, 1, 3):
        engine.clock.call_later(delay, lambda d=delay: fired.append(d))
    engine.settle()
    assert [] == fired
    engine.advance(2)
    assert [1, 2] == fired
    assert 1002.0 == engine.clock.now
    engine.drive(lambda: 3 in fired, None)
    assert 1003.0 == engine.clock.now


def test_waiting_for_what_cannot_happen_is_an_error(engine):
    with pytest.raises(SimulationError, match="nothing can happen any more"):
        engine.drive(lambda: False, None)
    engine.drive(lambda: False, 5.0)
    assert 1005.0 == engine.clock.now


def test_a_channel_speaks_for_its_endpoint(engine):
    cloud = engine.table.numbers["cloud"]
    channel = engine.open(cloud)
    engine.serve(cloud, lambda _: None)
    channel.send(Kind.PUBLISH, endpoint=cloud, topic=b"a")
    engine.receive(channel.peer, Frame(Kind.PUBLISH, 0, cloud, 0, b"a", b"", b""))
    engine.close_channel(channel.peer, b"")
    assert channel.closed


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        (["x", "a", "b", "a", "b"], ["a", "b", "and again"]),
        (["a", "a"], ["a", "and again"]),
        (["a", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_the_shortest_cycle_is_shown(steps, shown):
    assert shown == [line.strip() for line in _cycle(steps).splitlines()]

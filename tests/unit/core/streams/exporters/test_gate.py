# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: places, priorities, bandwidth."""

from __future__ import annotations

import asyncio
import threading

import pytest

from greengrass_sdk.core.streams.exporters.gate import Bandwidth, Gate


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_those_of_the_lowest_number_come_first_and_those_without_last():
    async def run():
        gate = Gate(1, Bandwidth(None, Clock()))
        order = []
        held = asyncio.Event()

        async def take(name, priority):
            async with gate.turn(priority):
                order.append(name)
                await held.wait()

        first = asyncio.create_task(take("first", None))
        await asyncio.sleep(0)
        rest = [
            asyncio.create_task(take(name, priority))
            for name, priority in (("none", None), ("b", 5), ("a", 1), ("b2", 5), ("c", 10))
        ]
        await asyncio.sleep(0)
        held.set()
        await asyncio.gather(first, *rest)
        return order

    assert ["first", "a", "b", "b2", "c", "none"] == asyncio.run(run())


def test_no_more_than_the_places_at_once():
    async def run():
        gate = Gate(3, Bandwidth(None, Clock()))
        inside, most = 0, 0

        async def take():
            nonlocal inside, most
            async with gate.turn(None):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(take() for _ in range(20)))
        return most, gate.places

    assert (3, 3) == asyncio.run(run())


def test_a_turn_that_is_cancelled_is_given_to_the_next():
    async def run():
        gate = Gate(1, Bandwidth(None, Clock()))
        held = asyncio.Event()

        async def take():
            async with gate.turn(None):
                await held.wait()
                return True

        first, second, third = (asyncio.create_task(take()) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        await asyncio.sleep(0)
        held.set()
        assert await third
        assert 1 == gate.places

    asyncio.run(run())


def test_nobody_has_a_turn_until_what_was_sent_is_paid():
    async def run():
        clock = Clock()
        bandwidth = Bandwidth(8.0, clock)  # a thousand bytes a second
        gate = Gate(2, bandwidth)
        async with gate.turn(None):
            bandwidth.spend(3000)
        waiting = asyncio.create_task(gate.turn(1).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert 3.0 == bandwidth.wait_s()
        clock.now += 3.0
        gate._paid()
        await asyncio.wait_for(waiting, 5)
        if gate._timer is not None:
            gate._timer.cancel()

    asyncio.run(run())


@pytest.mark.parametrize("kbit_s", [8.0, None])
def test_what_is_sent_adds_up_and_no_credit_is_kept(kbit_s):
    clock = Clock()
    bandwidth = Bandwidth(kbit_s, clock)
    bandwidth.spend(500)
    bandwidth.spend(500)
    assert (1.0 if kbit_s else 0.0) == bandwidth.wait_s()
    clock.now += 100
    assert 0.0 == bandwidth.wait_s()
    bandwidth.spend(1000)
    assert (1.0 if kbit_s else 0.0) == bandwidth.wait_s()


def test_a_thread_pauses_until_there_is_room_or_the_end():
    clock = Clock()
    bandwidth = Bandwidth(8.0, clock)
    bandwidth.pause(1000, threading.Event())
    stopping = threading.Event()
    waits = []

    class Stopping:
        def wait(self, left):
            waits.append(left)
            clock.now += left
            return False

    bandwidth.pause(2000, Stopping())  # type: ignore[arg-type]  # an event by script
    assert [1.0] == waits
    stopping.set()
    bandwidth.pause(1000, stopping)
    assert 3.0 == bandwidth.wait_s()

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import os

import pytest

from greengrass_sdk import _native
from greengrass_sdk.core.loop import CoreLoop, run_core
from greengrass_sdk.core.ports import Found


class Rings:
    """Answers what it was told to, and keeps what it was asked."""

    def __init__(self):
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.tap = False
        self.found = []
        self.asked = []

    def wait(self, epoll, timeout_ns):
        self.asked.append((epoll, timeout_ns))
        return self.found.pop(0) if self.found else Found.NOT_LED


@pytest.fixture
def rings():
    rings = Rings()
    yield rings
    os.close(rings.fd)


def running():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CoreLoop)
    return loop


def lent(rings, play):
    """Run a coroutine in a loop that lends itself to `rings`; return how often news were told."""
    told = []

    async def main():
        loop = running()
        loop.lend(rings, lambda: told.append(len(rings.asked)))
        await play()
        loop.keep()

    run_core(main())
    return told


def test_a_coroutine_runs_as_asyncio_would_run_it():
    async def main():
        await asyncio.sleep(0.001)
        return "done"

    async def broken():
        raise LookupError

    assert run_core(main()) == "done"
    with pytest.raises(LookupError):
        run_core(broken())


def test_news_are_told_before_anything_else_and_each_time(rings):
    rings.found = [Found.NEWS, Found.NEWS | Found.READY]

    assert lent(rings, lambda: asyncio.sleep(0.001)) == [1, 2]


def test_news_that_cannot_be_told_are_reported_and_end_nothing(rings):
    async def play():
        loop = running()
        told = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

        def broken():
            raise LookupError("news")

        loop.lend(rings, broken)
        rings.found = [Found.NEWS]
        await asyncio.sleep(0.001)
        assert [LookupError] == [type(error) for error in told]

    lent(rings, play)


def test_descriptors_and_timers_work_beside_the_rings(rings):
    async def play():
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        heard = asyncio.Event()
        loop.add_reader(read, heard.set)
        rings.found = [0, Found.READY, 0, Found.READY]
        os.write(write, b"x")
        try:
            await heard.wait()
        finally:
            loop.remove_reader(read)
            os.close(read)
            os.close(write)

    assert lent(rings, play) == []


def test_a_timeout_is_told_in_nanoseconds_and_never_cut(rings):
    lent(rings, lambda: asyncio.sleep(0.25))

    waits = {timeout_ns for _, timeout_ns in rings.asked}
    assert 0 in waits
    assert max(waits) <= 250_000_000 + 1
    assert all(epoll > 0 for epoll, _ in rings.asked)


def test_without_a_timer_it_waits_for_good(rings):
    async def play():
        loop = running()
        done = loop.create_future()
        rings.found = [Found.NEWS]
        loop.lend(rings, lambda: done.set_result(None))
        await done

    lent(rings, play)

    assert rings.asked[0][1] == -1


def test_with_a_tap_the_thread_moves_the_frames(rings):
    rings.tap = True

    assert lent(rings, lambda: asyncio.sleep(0.001)) == []
    assert rings.asked == []


def test_a_loop_that_kept_itself_waits_alone(rings):
    async def play():
        running().keep()
        rings.asked.clear()
        await asyncio.sleep(0.001)
        assert rings.asked == []

    lent(rings, play)


@pytest.mark.skipif(_native.impl != "c", reason="the numbers of C")
def test_what_is_found_has_the_numbers_of_c():
    from greengrass_sdk._native._lib import lib

    found = Found.NEWS, Found.READY, Found.NOT_LED
    assert found == (lib.GG_HAS_NEWS, lib.GG_IS_READY, lib.GG_IS_NOT_LED)

# SPDX-License-Identifier: Apache-2.0
"""Threads, locks, queues and event loops inside functions."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from greengrass_sdk import AsyncClient, Client, FunctionTimeoutError
from greengrass_sdk.testing.threads import VirtualLock

client = Client()
lock = threading.Lock()


def run(core, body, **options):
    core.add_function("f", lambda _event, _context: body(), **options)
    return core.invoke("f").json()


def test_a_thread_belongs_to_the_function_that_starts_it(core):
    def body():
        thread = threading.Thread(target=client.publish, args=("t", "from a thread"))
        thread.start()
        thread.join()
        return thread.is_alive()

    assert run(core, body) is False
    assert "f" == core.published("t").one().source


def test_a_timer_runs_when_the_test_lets_time_pass(core):
    def tick():
        client.publish("tick", "")
        threading.Timer(5, tick).start()

    run(core, tick, pinned=True)
    assert 1 == len(core.published("tick"))
    core.advance(seconds=4.9)
    assert 1 == len(core.published("tick"))
    core.advance(seconds=0.1)
    assert 2 == len(core.published("tick"))
    core.advance(minutes=1)
    assert 14 == len(core.published("tick"))


def test_a_timer_can_be_cancelled_inside_a_function(core):
    def body():
        timer = threading.Timer(1, client.publish, ("t", ""))
        timer.start()
        timer.cancel()
        timer.join()

    run(core, body)
    core.advance(seconds=2)
    assert [] == list(core.published("t"))


def test_threads_take_turns_at_events_queues_and_locks(core):
    def body():
        items: queue.Queue[int] = queue.Queue()
        done = threading.Event()
        seen = []

        def consume():
            while (item := items.get()) >= 0:
                seen.append(item)
            done.set()

        threading.Thread(target=consume).start()
        for n in range(3):
            items.put(n)
            time.sleep(0.1)
        items.put(-1)
        return [done.wait(1), seen]

    assert [True, [0, 1, 2]] == run(core, body)


def test_waiting_with_a_timeout_takes_virtual_time(core):
    def body():
        begin = time.monotonic()
        assert not threading.Event().wait(1)
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=0.5)
        assert not threading.Semaphore(0).acquire(timeout=0.25)
        condition = threading.Condition()
        with condition:
            assert not condition.wait_for(lambda: False, timeout=0.25)
        return time.monotonic() - begin

    assert 2.0 == run(core, body)


def test_a_lock_of_the_module_may_be_held_over_a_sleep(core):
    def hold(_event, _context):
        with lock:
            client.publish("in", "")
            time.sleep(1)
            client.publish("out", "")

    core.add_function("f", hold, max_workers=2)
    core.subscribe("cloud", "go", "f")
    core.deliver("go")
    with core.acting_as("f"):
        client.invoke_async("f")
        client.invoke_async("f")
    assert ["in", "out"] * 3 == [message.subject for message in core.published()]


def test_a_reentrant_lock_is_one(core):
    def body():
        own = threading.RLock()
        with own, own:
            return True

    assert run(core, body)


def test_a_pool_of_threads_works_and_is_waited_for(core):
    def body():
        def work(n):
            time.sleep(0.1)
            client.publish("t", n)
            return n * n

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(work, range(4)))

    assert [0, 1, 4, 9] == run(core, body)
    assert [b"0", b"1", b"2", b"3"] == core.published("t").payloads


def test_coroutines_sleep_and_invoke(core):
    async def both():
        own = AsyncClient()
        await asyncio.sleep(1)
        return [(await own.invoke("g", n)).json() for n in range(2)]

    core.add_function("g", lambda event, _context: event + 1)
    begin = core.now
    assert [1, 2] == run(core, lambda: asyncio.run(both()))
    assert 1 == (core.now - begin).total_seconds()


def test_coroutines_run_side_by_side(core):
    async def all_of_them():
        await asyncio.gather(
            *(asyncio.sleep(1) for _ in range(5)), asyncio.to_thread(time.sleep, 1)
        )

    begin = core.now
    run(core, lambda: asyncio.run(all_of_them()))
    assert 1 == (core.now - begin).total_seconds()


def test_a_deadlock_ends_with_the_timeout_of_the_function(core):
    with pytest.raises(FunctionTimeoutError):
        run(core, lambda: threading.Event().wait())


def test_an_error_in_a_thread_is_logged_and_told(core):
    def body():
        threading.Thread(target=lambda: 1 / 0, name="worker").start()

    run(core, body)
    (failure,) = core.errors
    assert ("thread", ZeroDivisionError) == (failure.outcome, type(failure.exception))
    assert "Exception in thread worker:\nTraceback" in core.logs("f")[0].message


def test_a_lock_outside_of_functions_blocks_as_ever():
    own = VirtualLock()
    assert own.acquire()
    assert own.locked()
    assert not own.acquire(blocking=False)
    assert not own.acquire(timeout=0.001)
    threading.Timer(0.01, own.release).start()
    with own:
        assert own.locked()
    own._at_fork_reinit()
    assert not own.locked()

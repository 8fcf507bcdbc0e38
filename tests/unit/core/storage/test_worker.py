# SPDX-License-Identifier: Apache-2.0

import errno
from functools import partial
from queue import Queue
from threading import Event, current_thread
from typing import Any
from weakref import finalize

import pytest

from greengrass_sdk.core.storage.worker import StorageWorker


class Loop:
    """Keeps what is scheduled."""

    def __init__(self):
        self.scheduled: Queue[Any] = Queue()
        self.closed = False

    def schedule(self, function, *arguments):
        if self.closed:
            raise RuntimeError("the loop is closed")
        self.scheduled.put((function, arguments))

    def run(self):
        function, arguments = self.scheduled.get(timeout=10)
        function(*arguments)


class Unsynced:
    """Something to sync: `before` is waited for, `failure` is what becomes of it."""

    def __init__(self, name, syncs, before=None, failure=None):
        self.name, self.syncs, self.before, self.failure = name, syncs, before, failure
        self.began = Event()
        self.quick = True

    def sync(self, seen):
        self.began.set()
        if self.before is not None:
            assert self.before.wait(10)
        self.syncs.append((self.name, dict(seen)))
        seen[id(self)] = None
        if isinstance(self.failure, Exception) and not isinstance(self.failure, OSError):
            raise self.failure
        return self.failure


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def worker(loop):
    worker = StorageWorker(loop.schedule)
    yield worker
    worker.close()


def test_work_is_done_in_its_order_in_another_thread_and_told_in_the_loop(worker, loop):
    told: list[Any] = []
    threads = set()

    def work(number):
        threads.add(current_thread())
        return number

    for number in range(3):
        worker.submit(lambda number=number: work(number), told.append)
    for _ in range(3):
        loop.run()
    assert [0, 1, 2] == told
    assert current_thread() not in threads


def test_quick_work_is_done_at_once_by_who_asks(worker):
    assert (current_thread(),) == worker.try_now(current_thread)


def test_nobody_works_while_the_thread_does(worker, loop):
    began, go_on = Event(), Event()

    def work():
        began.set()
        assert go_on.wait(10)

    worker.submit(work, lambda _: None)
    assert began.wait(10)
    assert worker.try_now(lambda: "done") is None
    go_on.set()
    loop.run()
    assert ("done",) == worker.try_now(lambda: "done")


def test_work_that_waits_is_not_overtaken(worker, loop):
    go_on = Event()
    worker.submit(lambda: go_on.wait(10), lambda _: None)
    worker.submit(lambda: None, lambda _: None)
    assert worker.try_now(lambda: "done") is None
    go_on.set()


@pytest.mark.parametrize(("taken", "left"), [(0.005001, 0.05), (0.01, 0.2), (0.1, 20.0)])
def test_a_disk_that_was_slow_is_left_to_the_thread(worker, monkeypatch, taken, left):
    now = [100.0]
    monkeypatch.setattr("greengrass_sdk.core.storage.worker.time.monotonic", lambda: now[0])

    def slow():
        now[0] += taken
        return "slow"

    assert ("slow",) == worker.try_now(slow)
    now[0] = 100 + left * 0.99
    assert worker.try_now(lambda: "quick") is None
    now[0] = 100 + left * 1.01
    assert ("quick",) == worker.try_now(lambda: "quick")


def test_work_that_fails_at_once_raises(worker):
    with pytest.raises(ZeroDivisionError):
        worker.try_now(lambda: 1 // 0)
    assert ("done",) == worker.try_now(lambda: "done")


def test_what_work_raises_is_its_result(worker, loop):
    told: list[Any] = []
    worker.submit(lambda: 1 // 0, told.append)
    loop.run()
    assert isinstance(told[0], ZeroDivisionError)


def test_what_waits_for_a_sync_shares_the_next_one(worker, loop):
    """A sync starts when the last one ends, and is for all that came meanwhile."""
    syncs: list[Any] = []
    told: list[Any] = []
    going_on = Event()
    first = Unsynced("first", syncs, before=going_on)
    worker.sync([first], told.append)
    assert first.began.wait(10)
    worker.sync([Unsynced("second", syncs)], told.append)
    worker.sync([Unsynced("third", syncs)], told.append)
    worker.submit(lambda: "work goes on", told.append)
    loop.run()
    assert ["work goes on"] == told
    going_on.set()
    for _ in range(3):
        loop.run()
    assert ["work goes on", None, None, None] == told
    assert [("first", 0), ("second", 0), ("third", 1)] == [(n, len(seen)) for n, seen in syncs]


def test_a_sync_that_fails_is_told_to_who_asked(worker, loop):
    told: list[Any] = []
    broken = OSError(errno.EIO, "broken")
    worker.sync([Unsynced("bad", [], failure=broken), Unsynced("good", [])], told.append)
    loop.run()
    assert [broken] == told


def test_a_bug_in_a_sync_is_told_and_ends_nothing(worker, loop, caplog):
    told: list[Any] = []
    worker.sync([Unsynced("bad", [], failure=ValueError("a bug"))], told.append)
    worker.sync([Unsynced("good", [])], told.append)
    loop.run()
    loop.run()
    assert ("a bug", None) == (str(told[0]), told[1])
    assert "a bug of ours" in caplog.text


@pytest.fixture
def now(monkeypatch):
    """What the clock says; a sync takes 0.1 ms."""
    now = [100.0]
    monkeypatch.setattr("greengrass_sdk.core.storage.worker.time.monotonic", lambda: now[0])
    sync = Unsynced.sync

    def pass_time(self, seen):
        now[0] += 0.0001
        return sync(self, seen)

    monkeypatch.setattr(Unsynced, "sync", pass_time)
    return now


def sync_alone(worker, loop, now, calls):
    """Sync as one caller does, and return how many were waited for by who asks."""
    at_once = 0
    for _ in range(calls):
        now[0] += 0.0001
        told: list[Any] = []
        worker.sync([Unsynced("it", [])], told.append, alone=True)
        at_once += len(told)
        if not told:
            loop.run()
        assert [None] == told
    return at_once


def test_who_is_alone_for_a_while_waits_for_a_quick_disk_itself(worker, loop, now):
    assert 4 == sync_alone(worker, loop, now, 20)


def test_a_disk_that_was_not_quick_is_waited_for_in_the_thread_again(worker, loop, now):
    sync_alone(worker, loop, now, 20)
    now[0] += 1

    class Slow(Unsynced):
        def sync(self, seen):
            now[0] += 0.01
            return super().sync(seen)

    worker.sync([Slow("slow", [])], lambda _: None, alone=True)
    assert 4 == sync_alone(worker, loop, now, 20)


def test_two_callers_do_not_wait_one_for_the_other(worker, loop, now):
    sync_alone(worker, loop, now, 20)
    told: list[Any] = []
    for _ in range(2):
        now[0] += 0.000005  # who was there meanwhile
        worker.sync([Unsynced("it", [])], told.append, alone=True)
    assert [] == told
    loop.run()
    loop.run()
    assert [None, None] == told
    assert 4 == sync_alone(worker, loop, now, 20)


@pytest.mark.parametrize("quick", [True, False], ids=["with others", "more than one flush"])
def test_what_is_not_alone_or_not_quick_is_left_to_the_thread(worker, loop, now, quick):
    sync_alone(worker, loop, now, 20)
    told: list[Any] = []
    unsynced = Unsynced("it", [])
    unsynced.quick = quick
    now[0] += 1
    worker.sync([unsynced], told.append, alone=not quick)
    assert [] == told
    loop.run()
    assert [None] == told


def test_while_the_thread_syncs_nobody_else_does(worker, loop, now):
    sync_alone(worker, loop, now, 20)
    going_on = Event()
    told: list[Any] = []
    worker.sync([Unsynced("first", [], before=going_on)], told.append)
    for _ in range(20):
        now[0] += 0.0001
        worker.sync([Unsynced("it", [])], told.append, alone=True)
    assert [] == told
    going_on.set()
    for _ in range(21):
        loop.run()
    assert [None] * 21 == told


def test_close_finishes_what_was_begun_and_may_be_called_again(loop):
    told: list[Any] = []
    syncs: list[Any] = []
    worker: Any = StorageWorker(loop.schedule)
    worker.sync([Unsynced("last", syncs)], told.append)
    worker.close()
    worker.close()
    assert ["last"] == [name for name, _ in syncs]


def test_a_loop_that_is_closed_hears_nothing(loop):
    loop.closed = True
    worker, done = StorageWorker(loop.schedule), Event()
    worker.submit(done.set, lambda _: None)
    worker.close()
    assert done.is_set()


class Held:
    """What a thread is given, and forgets."""

    def __init__(self):
        self.forgotten = Event()
        finalize(self, self.forgotten.set)

    def sync(self, _seen):
        """Need no disk."""


def test_a_thread_forgets_what_it_has_done_before_it_waits(worker, loop):
    """A file is closed by its last holder, and that of a deleted stream takes room till then."""
    worked, synced = Held(), Held()
    forgotten = worked.forgotten, synced.forgotten
    worker.submit(partial(worked.sync, None), lambda _: None)
    worker.sync([synced], lambda _: None)
    del worked, synced
    loop.run()
    loop.run()
    assert all(each.wait(10) for each in forgotten)

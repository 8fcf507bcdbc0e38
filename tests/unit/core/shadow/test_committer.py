# SPDX-License-Identifier: Apache-2.0

from queue import Queue
from typing import Any

import pytest

from greengrass_sdk.core.shadow.committer import Committer
from greengrass_sdk.core.shadow.requests import ShadowId
from greengrass_sdk.core.shadow.store import MemoryStore, Record

T = ShadowId("T")
RECORD = Record(1, b"")


class Failing(MemoryStore):
    error: Exception = OSError()

    def commit(self, changes):
        raise Failing.error


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


@pytest.fixture
def loop():
    return Loop()


def test_a_commit_is_done_in_another_thread_and_told_in_the_loop(loop):
    store = MemoryStore()
    told: list[OSError | None] = []
    committer = Committer(store, loop.schedule)
    committer.commit({T: RECORD}, told.append)
    loop.run()
    committer.close()
    assert ([None], {T: RECORD}) == (told, store.records)


@pytest.mark.parametrize("error", [OSError("disk full"), ZeroDivisionError("a bug")])
def test_what_failed_is_told(loop, error, monkeypatch):
    told: list[OSError | None] = []
    monkeypatch.setattr(Failing, "error", error)
    committer = Committer(Failing(), loop.schedule)
    for _ in range(2):
        committer.commit({T: RECORD}, told.append)
        loop.run()
    committer.close()
    assert [OSError] * 2 == [type(each) for each in told]
    assert [str(error)] * 2 == [str(each) for each in told]


def test_what_was_begun_is_finished_before_the_end(loop):
    store = MemoryStore()
    committer = Committer(store, loop.schedule)
    for number in range(100):
        committer.commit({ShadowId(f"T{number}"): RECORD}, lambda _: None)
    committer.close()
    committer.close()
    assert 100 == len(store.records)


def test_a_closed_loop_ends_the_thread(loop):
    store = MemoryStore()
    loop.closed = True
    committer = Committer(store, loop.schedule)
    committer.commit({T: RECORD}, lambda _: None)
    committer.close()
    assert {T: RECORD} == store.records


class Clock:
    """Lets every commit take so long."""

    def __init__(self):
        self.now = 0.0
        self.commit_s = 0.0001

    def __call__(self):
        self.now += self.commit_s
        return self.now


def test_the_loop_commits_itself_where_the_disk_is_quick_and_only_as_long_as_it_is(loop):
    clock = Clock()
    told: list[OSError | None] = []
    committer = Committer(MemoryStore(), loop.schedule, clock)

    def commit():
        """Return whether it was done at once."""
        before = len(told)
        committer.commit({T: RECORD}, told.append)
        if len(told) > before:
            return True
        loop.run()
        return False

    assert [False] * 16 + [True] * 4 == [commit() for _ in range(20)]
    clock.commit_s = 0.01
    assert [True, False, False] == [commit() for _ in range(3)]
    clock.commit_s = 0.0001
    assert [False] * 16 + [True] == [commit() for _ in range(17)]
    committer.close()
    assert [None] * 40 == told


def test_a_disk_that_fails_is_not_quick(loop, monkeypatch):
    monkeypatch.setattr(Failing, "error", OSError("no disk"))
    told: list[OSError | None] = []
    committer = Committer(Failing(), loop.schedule, Clock())
    for _ in range(40):
        committer.commit({T: RECORD}, told.append)
        loop.run()
    committer.close()
    assert 40 == len(told)


def test_a_commit_waits_for_those_that_the_thread_has(loop):
    order: list[str] = []
    told: list[OSError | None] = []

    class Ordered(MemoryStore):
        def commit(self, changes):
            order.extend(shadow.thing for shadow in changes)

    committer = Committer(Ordered(), loop.schedule, Clock())
    for number in range(100):
        committer.commit({ShadowId(str(number)): RECORD}, told.append)
    committer.close()
    assert [str(number) for number in range(100)] == order

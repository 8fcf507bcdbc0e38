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

# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.router.incore import InCoreWorker

if TYPE_CHECKING:
    from greengrass_sdk._native._py.lent import Result


def item(number):
    return Send(1, Kind.INVOKE, 0, 2, number, b"", b"", b"")


def nothing(_given):
    pass


def test_the_items_of_one_step_are_handed_over_together():
    taken: list[list[Send]] = []
    worker = InCoreWorker("service", taken.append, nothing, [])
    for number in (1, 2):
        worker.put(item(number))
    assert [] == taken
    worker.flush()
    worker.put(item(3))
    worker.flush()
    assert [[item(1), item(2)], [item(3)]] == taken


def test_results_leave_together_in_their_order():
    ended: list[list[Result]] = []

    def take(items):
        for each in items:
            worker.answer(each.id, b"%d" % each.id)

    worker = InCoreWorker("service", take, ended.append, [])
    for number in range(100):
        worker.put(item(number))
    worker.flush()
    assert [(number, b"%d" % number) for number in range(100)] == [
        one for some in ended for one in some
    ]
    assert len(ended) < 10


def test_what_is_answered_later_waits_to_be_settled():
    ended: list[list[Result]] = []
    unsettled: list[InCoreWorker] = []
    worker = InCoreWorker("service", nothing, ended.append, unsettled)
    worker.answer(1, b"one")
    worker.answer(2, b"two")
    assert ([], [worker]) == (ended, unsettled)
    worker.settle()
    worker.settle()
    assert [[(1, b"one"), (2, b"two")]] == ended


def test_what_fails_in_the_service_is_logged_and_takes_nothing_along(caplog):
    def take(items):
        raise ZeroDivisionError

    worker = InCoreWorker("service", take, nothing, [])
    worker.put(item(1))
    worker.flush()
    assert "service could not take its items" in caplog.text


def test_it_is_never_closed_held_or_left_behind(caplog):
    worker = InCoreWorker("service", nothing, nothing, [])
    worker.read_all()
    worker.close()
    worker.ended()
    worker.control(Frame(Kind.CONTROL))
    assert not worker.has_hung_up()
    assert (False, False, "") == (worker.closed, worker.held, caplog.text)
    worker.cut("answered twice")
    assert "service was cut off: it answered twice" in caplog.text

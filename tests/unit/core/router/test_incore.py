# SPDX-License-Identifier: Apache-2.0

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.router.incore import InCoreWorker


def item(number):
    return Send(1, Kind.INVOKE, 0, 2, number, b"", b"", b"")


def test_the_items_of_one_step_are_handed_over_together():
    taken: list[list[Send]] = []
    worker = InCoreWorker("service", taken.append, lambda number, payload: None)
    for number in (1, 2):
        worker.put(item(number))
    assert [] == taken
    worker.flush()
    worker.put(item(3))
    worker.flush()
    assert [[item(1), item(2)], [item(3)]] == taken


def test_what_fails_in_the_service_is_logged_and_takes_nothing_along(caplog):
    def take(items):
        raise ZeroDivisionError

    worker = InCoreWorker("service", take, lambda number, payload: None)
    worker.put(item(1))
    worker.flush()
    assert "service could not take its items" in caplog.text


def test_it_is_never_closed_held_or_left_behind(caplog):
    worker = InCoreWorker("service", lambda items: None, lambda number, payload: None)
    worker.read_all()
    worker.close()
    worker.ended()
    worker.control(Frame(Kind.CONTROL))
    assert not worker.has_hung_up()
    assert (False, False, "") == (worker.closed, worker.held, caplog.text)
    worker.cut("answered twice")
    assert "service was cut off: it answered twice" in caplog.text

# SPDX-License-Identifier: Apache-2.0
"""Queues, the reasons for a late start, and timers, each alone."""

import pytest

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Outcome
from greengrass_sdk._native._py.router.state import (
    FunctionRules,
    FunctionTarget,
    Item,
    Peer,
    PeerTarget,
    Route,
    Timers,
    Worker,
    WorkerState,
)


def function(queue_items=3, queue_bytes=100):
    return FunctionTarget(1, FunctionRules(True, 3.0, 2, 60.0, queue_items, queue_bytes))


def message(size=1):
    return Item(Kind.MESSAGE, 9, b"topic", b"", bytes(size))


def call(start_by):
    item = Item(Kind.INVOKE, 9, b"f", b"", b"")
    item.start_by = start_by
    return item


def worker(target, number, state):
    made = Worker(Peer(number), target)
    made.state = state
    target.workers[number] = made
    return made


# Items and workers.


@pytest.mark.parametrize(
    ("kind", "event", "is_call"),
    [(Kind.MESSAGE, False, False), (Kind.INVOKE, True, False), (Kind.INVOKE, False, True)],
)
def test_only_an_invocation_that_is_no_event_has_a_caller_that_waits(kind, event, is_call):
    item = Item(kind, 1, b"", b"", b"")
    item.event = event
    assert item.is_call is is_call


def test_the_size_of_an_item_is_that_of_its_context_and_its_payload():
    assert Item(Kind.INVOKE, 1, b"topic", bytes(3), bytes(4)).size == 7


def test_a_worker_counts_the_bytes_that_lie_with_it():
    target = function()
    one = worker(target, 1, WorkerState.READY)
    first, second = message(3), message(4)
    one.push(first)
    one.push(second)
    assert one.sent_bytes == 7
    assert one.pop() is first
    assert one.sent_bytes == 4


@pytest.mark.parametrize(("closed", "cut"), [(True, False), (False, True)])
def test_a_peer_that_is_closed_or_cut_off_is_silent(closed, cut):
    peer = Peer(1)
    assert not peer.silent
    peer.closed, peer.cut = closed, cut
    assert peer.silent


def test_a_route_counts_drops_by_reason():
    route = Route("row", 1)
    for reason in ("full", "gone", "full"):
        route.drop(reason)
    assert route.dropped == {"full": 2, "gone": 1}


# Queues.


def test_a_function_refuses_what_is_too_much_in_items_or_in_bytes():
    target = function(queue_items=2, queue_bytes=10)
    assert target.refusal(10) == ""
    assert target.refusal(11) == "queue full"
    target.put(message(1))
    assert target.refusal(9) == ""
    assert target.refusal(10) == "queue full"
    target.put(message(1))
    assert target.refusal(0) == "queue full"


def test_an_item_that_is_put_back_is_taken_first():
    target = function()
    first, second = message(2), message(3)
    target.put(first)
    target.put(second)
    assert target.take() is first
    assert (target.items, target.waiting_bytes) == (2, 3)
    target.put_back(first)
    assert (target.items, target.waiting_bytes) == (2, 5)
    assert target.take() is first


def test_an_item_that_ends_leaves_the_queue_it_lies_in():
    target = function()
    first, second, third = message(2), message(3), message(4)
    for item in (first, second, third):
        target.put(item)
    target.take()
    target.end(first)
    target.end(third)
    assert list(target.waiting) == [second]
    assert (target.items, target.waiting_bytes) == (1, 3)


def test_a_call_has_a_deadline_until_it_starts_or_ends():
    target = function()
    calls = [call(1.0), call(2.0), call(3.0)]
    for item in calls:
        target.put(item)
    assert target.deadline == 1.0
    target.take()
    assert target.deadline == 1.0  # it was sent, but has not started
    target.begin(calls[0], 0.5)
    assert target.deadline == 2.0
    target.end(calls[1])
    assert target.deadline == 3.0
    assert target.overdue(2.9) is None
    assert target.overdue(3.0) is calls[2]
    target.end(calls[2])
    assert target.deadline is None
    assert target.overdue(9.0) is None


def test_a_call_that_was_given_up_may_still_start():
    target = function()
    late = call(1.0)
    target.put(late)
    target.take()
    target.end(late)
    target.begin(late, 2.0)
    assert (target.items, late.started_at) == (0, 2.0)


def test_a_client_refuses_while_it_is_not_connected():
    target = PeerTarget(1, 1, 10)
    assert target.refusal(0) == "not connected"
    target.peer = Peer(5)
    assert target.refusal(100) == ""
    target.peer.closed = True
    assert target.refusal(0) == "not connected"


def test_messages_for_a_client_that_does_not_read_are_kept_within_bounds_until_it_goes():
    target = PeerTarget(1, 2, 10)
    target.peer = Peer(5)
    target.peer.held = True
    target.put(b"a", b"123")
    assert target.refusal(8) == "queue full"
    assert target.refusal(7) == ""
    target.put(b"b", b"")
    assert target.refusal(0) == "queue full"
    assert target.take() == (b"a", b"123")
    assert target.waiting_bytes == 0
    target.disconnect()
    assert not target.waiting
    assert target.peer is None


# Why a call has not started.


def test_a_call_names_the_import_failure_that_kept_it_from_starting():
    target = function()
    target.last_failure = b'{"errorMessage": "no module"}'
    text = "the invocation has not started after 60 s: the function does not start: no module"
    assert target.why_not_started(60.0) == text
    worker(target, 1, WorkerState.READY)
    assert "busy" in target.why_not_started(60.0)


def test_a_call_says_that_there_is_no_worker_or_that_it_imports_or_that_all_are_busy():
    target = function()
    assert target.why_not_started(1.0).endswith("no worker could be started")
    worker(target, 1, WorkerState.STARTING)
    assert target.why_not_started(1.0).endswith("the function is still importing")
    worker(target, 2, WorkerState.READY)
    target.put(message())
    assert target.why_not_started(1.0).endswith("2 worker(s) busy, 1 item(s) waiting")


# Timers.


def test_an_owner_without_a_deadline_never_comes_up():
    timers = Timers()
    timers.arm(worker(function(), 1, WorkerState.READY))
    assert timers.next() is None
    assert list(timers.due(1e9)) == []


def test_owners_come_up_in_the_order_of_their_deadlines():
    timers = Timers()
    target = function()
    workers = [worker(target, number, WorkerState.READY) for number in range(3)]
    for owner, deadline in zip(workers, (3.0, 1.0, 2.0), strict=True):
        owner.deadline = deadline
        timers.arm(owner)
    assert timers.next() == 1.0
    assert list(timers.due(2.0)) == [workers[1], workers[2]]
    assert timers.next() == 3.0


def test_a_deadline_that_moved_later_comes_up_later():
    timers = Timers()
    owner = worker(function(), 1, WorkerState.READY)
    owner.deadline = 1.0
    timers.arm(owner)
    owner.deadline = 5.0
    timers.arm(owner)
    assert timers.next() == 1.0  # early, never late
    assert list(timers.due(1.0)) == []
    assert timers.next() == 5.0
    assert list(timers.due(5.0)) == [owner]


def test_a_deadline_that_moved_earlier_comes_up_once():
    timers = Timers()
    owner = worker(function(), 1, WorkerState.READY)
    for deadline in (5.0, 1.0):
        owner.deadline = deadline
        timers.arm(owner)
    assert list(timers.due(1.0)) == [owner]
    assert list(timers.due(5.0)) == []
    assert timers.next() is None


def test_a_deadline_that_was_given_up_does_not_come_up():
    timers = Timers()
    owner = worker(function(), 1, WorkerState.READY)
    owner.deadline = 1.0
    timers.arm(owner)
    owner.deadline = None
    assert list(timers.due(2.0)) == []


def test_a_function_counts_all_outcomes_from_zero():
    assert function().outcomes == dict.fromkeys(Outcome, 0)

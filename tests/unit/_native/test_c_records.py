# SPDX-License-Identifier: Apache-2.0
"""The bytes that the router in C writes, read one record at a time."""

from __future__ import annotations

from struct import pack

import pytest

from greengrass_sdk._native import Kind
from greengrass_sdk._native._c_records import (
    REASONS,
    read_function,
    read_outputs,
    read_peer_target,
)
from greengrass_sdk._native._py.router.events import (
    CutOff,
    Finished,
    ImportFailed,
    NeedWorkers,
    Outcome,
    RetireWorker,
    Send,
    Tapped,
    Unrouted,
    WorkerReady,
)
from greengrass_sdk._native._py.router.state import FunctionRules, Route, WorkerState

NOBODY = 0xFFFFFFFF


def record(type_, *parts, kind=0, flags=0, code=0, peer=0, endpoint=0, number=0, extra=b""):
    """Write an output; `parts` are topic, context, payload, document."""
    parts = (*parts, *[b""] * (4 - len(parts)))
    sizes = [len(part) for part in parts]
    size = 40 + len(extra) + sum(sizes)
    head = pack("=IBBBBIIQIIII", size, type_, kind, flags, code, peer, endpoint, number, *sizes)
    return head + extra + b"".join(parts)


def read(*records, routes=()):
    outputs: list[object] = []
    read_outputs(b"".join(records), {0: routes}, outputs)  # type: ignore[arg-type]  # a list of any
    return outputs


def test_records_are_read_in_order():
    send = record(1, b"t", b"c", b"p", kind=Kind.INVOKE, flags=1, peer=7, endpoint=8, number=9)
    assert [Send(7, Kind.INVOKE, 1, 8, 9, b"t", b"c", b"p"), NeedWorkers(3, 2)] == read(
        send, record(2, endpoint=3, number=2)
    )
    assert read() == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (record(3, peer=1, endpoint=2), WorkerReady(1, 2)),
        (record(4, b"", b"", b"{}", peer=1, endpoint=2), ImportFailed(1, 2, b"{}")),
        (
            record(5, b"", b"", b"idle", code=3, peer=1, endpoint=2),
            RetireWorker(1, 2, Outcome.TIMEOUT, "idle"),
        ),
        (record(6, b"", b"", "é".encode(), peer=1), CutOff(1, "é")),
        (record(9, b"topic", endpoint=4), Unrouted(4, b"topic")),
    ],
)
def test_each_event_has_its_fields(written, meant):
    assert [meant] == read(written)


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (0, "delivered", ""),
        *((code, "dropped", reason) for code, reason in enumerate(REASONS, start=1)),
    ],
)
def test_a_tapped_message_names_its_route_and_why_it_was_dropped(code, outcome, reason):
    routes = [Route("one", 1), Route("two", 2)]
    written = record(8, b"t", b"", b"p", code=code, endpoint=5, number=1)
    assert [Tapped(5, routes[1], b"t", b"p", outcome, reason)] == read(written, routes=routes)


def test_a_tapped_message_that_no_row_matched_has_no_route():
    written = record(8, b"t", code=4, endpoint=5, number=NOBODY)
    assert [Tapped(5, None, b"t", b"", "dropped", "no subscription matches")] == read(written)


@pytest.mark.parametrize(
    ("kind", "flags", "event", "started_at", "caller"),
    [(Kind.MESSAGE, 0, False, None, None), (Kind.INVOKE, 3, True, 2.5, 6)],
)
def test_an_item_that_finished_is_whole(kind, flags, event, started_at, caller):
    extra = pack("=dddQII", 1.5, 2.5, 4.0, 77, 8, 0)
    fields = {"kind": kind, "flags": flags, "code": 2, "peer": 6, "endpoint": 3, "number": 12}
    [finished] = read(record(7, b"t", b"c", b"pp", b"doc", **fields, extra=extra))
    assert isinstance(finished, Finished)
    assert (finished.endpoint, finished.outcome) == (3, Outcome.UNHANDLED)
    assert (finished.document, finished.now) == (b"doc", 4.0)
    item = finished.item
    assert (item.kind, item.topic, item.context, item.payload) == (kind, b"t", b"c", b"pp")
    assert (item.id, item.number, item.source, item.queued_at, item.size) == (12, 77, 8, 1.5, 3)
    assert (item.event, item.started_at, item.ended) == (event, started_at, True)
    assert caller == (item.caller and item.caller.number)


def test_the_state_of_a_function_is_read_with_its_workers_and_its_queue():
    numbers = (5, 1, 20, 3, 2, 10, 11, 12, 13, 4, 0, 0, 0, 1, 1, 4)
    data = pack("=QQQQQQQQQqQQIIII32Q", *numbers, *range(32))
    data += pack("=ddQQQII", 9.0, 0.5, 2, 30, 41, 7, 1)
    data += pack("=ddQQQII", float("inf"), float("inf"), 0, 0, 0, 8, 0)
    data += pack("=QQII", 43, 20, Kind.MESSAGE, 6)
    data += b"doc!"
    rules = FunctionRules(True, 3.0, 1, 60.0, 4, 1000)
    target = read_function(data, 1, rules, b"f")
    assert (target.items, target.waiting_bytes, target.refused, target.starting) == (5, 20, 3, 4)
    assert list(target.outcomes.values()) == [10, 11, 12, 13]
    assert target.waits == list(range(32))
    busy, fresh = target.workers.values()
    assert (busy.peer.number, busy.state, busy.deadline) == (7, WorkerState.READY, 9.0)
    assert (len(busy.sent), busy.sent[0].id, busy.sent_bytes) == (2, 41, 30)
    assert (fresh.peer.number, fresh.state, fresh.deadline) == (8, WorkerState.STARTING, None)
    [item] = target.waiting
    assert (item.id, item.size, item.source) == (43, 20, 6)
    assert target.last_failure == b"doc!"
    assert (target.name, target.rules) == (b"f", rules)


@pytest.mark.parametrize("connected", [False, True])
def test_the_state_of_a_client_is_read_with_what_is_kept_for_it(connected):
    data = pack("=QQQQQQQQQqQQIIII32Q", 0, 1, 2, *[0] * 9, 21, 0, connected, 0, *[0] * 32)
    data += pack("=I1sI2s", 1, b"t", 2, b"pp")
    target = read_peer_target(data, 3, (4, 50))
    assert (target.queue_items, target.queue_bytes, target.waiting_bytes) == (4, 50, 2)
    assert list(target.waiting) == [(b"t", b"pp")]
    assert (21 if connected else None) == (target.peer and target.peer.number)

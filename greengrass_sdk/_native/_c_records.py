# SPDX-License-Identifier: Apache-2.0
"""
What the router machine in C writes down for Python: outputs, and the state of an endpoint.

The layouts are those of `struct gg_record` and its neighbours in native/include/gg/router.h. This
module needs no extension: it reads bytes.
"""

from __future__ import annotations

from collections import deque
from math import inf
from struct import Struct
from typing import TYPE_CHECKING

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk._native._py.router.events import (
    Control,
    CutOff,
    Ended,
    Finished,
    ImportFailed,
    NeedWorkers,
    Outcome,
    RetireWorker,
    Send,
    Skipped,
    Tapped,
    Unrouted,
    WorkerReady,
)
from greengrass_sdk._native._py.router.state import (
    WAITS,
    FunctionTarget,
    Item,
    Peer,
    PeerTarget,
    Worker,
    WorkerState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greengrass_sdk._native._py.router.events import Output
    from greengrass_sdk._native._py.router.state import FunctionRules, Route

__all__ = ["REASONS", "read_function", "read_outputs", "read_peer_target"]

REASONS = ("queue full", "not connected", "work items of the core used up")
"""Why targets refuse messages, in the order of `enum gg_refusal`."""

_TAPPED_REASONS = ("", *REASONS, "no subscription matches")
_OUTCOMES = tuple(Outcome)
_STATES = (WorkerState.STARTING, WorkerState.READY, WorkerState.FAILED)
_NO_ROW = 0xFFFFFFFF
_SEND, _NEED, _READY, _FAILED, _RETIRE, _CUT, _FINISHED, _TAPPED, _UNROUTED = range(1, 10)
_CONTROL, _ENDED, _SKIPPED = 10, 11, 12
_EVENT, _STARTED = 1, 2

_record = Struct("=IBBBBIIQIIII")
_finished = Struct("=dddQII")
_target = Struct("=QQQQQQQQQqQQIIII32Q")
_worker = Struct("=ddQQQII")
_item = Struct("=QQII")
_size = Struct("=I")
_RECORD_BYTES = _record.size
_read_record = _record.unpack_from
_new = tuple.__new__  # skips the keyword handling of NamedTuple.__new__: the fields are all here


def read_outputs(data: bytes, tables: Mapping[int, Sequence[Route]], outputs: list[Output]) -> None:
    """Append the outputs that `data` holds; `tables` are those that they were decided by."""
    at = 0
    end = len(data)
    append = outputs.append
    while at < end:
        record = _read_record(data, at)
        size, type_, kind, flags, _, peer, endpoint, number, topic, context, _, _ = record
        if type_ == _SEND:
            topic_at = at + _RECORD_BYTES
            context_at = topic_at + topic
            payload_at = context_at + context
            at += size
            parts = data[topic_at:context_at], data[context_at:payload_at], data[payload_at:at]
            append(_new(Send, (peer, kind, flags, endpoint, number, *parts)))
        else:
            append(_read_event(data, at, record, tables))
            at += size


def _read_event(  # noqa: PLR0911 - one a type
    data: bytes, at: int, record: tuple[int, ...], tables: Mapping[int, Sequence[Route]]
) -> Output:
    size, type_, kind, flags, code, peer, endpoint, number, topic_size, context_size = record[:10]
    topic_at = at + _RECORD_BYTES
    topic, payload = data[topic_at : topic_at + topic_size], data[topic_at + topic_size : at + size]
    if type_ == _NEED:
        return NeedWorkers(endpoint, number)
    if type_ == _READY:
        return WorkerReady(peer, endpoint)
    if type_ == _FAILED:
        return ImportFailed(peer, endpoint, payload)
    if type_ == _RETIRE:
        return RetireWorker(peer, endpoint, _OUTCOMES[code], payload.decode())
    if type_ == _CUT:
        return CutOff(peer, payload.decode("utf-8", "replace"))
    if type_ == _TAPPED:
        route = None if number == _NO_ROW else tables[flags][number]
        outcome = "dropped" if code else "delivered"
        return Tapped(endpoint, route, topic, payload, outcome, _TAPPED_REASONS[code])
    if type_ == _UNROUTED:
        return Unrouted(endpoint, topic)
    if type_ == _ENDED:
        return Ended(peer)
    if type_ == _SKIPPED:
        return Skipped(number)
    if type_ == _CONTROL:
        context, payload = payload[:context_size], payload[context_size:]
        return Control(peer, Frame(kind, flags, endpoint, number, topic, context, payload))
    return _read_finished(data, at, record)


def _read_finished(data: bytes, at: int, record: tuple[int, ...]) -> Finished:
    _, _, kind, flags, code, peer, endpoint, number, topic, context, payload, document = record
    at += _RECORD_BYTES
    queued_at, started_at, now, call, source, _ = _finished.unpack_from(data, at)
    topic_at = at + _finished.size
    context_at = topic_at + topic
    payload_at = context_at + context
    document_at = payload_at + payload
    item = Item(
        kind,
        source,
        data[topic_at:context_at],
        data[context_at:payload_at],
        data[payload_at:document_at],
    )
    item.id = number
    item.number = call
    item.event = bool(flags & _EVENT)
    item.caller = Peer(peer) if kind == Kind.INVOKE else None
    item.queued_at = queued_at
    item.started_at = started_at if flags & _STARTED else None
    item.ended = True
    return Finished(
        endpoint, item, _OUTCOMES[code], data[document_at : document_at + document], now
    )


def read_function(data: bytes, endpoint: int, rules: FunctionRules, name: bytes) -> FunctionTarget:
    """Return the state of a function as `struct gg_target_state` and what follows tell it."""
    target = FunctionTarget(endpoint, rules, name)
    items, waiting, waiting_bytes, refused, workers, *rest = _target.unpack_from(data)
    target.items, target.waiting_bytes, target.refused = items, waiting_bytes, refused
    target.outcomes = dict(zip(_OUTCOMES, rest[:4], strict=True))
    target.starting = rest[4]
    target.waits = rest[-WAITS:]
    at = _target.size
    for _ in range(workers):
        deadline, last_run_s, sent, sent_bytes, running, peer, state = _worker.unpack_from(data, at)
        at += _worker.size
        worker = Worker(Peer(peer), target)
        worker.peer.worker = worker
        worker.state = _STATES[state]
        worker.deadline = None if deadline == inf else deadline
        worker.last_run_s = last_run_s
        worker.sent_bytes = sent_bytes
        worker.sent = deque(Item(Kind.MESSAGE, 0, b"", b"", b"") for _ in range(sent))
        if running:
            worker.sent[0].id = running
        target.workers[peer] = worker
    for _ in range(waiting):
        number, size, kind, source = _item.unpack_from(data, at)
        at += _item.size
        item = Item(kind, source, b"", b"", b"")
        item.id, item.size, item.waiting = number, size, True
        target.waiting.append(item)
    target.last_failure = data[at:]
    return target


def read_peer_target(data: bytes, endpoint: int, bounds: tuple[int, int]) -> PeerTarget:
    """Return the state of an endpoint that one peer reads; `bounds` are those of its queue."""
    target = PeerTarget(endpoint, *bounds)
    fields = _target.unpack_from(data)
    target.waiting_bytes = fields[2]
    peer, _, connected, _ = fields[12:16]
    if connected:
        target.peer = Peer(peer)
    at = _target.size
    while at < len(data):
        topic_at = at + _size.size
        payload_size_at = topic_at + _size.unpack_from(data, at)[0]
        payload_at = payload_size_at + _size.size
        at = payload_at + _size.unpack_from(data, payload_size_at)[0]
        target.waiting.append((data[topic_at:payload_size_at], data[payload_at:at]))
    return target

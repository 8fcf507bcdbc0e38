# SPDX-License-Identifier: Apache-2.0
"""
The router machine in C, with the API of the one in Python.

`Router` takes and returns what `_py.router.machine.Router` does, so that either can stand behind
the driver and the same tests run over both.  It differs only for callers that err:

- An endpoint that holds workers or items cannot be defined again, and a peer number that is known
  cannot be attached as a worker: `InvalidInputError`, where the Python machine overwrites.
- A frame whose topic no decoder would let pass is an `InvalidInputError`.

The counters of the routes are brought up to date by `step`.  What `step` hands out is bounded: see
`Skipped`.  What `target_state` returns is a copy,
in which items have numbers and sizes but no contents.
"""

from __future__ import annotations

import os
import sys
from math import inf
from struct import Struct
from typing import TYPE_CHECKING, NoReturn

from greengrass_sdk._native._c import TopicIndex, _failure
from greengrass_sdk._native._c_records import (
    REASONS,
    read_function,
    read_outputs,
    read_peer_target,
)
from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._py.index import check_topic_size
from greengrass_sdk._native._py.lent import Lent
from greengrass_sdk._native._py.router.state import CORE
from greengrass_sdk.errors import InvalidInputError, LocalProtocolError
from greengrass_sdk.model.limits import QUEUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cffi import FFI

    from greengrass_sdk._native import Frame, _abc
    from greengrass_sdk._native._py.lent import Result
    from greengrass_sdk._native._py.router.events import Output
    from greengrass_sdk._native._py.router.state import FunctionRules, Route, Target

__all__ = ["Router"]

_BUFFER_BYTES = 256 * 1024  # of outputs a call; grows when one is larger
_INBOX_BYTES = 2 * 1024 * 1024  # read in a fraction of a second, whatever it holds
_ROWS = 64  # counters a call
_route = Struct("=QQQQIIII")  # struct gg_route
_ROW_BYTES = _route.size
_read_route = _route.unpack_from
_counts = Struct("=QQQQQ")  # struct gg_router_counts
_taken = Struct("=QQQ").unpack_from  # struct gg_taken
_pack_view = Struct("=QQQQQIBBxx").pack_into  # struct gg_frame
_FAULT_BYTES = 4096
_ENDINGS = 64  # results a call
_ending = Struct("=QQQQi4x").pack_into  # struct gg_ending
_ENDING_BYTES = 40
_NOTHING_LENT = (0, 0, -1)
_receive = lib.gg_plane_receive
_end = lib.gg_plane_end
_take = lib.gg_plane_take
_OK = lib.GG_OK
_ENOSPC = lib.GG_ENOSPC


class Router:
    """
    The step machine in C; see :class:`greengrass_sdk._native._py.router.machine.Router`.

    Not thread-safe: one thread drives it.
    """

    def __init__(
        self,
        *,
        work_items: int,
        topic_payload_bytes: int,
        invoke_payload_bytes: int,
        strict: bool = False,
        boot: bytes = bytes(8),
        epoch: float = 0.0,
        inbox_bytes: int = _INBOX_BYTES,
        unread_bytes: int = 4 * QUEUE_BYTES,
    ) -> None:
        self.topic_payload_bytes = topic_payload_bytes
        self.invoke_payload_bytes = invoke_payload_bytes
        self.strict = strict
        self._tap = False
        self._rules: dict[int, tuple[FunctionRules, bytes]] = {}
        self._bounds: dict[int, tuple[int, int]] = {}
        self._index: object = None  # keeps the memory that C matches in
        self._tables: dict[int, Sequence[Route]] = {0: ()}  # outputs may be of an older one
        self._table = 0
        self._outputs: list[Output] = []
        self._most_outputs = sys.maxsize  # of one step
        self._view = ffi.new("struct gg_frame *")
        self._view_bytes = ffi.buffer(self._view)
        self._needed = ffi.new("size_t *")
        self._taken = ffi.new("struct gg_taken *")
        self._taken_bytes = ffi.buffer(self._taken)
        self._rows = ffi.new("struct gg_route[]", _ROWS)
        self._row_bytes = ffi.buffer(self._rows)
        self._endings = ffi.new("struct gg_ending[]", _ENDINGS)
        self._ending_bytes = ffi.buffer(self._endings)
        self._buffer = ffi.new("uint8_t[]", _BUFFER_BYTES)
        router = {
            "epoch": epoch,
            "work_items": work_items,
            "topic_payload_bytes": topic_payload_bytes,
            "invoke_payload_bytes": invoke_payload_bytes,
            "boot": boot,
            "strict": strict,
        }
        fields = {"router": router, "inbox_bytes": inbox_bytes, "unread_bytes": unread_bytes}
        options = ffi.new("struct gg_plane_options *", fields)
        made = ffi.new("struct gg_plane **")
        self._check("gg_plane_new", lib.gg_plane_new(options, made))
        self._plane: FFI.CData = ffi.gc(made[0], lib.gg_plane_free)

    @property
    def work_items(self) -> tuple[int, int]:
        """Work items now, and their limit."""
        items, limit, *_ = self._count()
        return items, limit

    @property
    def unrouted(self) -> int:
        """Messages that no route matched, since the start."""
        return self._count()[2]

    @property
    def tap(self) -> bool:
        """Whether `Tapped` and every `Finished` are handed out; off unless somebody watches."""
        return self._tap

    @tap.setter
    def tap(self, on: bool) -> None:
        self._tap = on
        lib.gg_plane_tap(self._plane, on)

    # Topology: what exists and where messages go.

    def define_function(self, endpoint: int, rules: FunctionRules, names: Sequence[bytes]) -> None:
        """Add a function, known to callers by each of `names`, to its workers by the first."""
        made = ffi.new("struct gg_rules *", rules._asdict())
        name, *others = names
        status = lib.gg_plane_define_function(self._plane, endpoint, made, name, len(name))
        if status == lib.GG_EINVAL:
            raise InvalidInputError(f"endpoint {endpoint} is in use or has no valid rules: {rules}")
        self._check("gg_plane_define_function", status)
        self._rules[endpoint] = rules, name
        for other in others:
            status = lib.gg_plane_name_function(self._plane, endpoint, other, len(other))
            self._check("gg_plane_name_function", status)

    def define_peer_target(self, endpoint: int, *, queue_items: int, queue_bytes: int) -> None:
        """Add an endpoint whose messages go to the one peer that is attached to it."""
        status = lib.gg_plane_define_peer(self._plane, endpoint, queue_items, queue_bytes)
        if status == lib.GG_EINVAL:
            raise InvalidInputError(f"endpoint {endpoint} is a function in use")
        self._check("gg_plane_define_peer", status)
        self._rules.pop(endpoint, None)
        self._bounds[endpoint] = queue_items, queue_bytes

    def define_service(self, endpoint: int) -> None:
        """Add an in-core endpoint: its messages are sent to peer 0."""
        self.define_peer_target(endpoint, queue_items=0, queue_bytes=0)
        self.attach(CORE, endpoint)

    def install_routes(self, index: _abc.TopicIndex, routes: Sequence[Route]) -> None:
        """
        Replace the subscription table: `index` answers row numbers of `routes`.

        Raises:
            InvalidInputError: `index` is not the index in C.
        """
        if not isinstance(index, TopicIndex):
            raise InvalidInputError(f"the router in C needs the index in C, not {type(index)}")
        self._count_rows()  # the older table will not be asked again
        built = index.built()
        text = bytearray()
        rows = bytearray()
        for route in routes:
            name = route.id.encode()
            dropped = [route.dropped.get(reason, 0) for reason in REASONS]
            rows += _route.pack(route.delivered, *dropped, route.target, 0, len(text), len(name))
            text += name
        made = ffi.from_buffer("struct gg_route[]", rows)
        status = lib.gg_plane_install(
            self._plane, built.index, built.room, made, len(routes), bytes(text), len(text)
        )
        self._check("gg_plane_install", status)
        self._index = built
        self._table = (self._table + 1) % 256
        self._tables[self._table] = routes
        self._count_rows()  # those of rows that were in the older table

    def target_state(self, endpoint: int) -> Target:
        """Return a copy of the target's state (status, tests)."""
        needed = self._needed
        size = 0
        while True:
            buffer = ffi.new("uint8_t[]", size)
            status = lib.gg_plane_snapshot(self._plane, endpoint, buffer, size, needed)
            if status != lib.GG_ENOSPC:
                break
            size = needed[0]
        self._check("gg_plane_snapshot", status, endpoint)
        data = ffi.buffer(buffer, size)[:]
        if endpoint in self._rules:
            return read_function(data, endpoint, *self._rules[endpoint])
        return read_peer_target(data, endpoint, self._bounds[endpoint])

    def is_busy(self, peer: int) -> bool:
        """Return whether a worker holds an item."""
        return bool(lib.gg_plane_is_busy(self._plane, peer))

    def stop(self) -> None:
        """Refuse new invocations and ask for no more workers; what runs may still end."""
        lib.gg_plane_refuse(self._plane)

    # Peers: who is connected.

    def attach(self, peer: int, endpoint: int) -> None:
        """Let a connected client speak for `endpoint`."""
        status = lib.gg_plane_attach(self._plane, peer, endpoint)
        self._check("gg_plane_attach", status, endpoint)

    def attach_worker(self, peer: int, endpoint: int, now: float) -> None:
        """Let a new process work for the function `endpoint`; it gets items once it is ready."""
        status = lib.gg_plane_attach_worker(self._plane, peer, endpoint, now)
        if status == lib.GG_EINVAL:
            if endpoint in self._rules:
                raise InvalidInputError(f"peer {peer} is attached already")
            raise InvalidInputError(f"endpoint {endpoint} is not a function")
        self._check("gg_plane_attach_worker", status, endpoint)

    def worker_failed(self, endpoint: int, document: bytes, now: float) -> None:
        """Say that no worker could be started: the item it was meant for ends Unhandled."""
        size = len(document)
        status = lib.gg_plane_worker_failed(self._plane, endpoint, document, size, now)
        if status == lib.GG_EINVAL:
            raise InvalidInputError(f"endpoint {endpoint} is not a function")
        self._check("gg_plane_worker_failed", status, endpoint)

    def close(self, peer: int) -> None:
        """Send nothing more to `peer`: its connection ended, how it ended is not known yet."""
        lib.gg_plane_close(self._plane, peer)

    def detach(self, peer: int, document: bytes, now: float) -> None:
        """
        Forget a peer whose last frame was received.

        Args:
            peer: A peer that was attached; unknown peers are ignored.
            document: Error document for the item that ran, or for the import that never ended.
            now: Monotonic seconds.
        """
        status = lib.gg_plane_detach(self._plane, peer, document, len(document), now)
        self._check("gg_plane_detach", status)

    def cut(self, peer: int, reason: str, now: float) -> None:
        """Cut off a peer whose transport found it breaking the contract: it `reason`."""
        text = reason.encode("utf-8", "replace")
        self._check("gg_plane_cut", lib.gg_plane_cut(self._plane, peer, text, len(text), now))

    def hold(self, peer: int, *, held: bool) -> None:
        """Tell whether the transport towards `peer` is full; messages wait in bounds meanwhile."""
        self._check("gg_plane_hold", lib.gg_plane_hold(self._plane, peer, held))

    # Frames in, outputs out.

    def receive(self, peer: int, frame: Frame, now: float) -> None:
        """
        Take one frame of `peer`.  A frame that breaks the contract cuts the peer off.

        Raises:
            LocalProtocolError: The core itself broke the contract.
        """
        topic, context, payload = frame.topic, frame.context, frame.payload
        context_at = len(topic)
        payload_at = context_at + len(context)
        end = payload_at + len(payload)
        endpoint, kind = frame.endpoint, frame.kind
        fields = frame.id, 0, context_at, payload_at, end, endpoint, kind, frame.flags
        _pack_view(self._view_bytes, 0, *fields)
        data = topic + context + payload if context else topic + payload
        status = _receive(self._plane, peer, data, self._view, now)
        if status:
            check_topic_size(topic)
            self._check("gg_plane_receive", status)

    def end(self, peer: int, endpoint: int, results: Sequence[Result], now: float) -> None:
        """Take the results of items of a worker, by their numbers, in order."""
        for first in range(0, len(results), _ENDINGS):
            batch = results[first : first + _ENDINGS]
            at = 0
            payloads: list[bytes] = []
            descriptors: list[int] = []
            for number, result in batch:
                if isinstance(result, Lent):
                    payload, lent = result.head, (result.size, result.offset, result.detach())
                else:
                    payload, lent = result, _NOTHING_LENT
                _ending(self._ending_bytes, at, number, len(payload), *lent)
                at += _ENDING_BYTES
                payloads.append(payload)
                descriptors.append(lent[-1])
            count, data = len(batch), b"".join(payloads)
            done = _end(self._plane, peer, endpoint, data, self._endings, count, now)
            if done < count:
                for descriptor in descriptors[done:]:
                    if descriptor != -1:
                        os.close(descriptor)
                raise MemoryError("gg_plane_end")

    def step(self, now: float) -> list[Output]:
        """
        Fire the deadlines that have come, and return the outputs since the last step.

        All of them, unless a thread may add them as fast as they are read.
        """
        outputs = self._outputs
        left, rows = 1, 0
        while left and len(outputs) < self._most_outputs:
            status = _take(self._plane, now, self._buffer, len(self._buffer), self._taken)
            used, left, rows = _taken(self._taken_bytes)
            if used and status == _OK:
                read_outputs(ffi.buffer(self._buffer, used)[:], self._tables, outputs)
            elif status == _ENOSPC:
                self._buffer = ffi.new("uint8_t[]", used)
            else:
                self._check("gg_plane_take", status)
        if rows:
            self._count_rows()
        if len(self._tables) > 1:
            self._tables = {self._table: self._tables[self._table]}
        self._outputs = []
        return outputs

    def next_deadline(self) -> float | None:
        """Return the time at which `step` must be called at the latest, None for never."""
        deadline = lib.gg_plane_next_deadline(self._plane)
        return None if deadline == inf else deadline

    def _count_rows(self) -> None:
        """Bring the counters of the routes up to date."""
        routes = self._tables[self._table]
        count = _ROWS
        while count == _ROWS:
            count = lib.gg_plane_counted(self._plane, self._rows, _ROWS)
            for row in range(count):
                delivered, *dropped, _, number, _, _ = _read_route(
                    self._row_bytes, row * _ROW_BYTES
                )
                route = routes[number]
                route.delivered = delivered
                if any(dropped):
                    counted = zip(REASONS, dropped, strict=True)
                    route.dropped.update((reason, times) for reason, times in counted if times)

    def _count(self) -> tuple[int, ...]:
        counts = ffi.new("struct gg_router_counts *")
        lib.gg_plane_counts(self._plane, counts)
        return _counts.unpack(ffi.buffer(counts)[:])

    def _check(self, function: str, status: int, endpoint: int | None = None) -> None:
        if status != lib.GG_OK:
            self._fail(function, status, endpoint)

    def _fail(self, function: str, status: int, endpoint: int | None) -> NoReturn:
        if status == lib.GG_ECORE:
            words = ffi.new("uint8_t[]", _FAULT_BYTES)
            size = lib.gg_plane_fault(self._plane, words, _FAULT_BYTES)
            text = ffi.buffer(words, min(size, _FAULT_BYTES))[:]
            raise LocalProtocolError(text.decode(errors="replace"))
        if status == lib.GG_ENOMEM:
            raise MemoryError(function)
        if status == lib.GG_EENDPOINT and endpoint is not None:
            raise KeyError(endpoint)
        raise _failure(function, status)

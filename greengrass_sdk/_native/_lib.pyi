# SPDX-License-Identifier: Apache-2.0
# The extension as native/greengrass.cdef.txt declares it.
from typing import TypeAlias, type_check_only

from cffi import FFI

_Pointer: TypeAlias = FFI.CData

ffi: FFI

@type_check_only
class _Lib:
    GG_OK: int
    GG_EINVAL: int
    GG_ENOSPC: int
    GG_ELENGTH: int
    GG_EKIND: int
    GG_EFLAGS: int
    GG_ETOPIC: int
    GG_ECONTEXT: int
    GG_EFIELDS: int
    GG_EFILTER: int
    GG_ENOMEM: int
    GG_ECORE: int
    GG_EENDPOINT: int
    GG_AGAIN: int
    GG_ETIMEOUT: int
    GG_EINTR: int
    GG_ECLOSED: int
    GG_EFORKED: int
    GG_ESYSTEM: int
    GG_ERING: int
    GG_ETORN: int
    GG_ESEGMENT: int
    GG_EBULK: int
    GG_BULK_MOST: int
    GG_WANT_DATA: int
    GG_WANT_ROOM: int
    GG_WANT_SOCKET: int
    GG_SIDE_WORKER: int
    GG_SIDE_CORE: int
    GG_FRAME_HEADER: int
    GG_MAX_TOPIC: int
    GG_MAX_CONTEXT: int

    def gg_strerror(self, status: int, /) -> _Pointer: ...
    def gg_frames_decode(
        self,
        data: bytes,
        size: int,
        start: int,
        max_frame: int,
        frames: _Pointer,
        capacity: int,
        next: _Pointer,
        /,
    ) -> int: ...
    def gg_index_size(
        self, table: _Pointer, count: int, text: bytes, text_size: int, size: _Pointer, /
    ) -> int: ...
    def gg_index_init(
        self,
        memory: _Pointer,
        size: int,
        table: _Pointer,
        count: int,
        text: bytes,
        text_size: int,
        index: _Pointer,
        /,
    ) -> int: ...
    def gg_index_match(
        self,
        index: _Pointer,
        source: int,
        topic: bytes,
        topic_size: int,
        rows: _Pointer,
        capacity: int,
        /,
    ) -> int: ...
    def gg_segment_create(
        self, segment: _Pointer, up_capacity: int, down_capacity: int, fd: _Pointer, /
    ) -> int: ...
    def gg_segment_attach(self, segment: _Pointer, fd: int, /) -> int: ...
    def gg_event_create(self, fd: _Pointer, /) -> int: ...
    def gg_bulk_create(self, data: bytes | _Pointer, size: int, fd: _Pointer, /) -> int: ...
    def gg_bulk_check(self, fd: int, size: int, /) -> int: ...
    def gg_port_init(
        self,
        port: _Pointer,
        segment: _Pointer,
        side: int,
        event: int,
        socket: int,
        spin_ns: int,
        /,
    ) -> int: ...
    def gg_port_close(self, port: _Pointer, /) -> int: ...
    def gg_port_free(self, port: _Pointer, /) -> None: ...
    def gg_port_send(
        self,
        port: _Pointer,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        topic_size: int,
        context: bytes | _Pointer,
        context_size: int,
        payload: bytes | _Pointer,
        payload_size: int,
        deadline: int,
        /,
    ) -> int: ...
    def gg_port_receive_inline(
        self, port: _Pointer, views: _Pointer, capacity: int, max_bytes: int, /
    ) -> int: ...
    def gg_port_receive_batch(
        self,
        port: _Pointer,
        views: _Pointer,
        capacity: int,
        max_bytes: int,
        deadline: int,
        spin: int,
        /,
    ) -> int: ...
    def gg_port_release(self, port: _Pointer, /) -> None: ...
    def gg_port_data(self, port: _Pointer, size: _Pointer, /) -> _Pointer: ...
    def gg_port_wait(
        self,
        port: _Pointer,
        want: int,
        need: int,
        alarms: int,
        deadline: int,
        spin: int,
        /,
    ) -> int: ...
    def gg_port_park(self, port: _Pointer, want: int, need: int, /) -> int: ...
    def gg_port_interrupt(self, port: _Pointer, /) -> int: ...
    def gg_port_alarms(self, port: _Pointer, /) -> int: ...
    def gg_port_tell(self, port: _Pointer, /) -> int: ...
    def gg_port_hear(self, port: _Pointer, /) -> int: ...
    def gg_router_new(self, options: _Pointer, router: _Pointer, /) -> int: ...
    def gg_router_free(self, router: _Pointer, /) -> None: ...
    def gg_router_define_function(
        self, router: _Pointer, endpoint: int, rules: _Pointer, name: bytes, size: int, /
    ) -> int: ...
    def gg_router_name_function(
        self, router: _Pointer, endpoint: int, name: bytes, size: int, /
    ) -> int: ...
    def gg_router_define_peer(
        self, router: _Pointer, endpoint: int, queue_items: int, queue_bytes: int, /
    ) -> int: ...
    def gg_router_install(
        self,
        router: _Pointer,
        index: _Pointer,
        capacity: int,
        routes: _Pointer,
        count: int,
        text: bytes,
        text_size: int,
        /,
    ) -> int: ...
    def gg_router_counted(self, router: _Pointer, rows: _Pointer, capacity: int, /) -> int: ...
    def gg_router_stop(self, router: _Pointer, /) -> None: ...
    def gg_router_tap(self, router: _Pointer, on: int, /) -> None: ...
    def gg_router_attach(self, router: _Pointer, peer: int, endpoint: int, /) -> int: ...
    def gg_router_attach_worker(
        self, router: _Pointer, peer: int, endpoint: int, now: float, /
    ) -> int: ...
    def gg_router_worker_failed(
        self, router: _Pointer, endpoint: int, document: bytes, size: int, now: float, /
    ) -> int: ...
    def gg_router_close(self, router: _Pointer, peer: int, /) -> None: ...
    def gg_router_detach(
        self, router: _Pointer, peer: int, document: bytes, size: int, now: float, /
    ) -> int: ...
    def gg_router_cut(
        self, router: _Pointer, peer: int, reason: bytes, size: int, now: float, /
    ) -> int: ...
    def gg_router_hold(self, router: _Pointer, peer: int, held: int, /) -> int: ...
    def gg_router_receive(
        self, router: _Pointer, peer: int, data: bytes, frame: _Pointer, now: float, /
    ) -> int: ...
    def gg_router_step(self, router: _Pointer, now: float, /) -> int: ...
    def gg_router_next_deadline(self, router: _Pointer, /) -> float: ...
    def gg_router_fault(self, router: _Pointer, size: _Pointer, /) -> _Pointer: ...
    def gg_router_drain(
        self, router: _Pointer, buffer: _Pointer, size: int, used: _Pointer, /
    ) -> int: ...
    def gg_router_counts(self, router: _Pointer, counts: _Pointer, /) -> None: ...
    def gg_router_is_busy(self, router: _Pointer, peer: int, /) -> int: ...
    def gg_router_snapshot(
        self, router: _Pointer, endpoint: int, buffer: _Pointer, size: int, needed: _Pointer, /
    ) -> int: ...

lib: _Lib

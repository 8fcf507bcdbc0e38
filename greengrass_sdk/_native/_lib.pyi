# SPDX-License-Identifier: Apache-2.0
# The extension as native/*.cdef.txt declare it.
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
    GG_IS_CONNECTED: int
    GG_IS_STALLED: int
    GG_HAS_NEWS: int
    GG_IS_READY: int
    GG_IS_NOT_LED: int
    GG_HAS_HUNG_UP: int
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
    def gg_plane_new(self, options: _Pointer, plane: _Pointer, /) -> int: ...
    def gg_plane_open(self, plane: _Pointer, /) -> int: ...
    def gg_plane_free(self, plane: _Pointer, /) -> None: ...
    def gg_plane_run(self, plane: _Pointer, /) -> None: ...
    def gg_plane_stop(self, plane: _Pointer, /) -> None: ...
    def gg_plane_wait(self, plane: _Pointer, epoll: int, timeout_ns: int, /) -> int: ...
    def gg_plane_fd(self, plane: _Pointer, /) -> int: ...
    def gg_plane_waits(self, plane: _Pointer, /) -> _Pointer: ...
    def gg_plane_take(
        self, plane: _Pointer, now: float, buffer: _Pointer, size: int, taken: _Pointer, /
    ) -> int: ...
    def gg_plane_connect(
        self,
        plane: _Pointer,
        peer: int,
        socket: int,
        ring_bytes: int,
        segment: _Pointer,
        event: _Pointer,
        /,
    ) -> int: ...
    def gg_plane_drain(self, plane: _Pointer, peer: int, /) -> None: ...
    def gg_plane_disconnect(self, plane: _Pointer, peer: int, /) -> None: ...
    def gg_plane_send(self, plane: _Pointer, peer: int, data: bytes, frame: _Pointer, /) -> int: ...
    def gg_plane_peer_state(self, plane: _Pointer, peer: int, /) -> int: ...
    def gg_plane_define_function(
        self, plane: _Pointer, endpoint: int, rules: _Pointer, name: bytes, size: int, /
    ) -> int: ...
    def gg_plane_name_function(
        self, plane: _Pointer, endpoint: int, name: bytes, size: int, /
    ) -> int: ...
    def gg_plane_define_peer(
        self, plane: _Pointer, endpoint: int, queue_items: int, queue_bytes: int, /
    ) -> int: ...
    def gg_plane_install(
        self,
        plane: _Pointer,
        index: _Pointer,
        capacity: int,
        routes: _Pointer,
        count: int,
        text: bytes,
        text_size: int,
        /,
    ) -> int: ...
    def gg_plane_counted(self, plane: _Pointer, rows: _Pointer, capacity: int, /) -> int: ...
    def gg_plane_refuse(self, plane: _Pointer, /) -> None: ...
    def gg_plane_tap(self, plane: _Pointer, on: int, /) -> None: ...
    def gg_plane_attach(self, plane: _Pointer, peer: int, endpoint: int, /) -> int: ...
    def gg_plane_attach_worker(
        self, plane: _Pointer, peer: int, endpoint: int, now: float, /
    ) -> int: ...
    def gg_plane_worker_failed(
        self, plane: _Pointer, endpoint: int, document: bytes, size: int, now: float, /
    ) -> int: ...
    def gg_plane_close(self, plane: _Pointer, peer: int, /) -> None: ...
    def gg_plane_detach(
        self, plane: _Pointer, peer: int, document: bytes, size: int, now: float, /
    ) -> int: ...
    def gg_plane_cut(
        self, plane: _Pointer, peer: int, reason: bytes, size: int, now: float, /
    ) -> int: ...
    def gg_plane_hold(self, plane: _Pointer, peer: int, held: int, /) -> int: ...
    def gg_plane_receive(
        self, plane: _Pointer, peer: int, data: bytes, frame: _Pointer, now: float, /
    ) -> int: ...
    def gg_plane_end(
        self,
        plane: _Pointer,
        peer: int,
        endpoint: int,
        payloads: bytes,
        endings: _Pointer,
        count: int,
        now: float,
        /,
    ) -> int: ...
    def gg_plane_next_deadline(self, plane: _Pointer, /) -> float: ...
    def gg_plane_fault(self, plane: _Pointer, buffer: _Pointer, size: int, /) -> int: ...
    def gg_plane_counts(self, plane: _Pointer, counts: _Pointer, /) -> None: ...
    def gg_plane_is_busy(self, plane: _Pointer, peer: int, /) -> int: ...
    def gg_plane_snapshot(
        self, plane: _Pointer, endpoint: int, buffer: _Pointer, size: int, needed: _Pointer, /
    ) -> int: ...

lib: _Lib

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

lib: _Lib

# SPDX-License-Identifier: Apache-2.0
"""
The C implementation behind the Protocols of `_abc`.

A call through cffi costs as much as a few bytecodes and always drops the GIL, so C is given whole
buffers: one call decodes the frames of a buffer, one call matches a topic. What C wrote is read in
one go as well (`struct`, `ffi.unpack`), never field by field. Packing one header already is a
single C call in `struct`, so `_py.frames.encode_header` serves both implementations.

Threads share memory that C only reads. A result array belongs to the one thread that took it from
`_Built.spare`.
"""

from __future__ import annotations

import sys
from struct import Struct

from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._py.frames import (
    HEADER_BYTES,
    MAX_FRAME,
    Carry,
    Frame,
    FrameError,
    check_max_frame,
    explain,
)
from greengrass_sdk._native._py.index import check_entry, check_topic_size
from greengrass_sdk.errors import NativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cffi import FFI

__all__ = ["FrameDecoder", "TopicIndex"]

# Held here because a worker forgets it in sys.modules; see forget_public_modules().
_backend = sys.modules.get("_cffi_backend")

_BATCH = 64  # frames a call; 3 KiB of views a decoder
_view = Struct("=QQQQQIBBxx")  # struct gg_frame
_VIEW_BYTES = _view.size
_read_views = _view.iter_unpack
_subscription = Struct("=IIII")  # struct gg_subscription
_decode = lib.gg_frames_decode
_match = lib.gg_index_match
_unpack = ffi.unpack


def _failure(function: str, status: int) -> NativeError:
    """Return the error for a status that the arguments given here should make impossible."""
    reason = bytes(ffi.string(lib.gg_strerror(status))).decode()  # type: ignore[arg-type]  # char *
    return NativeError(f"{function}() failed with status {status}: {reason}", status=status)


class FrameDecoder:
    """Decode the byte stream of one peer; see :class:`greengrass_sdk._native._abc.FrameDecoder`."""

    __slots__ = ("_carry", "_dead", "_max_frame", "_next", "_view_bytes", "_views")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = check_max_frame(max_frame)
        self._carry = Carry(max_frame)
        self._dead: str | None = None
        self._views = ffi.new("struct gg_frame[]", _BATCH)
        self._view_bytes = memoryview(ffi.buffer(self._views))
        self._next = ffi.new("size_t *")

    @property
    def pending(self) -> int:
        return len(self._carry)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        if self._dead is not None:
            raise FrameError(self._dead)
        data = bytes(data)
        frames: list[Frame] = []
        start = 0
        try:
            if self._carry:
                frame, start = self._carry.complete(data)
                if frame is None:
                    return frames
                frames.append(frame)
            start = self._scan(data, start, frames)
        except FrameError as error:
            self._dead = error.reason
            raise
        if start < len(data):
            self._carry.start(data, start)
        return frames

    def _scan(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Append the whole frames of `data`; return where the first incomplete one begins."""
        size = len(data)
        append = frames.append
        while True:
            count = _decode(data, size, start, self._max_frame, self._views, _BATCH, self._next)
            if count <= 0:
                break
            end = start
            for number, topic, context, payload, end, endpoint, kind, flags in _read_views(
                self._view_bytes[: count * _VIEW_BYTES]
            ):
                append(
                    Frame(
                        kind,
                        flags,
                        endpoint,
                        number,
                        data[topic:context],
                        data[context:payload],
                        data[payload:end],
                    )
                )
            start = end
            if size - start < HEADER_BYTES:
                return start
        if count < 0:
            # C says that it is bad, Python finds the words.
            reason = explain(memoryview(data)[start:], self._max_frame)
            if reason is None:
                raise _failure("gg_frames_decode", count)
            raise FrameError(reason, frames)
        return start


class _Built:
    """An index in memory of its own, and arrays for its results."""

    __slots__ = ("_memory", "index", "room", "spare")

    def __init__(self, table: list[tuple[int, int, bytes]]) -> None:
        text = b"".join([topic_filter for _, _, topic_filter in table])
        rows = bytearray()
        at = 0
        for source, row, topic_filter in table:
            rows += _subscription.pack(source, row, at, len(topic_filter))
            at += len(topic_filter)
        subscriptions = ffi.from_buffer("struct gg_subscription[]", rows)
        size = ffi.new("size_t *")
        status = lib.gg_index_size(subscriptions, len(table), text, len(text), size)
        if status != lib.GG_OK:
            raise _failure("gg_index_size", status)
        # The index lives in this memory, and both live as long as this object.
        self._memory = ffi.new("uint64_t[]", (size[0] + 7) // 8)
        made = ffi.new("struct gg_index **")
        status = lib.gg_index_init(
            self._memory, size[0], subscriptions, len(table), text, len(text), made
        )
        if status != lib.GG_OK:
            raise _failure("gg_index_init", status)
        self.index = made[0]
        self.room = len(table)
        self.spare: list[FFI.CData] = []

    def match(self, source: int, topic: bytes) -> list[int]:
        try:
            rows = self.spare.pop()
        except IndexError:  # as many as there are threads in here at once
            rows = ffi.new("uint32_t[]", self.room)
        try:
            count = _match(self.index, source, topic, len(topic), rows, self.room)
            if count > 0:
                return _unpack(rows, count)  # type: ignore[return-value]  # of uint32_t: list[int]
        except OverflowError:  # no such source can have been added
            return []
        finally:
            self.spare.append(rows)
        if count < 0:
            check_topic_size(topic)
            raise _failure("gg_index_match", count)
        return []


class TopicIndex:
    """
    Match topics by source; see :class:`greengrass_sdk._native._abc.TopicIndex`.

    The rows are collected here; the first `match` after an `add` builds the C index, which never
    changes: a thread that still matches in an older one keeps it alive.
    """

    __slots__ = ("_built", "_table")

    def __init__(self) -> None:
        self._table: list[tuple[int, int, bytes]] = []
        self._built: _Built | None = None

    def add(self, source: int, topic_filter: bytes, row: int) -> None:
        check_entry(source, topic_filter, row)
        self._table.append((source, row, topic_filter))
        self._built = None

    def match(self, source: int, topic: bytes) -> list[int]:
        return (self._built or self.built()).match(source, topic)

    def built(self) -> _Built:
        """Return the index in C as it is now, which the router in C matches in."""
        built = self._built
        if built is None:
            built = self._built = _Built(self._table)
        return built

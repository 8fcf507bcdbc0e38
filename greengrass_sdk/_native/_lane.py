# SPDX-License-Identifier: Apache-2.0
"""
The calls that are made for every message: by `_fast` where it was built, else by cffi.

A lane does what can be done at once, in one call, and says whether it did. Everything else (a ring
that is full, a frame that breaks the format, a large one, a connection that is gone) is for the
long way, which knows what to wait for and the words for what is wrong.
"""

from __future__ import annotations

from greengrass_sdk._native import Kind
from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._py.frames import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    from cffi import FFI

    from greengrass_sdk._native._abc import Lane
    from greengrass_sdk._native._fast import Lane as FastLane
    from greengrass_sdk._native._port import OutgoingFrame, Port
    from greengrass_sdk._native._py.exchange import Buffer

__all__ = ["CffiLane", "lane_of"]

_OK = lib.GG_OK
_send = lib.gg_port_send
_from_buffer = ffi.from_buffer


def _fast_lane() -> type[FastLane] | None:
    try:
        from greengrass_sdk._native._fast import Lane
    except ImportError:  # not built
        return None
    return Lane


_FastLane = _fast_lane()


def lane_of(port: Port, outgoing: deque[OutgoingFrame]) -> Lane:
    """Return the fastest lane for a port; what is in `outgoing` goes before its frames."""
    if _FastLane is None:
        return CffiLane(port, outgoing)
    calls = (
        _function("gg_port_send"),
        _function("gg_port_receive_inline"),
        _function("gg_port_release"),
        _function("gg_port_data"),
        _function("gg_port_wait"),
    )
    return _FastLane(_address(port.handle), calls, owner=port, frame=Frame, outgoing=outgoing)


def _function(name: str) -> int:
    return _address(ffi.addressof(lib, name))  # type: ignore[arg-type]  # also of functions


def _address(pointer: FFI.CData) -> int:
    return int(ffi.cast("uintptr_t", pointer))


class CffiLane:
    """A lane whose calls drop the GIL; it takes and publishes nothing."""

    __slots__ = ("_closed", "_handle", "_outgoing")

    def __init__(self, port: Port, outgoing: deque[OutgoingFrame]) -> None:
        self._handle = port.handle
        self._outgoing = outgoing
        self._closed = False

    def send(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: Buffer,
        payload: Buffer,
        _wait: bool = False,  # noqa: FBT001, FBT002 - as of the other lane
    ) -> bool:
        if self._outgoing or self._closed:
            return False
        try:
            data = payload if type(payload) is bytes else _from_buffer(payload)
            status = _send(
                *(self._handle, kind, flags, endpoint, id, topic, len(topic)),
                *(bytes(context), len(context), data, len(data), 0),
            )
        except (OverflowError, TypeError, ValueError, BufferError):
            return False
        return bool(status == _OK)

    def publish(self, _topic: str, _payload: object, *_limits: int) -> bool:
        return False

    def answer(
        self,
        flags: int,
        endpoint: int,
        id: int,
        payload: Buffer,
        _more: bool,  # noqa: FBT001 - as of the other lane
    ) -> bool:
        return self.send(Kind.RESULT, flags, endpoint, id, b"", b"", payload)

    def take(self, _frames: deque[Frame], _work: list[Frame] | None = None) -> bool:
        return False

    def close(self) -> None:
        self._closed = True

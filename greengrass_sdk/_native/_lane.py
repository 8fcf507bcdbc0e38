# SPDX-License-Identifier: Apache-2.0
"""
The calls that are made for every message: by `_fast`, where it was built.

A lane does what can be done at once, in one call, and says whether it did. Everything else (a ring
that is full, a frame that breaks the format, a large one, a connection that is gone) is for the
long way, which knows what to wait for and the words for what is wrong.
"""

from __future__ import annotations

from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._py.frames import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque

    from cffi import FFI

    from greengrass_sdk._native._abc import Lane
    from greengrass_sdk._native._fast import Lane as FastLane
    from greengrass_sdk._native._port import OutgoingFrame, Port

__all__ = ["LongWay", "lane_of"]


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
        return LongWay()
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


class LongWay:
    """The lane of who has no companion: everything goes the long way."""

    __slots__ = ()

    def send(self, *_fields: object) -> bool:
        return False

    def publish(self, *_fields: object) -> bool:
        return False

    def answer(self, *_fields: object) -> bool:
        return False

    def take(self, _frames: deque[Frame], _work: list[Frame] | None = None) -> bool:
        return False

    def close(self) -> None:
        """Do nothing."""

    def idle(self) -> bool:
        return True

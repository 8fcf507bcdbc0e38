# SPDX-License-Identifier: Apache-2.0
"""
CBOR from strangers: the shape is checked before a decoder allocates anything.

`cbor2` does the work and needs the extra `streams`; its versions differ in what they survive. What
reaches it here has no tags (and so no shared references, big numbers or dates), maps with text keys
only, a bounded depth and number of items, and no length beyond the bytes that are there.

Ref: RFC 8949, section 3 and appendix C
"""

from __future__ import annotations

from greengrass_sdk.errors import ConfigError, RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DEPTH", "ITEMS", "check", "decode", "encode", "require"]

DEPTH = 16  # of maps and lists in each other; a stream's definition needs five
ITEMS = 16_384  # of a request; the largest definition that makes sense has some hundreds

_BREAK = 0xFF
_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_INDEFINITE = 31
_FOREVER = -1


def require() -> None:
    """
    Import the decoder.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import cbor2  # noqa: F401 - whether it can be imported is the question
    except ImportError as error:
        raise ConfigError(
            "the stream manager's protocol needs cbor2: pip install greengrass-core[streams]"
        ) from error


def encode(value: dict[str, Any]) -> bytes:
    """Return a map as CBOR."""
    import cbor2

    data: bytes = cbor2.dumps(value)
    return data


def decode(data: bytes, *, items: int = ITEMS) -> dict[str, Any]:
    """
    Return the map that `data` is.

    Args:
        items: How many keys, values and members it may hold in all.

    Raises:
        RemoteProtocolError: It is none, or breaks a bound.
    """
    import cbor2

    if not data or data[0] >> 5 != _MAP:
        raise RemoteProtocolError("the message is no CBOR map")
    check(data, items=items)
    try:
        value: dict[str, Any] = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        raise RemoteProtocolError(f"the message is no CBOR: {error}") from error
    return value


def check(data: bytes, *, items: int = ITEMS, depth: int = DEPTH) -> None:
    """
    Check that `data` is exactly one item of CBOR within the bounds.

    Raises:
        RemoteProtocolError: It is not.
    """
    end = len(data)
    at = 0
    # The open container: is it a map, and how many items it still takes, or has taken below -1.
    is_map, left = False, 1
    outer: list[tuple[bool, int]] = []
    while left:
        if at >= end:
            raise RemoteProtocolError("the CBOR ends too early")
        first = data[at]
        if first == _BREAK and left < 0:
            if is_map and left % 2 == 0:
                raise RemoteProtocolError("the CBOR has a key without a value")
            at += 1
            left = 0
        else:
            items -= 1
            if items < 0:
                raise RemoteProtocolError("the CBOR has too many items")
            major = first >> 5
            if is_map and major != _TEXT and left % 2 == (left < 0):
                raise RemoteProtocolError("a key in the CBOR is no text")
            left -= 1
            at, count = _item(data, at, end, major, first & 31)
            if count is not None:
                if len(outer) >= depth:
                    raise RemoteProtocolError("the CBOR is nested too deep")
                outer.append((is_map, left))
                is_map, left = major == _MAP, count
        while not left and outer:
            is_map, left = outer.pop()
    if at != end:
        raise RemoteProtocolError("bytes follow the CBOR")


def _item(data: bytes, at: int, end: int, major: int, info: int) -> tuple[int, int | None]:
    """Return where an item's head and text end, and how many items it opens a container for."""
    if major == _TAG:
        raise RemoteProtocolError("the CBOR has a tag")
    if info == _INDEFINITE:
        if major in (_ARRAY, _MAP):
            return at + 1, _FOREVER
        if major in (_BYTES, _TEXT):
            return _chunks(data, at + 1, end, major), None
        raise RemoteProtocolError(f"the CBOR has an item that begins with {data[at]:#x}")
    at, value = _head(data, at, end, info)
    if major in (_BYTES, _TEXT):
        at += value
    elif major in (_ARRAY, _MAP):
        count = value * (2 if major == _MAP else 1)
        if count > end - at:  # each item takes a byte
            raise RemoteProtocolError("the CBOR ends too early")
        return at, count or None
    if at > end:
        raise RemoteProtocolError("the CBOR ends too early")
    return at, None


def _head(data: bytes, at: int, end: int, info: int) -> tuple[int, int]:
    if info < 24:
        return at + 1, info
    if info > 27:
        raise RemoteProtocolError(f"the CBOR has an item that begins with {data[at]:#x}")
    stop = at + 1 + (1 << (info - 24))
    if stop > end:
        raise RemoteProtocolError("the CBOR ends too early")
    return stop, int.from_bytes(data[at + 1 : stop], "big")


def _chunks(data: bytes, at: int, end: int, major: int) -> int:
    """Return where a string in chunks ends."""
    while True:
        if at >= end:
            raise RemoteProtocolError("the CBOR ends too early")
        first = data[at]
        if first == _BREAK:
            return at + 1
        if first >> 5 != major or first & 31 == _INDEFINITE:
            raise RemoteProtocolError("a string in the CBOR has a chunk of another kind")
        at, size = _head(data, at, end, first & 31)
        at += size

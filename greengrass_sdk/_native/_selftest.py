# SPDX-License-Identifier: Apache-2.0
"""
Known answers, which tell whether the chosen implementation works on this machine.

A wrong byte order, a miscompiled loop or a mixture of versions shows here, when the core starts,
and not as a message that went to the wrong function. The tests check much more; this runs
everywhere.
"""

from __future__ import annotations

from greengrass_sdk._native._py.frames import (
    Frame,
    FrameError,
    Kind,
    encode_frame,
    request_id,
)
from greengrass_sdk.errors import NativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrass_sdk._native import _abc

__all__ = ["check"]

# An invocation with every field set: header, "f", "{}", "hello".
_BYTES = bytes.fromhex("20000000 03 01 0100 02000000 d4c3b2a1 0807060504030201 66 7b7d 68656c6c6f")
_FRAME = Frame(Kind.INVOKE, 1, 0xA1B2C3D4, 0x0102030405060708, b"f", b"{}", b"hello")

_ROWS = ((1, b"a/+/c", 4), (1, b"a/#", 2), (1, b"#", 9), (1, b"a", 1), (2, b"a/b/c", 7))
_MATCHES: tuple[tuple[int, bytes, list[int]], ...] = (
    (1, b"a/b/c", [2, 4, 9]),
    (1, b"a", [1, 9]),
    (1, b"a/", [2, 9]),
    (1, b"$a/b/c", []),
    (2, b"a/b/c", [7]),
    (3, b"a/b/c", []),
)


def check(decoder_class: type[_abc.FrameDecoder], index_class: type[_abc.TopicIndex]) -> None:
    """Raise NativeError when an answer is not the known one."""
    _same("encode_frame", _BYTES, encode_frame(*_FRAME.as_tuple()))
    whole = decoder_class().feed(_BYTES * 70)
    _same("FrameDecoder", [_FRAME] * 70, whole)
    decoder = decoder_class()
    pieces = [frame for at in range(len(_BYTES)) for frame in decoder.feed(_BYTES[at : at + 1])]
    _same("FrameDecoder, byte by byte", [_FRAME], pieces)
    _same("FrameDecoder, bad kind", [_FRAME], _before_bad(decoder_class))
    index = index_class()
    for source, topic_filter, row in _ROWS:
        index.add(source, topic_filter, row)
    for source, topic, expected in _MATCHES:
        _same(f"TopicIndex, {topic!r} of {source}", expected, index.match(source, topic))
    uuid = "10111213-1415-8617-8102-030405060708"
    _same("request_id", uuid, request_id(bytes(range(0x10, 0x18)), 0x0102030405060708))


def _before_bad(decoder_class: type[_abc.FrameDecoder]) -> list[Frame]:
    """Return the frames before one of unknown kind."""
    bad = bytearray(_BYTES)
    bad[4] = 0
    try:
        decoder_class().feed(_BYTES + bad)
    except FrameError as error:
        return error.frames
    return []


def _same(what: str, expected: object, actual: object) -> None:
    if expected != actual:
        raise NativeError(
            f"self-test of {what}: expected {expected!r}, got {actual!r}; reinstall the package, or"
            " set GREENGRASS_SDK_NATIVE=python"
        )

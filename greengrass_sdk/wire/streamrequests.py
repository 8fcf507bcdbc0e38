# SPDX-License-Identifier: Apache-2.0
"""
What is asked for most, as AWS's clients write it: taken apart without a decoder of CBOR.

Both functions return what :func:`greengrass_sdk.wire.cbor.decode` would, in a fraction of the time,
or None, which says nothing: what looks otherwise is for the decoder.

Ref: unspecified by the guide; as the clients of AWS speak it
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["parse_append", "parse_read"]

# An append has three keys, the first one's value has 36 bytes.
_APPEND_ID = b"\xa3\x69requestId\x78\x24"
_APPEND_NAME_AT = len(_APPEND_ID) + 36
_APPEND_NAME, _APPEND_PAYLOAD = b"\x64name", b"\x67payload"

_OPTIONS = (
    "desiredStartSequenceNumber",
    "minMessageCount",
    "maxMessageCount",
    "readTimeoutMillis",
)


def _option(key: str) -> bytes:
    """Return the pattern of a key that may be there, and of a number of 0 or more."""
    head = bytes((0x60 + len(key),)) if len(key) < 24 else bytes((0x78, len(key)))
    number = rb"[\x00-\x17]|\x18.|\x19..|\x1a.{4}|\x1b.{8}"
    return rb"(?:%b(%b))?" % (re.escape(head) + key.encode(), number)


_READ = re.compile(
    rb"\xa3\x69requestId\x78\x24(.{36})"
    rb"\x6astreamName([\x60-\x77]|\x78.)(.{0,255}?)"
    rb"\x73readMessagesOptions([\xa0-\xa4])" + b"".join(map(_option, _OPTIONS)),
    re.DOTALL,
)


def parse_append(data: bytes) -> dict[str, Any] | None:
    """Return the body of the append that `data` is."""
    if not data.startswith(_APPEND_ID):
        return None
    at = _APPEND_NAME_AT
    try:
        if data[at : at + 5] != _APPEND_NAME or not 0x60 < data[at + 5] < 0x78:
            return None
        end = at + 6 + data[at + 5] - 0x60
        name = data[at + 6 : end].decode()
        request_id = data[len(_APPEND_ID) : at].decode()
        if data[end : end + 8] != _APPEND_PAYLOAD:
            return None
        first = data[end + 8]
        start = end + 9
        if 0x58 <= first <= 0x5A:
            width = 1 << (first - 0x58)
            size = int.from_bytes(data[start : start + width], "big")
            start += width
        elif 0x40 <= first < 0x58:
            size = first - 0x40
        else:
            return None
    except (IndexError, UnicodeDecodeError):
        return None
    if start + size != len(data):
        return None
    return {"requestId": request_id, "name": name, "payload": data[start:]}


def parse_read(data: bytes) -> dict[str, Any] | None:
    """Return the body of the read that `data` is."""
    found = _READ.fullmatch(data)
    if found is None:
        return None
    request_id, head, name, count, *numbers = found.groups()
    options = {
        key: int.from_bytes(number[1:] or number, "big")
        for key, number in zip(_OPTIONS, numbers, strict=True)
        if number is not None
    }
    if len(name) != head[-1] - 0x60 * (len(head) == 1) or len(options) != count[0] - 0xA0:
        return None
    try:
        return {
            "requestId": request_id.decode(),
            "streamName": name.decode(),
            "readMessagesOptions": options,
        }
    except UnicodeDecodeError:
        return None

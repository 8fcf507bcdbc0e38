# SPDX-License-Identifier: Apache-2.0
"""
Messages in blocks as AWS's clients read them: an answer in CBOR whose last value is their list.

What is done for each message is in C as well, native/fast/gg_fast_blocks.c.
"""

from __future__ import annotations

from struct import Struct

from greengrass_sdk._native import companion
from greengrass_sdk.wire.blocks import parse_blocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.wire.blocks import Buffer

__all__ = ["encode_answer", "encode_in_python", "head_of"]

_NAME = b"\xa4\x6astreamName"
_NUMBER, _TIME, _PAYLOAD = b"\x6esequenceNumber\x1b", b"\x6aingestTime\x1b", b"\x67payload\x5a"
_FIELDS = Struct(f">{len(_NUMBER)}sQ{len(_TIME)}sQ{len(_PAYLOAD)}sI")
_LIST = Struct(">BI")


def encode_in_python(before: bytes, head: bytes, data: Buffer) -> bytearray:
    """
    Return how long the rest is, in four bytes, and `before`, and a list of messages in CBOR.

    Args:
        before: All of a frame between its length and the list.
        head: What all messages begin with, see `head_of`.
        data: Blocks that follow each other.

    Raises:
        ValueError: There is something else.
    """
    parts: list[Buffer] = [b"", before, b""]
    for block in parse_blocks(data):
        time = block.ingest_time
        for number, payload in enumerate(block.payloads(), block.first):
            fields = _FIELDS.pack(_NUMBER, number, _TIME, time, _PAYLOAD, len(payload))
            parts += (head, fields, payload)
    parts[2] = _LIST.pack(0x9A, len(parts) // 3 - 1)
    parts[0] = sum(map(len, parts)).to_bytes(4, "big")
    return bytearray().join(parts)


def head_of(name: str) -> bytes:
    """Return what a message of a stream begins with: a map of four, and the name."""
    raw = name.encode()
    size = len(raw)
    # The shortest one: decoders take longer for others.
    head = bytes((0x60 + size,)) if size < 24 else b"\x79" + size.to_bytes(2, "big")
    return b"".join((_NAME, head, raw))


_fast = companion()
encode_answer: Callable[[bytes, bytes, Buffer], bytearray] = (
    encode_in_python if _fast is None else _fast.cbor_of_blocks
)

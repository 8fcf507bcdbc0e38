# SPDX-License-Identifier: Apache-2.0
"""
Blocks: messages of a stream as they lie on disk and as they are sent.

A block holds messages that were appended together. Whoever appends makes its body, and nobody
takes it apart until somebody reads: the core adds a header and writes both.

    header  magic, checksum, size of the body, count (u32 each), first sequence number, time of
            ingestion in milliseconds since 1970 (u64 each), little-endian
    body    the sizes of the messages (u32 each), then the messages

The checksum is the CRC-32 of all that follows it, begun with a number that is another one in each
file: what looks like a block inside of a message is none.

What is done for each block or each message is in C as well, native/include/gg/block.h.
"""

from __future__ import annotations

import zlib
from itertools import accumulate, pairwise
from struct import Struct, error, unpack_from

from greengrass_sdk._native import companion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias, TypeVar

    Buffer: TypeAlias = bytes | bytearray | memoryview
    M = TypeVar("M")

__all__ = [
    "HEADER_BYTES",
    "MAGIC",
    "QUICK",
    "Block",
    "bare_parts",
    "count_of",
    "crc32",
    "encode_body",
    "encode_header",
    "parse_block",
    "parse_blocks",
    "parse_size",
    "reader",
    "run_in_python",
    "run_of_blocks",
    "sizes_of",
    "stop_in_python",
    "stop_of",
]

MAGIC = b"GGb1"
_HEADER = Struct("<4sIIIQQ")
_REST = Struct("<IIQQ")
_CRC = Struct("<I")
_AFTER_CRC = 8
HEADER_BYTES = _HEADER.size

_fast = companion()
QUICK: bool = _fast is not None and _fast.crc32_is_fast()
"""Whether a run of blocks is looked at in C; else zlib makes checksums faster."""

crc32: Callable[..., int] = _fast.crc32 if _fast is not None and QUICK else zlib.crc32


class Block:
    """Messages that were appended together; `body` as in the module's docstring."""

    __slots__ = ("body", "count", "first", "ingest_time")

    def __init__(self, first: int, ingest_time: int, count: int, body: Buffer) -> None:
        self.first = first
        self.ingest_time = ingest_time
        self.count = count
        self.body = body

    @property
    def stop(self) -> int:
        """The sequence number after the last."""
        return self.first + self.count

    @property
    def size(self) -> int:
        """What it takes on disk."""
        return HEADER_BYTES + len(self.body)

    def payloads(self) -> list[bytes]:
        """Return the messages."""
        body = bytes(self.body)  # a copy of all, of which slices are cheap
        ends = list(accumulate(_sizes(body, self.count), initial=4 * self.count))
        return [body[at:end] for at, end in pairwise(ends)]

    def part(self, first: int, stop: int) -> Block:
        """Return the block of the messages from `first` to before `stop`, itself if it is all."""
        low, high = max(first, self.first) - self.first, min(stop, self.stop) - self.first
        if low == 0 and high == self.count:
            return self
        sizes = _sizes(self.body, self.count)
        begin = 4 * self.count + sum(sizes[:low])
        end = begin + sum(sizes[low:high])
        body = b"".join((self.body[4 * low : 4 * high], self.body[begin:end]))
        return Block(self.first + low, self.ingest_time, high - low, body)

    def header(self, salt: int = 0) -> bytes:
        """Return the header, as it is on a disk."""
        return encode_header(self.first, self.ingest_time, self.count, self.body, salt)

    def bare_header(self) -> bytes:
        """Return the header without a checksum, for another process of the same machine."""
        return _HEADER.pack(MAGIC, 0, len(self.body), self.count, self.first, self.ingest_time)


def bare_parts(blocks: Sequence[Block]) -> list[Buffer]:
    """Return headers without checksums and bodies, in their order."""
    return [part for block in blocks for part in (block.bare_header(), block.body)]


def encode_body(payloads: Sequence[Buffer]) -> bytes:
    """Return the body of a block."""
    sizes = Struct(f"<{len(payloads)}I").pack(*map(len, payloads))
    return b"".join((sizes, *payloads))


def encode_header(first: int, ingest_time: int, count: int, body: Buffer, salt: int = 0) -> bytes:
    """Return the header of a block."""
    rest = _REST.pack(len(body), count, first, ingest_time)
    return b"".join((MAGIC, _CRC.pack(crc32(body, crc32(rest, salt))), rest))


def sizes_of(body: Buffer, count: int) -> tuple[int, ...]:
    """
    Return the sizes of the messages in a body that came from somebody.

    Raises:
        ValueError: It is no body of `count` messages, or one of them is empty.
    """
    if count < 1 or 4 * count > len(body):
        raise ValueError(f"a body of {len(body)} bytes cannot hold {count} messages")
    sizes = _sizes(body, count)
    if 4 * count + sum(sizes) != len(body):
        raise ValueError(f"{count} messages do not fill their body of {len(body)} bytes")
    if not all(sizes):
        raise ValueError("a message is empty")
    return sizes


def parse_block(data: Buffer, at: int = 0, salt: int = 0) -> Block | None:
    """Return the block at an offset; None if there is none, or it is damaged."""
    try:
        magic, checksum, size, count, first, ingest_time = _HEADER.unpack_from(data, at)
    except error:
        return None
    end = at + HEADER_BYTES + size
    if magic != MAGIC or end > len(data):
        return None
    whole = memoryview(data)
    if crc32(whole[at + _AFTER_CRC : end], salt) != checksum:
        return None
    body = whole[at + HEADER_BYTES : end]
    try:
        sizes_of(body, count)
    except ValueError:
        return None  # never written by us
    return Block(first, ingest_time, count, body)


def parse_size(data: Buffer, at: int = 0) -> int:
    """Return the size that the header at an offset says, of header and body; 0 if it is none."""
    try:
        magic, _, size, *_ = _HEADER.unpack_from(data, at)
    except error:
        return 0
    return HEADER_BYTES + int(size) if magic == MAGIC else 0


def parse_blocks(data: Buffer) -> Iterator[Block]:
    """
    Yield blocks that follow each other; nobody looks at their checksums.

    Raises:
        ValueError: There is something else.
    """
    whole, at = memoryview(data), 0
    while at < len(whole):
        try:
            magic, _, size, count, first, ingest_time = _HEADER.unpack_from(whole, at)
        except error:
            raise ValueError("a block is cut off") from None
        end = at + HEADER_BYTES + size
        if magic != MAGIC or end > len(whole):
            raise ValueError("a block is cut off, or is none")
        body = whole[at + HEADER_BYTES : end]
        sizes_of(body, count)
        yield Block(first, ingest_time, count, body)
        at = end


def count_of(data: Buffer, at: int) -> int:
    """Return how many messages the header at an offset says; 0 if it is cut off."""
    return int(_HEADER.unpack_from(data, at)[3]) if at + HEADER_BYTES <= len(data) else 0


def run_in_python(data: Buffer, salt: int, count: int) -> tuple[int, int, int, int]:
    """
    Find the good blocks that `data` begins with and that follow each other without a gap.

    Args:
        count: At most so many messages, in whole blocks.

    Returns:
        Their size, 0 if there are none, the first sequence number, that after the last, and when
        the last block came.
    """
    size = first = stop = time = 0
    while (block := parse_block(data, size, salt)) is not None:
        if block.count > count or (size and block.first != stop):
            break
        first = first if size else block.first
        stop, time = block.stop, block.ingest_time
        count -= block.count
        size += block.size
    return size, first, stop, time


run_of_blocks: Callable[[Buffer, int, int], tuple[int, int, int, int]] = (
    _fast.run_of_blocks if _fast is not None and QUICK else run_in_python
)


def stop_in_python(data: Buffer) -> int:
    """
    Return the sequence number after the last message in blocks that follow each other.

    Raises:
        ValueError: There is something else, or nothing.
    """
    stop = 0
    for block in parse_blocks(data):
        stop = block.stop
    if not stop:
        raise ValueError("there are no blocks")
    return stop


stop_of: Callable[[Buffer], int] = stop_in_python if _fast is None else _fast.stop_of_blocks


def reader(make: type[M], *, native: bool = True) -> Callable[[str, Buffer], list[M]]:
    """
    Return what makes messages of a stream of that name out of blocks that follow each other.

    It raises ValueError if there is something else.

    Args:
        make: A class with the slots `stream_name`, `sequence_number`, `ingest_time` and `payload`,
            which are its arguments.
        native: In C, where it was built.
    """

    def read(name: str, data: Buffer) -> list[M]:
        return [
            make(name, number, block.ingest_time, payload)  # type: ignore[call-arg]
            for block in parse_blocks(data)
            for number, payload in enumerate(block.payloads(), block.first)
        ]

    if _fast is None or not native:
        return read
    of: Callable[[str, Buffer], list[M]] = _fast.Records(make).of
    return of


def _sizes(body: Buffer, count: int) -> tuple[int, ...]:
    return unpack_from(f"<{count}I", body)

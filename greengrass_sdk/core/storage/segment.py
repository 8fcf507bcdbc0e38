# SPDX-License-Identifier: Apache-2.0
"""
One file of a log: a header, blocks one after the other, zeros.

A segment that is full is sealed: cut to what is used, and once that is on the disk, described by an
index beside it, so that opening it again reads only that. One without an index is read as a whole.
What follows its last good block is a torn tail and is cut; what lies between good blocks is damage,
and only what was in it is lost.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from struct import Struct
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk.wire.blocks import (
    HEADER_BYTES,
    MAGIC,
    Block,
    count_of,
    crc32,
    encode_header,
    parse_block,
    parse_size,
    run_of_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from greengrass_sdk.core.storage.files import File, Files
    from greengrass_sdk.wire.blocks import Buffer

__all__ = ["SEGMENT_HEADER_BYTES", "Extent", "Gap", "Segment"]

_MAGIC = b"GGs1"  # and the first sequence number, u64
_INDEX_MAGIC = b"GGi1"  # and a checksum, u32
_INDEX_REST = Struct("<QQQI")  # used, next, newest time, entries; then these
_ENTRY_BYTES = 16
SEGMENT_HEADER_BYTES = 32

_INDEXED_BYTES = 32 * 1024  # between two entries of the index
_CHUNK_BYTES = 1024 * 1024
_FIRST_BYTES = 128 * 1024  # of a read; then twice as much each time, up to a chunk
_ALLOCATED_BYTES = 1024 * 1024  # at least so much at a time, then twice what there is
_HINTS = 8  # readers that go on where they were without looking it up


@frozen
class Gap:
    """Messages that are damaged: from `first` to before `stop`."""

    first: int
    stop: int


@frozen
class Extent:
    """
    Where in a file blocks are that follow each other, as it is noted: nobody looked at them.

    Attributes:
        salt: What their checksums begin with.
        first: Sequence number of their first message.
        stop: That after their last.
    """

    salt: int
    first: int
    stop: int
    offset: int
    size: int


@define(eq=False)
class Segment:
    """
    A file of a log.

    Attributes:
        first: Sequence number of the first message that it may hold.
        next: Sequence number after the last.
        used: Bytes that are used.
        newest_ms: When its last message came.
        sealed: Nothing more is written to it.
        gaps: What was found to be damaged.
        cut_bytes: What was cut from its end when it was opened.
    """

    _files: Files
    first: int
    next: int = field(init=False)
    used: int = SEGMENT_HEADER_BYTES
    newest_ms: int = 0
    sealed: bool = False
    gaps: list[Gap] = field(factory=list)
    cut_bytes: int = 0
    _salt: int = field(init=False)
    _open_file: File | None = None
    _index: array[int] = field(factory=lambda: array("Q"))
    _hints: dict[int, int] = field(factory=dict)
    _pending: list[Buffer] = field(factory=list)
    _pending_from: int = 0

    def __attrs_post_init__(self) -> None:
        self.next = self.first
        self._salt = crc32(self.first.to_bytes(8, "little"))

    # Making and opening.

    @classmethod
    def create(cls, files: Files, first: int) -> Self:
        """Make an empty segment."""
        segment = cls(files, first)
        segment._file.truncate(0)
        segment._file.write(0, _encode_header(first))
        return segment

    @classmethod
    def open(cls, files: Files, first: int) -> Self:
        """Open what a run of the core has left, and recover it."""
        segment = cls(files, first)
        if not segment._load_index():
            header = _encode_header(first)
            if segment._file.read(0, SEGMENT_HEADER_BYTES) != header:
                segment._file.write(0, header)  # torn when it was made, or damaged since
            segment._recover()
        return segment

    @property
    def _file(self) -> File:
        if self._open_file is None:
            self._open_file = self._files.open(log_name(self.first))
        return self._open_file

    def rest(self) -> None:
        """Close the file until it is needed again."""
        self._open_file = None

    def _recover(self) -> None:
        """Read all blocks; cut what follows the last one."""
        at, end = self.used, self._file.size
        while True:
            for offset, block in self._blocks(at, end):
                if block.first < self.next:
                    break  # of no use: these numbers are taken
                if block.first > self.next:
                    self.gaps.append(Gap(self.next, block.first))
                self._note(offset, block.first, block.count, block.size, block.ingest_time)
            found = self._next_block(self.used + 1, end, self.next)
            if found is None:
                break
            at = found
        at = self.used
        while data := self._file.read(at, _CHUNK_BYTES):
            if torn := data.rstrip(b"\0"):
                self.cut_bytes = at + len(torn) - self.used
            at += len(data)
        self._file.truncate(self.used)

    def _next_block(self, at: int, end: int, least: int) -> int | None:
        """Return where the next good block is whose number is at least `least`."""
        while at + HEADER_BYTES <= end:
            data = self._file.read(at, min(_CHUNK_BYTES, end - at))
            if len(data) < HEADER_BYTES:
                break
            position = data.find(MAGIC)
            while position >= 0:
                size = parse_size(data, position)
                if size and at + position + size <= end:
                    whole = self._file.read(at + position, size)
                    block = parse_block(whole, 0, self._salt)
                    if block is not None and block.first >= least:
                        return at + position
                position = data.find(MAGIC, position + 1)
            at += len(data) - HEADER_BYTES + 1
        return None

    # Writing.

    def put(self, count: int, body: Buffer, now_ms: int) -> int:
        """Take a block in; `commit` writes it. Return its first sequence number."""
        if not self._pending:
            self._pending_from = self.next
        first = self.next
        self._pending += (encode_header(first, now_ms, count, body, self._salt), body)
        self._note(self.used, first, count, HEADER_BYTES + len(body), now_ms)
        return first

    @property
    def pending(self) -> bool:
        """Whether there is something to write."""
        return bool(self._pending)

    def commit(self, limit: int) -> File:
        """
        Write what was put; `limit` is how large the file will become.

        Raises:
            OSError: It is as if nothing had been put.
        """
        pending, self._pending = self._pending, []
        at = self.used - sum(map(len, pending))
        try:
            self._allocate(at, limit)
            self._file.write(at, *pending)
        except BaseException:
            self._revert(at)
            raise
        return self._file

    def _allocate(self, at: int, limit: int) -> None:
        """Have room for what is written now, and better for some more."""
        if self.used <= self._file.size:
            return
        wanted = min(max(2 * self._file.size, _ALLOCATED_BYTES), limit)
        if wanted > self.used:
            try:
                self._file.allocate(wanted)
            except OSError:
                self._file.truncate(at)
            else:
                return
        self._file.allocate(self.used)

    def _revert(self, at: int) -> None:
        self.used, self.next = at, self._pending_from
        while self._index and self._index[-1] >= at:
            del self._index[-2:]
        self._hints.clear()
        self._file.truncate(at)

    def _note(self, offset: int, first: int, count: int, size: int, time_ms: int) -> None:
        if not self._index or offset - self._index[-1] >= _INDEXED_BYTES:
            self._index.extend((first, offset))
        self.newest_ms = time_ms
        self.next = first + count
        self.used = offset + size

    def seal(self) -> File:
        """End writing: return what the disk allocated for more."""
        self.sealed = True
        self._file.truncate(self.used)
        return self._file

    # The index beside it.

    def save_index(self) -> None:
        """Describe a sealed segment that is on the disk; a torn description is none."""
        if self.gaps:
            return  # it is read again each time, and told again
        entries = len(self._index) // 2
        rest = _INDEX_REST.pack(self.used, self.next, self.newest_ms, entries)
        rest += self._index.tobytes()
        file = self._files.open(index_name(self.first))
        file.truncate(0)
        file.write(0, _INDEX_MAGIC + crc32(rest, self._salt).to_bytes(4, "little") + rest)

    def _load_index(self) -> bool:
        data = self._files.load(index_name(self.first))
        rest = data[8:]
        if data[:8] != _INDEX_MAGIC + crc32(rest, self._salt).to_bytes(4, "little"):
            return False
        used, after, newest_ms, entries = _INDEX_REST.unpack_from(rest)
        if used != self._file.size or len(rest) != _INDEX_REST.size + _ENTRY_BYTES * entries:
            return False
        self.used, self.next, self.newest_ms, self.sealed = used, after, newest_ms, True
        self._index.frombytes(rest[_INDEX_REST.size :])
        return True

    # Reading.

    def read(self, start: int, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[Block | Gap]:
        """Yield from the block that holds `start`, or the first after it, to the end."""
        at, expected = self._offset(start), start
        while True:
            for offset, block in self._blocks(at, self.used, chunk_bytes):
                if block.first > expected:
                    yield self._damaged(expected, block.first)
                at = offset + block.size
                expected = max(expected, block.stop)
                if block.stop > start:
                    self._hint(block.stop, at)
                    yield block
            found = None
            if at < self.used:
                found = self._next_block(at + 1, self.used, expected)
            if found is None:
                break
            at = found
        if expected < self.next:
            yield self._damaged(expected, self.next)

    def run(self, start: int, count: int, max_bytes: int) -> tuple[memoryview, int] | None:
        """
        Read whole blocks from `start` on, as they are stored.

        Returns:
            The blocks, and the number after their last message; None where that is not known to
            begin a block, is damaged, or is in a block that has more than `count` messages.
        """
        at = self._begin(start)
        if at is None:
            return None
        room = min(max_bytes, self.used - at)
        about = count * ((self.used - SEGMENT_HEADER_BYTES) // (self.next - self.first) + 1)
        data = self._file.read(at, min(room, about + about // 4))
        size, first, stop, _ = run_of_blocks(data, self._salt, count)
        left = count - (stop - start)
        if not size or first != start or count_of(data, size) > left > 0:
            return None
        if left and stop < self.next and len(data) < room:
            return None  # they are larger than others
        self._hint(stop, at + size)
        return memoryview(data)[:size], stop

    def extent(self, start: int, count: int, max_bytes: int) -> Extent | None:
        """
        Return where blocks from `start` on are, without reading them.

        Returns:
            As many as `max_bytes` allow, or all there are; None where that is not known, or is more
            than `count` messages.
        """
        at = self._begin(start)
        if at is None:
            return None
        stop, end = self.next, self.used
        if end - at > max_bytes:
            entry = bisect_right(self._index[1::2], at + max_bytes) - 1
            stop, end = self._index[2 * entry : 2 * entry + 2]
        if end <= at or stop - start > count:
            return None
        return Extent(self._salt, start, stop, at, end - at)

    def _damaged(self, first: int, stop: int) -> Gap:
        gap = Gap(first, stop)
        if gap not in self.gaps:
            self.gaps.append(gap)
        return gap

    def _begin(self, start: int) -> int | None:
        """Return where the block that begins with a sequence number is; None: that is not known."""
        if (hint := self._hints.get(start)) is not None:
            return hint
        entry = bisect_right(self._index[::2], start) - 1
        known = entry >= 0 and self._index[2 * entry] == start
        return self._index[2 * entry + 1] if known else None

    def _offset(self, start: int) -> int:
        """Return where to begin to look for a sequence number."""
        if (hint := self._hints.get(start)) is not None:
            return hint
        entry = bisect_right(self._index[::2], start) - 1
        return self._index[2 * entry + 1] if entry >= 0 else SEGMENT_HEADER_BYTES

    def _hint(self, number: int, offset: int) -> None:
        hints = self._hints
        hints.pop(number, None)
        if len(hints) >= _HINTS:
            del hints[next(iter(hints))]
        hints[number] = offset

    def _blocks(
        self, at: int, end: int, chunk_bytes: int = _CHUNK_BYTES
    ) -> Iterator[tuple[int, Block]]:
        """Yield blocks and their offsets, up to the first that is none."""
        wanted = min(chunk_bytes, _FIRST_BYTES)
        while at + HEADER_BYTES <= end:
            asked = min(wanted, end - at)
            data = self._file.read(at, asked)
            position = size = 0
            while size := parse_size(data, position):
                if position + size > len(data):
                    break
                block = parse_block(data, position, self._salt)
                if block is None:
                    return
                yield at + position, block
                position += size
            is_cut = len(data) < asked  # by somebody else
            if not position and (not size or at + size > end or len(data) >= size or is_cut):
                return
            wanted = max(min(chunk_bytes, 2 * wanted), size)
            at += position


def log_name(first: int) -> str:
    """Return the name of a segment's file."""
    return f"{first:020d}.log"


def index_name(first: int) -> str:
    """Return the name of its index."""
    return f"{first:020d}.index"


def _encode_header(first: int) -> bytes:
    return (_MAGIC + first.to_bytes(8, "little")).ljust(SEGMENT_HEADER_BYTES, b"\0")

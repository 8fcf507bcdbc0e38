# SPDX-License-Identifier: Apache-2.0
"""
The segments of a stream as one sequence of messages.

Everything here belongs to one thread. What it wrote must be synced to be durable, which another
thread may do: `take_unsynced` hands over what there is to sync.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import deque
from threading import Event
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk._native._py.lent import Lent
from greengrass_sdk.core.storage.segment import (
    SEGMENT_HEADER_BYTES,
    Extent,
    Gap,
    Segment,
    index_name,
    log_name,
)
from greengrass_sdk.wire.blocks import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from greengrass_sdk.core.storage.files import File, Files
    from greengrass_sdk.wire.blocks import Block, Buffer

__all__ = ["SegmentLog", "Unsynced"]

log = logging.getLogger(__name__)

_LEAST_CHUNK = 16 * 1024
_AWAKE = 4  # sealed segments whose files are open


@frozen
class Unsynced:
    """What is written and not yet on the disk."""

    files: list[File]
    _sealed: list[Segment]
    _place: Files
    _names: bool
    _abandoned: Event

    @property
    def quick(self) -> bool:
        """Whether it is one flush of the disk."""
        return len(self.files) <= 1 and not self._names and not self._sealed

    def sync(self, seen: dict[int, OSError | None]) -> OSError | None:
        """
        Return when it is on the disk; if it is not, and may never be, return why.

        Args:
            seen: What became of files that were synced in the same go, by their identities.
        """
        failure: OSError | None = None
        for file in self.files:
            if self._abandoned.is_set():
                return None
            if id(file) not in seen:
                seen[id(file)] = _failure(file)
            failure = seen[id(file)] or failure
        if self._names and failure is None:
            failure = _failure(self._place)
        for segment in self._sealed:
            try:
                if failure is None:
                    segment.save_index()
            except OSError as error:
                log.warning("%s; the segment is read as a whole the next time", error)
        return failure


def _failure(place: File | Files) -> OSError | None:
    try:
        place.sync()
    except OSError as error:
        return error
    return None


@define(eq=False)
class SegmentLog:
    """
    A log.

    Args:
        segment_bytes: How large a segment becomes; one message is never divided.
    """

    _files: Files
    segment_bytes: int
    _segments: list[Segment] = field(factory=list, init=False)
    _awake: deque[Segment] = field(factory=deque, init=False)
    _next: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)
    _dirty: list[File] = field(factory=list, init=False)
    _sealed: list[Segment] = field(factory=list, init=False)
    _names_changed: bool = field(default=False, init=False)
    _abandoned: Event = field(factory=Event, init=False)

    @classmethod
    def open(cls, files: Files, segment_bytes: int) -> Self:
        """
        Open what is there, and recover it.

        Raises:
            OSError: It cannot be read.
        """
        opened = cls(files, segment_bytes)
        files.make()
        names = files.names()
        firsts = sorted(int(name[:-4]) for name in names if name.endswith(".log"))
        for first in firsts:
            segment = Segment.open(files, first)
            opened._join(segment)
        for stray in {n for n in names if n.endswith(".index")} - {index_name(f) for f in firsts}:
            files.remove(stray)
        return opened

    def _join(self, segment: Segment) -> None:
        """Add a segment that was opened, after what lies before it."""
        before = self._segments[-1] if self._segments else None
        if before is not None:
            before.sealed = True
            if before.next < segment.first:  # its end was cut, but it was not the end of all
                before.gaps.append(Gap(before.next, segment.first))
            before.rest()
        self._segments.append(segment)
        self._next = segment.next
        self._size += segment.used - SEGMENT_HEADER_BYTES

    # What there is.

    @property
    def oldest(self) -> int:
        """Sequence number of the oldest message; the next one, if there is none."""
        return self._segments[0].first if self._segments else self._next

    @property
    def next(self) -> int:
        """Sequence number of the next message."""
        return self._next

    @property
    def size(self) -> int:
        """Bytes of all messages, with what each append adds."""
        return self._size

    @property
    def oldest_segment_newest_ms(self) -> int | None:
        """When the newest message of the oldest segment came; None if there is no message."""
        for segment in self._segments[:1]:
            return segment.newest_ms if segment.next > segment.first else None
        return None

    def reports(self) -> Iterator[str]:
        """Yield what opening found to be cut or damaged."""
        for segment in self._segments:
            name = log_name(segment.first)
            if segment.cut_bytes:
                yield f"{name}: a torn tail of {segment.cut_bytes} bytes was cut"
            for gap in segment.gaps:
                yield f"{name}: the messages {gap.first} to {gap.stop - 1} are damaged"

    # Writing.

    def put(self, count: int, body: Buffer, now_ms: int) -> int:
        """Take messages in, which `commit` writes; return the first's sequence number."""
        size = HEADER_BYTES + len(body)
        segment = self._segments[-1] if self._segments else None
        if segment is not None and not segment.sealed:
            full = segment.used + size > self.segment_bytes
            if full and segment.used > SEGMENT_HEADER_BYTES:
                self._commit(segment)
                self._seal(segment)
        if segment is None or segment.sealed:
            segment = self._begin()
        first = segment.put(count, body, now_ms)
        self._next = segment.next
        self._size += size
        return first

    def commit(self) -> None:
        """
        Write what was put.

        Raises:
            OSError: It is as if nothing had been put since the last commit, or since a segment was
                full: `next` tells.
        """
        if self._segments:
            self._commit(self._segments[-1])

    def _commit(self, segment: Segment) -> None:
        if not segment.pending:
            return
        before = segment.used
        try:
            file = segment.commit(self.segment_bytes)
        except BaseException:
            self._next = segment.next
            self._size -= before - segment.used
            raise
        if file not in self._dirty:
            self._dirty.append(file)

    def _begin(self) -> Segment:
        segment = Segment.create(self._files, self._next)
        self._segments.append(segment)
        self._names_changed = True
        return segment

    def _seal(self, segment: Segment) -> None:
        file = segment.seal()
        if file not in self._dirty:
            self._dirty.append(file)
        self._sealed.append(segment)
        self._wake(segment)

    def _wake(self, segment: Segment) -> None:
        """Bound the number of open files: a segment that was not read for long is closed."""
        if segment.sealed and segment not in self._awake:
            self._awake.append(segment)
            if len(self._awake) > _AWAKE:
                self._awake.popleft().rest()

    def seal(self) -> None:
        """Have the next message begin a segment: the disk may have lost what is in this one."""
        if self._segments and not self._segments[-1].sealed:
            self._commit(self._segments[-1])
            self._seal(self._segments[-1])

    def drop_oldest(self) -> None:
        """Remove the oldest segment; the sequence numbers go on."""
        self.commit()
        if len(self._segments) == 1:
            self._begin()  # it keeps the next number
        dropped = self._segments.pop(0)
        self._size -= dropped.used - SEGMENT_HEADER_BYTES
        if dropped in self._awake:
            self._awake.remove(dropped)
        if dropped in self._sealed:
            self._sealed.remove(dropped)
        self._files.remove(index_name(dropped.first))
        self._files.remove(log_name(dropped.first))
        self._names_changed = True

    # Syncing.

    @property
    def unsynced(self) -> bool:
        """Whether something is not on the disk."""
        return bool(self._dirty) or self._names_changed

    def take_unsynced(self) -> Unsynced:
        """Hand over what is to be synced."""
        taken = Unsynced(
            self._dirty, self._sealed, self._files, self._names_changed, self._abandoned
        )
        self._dirty, self._sealed, self._names_changed = [], [], False
        return taken

    def abandon(self) -> None:
        """Say that the log is deleted: nobody needs to wait for the disk any more."""
        self._abandoned.set()

    # Reading.

    def read(self, start: int, count: int, max_bytes: int) -> tuple[list[Block], Gap | None]:
        """
        Read messages in their order.

        Returns:
            Blocks with up to `count` messages, and about `max_bytes` at most, but one message at
            least; and what is damaged behind them, if that is why there are no more.
        """
        start = max(start, self.oldest)
        found: list[Block] = []
        size = 0
        for item in self._items(start, max(min(max_bytes, 1 << 20), _LEAST_CHUNK)):
            if isinstance(item, Gap):
                return found, item
            block = item.part(start, start + count)
            if found and size + block.size > max_bytes:
                break
            if size + block.size > max_bytes and block.count > 1:
                block = _fitting(block, max_bytes - size)
            found.append(block)
            size += block.size
            count -= block.stop - start
            start = block.stop
            if count <= 0 or size >= max_bytes or start < item.stop:
                break
        return found, None

    def runs(self, start: int, count: int, max_bytes: int) -> tuple[list[memoryview], int]:
        """
        Read messages in whole blocks, as they are stored.

        It is for what is read in order, in large pieces; `read` can do everything.

        Returns:
            What `read` would, and the number after the last message; nothing and `start` where
            that is not to be had.
        """
        self.commit()
        found: list[memoryview] = []
        begin = bisect_right(self._segments, start, key=lambda segment: segment.first) - 1
        following = start
        for position in range(max(begin, 0), len(self._segments)):
            segment = self._segments[position]
            if following >= segment.next or following < segment.first:
                break
            self._wake(segment)
            run = segment.run(following, count, max_bytes)
            if run is None:
                return [], start
            data, stop = run
            found.append(data)
            count -= stop - following
            max_bytes -= len(data)
            following = stop
            if not count or stop < segment.next:
                break
        return found, following

    def lend(
        self, start: int, count: int, max_bytes: int, least_bytes: int
    ) -> tuple[Extent, Lent] | None:
        """
        Return where messages in whole blocks are, and the file, for somebody else to read.

        It is for what is read in order, `least_bytes` of it at least.

        Returns:
            What `read` would, or less of it; None where that is not to be had.
        """
        self.commit()
        position = bisect_right(self._segments, start, key=lambda segment: segment.first) - 1
        if position < 0:
            return None
        segment = self._segments[position]
        extent = segment.extent(start, count, max_bytes)
        if extent is None or extent.size < least_bytes:
            return None
        descriptor = self._files.lend(log_name(segment.first))
        if descriptor is None:
            return None
        return extent, Lent(descriptor, extent.offset, extent.size)

    def _items(self, start: int, chunk_bytes: int) -> Iterator[Block | Gap]:
        self.commit()
        begin = bisect_right(self._segments, start, key=lambda segment: segment.first) - 1
        for position in range(max(begin, 0), len(self._segments)):
            segment = self._segments[position]
            if segment.next > start:
                self._wake(segment)
                yield from segment.read(max(start, segment.first), chunk_bytes)
            after = self._after(position)
            if segment.next < after and after > start:
                yield Gap(max(segment.next, start), after)

    def _after(self, position: int) -> int:
        """Return where the next segment begins."""
        following = position + 1
        return self._segments[following].first if following < len(self._segments) else self._next


def _fitting(block: Block, size: int) -> Block:
    """Return the beginning of a block that is about so large, one message at least."""
    average = max(len(block.body) // block.count, 1)
    return block.part(block.first, block.first + max(1, min(size // average, block.count)))

# SPDX-License-Identifier: Apache-2.0
"""
The stream manager: one request after the other, against a store.

It belongs to one thread, waits for nothing, and knows the time only from its clock. What it appends
is written when a call returns, and durable when what `take_unsynced` returns was synced.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from greengrass_sdk.core.storage.files import MemoryFiles
from greengrass_sdk.core.storage.log import SegmentLog
from greengrass_sdk.core.streams import rules
from greengrass_sdk.core.streams.exports import Exports, ExportTask
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamFullError,
    StreamMemoryError,
    StreamNotFoundError,
    StreamPayloadTooLargeError,
    StreamReadError,
    StreamResponseTooLargeError,
    StreamStoreError,
)
from greengrass_sdk.model.limits import RING_BYTES
from greengrass_sdk.model.stream import (
    MessageStreamDefinition,
    MessageStreamInfo,
    StorageStatus,
    StrategyOnFull,
)
from greengrass_sdk.wire.blocks import HEADER_BYTES, Block, bare_parts, encode_body, sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from greengrass_sdk._native._py.lent import Lent
    from greengrass_sdk.core.storage.log import Unsynced
    from greengrass_sdk.core.storage.segment import Extent
    from greengrass_sdk.core.streams.store import Store
    from greengrass_sdk.wire.blocks import Buffer

    Stored: TypeAlias = "list[Buffer] | tuple[Extent, Lent]"

__all__ = ["Append", "Appended", "StreamService"]

log = logging.getLogger(__name__)

_CHUNK_BYTES, _PIECE_BYTES = 4 << 20, 64 << 20  # of what `verify` reads

_LENT_BYTES = RING_BYTES // 2  # less than that lies in the ring when it is sent

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@frozen
class Append:
    """
    Messages to append, as the body of a block.

    Attributes:
        separate: They were appended one by one: those that find room stay, also if others do not.
            Else it is all or nothing.
    """

    name: str
    count: int
    body: Buffer
    separate: bool = False


@frozen
class Appended:
    """
    What became of them: `count` messages from `first` on are in the stream.

    Attributes:
        flush: The stream says that this counts once it is on the disk.
        refused: Why the others are not in it.
    """

    first: int
    count: int
    flush: bool = False
    refused: StreamError | None = None


@define(eq=False)
class _Stream:
    """A stream that is open."""

    number: int | None  # in the store; None: it ends with the core
    definition: MessageStreamDefinition
    log: SegmentLog
    exports: Exports

    @property
    def name(self) -> str:
        return self.definition.name or ""

    @property
    def max_size(self) -> int:
        return self.definition.max_size or 0


@define(eq=False)
class StreamService:
    """
    Answers requests.

    Args:
        store: Where the streams are.
        clock_ms: Milliseconds since 1970.

    Raises:
        StreamError: From every method: what fits of its subclasses.
    """

    store: Store
    clock_ms: Callable[[], int]
    _streams: dict[str, _Stream] = field(factory=dict, init=False)

    # Definitions.

    def open(self) -> None:
        """Open what is kept; what was lost is told in the log."""
        for stored in self._of_store("the streams", self.store.load):
            name = stored.definition.name or ""
            try:
                opened = SegmentLog.open(stored.files, rules.segment_bytes(stored.definition))
                for line in opened.reports():
                    log.warning("stream %s: %s", name, line)
                exports = Exports(stored.definition, self.store, stored.number)
            except OSError as error:
                log.error("stream %s cannot be opened and is left alone: %s", name, error)  # noqa: TRY400 - told, not a fault
                continue
            exports.clamp(opened.next)
            self._streams[name] = _Stream(stored.number, stored.definition, opened, exports)

    def close(self) -> None:
        """Let go of everything; what is to be synced was."""
        self._streams.clear()
        self.store.close()

    def create(self, definition: MessageStreamDefinition) -> None:
        """Make a stream."""
        definition = rules.check_definition(definition)
        name = definition.name or ""
        if name in self._streams:
            raise InvalidStreamRequestError(f"stream {name} already exists", stream=name)
        rules.check_status_streams(definition, self._streams)
        size = rules.segment_bytes(definition)
        if rules.is_in_memory(definition):
            opened = SegmentLog(MemoryFiles(), size)
            exports = Exports(definition, None, 0)
            self._streams[name] = _Stream(None, definition, opened, exports)
            return
        stored = self._of_store(name, lambda: self.store.add(definition))
        exports = Exports(definition, self.store, stored.number)
        opened = SegmentLog(stored.files, size)
        self._streams[name] = _Stream(stored.number, definition, opened, exports)

    def update(self, definition: MessageStreamDefinition) -> None:
        """Give a stream another definition: what it leaves out is the default."""
        definition = rules.check_definition(definition)
        stream = self._stream(definition.name or "")
        rules.check_status_streams(definition, self._streams)
        rules.check_update(stream.definition, definition, stream.log.size, stream.log.next)
        number = stream.number
        if number is not None:
            self._of_store(stream.name, lambda: self.store.change(number, definition))
        self._of_store(stream.name, lambda: stream.exports.change(definition))
        stream.definition = definition
        stream.log.segment_bytes = rules.segment_bytes(definition)

    def delete(self, name: str) -> None:
        """Remove a stream and all that is in it."""
        stream = self._stream(name)
        number = stream.number
        if number is not None:
            self._of_store(name, lambda: self.store.remove(number))
        stream.log.abandon()
        del self._streams[name]

    def names(self) -> list[str]:
        """Return the names of all streams, sorted."""
        return sorted(self._streams)

    def describe(self, name: str) -> MessageStreamInfo:
        """Return what a stream is, holds, and has exported."""
        stream = self._stream(name)
        self._expire(stream)
        held = stream.log
        status = StorageStatus(held.oldest, held.next - 1, held.size)
        return MessageStreamInfo(stream.definition, status, stream.exports.statuses())

    # Appending.

    def append(self, requests: Iterable[Append]) -> list[Appended | StreamError]:
        """Append what many asked for; the messages of each stream are written in one go."""
        results: list[Appended | StreamError] = []
        touched: dict[str, _Stream] = {}
        failed: dict[str, StreamError] = {}
        now_ms = self.clock_ms()
        requests = list(requests)
        for request in requests:
            name = request.name
            try:
                # After a failure the numbers of what was lost are free: nothing may take them yet.
                result = failed.get(name) or self._put(request, now_ms, touched)
            except StreamError as error:
                result = error
            except (OSError, MemoryError) as error:
                result = failed[name] = self._failure(name, error)
            results.append(result)
        for name in touched.keys() - failed.keys():
            try:
                touched[name].log.commit()
            except (OSError, MemoryError) as error:
                failed[name] = self._failure(name, error)
        for position, (request, result) in enumerate(zip(requests, results, strict=True)):
            if request.name in failed and isinstance(result, Appended):
                following = self._stream(request.name).log.next
                results[position] = _kept(result, following, failed[request.name])
        return results

    def _put(self, request: Append, now_ms: int, touched: dict[str, _Stream]) -> Appended:
        stream = self._stream(request.name)
        try:
            sizes_of(request.body, request.count)
        except ValueError as error:
            raise InvalidStreamRequestError(
                f"{error}: the messages cannot be appended", stream=stream.name
            ) from error
        if stream.definition.time_to_live_millis is not None:
            self._expire(stream)
        flush = bool(stream.definition.flush_on_write)
        touched[request.name] = stream
        try:
            self._make_room(stream, HEADER_BYTES + len(request.body))
        except StreamError as error:
            if not request.separate or request.count == 1:
                raise
            return self._put_some(stream, request, now_ms, error)
        first = stream.log.put(request.count, request.body, now_ms)
        return Appended(first, request.count, flush)

    def _put_some(
        self,
        stream: _Stream,
        request: Append,
        now_ms: int,
        refused: StreamError,
    ) -> Appended:
        """Append messages one by one, up to the first that finds no room."""
        first, count = stream.log.next, 0
        for payload in Block(first, now_ms, request.count, request.body).payloads():
            try:
                self._make_room(stream, HEADER_BYTES + 4 + len(payload))
            except StreamError as error:
                refused = error
                break
            stream.log.put(1, encode_body((payload,)), now_ms)
            count += 1
        return Appended(first, count, bool(stream.definition.flush_on_write), refused)

    def _make_room(self, stream: _Stream, size: int) -> None:
        """Have room for a block, or refuse it."""
        name, most = stream.name, stream.max_size
        if size > most:
            raise StreamPayloadTooLargeError(
                f"an append of {size} bytes is larger than stream {name}, whose max_size is {most}",
                stream=name,
            )
        if stream.log.size + size <= most:
            return
        if stream.definition.strategy_on_full == StrategyOnFull.RejectNewData:
            raise StreamFullError(
                f"stream {name} is full: it holds {stream.log.size} bytes, its max_size is {most},"
                " and its strategy is RejectNewData",
                stream=name,
            )
        while stream.log.size + size > most:
            stream.log.drop_oldest()

    # Reading.

    def read(self, name: str, start: int, least: int, most: int, max_bytes: int) -> list[Block]:
        """
        Return blocks with `least` to `most` messages, from `start` or the oldest on.

        Args:
            max_bytes: Of all blocks, unless one message is larger.

        Raises:
            NotEnoughMessagesError: There are not so many.
            StreamReadError: They are damaged.
            StreamResponseTooLargeError: `least` messages are more than `max_bytes`.
        """
        held, start = self.window(name, start, least)
        try:
            blocks, gap = held.read(start, most, max_bytes)
        except OSError as error:
            log.error("stream %s cannot be read: %s", name, error)  # noqa: TRY400 - told, not a fault
            raise StreamReadError(f"stream {name} cannot be read: {error}", stream=name) from error
        found = sum(block.count for block in blocks)
        if found >= least:
            return blocks
        if gap is None:
            raise StreamResponseTooLargeError(
                f"{least} messages of stream {name} are more than the {max_bytes} bytes of an"
                " answer: ask for fewer",
                stream=name,
            )
        text = f"the messages {gap.first} to {gap.stop - 1} of stream {name} are damaged"
        log.error("%s; reading can go on at %d", text, gap.stop)
        raise StreamReadError(text, stream=name, next_sequence_number=gap.stop)

    def read_stored(
        self, name: str, start: int, least: int, most: int, max_bytes: int
    ) -> list[Buffer]:
        """Return what `read` does, as parts that lie one behind the other where it is sent."""
        held, start = self.window(name, start, least)
        with contextlib.suppress(OSError):  # it is told below
            parts, following = held.runs(start, most, max_bytes)
            if following - start >= least:
                return [*parts]
        return bare_parts(self.read(name, start, least, most, max_bytes))

    def lend(self, name: str, start: int, least: int, most: int, max_bytes: int) -> Stored:
        """Return where in a file much of what `read` does lies unchecked; else `read_stored`."""
        held, from_there = self.window(name, start, least)
        with contextlib.suppress(OSError):  # it is told below
            found = held.lend(from_there, most, max_bytes, _LENT_BYTES)
            if found is not None and found[0].stop - from_there >= least:
                return found
        return self.read_stored(name, start, least, most, max_bytes)

    def window(self, name: str, start: int, least: int) -> tuple[SegmentLog, int]:
        """Return where to read, and from where on, if there are so many messages."""
        stream = self._stream(name)
        self._expire(stream)
        held = stream.log
        start = max(start, held.oldest)
        if held.next - start < least:
            raise NotEnoughMessagesError(
                f"stream {name} has {max(held.next - start, 0)} messages from sequence number"
                f" {start} on, fewer than the {least} that are wanted",
                stream=name,
            )
        return held, start

    def verify(self, name: str, start: int) -> dict[str, Any]:
        """
        Read a piece of a stream, from `start` or the oldest message on.

        Returns:
            `messages` and `bytes` that are good, `damaged`: the first and the last number of each
            run of messages that is not, and `next`: where the next piece begins, None at the end.
        """
        stream = self._stream(name)
        held, start = stream.log, max(start, stream.log.oldest)
        messages = size = 0
        damaged: list[list[int]] = []
        while start < held.next and size < _PIECE_BYTES:
            try:
                blocks, gap = held.read(start, 1 << 31, _CHUNK_BYTES)
            except OSError as error:
                text = f"stream {name} cannot be read: {error}"
                raise StreamReadError(text, stream=name) from error
            for block in blocks:
                messages += block.count
                size += block.size
                start = block.stop
            if gap is not None:
                damaged.append([gap.first, gap.stop - 1])
                start = gap.stop
        following = start if start < held.next else None
        return {"messages": messages, "bytes": size, "damaged": damaged, "next": following}

    # What is durable.

    def take_unsynced(self, names: Iterable[str] | None = None) -> list[Unsynced]:
        """Hand over what is to be synced, of some streams or of all."""
        wanted = self._streams if names is None else names
        streams = (self._streams.get(name) for name in wanted)
        return [
            stream.log.take_unsynced()
            for stream in streams
            if stream is not None and stream.log.unsynced
        ]

    def distrust(self, names: Iterable[str]) -> None:
        """Go on in new segments: a sync failed, and the disk may have lost what it was for."""
        for name in names:
            stream = self._streams.get(name)
            if stream is not None:
                self._of_store(name, stream.log.seal)

    # Exports.

    def export_tasks(self) -> list[ExportTask]:
        """Return all exports that are not disabled."""
        return [task for stream in self._streams.values() for task in stream.exports.tasks()]

    def read_export(self, name: str, identifier: str, most: int, max_bytes: int) -> list[Block]:
        """Return what an export is to send next; what is gone or damaged is skipped, and told."""
        stream = self._stream(name)
        start = stream.exports.position(identifier)
        while stream.log.next > max(start, stream.log.oldest):
            try:
                return self.read(name, start, 1, most, max_bytes)
            except StreamReadError as error:
                if error.next_sequence_number is None:
                    raise
                start = error.next_sequence_number
        return []

    def advance_export(
        self, name: str, identifier: str, last: int, messages: int, size: int
    ) -> None:
        """Note that an export is done up to `last`."""
        stream = self._stream(name)
        now_ms = self.clock_ms()
        self._of_store(
            name, lambda: stream.exports.advance(identifier, last, messages, size, now_ms)
        )

    def report_export(self, name: str, identifier: str, error: str | None) -> None:
        """Note why an export does not go on; None: it does."""
        self._stream(name).exports.report(identifier, error)

    # The rest.

    def _stream(self, name: str) -> _Stream:
        try:
            return self._streams[name]
        except KeyError:
            raise StreamNotFoundError(f"stream {name} doesn't exist", stream=name) from None

    def _expire(self, stream: _Stream) -> None:
        """Remove segments in which everything is older than it must be kept."""
        limit = stream.definition.time_to_live_millis
        if limit is None:
            return
        oldest_kept = self.clock_ms() - limit
        while (newest := stream.log.oldest_segment_newest_ms) is not None and newest < oldest_kept:
            self._of_store(stream.name, stream.log.drop_oldest)

    def _of_store(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except OSError as error:
            raise self._failure(name, error) from error

    @staticmethod
    def _failure(name: str, error: OSError | MemoryError) -> StreamError:
        if isinstance(error, MemoryError):
            text = f"stream {name} cannot grow: there is no memory left"
            return StreamMemoryError(text, stream=name)
        if error.errno in _FULL:
            text = f"stream {name} cannot grow: the disk is full ({error})"
        else:
            text = f"stream {name} cannot be stored: {error}"
        log.error("%s", text)
        return StreamStoreError(text, stream=name)


def _kept(result: Appended, following: int, failure: StreamError) -> Appended | StreamError:
    """Return what is true of an append after a write has failed."""
    count = min(result.count, following - result.first)
    if count == result.count:
        return result
    return evolve(result, count=count, refused=failure) if count > 0 else failure

# SPDX-License-Identifier: Apache-2.0
"""
The stream manager for an event loop: what the protocols, exporters and commands speak to.

Requests are handed to the storage thread, unless they are quick. What is appended while one append
is on its way shares the next one, and what must be on the disk shares a sync; a reader that waits
hears of new messages.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from greengrass_sdk.core.storage.worker import StorageWorker
from greengrass_sdk.core.streams.service import Append, Appended, StreamService
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamStoreError,
)
from greengrass_sdk.model.stream import Message, ReadMessagesOptions, check_name, check_payload
from greengrass_sdk.wire.blocks import encode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greengrass_sdk.core.storage.log import Unsynced
    from greengrass_sdk.core.streams.exports import ExportTask
    from greengrass_sdk.core.streams.service import Stored
    from greengrass_sdk.core.streams.store import Store
    from greengrass_sdk.model.stream import MessageStreamDefinition, MessageStreamInfo
    from greengrass_sdk.wire.blocks import Block, Buffer

    Told = Callable[[Appended | StreamError], None]
    _Results = list[Appended | StreamError]
    # Also the streams that are to be synced, and what that is.
    _Done = tuple[_Results, set[str], Sequence[Unsynced]]

__all__ = ["READ_BYTES", "SYNC_S", "StreamManager", "window_of"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

SYNC_S = 1.0
READ_BYTES = 64 * 1024 * 1024  # of the messages that one read returns


@define(eq=False)
class StreamManager:
    """
    Serves streams. Everything but the constructor belongs to the event loop that `start` runs in.

    Args:
        store: Where streams are kept.
        sync_s: How long, at most, a message that was acknowledged without being flushed may not be
            on the disk.
        clock: Seconds since 1970.

    Raises:
        StreamError: From every request: what fits of its subclasses, with AWS's `status`.
    """

    store: Store
    sync_s: float = SYNC_S
    clock: Callable[[], float] = time.time
    _service: StreamService = field(init=False)
    _worker: StorageWorker | None = field(default=None, init=False)
    _appends: list[tuple[Append, Told]] = field(factory=list, init=False)
    _appending: bool = field(default=False, init=False)
    _sync_timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _watchers: dict[str, set[asyncio.Future[None]]] = field(init=False)
    _export_tasks: list[ExportTask] = field(factory=list, init=False)
    _export_watchers: list[Callable[[], None]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._service = StreamService(self.store, lambda: int(self.clock() * 1000))
        self._watchers = defaultdict(set)

    async def start(self) -> None:
        """
        Open what is kept.

        Raises:
            StreamStoreError: The place cannot be used.
        """
        self._worker = StorageWorker(asyncio.get_running_loop().call_soon_threadsafe)
        await self._run(self._service.open)
        await self._look_at_exports()

    async def stop(self) -> None:
        """Write and sync everything, and let go; may be called again."""
        if self._worker is None:
            return
        if self._sync_timer is not None:
            self._sync_timer.cancel()
        await self.flush()
        while self._appending:
            await self.flush()
        await self._run(self._service.close)
        worker, self._worker = self._worker, None
        worker.close()
        for name in list(self._watchers):
            self._wake(name)

    # Definitions.

    async def create_message_stream(self, definition: MessageStreamDefinition) -> None:
        """Make a stream."""
        definition.check()
        await self._run(partial(self._service.create, definition))
        await self._look_at_exports()

    async def update_message_stream(self, definition: MessageStreamDefinition) -> None:
        """Give a stream another definition; what it leaves out is the default."""
        definition.check()
        await self._run(partial(self._service.update, definition))
        await self._look_at_exports()

    async def delete_message_stream(self, name: str) -> None:
        """Remove a stream and all that is in it."""
        await self._run(partial(self._service.delete, check_name(name)))
        await self._look_at_exports()
        self._wake(name)

    async def list_streams(self) -> list[str]:
        """Return the names of all streams, sorted."""
        return await self._run(self._service.names, quick=True)

    async def describe_message_stream(self, name: str) -> MessageStreamInfo:
        """Return what a stream is, holds, and has exported."""
        return await self._run(partial(self._service.describe, check_name(name)), quick=True)

    async def verify(self, name: str, start: int = 0) -> dict[str, Any]:
        """Read a piece of a stream, and return what is damaged; see `StreamService.verify`."""
        return await self._run(partial(self._service.verify, check_name(name), start))

    # Appending.

    async def append_message(self, name: str, data: bytes) -> int:
        """Append a message, and return its sequence number."""
        first, _ = await self.append_messages(name, [data])
        return first

    async def append_messages(self, name: str, messages: Sequence[bytes]) -> tuple[int, int]:
        """Append all messages or none; return the sequence numbers of the first and the last."""
        if not messages:
            raise InvalidStreamRequestError(
                f"no messages to append to stream {name}: give one at least", stream=name
            )
        for each in messages:
            check_payload(each)
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

        def told(result: Appended | StreamError) -> None:
            if future.done():
                return  # whoever asked was cancelled
            if isinstance(result, StreamError):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.append(Append(check_name(name), len(messages), encode_body(messages)), told)
        result = await future
        return result.first, result.first + result.count - 1

    def append(self, request: Append, told: Told) -> None:
        """Append, and call `told` with what became of it, when it counts; that may be at once."""
        self._appends.append((request, told))
        if not self._appending:
            self._appending = True
            self._append()

    def _append(self) -> None:
        batch, self._appends = self._appends, []
        worker = self._worker
        if worker is None:
            self._appending = False
            for request, told in batch:
                told(StreamStoreError("the stream manager was stopped", stream=request.name))
            return

        def work() -> _Done:
            results = self._service.append([request for request, _ in batch])
            flushed = {
                request.name
                for (request, _), result in zip(batch, results, strict=True)
                if isinstance(result, Appended) and result.flush
            }
            return results, flushed, self._service.take_unsynced(flushed) if flushed else ()

        try:
            done = worker.try_now(work)
        except Exception as error:  # noqa: BLE001 - as the thread tells it
            self._appended(batch, error)
            return
        if done is None:
            worker.submit(work, partial(self._appended, batch))
        else:
            self._appended(batch, *done)

    def _appended(
        self,
        batch: list[tuple[Append, Told]],
        done: _Done | BaseException,
    ) -> None:
        self._appending = False
        if isinstance(done, BaseException):
            log.error("a bug of ours: messages could not be appended", exc_info=done)
            failed: _Results = [StreamError(str(done), stream=each.name) for each, _ in batch]
            done = failed, set(), ()
        results, flushed, unsynced = done
        if flushed and self._worker is not None:
            pairs = list(zip(batch, results, strict=True))
            alone = len(batch) == 1 and not self._appends
            self._worker.sync(unsynced, partial(self._flushed, flushed, pairs), alone=alone)
        if self._appends:
            self._appending = True
            self._append()
        dirty = False
        for (request, told), result in zip(batch, results, strict=True):
            if isinstance(result, Appended) and result.flush:
                continue  # it counts once it is on the disk
            told(result)
            if isinstance(result, Appended):
                dirty = True
                self._wake(request.name)
        if dirty and self._sync_timer is None:
            loop = asyncio.get_running_loop()
            self._sync_timer = loop.call_later(self.sync_s, self._sync_all)

    def _flushed(
        self,
        names: set[str],
        pairs: list[tuple[tuple[Append, Told], Appended | StreamError]],
        failure: OSError | None,
    ) -> None:
        if failure is not None:
            self._distrust(names, failure)
        for (request, told), result in pairs:
            if not isinstance(result, Appended) or not result.flush:
                continue
            if failure is not None:
                told(
                    StreamStoreError(
                        f"stream {request.name}: the disk did not confirm what was written:"
                        f" {failure}; the messages may or may not be kept",
                        stream=request.name,
                    )
                )
            else:
                told(result)
            self._wake(request.name)

    def _distrust(self, names: set[str], failure: OSError) -> None:
        log.error("streams cannot be synced: %s; they go on in new segments", failure)
        if self._worker is not None:
            self._worker.submit(partial(self._service.distrust, names), _log_failure)

    # Syncing.

    async def flush(self) -> None:
        """
        Return when all that was appended before is on the disk.

        Raises:
            StreamStoreError: It is not.
        """
        done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        self._sync_all(lambda failure: None if done.done() else done.set_result(failure))
        failure = await done
        if failure is not None:
            raise StreamStoreError(f"streams cannot be synced: {failure}")

    def _sync_all(self, done: Callable[[OSError | None], None] = lambda _: None) -> None:
        self._sync_timer = None
        worker = self._worker
        if worker is None:
            return

        def synced(failure: OSError | None) -> None:
            if failure is not None:
                self._distrust(set(self._service.names()), failure)
            done(failure)

        def taken(unsynced: list[Unsynced] | BaseException) -> None:
            if isinstance(unsynced, BaseException):
                _log_failure(unsynced)
                synced(OSError(str(unsynced)))
            else:
                worker.sync(unsynced, synced)

        worker.submit(self._service.take_unsynced, taken)

    # Reading.

    async def read_messages(
        self, name: str, options: ReadMessagesOptions | None = None
    ) -> list[Message]:
        """
        Return messages; without options, the oldest one.

        Raises:
            NotEnoughMessagesError: There are fewer than the minimum, even after the timeout.
            StreamReadError: They are damaged.
        """
        options = (ReadMessagesOptions() if options is None else options).check()
        blocks = await self.read_blocks(check_name(name), *window_of(options))
        return messages_of(name, blocks)

    async def read_blocks(
        self,
        name: str,
        start: int,
        least: int,
        most: int,
        timeout_s: float = 0.0,
        max_bytes: int = READ_BYTES,
    ) -> list[Block]:
        """Return messages in blocks, `least` to `most`; see `read_messages`."""
        work = partial(self._service.read, name, start, least, most, max_bytes)
        return await self._read(name, work, timeout_s)

    async def read_stored(
        self, name: str, start: int, least: int, most: int, max_bytes: int, timeout_s: float = 0.0
    ) -> list[Buffer]:
        """Return messages as parts of an answer; see `StreamService.read_stored`."""
        work = partial(self._service.read_stored, name, start, least, most, max_bytes)
        return await self._read(name, work, timeout_s)

    async def lend(
        self, name: str, start: int, least: int, most: int, max_bytes: int, timeout_s: float = 0.0
    ) -> Stored:
        """Return messages where they are, if they are many; see `StreamService.lend`."""
        work = partial(self._service.lend, name, start, least, most, max_bytes)
        return await self._read(name, work, timeout_s)

    async def _read(self, name: str, work: Callable[[], _T], timeout_s: float) -> _T:
        if timeout_s <= 0:
            return await self._run(work, quick=True)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            change = self._watch(name)
            try:
                return await self._run(work, quick=True)
            except NotEnoughMessagesError:
                left = deadline - loop.time()
                if left <= 0 or self._worker is None:
                    raise
                await asyncio.wait([change], timeout=left)
            finally:
                self._unwatch(name, change)

    def try_read(
        self, name: str, start: int, least: int, most: int, max_bytes: int
    ) -> list[Buffer] | None:
        """Read without waiting for anything; None: this is no time for it, `read_stored` is."""
        return self._try(partial(self._service.read_stored, name, start, least, most, max_bytes))

    def try_lend(
        self, name: str, start: int, least: int, most: int, max_bytes: int
    ) -> Stored | None:
        """Lend without waiting for anything; None: this is no time for it, `lend` is."""
        return self._try(partial(self._service.lend, name, start, least, most, max_bytes))

    def try_window(self, name: str, start: int, least: int) -> tuple[object, int] | None:
        """
        Return what is another one when a read finds other messages there than before.

        Raises:
            StreamError: As reading would.
        """
        return self._try(partial(self._service.window, name, start, least))

    def _try(self, work: Callable[[], _T]) -> _T | None:
        done = None if self._worker is None else self._worker.try_now(work)
        return None if done is None else done[0]

    def _watch(self, name: str) -> asyncio.Future[None]:
        """Return what is done at the next change of a stream."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers[name].add(change)
        return change

    def _unwatch(self, name: str, change: asyncio.Future[None]) -> None:
        watchers = self._watchers.get(name)
        if watchers is not None:
            watchers.discard(change)
            if not watchers:
                del self._watchers[name]

    def _wake(self, name: str) -> None:
        if name not in self._watchers:
            return
        for change in self._watchers.pop(name):
            if not change.done():
                change.set_result(None)

    # For exporters.

    def export_tasks(self) -> list[ExportTask]:
        """Return all exports that are not disabled, as of the last change of a definition."""
        return list(self._export_tasks)

    def watch_exports(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` when `export_tasks` has; the returned call ends it."""
        self._export_watchers.append(changed)
        return partial(self._export_watchers.remove, changed)

    async def read_export(
        self, task: ExportTask, most: int, max_bytes: int = READ_BYTES, timeout_s: float = 0.0
    ) -> list[Message]:
        """
        Return what an export is to send next: up to `most` messages, at least one.

        Nothing, if there is none within `timeout_s`. What is gone or damaged is skipped. The same
        messages come again until `advance_export` says that they are done.
        """
        name = task.stream
        work = partial(self._service.read_export, name, task.identifier, most, max_bytes)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            change = self._watch(name)
            try:
                blocks = await self._run(work, quick=True)
                left = deadline - asyncio.get_running_loop().time()
                if blocks or left <= 0:
                    return messages_of(name, blocks)[:most]
                await asyncio.wait([change], timeout=left)
            finally:
                self._unwatch(name, change)

    async def advance_export(
        self, task: ExportTask, last_sequence_number: int, messages: int, size: int
    ) -> None:
        """Note that an export is done up to a sequence number; it survives the core's end."""
        await self._run(
            partial(
                self._service.advance_export,
                *(task.stream, task.identifier, last_sequence_number, messages, size),
            )
        )

    async def report_export(self, task: ExportTask, error: str | None) -> None:
        """Have describe tell why an export does not go on; None: it does."""
        await self._run(partial(self._service.report_export, task.stream, task.identifier, error))

    async def _look_at_exports(self) -> None:
        self._export_tasks = await self._run(self._service.export_tasks)
        for changed in tuple(self._export_watchers):
            changed()

    # The storage thread.

    async def _run(self, work: Callable[[], _T], *, quick: bool = False) -> _T:
        """Do work of the service, in its thread; what is `quick` here, if this is a time for it."""
        if self._worker is None:
            raise StreamStoreError("the stream manager was stopped")
        if quick and (done := self._worker.try_now(work)) is not None:
            return done[0]
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._worker.submit(work, partial(_settle, future))
        return await future


def window_of(options: ReadMessagesOptions) -> tuple[int, int, int, float]:
    """Return start, least, most, and how long to wait in seconds."""
    least = options.min_message_count or 1
    return (
        options.desired_start_sequence_number or 0,
        least,
        options.max_message_count or least,
        (options.read_timeout_millis or 0) / 1000,
    )


def messages_of(name: str, blocks: Sequence[Block]) -> list[Message]:
    """Return the messages of blocks."""
    return [
        Message(name, number, block.ingest_time, payload)
        for block in blocks
        for number, payload in enumerate(block.payloads(), block.first)
    ]


def _settle(future: asyncio.Future[Any], result: object) -> None:
    if future.done():
        return  # whoever asked was cancelled
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _log_failure(result: object) -> None:
    if isinstance(result, BaseException):
        log.error("streams: %s", result)

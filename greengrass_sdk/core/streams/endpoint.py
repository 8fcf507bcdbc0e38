# SPDX-License-Identifier: Apache-2.0
"""
`GGStreamManager`: the stream manager as an endpoint of a running core.

The router hands it invocations as to the workers of a function on demand, of which it has many:
each answers when it can, so that a reader that waits, or an append that waits for the disk, stops
nobody. A request is a payload of :mod:`greengrass_sdk.wire.streamcalls`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk.core.streams.service import Append
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamResponseTooLargeError,
)
from greengrass_sdk.model.limits import STREAM_REQUESTS
from greengrass_sdk.model.stream import MessageStreamDefinition
from greengrass_sdk.wire import streamcalls as calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from greengrass_sdk._native._py.lent import Lent
    from greengrass_sdk._native._py.router.events import Send
    from greengrass_sdk.core.streams.manager import StreamManager
    from greengrass_sdk.core.streams.service import Appended, Stored

    Reply: TypeAlias = bytes | Lent

__all__ = ["StreamEndpoint"]

log = logging.getLogger(__name__)

_WAITING = STREAM_REQUESTS * 3 // 4  # reads that wait; others hear at once that there is nothing
_ANSWER_ROOM = 4096  # of an answer, beside its messages


@define(eq=False)
class StreamEndpoint:
    """
    Takes invocations from the router and answers them.

    Args:
        flush: Has what was answered leave.
        answer_bytes: The largest answer.
    """

    manager: StreamManager
    flush: Callable[[], None]
    answer_bytes: int
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)
    _waiting: int = field(default=0, init=False)
    _flushing: bool = field(default=False, init=False)
    _taking: bool = field(default=False, init=False)

    def attach(
        self, employ: Callable[[Callable[[list[Send]], None]], Callable[[int, Reply], None]]
    ) -> None:
        """Take all posts: `employ` gets what takes items, and returns what ends them."""
        for _ in range(STREAM_REQUESTS):
            worker = _Post(self)
            worker.answer = employ(worker.take)

    def close(self) -> None:
        """Give up what waits."""
        for task in self._tasks:
            task.cancel()

    def take(self, frame: Send, answer: Callable[[int, Reply], None]) -> None:
        """Take one item; what is answered at once leaves when this returns."""
        self._taking = True
        try:
            self._take(frame, partial(self._tell, frame, answer))
        finally:
            self._taking = False

    def _take(self, frame: Send, tell: Callable[[Reply], None]) -> None:
        if frame.kind != Kind.INVOKE:
            tell(b"")  # a message; nothing routes one here
            return
        try:
            call = calls.Call.parse(frame.payload)
            if call.operation == calls.APPEND:
                count, body = call.batch()
                separate = bool(call.flags & calls.SEPARATE)
                request = Append(call.name, count, body, separate)
                self.manager.append(request, partial(_told, tell))
                return
            if call.operation == calls.READ and (reply := self._try_read(call)) is not None:
                tell(reply)
                return
        except StreamError as error:
            tell(calls.answer_error(error))
            return
        task = asyncio.get_running_loop().create_task(self._answer(call, tell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: calls.Call, tell: Callable[[Reply], None]) -> None:
        try:
            reply: Reply = await self._serve(call)
            if len(reply) > self.answer_bytes:
                raise StreamResponseTooLargeError(
                    f"a message of stream {call.name} is larger than an answer may be,"
                    f" {self.answer_bytes} bytes (invoke_payload_bytes): read it over TCP",
                    stream=call.name,
                )
        except StreamError as error:
            reply = calls.answer_error(error)
        except Exception as error:
            log.exception("a bug of ours: a request for stream %r failed", call.name)
            reply = calls.answer_error(StreamError(f"internal failure: {error!r}"))
        tell(reply)

    async def _serve(self, call: calls.Call) -> Reply:
        manager, operation = self.manager, call.operation
        if operation == calls.READ:
            return await self._read(call)
        if operation == calls.DESCRIBE:
            return calls.answer_json((await manager.describe_message_stream(call.name)).as_dict())
        if operation == calls.LIST:
            return calls.answer_json(await manager.list_streams())
        if operation == calls.VERIFY:
            return calls.answer_json(await manager.verify(call.name, call.start()))
        if operation == calls.DELETE:
            await manager.delete_message_stream(call.name)
        elif operation == calls.CREATE:
            await manager.create_message_stream(_definition(call))
        elif operation == calls.UPDATE:
            await manager.update_message_stream(_definition(call))
        else:
            raise InvalidStreamRequestError(f"unknown operation {operation}", stream=call.name)
        return calls.answer_json(None)

    def _window(self, call: calls.Call) -> tuple[int, int, int, float, int]:
        start, least, most, timeout_s, max_bytes = call.window()
        room = max(self.answer_bytes - _ANSWER_ROOM, 1)
        return start, least, most, timeout_s, min(max_bytes or room, room)

    def _try_read(self, call: calls.Call) -> Reply | None:
        """Return the answer to a read that has to wait for nothing."""
        start, least, most, timeout_s, max_bytes = self._window(call)
        manager = self.manager
        read = manager.try_lend if call.flags & calls.UNCHECKED else manager.try_read
        try:
            found = read(call.name, start, least, most, max_bytes)
        except NotEnoughMessagesError:
            if timeout_s:
                return None
            raise
        if found is None:
            return None
        reply = _answer(found)
        return reply if len(reply) <= self.answer_bytes else None

    async def _read(self, call: calls.Call) -> Reply:
        start, least, most, timeout_s, max_bytes = self._window(call)
        manager = self.manager
        method = manager.lend if call.flags & calls.UNCHECKED else manager.read_stored
        read = partial(method, call.name, start, least, most, max_bytes)
        try:
            return _answer(await read())
        except NotEnoughMessagesError:
            if not timeout_s or self._waiting >= _WAITING:
                raise
        self._waiting += 1
        try:
            return _answer(await read(timeout_s=timeout_s))
        finally:
            self._waiting -= 1

    def _tell(self, frame: Send, answer: Callable[[int, Reply], None], reply: Reply) -> None:
        answer(frame.id, b"" if frame.flags & Flag.EVENT else reply)
        if not self._taking and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        self._flushing = False
        self.flush()


@define(eq=False)
class _Post:
    """One worker: it has one item at a time."""

    _endpoint: StreamEndpoint
    answer: Callable[[int, Reply], None] = field(init=False)

    def take(self, frames: list[Send]) -> None:
        for frame in frames:
            self._endpoint.take(frame, self.answer)


def _answer(found: Stored) -> Reply:
    if isinstance(found, list):
        return calls.answer_stored(found)
    extent, lent = found
    lent.head = calls.stored_head(extent.salt, extent.first, extent.stop)
    return lent


def _told(tell: Callable[[Reply], None], result: Appended | StreamError) -> None:
    if isinstance(result, StreamError):
        tell(calls.answer_error(result))
    else:
        tell(calls.answer_append(result.first, result.count, result.refused))


def _definition(call: calls.Call) -> MessageStreamDefinition:
    document = call.json()
    if not isinstance(document, dict):
        raise InvalidStreamRequestError("the definition is no JSON object", stream=call.name)
    return MessageStreamDefinition.from_dict(document)

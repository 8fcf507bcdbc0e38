# SPDX-License-Identifier: Apache-2.0
"""
Streams for programs: `Client.stream(name)` and `AsyncClient.stream(name)` return these.

The stream manager is a function with a reserved ARN; what is asked is its payload, in the form of
:mod:`greengrass_sdk.wire.streamcalls`. Many messages cross to the core in one request.
"""

from __future__ import annotations

import contextlib

from greengrass_sdk.client.payloads import encode_payload
from greengrass_sdk.errors import (
    FunctionNotFoundError,
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamsDisabledError,
)
from greengrass_sdk.model.arn import STREAMS_ARN
from greengrass_sdk.model.stream import (
    Message,
    MessageStreamDefinition,
    MessageStreamInfo,
    StrategyOnFull,
    check_name,
    check_payload,
)
from greengrass_sdk.wire import streamcalls as calls
from greengrass_sdk.wire.blocks import reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from typing import Any

    from greengrass_sdk.client.payloads import Payload
    from greengrass_sdk.client.requests import Asked
    from greengrass_sdk.client.results import InvokeResult
    from greengrass_sdk.wire.blocks import Buffer

__all__ = ["AsyncStream", "Stream", "ask_streams", "async_ask_streams"]

BATCH_BYTES = 1024 * 1024
_MANY = 1 << 20
_BYTES = {bytes}
_POLL_S = 20.0  # a reader that waits longer asks again
_DISABLED = (
    "the group has no stream manager: set enabled = true in the table [streams] of the group file"
)
_read = reader(Message)


def ask_streams(invoke: Callable[..., InvokeResult], payload: bytes) -> bytes:
    """
    Return the stream manager's answer.

    Raises:
        StreamsDisabledError: There is none.
    """
    try:
        return invoke(STREAMS_ARN, payload).payload
    except FunctionNotFoundError as error:
        raise StreamsDisabledError(_DISABLED) from error


async def async_ask_streams(invoke: Callable[..., Any], payload: bytes) -> bytes:
    """Return the stream manager's answer; see `ask_streams`."""
    try:
        result: InvokeResult = await invoke(STREAMS_ARN, payload)
    except FunctionNotFoundError as error:
        raise StreamsDisabledError(_DISABLED) from error
    return result.payload


class _Requests:
    """What both kinds of stream ask, and how they read the answers."""

    __slots__ = ("_invoke", "name")

    def __init__(self, invoke: Callable[..., Any], name: str) -> None:
        self._invoke = invoke
        self.name = check_name(name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"

    def _append(self, messages: Sequence[Payload], flags: int = 0) -> bytes:
        if not messages:
            raise InvalidStreamRequestError(
                f"no messages to append to stream {self.name}: give one at least", stream=self.name
            )
        payloads: Sequence[Any] = messages
        if set(map(type, messages)) != _BYTES or not all(messages):
            payloads = [_encode(each) for each in messages]
        return calls.request_append(self.name, payloads, flags)

    def _definition(
        self, operation: int, definition: MessageStreamDefinition | None, options: dict[str, Any]
    ) -> bytes:
        if definition is None:
            options.setdefault("strategy_on_full", StrategyOnFull.RejectNewData)
            definition = MessageStreamDefinition(**{**options, "name": self.name})
        elif options or definition.name != self.name:
            raise InvalidStreamRequestError(
                f"give either a definition, of the name {self.name}, or its attributes",
                stream=self.name,
            )
        return calls.request_definition(operation, self.name, definition.check().as_dict())

    def _window(
        self, start: int, least: int, most: int | None, timeout_s: float, max_bytes: int
    ) -> bytes:
        if most is None:
            most = max(least, _MANY)
        return calls.request_read(
            self.name, start, least, most, timeout_s, max_bytes, calls.READ_FLAGS
        )

    def _messages(self, answer: bytes) -> list[Message]:
        return calls.read_messages(answer, self.name, _read)

    @staticmethod
    def _range(answer: bytes) -> range:
        first, count, refused = calls.read_append(answer)
        if refused is not None:
            raise refused
        return range(first, first + count)


class Stream(_Requests):
    """
    A stream of messages that the core keeps; nothing is asked until a method is called.

    Every method raises `StreamNotFoundError` if there is no such stream, `StreamsDisabledError` if
    the group has no stream manager, `CoreUnavailableError` if there is no core.
    """

    __slots__ = ("_begin",)

    def __init__(
        self,
        invoke: Callable[..., Any],
        name: str,
        begin: Callable[[str, bytes], Asked] | None = None,
    ) -> None:
        super().__init__(invoke, name)
        self._begin = begin

    def create(self, definition: MessageStreamDefinition | None = None, **options: Any) -> None:
        """
        Make the stream.

        Args:
            definition: What it is; or its attributes: `max_size`, `stream_segment_size`,
                `time_to_live_millis`, `strategy_on_full` (RejectNewData), `persistence`,
                `flush_on_write`, `export_definition`.

        Raises:
            InvalidStreamRequestError: It exists, or breaks a rule.
        """
        self._do(self._definition(calls.CREATE, definition, options))

    def update(self, definition: MessageStreamDefinition | None = None, **options: Any) -> None:
        """
        Give the stream another definition; what it leaves out gets the default.

        Raises:
            StreamUpdateError: It must not change so.
        """
        self._do(self._definition(calls.UPDATE, definition, options))

    def delete(self) -> None:
        """Remove the stream and all that is in it."""
        self._do(calls.request(calls.DELETE, self.name))

    def describe(self) -> MessageStreamInfo:
        """Return what the stream is, holds and has exported."""
        answer = self._ask(calls.request(calls.DESCRIBE, self.name))
        return MessageStreamInfo.from_dict(calls.read_json(answer))

    def verify(self, start: int = 0) -> dict[str, Any]:
        """
        Have the core read a piece of the stream, from `start` or the oldest message on.

        Returns:
            `messages` and `bytes` that are good, `damaged`: the first and the last number of each
            run of messages that is not, and `next`: where the next piece begins, None at the end.
        """
        found: dict[str, Any] = calls.read_json(self._ask(calls.request_verify(self.name, start)))
        return found

    def append(self, message: Payload) -> int:
        """
        Append a message and return its sequence number.

        Of a stream with `flush_on_write` it is on the disk then; of another it is there soon.

        Args:
            message: bytes untouched, str as UTF-8, dict, list, number, bool as JSON.

        Raises:
            StreamFullError: The stream is full, and its strategy is RejectNewData.
            StreamPayloadTooLargeError: The message is larger than the stream.
            StreamStoreError: The disk refused it.
        """
        return self.append_many((message,))[0]

    def append_many(self, messages: Sequence[Payload]) -> range:
        """Append all messages or none, in one request; return their sequence numbers."""
        return self._range(self._ask(self._append(messages)))

    def read(
        self,
        start: int = 0,
        *,
        least: int = 1,
        most: int | None = None,
        timeout_s: float = 0.0,
        max_bytes: int = BATCH_BYTES,
    ) -> list[Message]:
        """
        Return messages, from `start` on, or the oldest that is left.

        Args:
            least: So many at least; waits for them for `timeout_s`.
            most: So many at most.
            max_bytes: About so much at most, but one message at least.

        Raises:
            NotEnoughMessagesError: There are not so many.
            StreamReadError: They are damaged; `next_sequence_number` is where to go on.
        """
        request = self._window(start, least, most, timeout_s, max_bytes)
        return self._messages(self._sound(self._ask(request), request))

    def iterate(self, start: int = 0, *, batch_bytes: int = BATCH_BYTES) -> Iterator[Message]:
        """
        Yield all messages that are there, from `start` on; they are read in batches.

        From the third batch on, the next one is on its way while one is taken apart.
        """
        batches = 0
        request = self._window(start, 1, None, 0.0, batch_bytes)
        ahead: Asked | None = None
        try:
            while True:
                asked, ahead = ahead, None
                try:
                    answer = self._read_on(asked, request)
                except NotEnoughMessagesError:
                    return
                request = self._window(calls.read_stop(answer), 1, None, 0.0, batch_bytes)
                batches += 1
                if batches > 1 and self._begin is not None:
                    ahead = self._begin(STREAMS_ARN, request)
                yield from self._messages(answer)
        finally:
            if ahead is not None:
                ahead.cancel()

    def _read_on(self, asked: Asked | None, request: bytes) -> bytes:
        """Return the next answer: what was asked ahead, unless there was nothing."""
        if asked is not None:
            answer = self._sound(asked.finish().payload, request)
            with contextlib.suppress(NotEnoughMessagesError):  # there may be some by now
                calls.check(answer)
                return answer
        answer = self._sound(self._ask(request), request)
        calls.check(answer)
        return answer

    def _sound(self, answer: bytes, request: bytes) -> bytes:
        """Return the answer to a read, or what the core finds if it is not what was meant."""
        return answer if calls.is_sound(answer) else self._ask(calls.checked(request))

    def __iter__(self) -> Iterator[Message]:
        return self.iterate()

    def follow(
        self, start: int | None = None, *, batch_bytes: int = BATCH_BYTES
    ) -> Iterator[Message]:
        """Yield messages as they come, without end; without `start`, only those that are new."""
        if start is None:
            start = self.describe().storage_status.newest_sequence_number + 1
        while True:
            try:
                batch = self.read(start, timeout_s=_POLL_S, max_bytes=batch_bytes)
            except NotEnoughMessagesError:
                continue
            yield from batch
            start = batch[-1].sequence_number + 1

    def _ask(self, request: bytes) -> bytes:
        return ask_streams(self._invoke, request)

    def _do(self, request: bytes) -> None:
        calls.read_json(self._ask(request))


class AsyncStream(_Requests):
    """
    `Stream` for asyncio: the same calls as coroutines, iterators as asynchronous ones.

    Appends that are made while one is on its way share the next request.
    """

    __slots__ = ("__weakref__", "_senders")

    def __init__(self, invoke: Callable[..., Any], name: str) -> None:
        from weakref import WeakKeyDictionary

        super().__init__(invoke, name)
        self._senders: WeakKeyDictionary[Any, _Sender] = WeakKeyDictionary()

    async def create(
        self, definition: MessageStreamDefinition | None = None, **options: Any
    ) -> None:
        """Make the stream; see `Stream.create`."""
        await self._do(self._definition(calls.CREATE, definition, options))

    async def update(
        self, definition: MessageStreamDefinition | None = None, **options: Any
    ) -> None:
        """Give the stream another definition; see `Stream.update`."""
        await self._do(self._definition(calls.UPDATE, definition, options))

    async def delete(self) -> None:
        """Remove the stream and all that is in it."""
        await self._do(calls.request(calls.DELETE, self.name))

    async def describe(self) -> MessageStreamInfo:
        """Return what the stream is, holds and has exported."""
        answer = await self._ask(calls.request(calls.DESCRIBE, self.name))
        return MessageStreamInfo.from_dict(calls.read_json(answer))

    async def verify(self, start: int = 0) -> dict[str, Any]:
        """Have the core read a piece of the stream; see `Stream.verify`."""
        answer = await self._ask(calls.request_verify(self.name, start))
        found: dict[str, Any] = calls.read_json(answer)
        return found

    async def append(self, message: Payload) -> int:
        """Append a message and return its sequence number; see `Stream.append`."""
        import asyncio

        loop = asyncio.get_running_loop()
        sender = self._senders.get(loop)
        if sender is None:
            sender = self._senders[loop] = _Sender(self._ask, self.name, loop)
        number: int = await sender.append(bytes(_encode(message)))  # they may change it meanwhile
        return number

    async def append_many(self, messages: Sequence[Payload]) -> range:
        """Append all messages or none, in one request; return their sequence numbers."""
        return self._range(await self._ask(self._append(messages)))

    async def read(
        self,
        start: int = 0,
        *,
        least: int = 1,
        most: int | None = None,
        timeout_s: float = 0.0,
        max_bytes: int = BATCH_BYTES,
    ) -> list[Message]:
        """Return messages, from `start` on, or the oldest that is left; see `Stream.read`."""
        request = self._window(start, least, most, timeout_s, max_bytes)
        answer = await self._ask(request)
        if not calls.is_sound(answer):
            answer = await self._ask(calls.checked(request))
        return self._messages(answer)

    async def iterate(
        self, start: int = 0, *, batch_bytes: int = BATCH_BYTES
    ) -> AsyncIterator[Message]:
        """Yield all messages that are there, from `start` on; they are read in batches."""
        while True:
            try:
                batch = await self.read(start, max_bytes=batch_bytes)
            except NotEnoughMessagesError:
                return
            for message in batch:
                yield message
            start = batch[-1].sequence_number + 1

    def __aiter__(self) -> AsyncIterator[Message]:
        return self.iterate()

    async def follow(
        self, start: int | None = None, *, batch_bytes: int = BATCH_BYTES
    ) -> AsyncIterator[Message]:
        """Yield messages as they come, without end; see `Stream.follow`."""
        if start is None:
            start = (await self.describe()).storage_status.newest_sequence_number + 1
        while True:
            try:
                batch = await self.read(start, timeout_s=_POLL_S, max_bytes=batch_bytes)
            except NotEnoughMessagesError:
                continue
            for message in batch:
                yield message
            start = batch[-1].sequence_number + 1

    async def _ask(self, request: bytes) -> bytes:
        return await async_ask_streams(self._invoke, request)

    async def _do(self, request: bytes) -> None:
        calls.read_json(await self._ask(request))


class _Sender:
    """Puts appends of one event loop together: one request is on its way at a time."""

    __slots__ = ("_ask", "_loop", "_name", "_sending", "_waiting")

    def __init__(self, ask: Callable[[bytes], Any], name: str, loop: Any) -> None:
        self._ask = ask
        self._name = name
        self._loop = loop
        self._waiting: list[tuple[Buffer, Any]] = []
        self._sending: Any = None  # a task, which nobody else holds

    def append(self, payload: Buffer) -> Any:
        """Return the future of a sequence number."""
        future = self._loop.create_future()
        self._waiting.append((payload, future))
        if self._sending is None:
            self._sending = self._loop.create_task(self._send())
        return future

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._send_some()
        finally:
            self._sending = None

    async def _send_some(self) -> None:
        size = 0
        batch: list[tuple[Buffer, Any]] = []
        for item in self._waiting:
            size += len(item[0])
            if batch and (size > BATCH_BYTES or len(batch) >= _MANY):
                break
            batch.append(item)
        del self._waiting[: len(batch)]
        try:
            request = calls.request_append(self._name, [each for each, _ in batch], calls.SEPARATE)
            first, count, refused = calls.read_append(await self._ask(request))
        except BaseException as error:
            # Also a cancelled task: at the end of the loop, nobody may be left waiting.
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for position, (_, future) in enumerate(batch):
            if future.done():
                continue  # cancelled; what was sent stays sent
            if position < count:
                future.set_result(first + position)
            else:
                future.set_exception(refused)


def _encode(message: Payload) -> bytes | memoryview:
    payload = encode_payload(message)
    if not len(payload):
        check_payload(b"")
    return payload

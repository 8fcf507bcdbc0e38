# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: the names of `Client` as coroutines, over the same channel."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk.client._client import RECEIVE_BYTES, Connection
from greengrass_sdk.client.requests import (
    VERDICT_S,
    Invocation,
    Publication,
    messages,
    served,
    service_payload,
    timed_out,
)
from greengrass_sdk.errors import RequestTimeoutError
from greengrass_sdk.model.arn import SECRETS_ARN
from greengrass_sdk.model.limits import TOPIC_BYTES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeAlias

    from greengrass_sdk._native._abc import Channel
    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.results import InvokeResult, Message
    from greengrass_sdk.client.secrets import SecretValue
    from greengrass_sdk.client.session import Session
    from greengrass_sdk.client.shadows import AsyncShadow
    from greengrass_sdk.client.streams import AsyncStream

    _Head: TypeAlias = tuple[int, int, int]
    _Body: TypeAlias = tuple[bytes, bytes, bytes | memoryview]

__all__ = ["AsyncClient"]

_T = TypeVar("_T")


class AsyncClient:
    """
    `Client` for asyncio. Works in any running loop, also inside a handler with `asyncio.run`.

    One client may serve several loops. Arguments, results and errors are those of `Client`; a
    coroutine that is cancelled stops waiting, what it sent stays sent.
    """

    __slots__ = ("__weakref__", "_connection", "_streams")

    def __init__(
        self, *, root: str | os.PathLike[str] | None = None, name: str | None = None
    ) -> None:
        self._connection = Connection(root, name)
        self._streams: WeakValueDictionary[str, AsyncStream] = WeakValueDictionary()

    async def publish(
        self, topic: str, payload: Payload, *, queue_full_policy: str = "BestEffort"
    ) -> None:
        """Publish a message; see `Client.publish`. Waits, without blocking the loop, if need be."""
        to = self._connection.short
        if (
            to is not None
            and queue_full_policy == "BestEffort"
            and to.publish(topic, payload, to.endpoint, TOPIC_BYTES, to.topic_payload_bytes)
        ):
            return
        session = await self._session()
        publication = Publication(session, topic, payload, queue_full_policy)
        head = (Kind.PUBLISH, publication.flags, session.endpoint)
        body = (publication.topic, b"", publication.payload)
        if publication.answered:
            publication.finish(await _call(session, head, body, VERDICT_S))
            return
        written = _Slot[None]()
        if not session.channel.post(*head, 0, *body, written.deliver):
            await written.future

    async def invoke(
        self,
        function: str,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
        timeout_s: float | None = None,
    ) -> InvokeResult:
        """Invoke a function and wait for its result; see `Client.invoke`."""
        connection = self._connection
        session = connection.session() if connection.ready else await self._session()
        call = Invocation(session, function, payload, qualifier, client_context)
        head = (Kind.INVOKE, call.flags, session.endpoint)
        body = (call.topic, call.context, call.payload)
        try:
            answer = await _call(session, head, body, timeout_s)
        except RequestTimeoutError as error:
            raise timed_out(f"invoke {call.function!r}", error.timeout_s or 0.0) from error
        return call.finish(answer)

    async def invoke_async(
        self,
        function: str,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> str:
        """Invoke a function without its result and return the request id; see `Client`."""
        session = await self._session()
        call = Invocation(session, function, payload, qualifier, client_context, event=True)
        head = (Kind.INVOKE, call.flags, session.endpoint)
        body = (call.topic, call.context, call.payload)
        return call.accept(await _call(session, head, body, VERDICT_S))

    def shadow(self, thing: str, name: str | None = None) -> AsyncShadow:
        """Return a shadow of a thing, whose calls are coroutines; see `Client.shadow`."""
        from greengrass_sdk.client.shadows import AsyncShadow

        return AsyncShadow(self._ask, thing, name)

    async def _ask(
        self, service: str, payload: Payload = b"", *, client_context: bytes = b""
    ) -> Frame | InvokeResult:
        """Invoke a service of the core, of whose result only the payload is looked at."""
        connection = self._connection
        session = connection.session() if connection.ready else await self._session()
        data = service_payload(session, payload)
        head = (Kind.INVOKE, 0, session.endpoint)
        answer = await _call(session, head, (service.encode(), client_context, data), None)
        return served(session, service, answer)

    async def secret(
        self, id: str, stage: str = "AWSCURRENT", *, version_id: str | None = None
    ) -> SecretValue:
        """Return a secret that the group lets this function read; see `Client.secret`."""
        from greengrass_sdk.client.secrets import read_answer, request

        asked = request(id, stage, version_id)
        return read_answer((await self._ask(SECRETS_ARN, asked)).payload, asked)

    def stream(self, name: str) -> AsyncStream:
        """Return a stream, whose calls are coroutines; see `Client.stream`."""
        stream = self._streams.get(name)
        if stream is None:
            from greengrass_sdk.client.streams import AsyncStream

            stream = AsyncStream(self._ask, name)
            self._streams[name] = stream  # those who append together share requests
        return stream

    async def streams(self) -> list[str]:
        """Return the names of all streams, sorted; see `Client.streams`."""
        from greengrass_sdk.client.streams import async_ask_streams
        from greengrass_sdk.wire import streamcalls as calls

        answer = await async_ask_streams(self.invoke, calls.request(calls.LIST))
        return list(calls.read_json(answer))

    async def receive(self, timeout_s: float | None = None) -> Message:
        """Return the next message that a subscription brings here; see `Client.receive`."""
        session = await self._session(receiving=True)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    frame = await _take(session)
                    if found := messages([frame]):
                        return found[0]
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"no message came within {timeout_s:g} s", timeout_s=timeout_s
            ) from error

    async def receive_many(
        self, max_bytes: int = RECEIVE_BYTES, *, timeout_s: float | None = None
    ) -> list[Message]:
        """Return the messages that have arrived, at least one; see `Client.receive_many`."""
        found = [await self.receive(timeout_s)]
        left = max_bytes - len(found[0].payload)
        if left > 0:
            channel = self._connection.receiving().channel
            batch = channel.receive_batch(left, 0.0)
            if batch and len(batch[0].payload) > left:
                channel.untake(batch.pop(0))
            found += messages(batch)
        return found

    async def _session(self, *, receiving: bool = False) -> Session:
        """Return the session; connecting may take a moment, so a thread does it."""
        connection = self._connection
        get = connection.receiving if receiving else connection.session
        return get() if connection.ready else await asyncio.to_thread(get)

    async def close(self) -> None:
        """End the connection, unless it is that of the function; may be called twice."""
        self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.warn_if_open(self)


class _Mailbox:
    """
    What the slots of one loop have for channels, and threads of channels for them.

    What is asked in one turn of the loop is sent at its end, in one go: the core is woken once for
    it. However much comes before the loop looks, it is woken once.
    """

    __slots__ = ("_asked", "_called", "_waiting")

    def __init__(self) -> None:
        self._asked: deque[tuple[_Slot[Frame], Channel, _Head, _Body]] = deque()
        self._waiting: deque[tuple[_Slot[Any], Any]] = deque()
        self._called = False

    def ask(self, slot: _Slot[Frame], channel: Channel, head: _Head, body: _Body) -> None:
        """Have the slot filled with the answer to a frame; in the loop."""
        if not self._asked:
            slot.future.get_loop().call_soon(self.send)
        self._asked.append((slot, channel, head, body))

    def send(self) -> None:
        """Send what was asked."""
        asked = self._asked
        try:
            while asked:
                slot, channel, head, body = asked.popleft()
                if slot.future.done():  # nobody waits any more
                    continue
                try:
                    slot.number = channel.submit(*head, *body, slot.deliver)
                except Exception as error:  # noqa: BLE001 - it is for who asked
                    slot.fill(error)
        finally:
            if asked:  # a signal handler raised
                asyncio.get_running_loop().call_soon(self.send)

    def put(self, slot: _Slot[_T], value: _T | BaseException) -> None:
        """Have a slot filled, from any thread."""
        loop = slot.future.get_loop()
        if loop.is_closed():
            slot.lose(value)
            return
        self._waiting.append((slot, value))
        if self._called:  # and taken back before the loop looks: it will see this one
            return
        self._called = True
        try:
            loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:  # the loop was closed meanwhile
            self._called = False
            while self._waiting:
                slot, value = self._waiting.popleft()
                slot.lose(value)

    def _hand_out(self) -> None:
        self._called = False
        waiting = self._waiting
        while waiting:
            slot, value = waiting.popleft()
            slot.fill(value)


_mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Mailbox] = WeakKeyDictionary()


class _Slot(Generic[_T]):
    """
    A future that a thread of the channel fills; what comes too late goes to `lost`.

    Attributes:
        number: Of what is under way for it; None while there is nothing.
    """

    __slots__ = ("_lost", "future", "mailbox", "number")

    def __init__(self, lost: Callable[[_T], object] | None = None) -> None:
        loop = asyncio.get_running_loop()
        mailbox = _mailboxes.get(loop)
        if mailbox is None:
            mailbox = _mailboxes[loop] = _Mailbox()
        self.mailbox = mailbox
        self.number: int | None = None
        self._lost = lost
        self.future: asyncio.Future[_T] = loop.create_future()

    def deliver(self, value: _T | BaseException) -> None:
        """Fill the future, from any thread."""
        self.mailbox.put(self, value)

    def fill(self, value: _T | BaseException) -> None:
        """Fill the future, in its loop."""
        if self.future.done():
            self.lose(value)
        elif isinstance(value, BaseException):
            self.future.set_exception(value)
        else:
            self.future.set_result(value)

    def abandon(self) -> None:
        """Lose what came in the very moment in which the waiting was cancelled."""
        future = self.future
        if not future.cancel() and not future.cancelled() and future.exception() is None:
            self.lose(future.result())

    def lose(self, value: _T | BaseException) -> None:
        """Tell that nobody took a value."""
        if self._lost is not None and not isinstance(value, BaseException):
            self._lost(value)


async def _call(session: Session, head: _Head, body: _Body, timeout_s: float | None) -> Frame:
    """Send one frame, at the latest at the end of this turn of the loop; return its answer."""
    slot: _Slot[Frame] = _Slot()
    slot.mailbox.ask(slot, session.channel, head, body)
    if head[0] == Kind.PUBLISH or type(body[-1]) is not bytes:
        # Messages stay in the order of their calls; the caller may change a buffer later.
        slot.mailbox.send()
    try:
        if timeout_s is None:
            return await slot.future
        async with asyncio.timeout(timeout_s):
            return await slot.future
    except BaseException as error:
        if slot.number is not None:
            session.channel.cancel(slot.number)
        if isinstance(error, TimeoutError) and timeout_s is not None:
            raise RequestTimeoutError(
                f"the core gave no answer within {timeout_s:g} s", timeout_s=timeout_s
            ) from error
        raise


async def _take(session: Session) -> Frame:
    """Return the next frame that is no answer; cancelled, it leaves the frame for the next."""
    channel = session.channel
    frame = channel.receive(0.0)
    if frame is not None:
        return frame
    slot: _Slot[Frame] = _Slot(channel.untake)
    number = channel.take(slot.deliver)
    try:
        return await slot.future
    except BaseException:
        channel.cancel(number)
        slot.abandon()
        raise

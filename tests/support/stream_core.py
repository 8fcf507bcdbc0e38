# SPDX-License-Identifier: Apache-2.0
"""A stream manager in memory behind the calls that a core would bring it."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from greengrass_sdk import InvokeResult
from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.streams.endpoint import StreamEndpoint
from greengrass_sdk.core.streams.manager import StreamManager
from greengrass_sdk.core.streams.store import MemoryStore
from greengrass_sdk.model.arn import STREAMS_ARN

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from greengrass_sdk._native._py.lent import Lent
    from greengrass_sdk.core.streams.store import Store

__all__ = ["StreamCore", "StreamPosts"]

WAIT_S = 10.0

_T = TypeVar("_T")


class StreamPosts:
    """The endpoint of a stream manager, with the router's side of it."""

    def __init__(self, manager: StreamManager, answer_bytes: int = 6 << 20) -> None:
        self.flushed = 0
        self.takes: list[Callable[[list[Send]], None]] = []
        self.answers: dict[int, bytes] = {}
        self.endpoint = StreamEndpoint(manager, self.flush, answer_bytes)
        self.endpoint.attach(self.employ)
        self.number = 0

    def flush(self) -> None:
        self.flushed += 1

    def employ(self, take: Callable[[list[Send]], None]) -> Callable[[int, bytes | Lent], None]:
        self.takes.append(take)
        return self.answer

    def answer(self, item: int, payload: bytes | Lent) -> None:
        assert item not in self.answers
        self.answers[item] = bytes(payload)

    def send(self, payload: bytes, kind: int = Kind.INVOKE, flags: int = 0) -> int:
        self.number += 1
        frame = Send(1, kind, flags, 1, self.number, b"GGStreamManager", b"", payload)
        self.takes[self.number % len(self.takes)]([frame])
        return self.number

    async def ask(self, payload: bytes, **options: int) -> bytes:
        number = self.send(payload, **options)
        async with asyncio.timeout(WAIT_S):
            while number not in self.answers:
                await asyncio.sleep(0)
        return self.answers[number]


class Ahead:
    """What was asked without waiting; the core answers at once."""

    def __init__(self, core: StreamCore, ask: Callable[[], InvokeResult]) -> None:
        self._core = core
        self._result = ask()
        core.ahead.append("asked")

    def finish(self) -> InvokeResult:
        self._core.ahead.append("finished")
        return self._result

    def cancel(self) -> None:
        self._core.ahead.append("cancelled")


class StreamCore:
    """A stream manager in a thread of its own, behind an `invoke`."""

    def __init__(self, store: Store | None = None) -> None:
        self.asked: list[bytes] = []
        self.ahead: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.manager = StreamManager(MemoryStore() if store is None else store)
        self.posts = StreamPosts(self.manager)
        self.thread = Thread(target=self.loop.run_forever)
        self.thread.start()
        self.run(self.manager.start())

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    def invoke(self, function: str, payload: bytes) -> InvokeResult:
        assert STREAMS_ARN == function
        self.asked.append(payload)
        return InvokeResult(self.run(self.posts.ask(payload)), "r")

    def begin(self, function: str, payload: bytes) -> Ahead:
        return Ahead(self, partial(self.invoke, function, payload))

    async def invoke_later(self, function: str, payload: bytes) -> InvokeResult:
        assert STREAMS_ARN == function
        self.asked.append(payload)
        pending = asyncio.run_coroutine_threadsafe(self.posts.ask(payload), self.loop)
        return InvokeResult(await asyncio.wrap_future(pending), "r")

    def close(self) -> None:
        self.run(self.manager.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

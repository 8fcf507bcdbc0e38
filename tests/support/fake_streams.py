# SPDX-License-Identifier: Apache-2.0
"""Streams in a dictionary, for tests of what stands before and behind the stream manager."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from greengrass_sdk.core.streams.service import Append, Appended
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamNotFoundError,
)
from greengrass_sdk.model.stream import (
    MessageStreamInfo,
    StorageStatus,
)
from greengrass_sdk.wire.blocks import Block, bare_parts, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greengrass_sdk.model.stream import MessageStreamDefinition
    from greengrass_sdk.wire.blocks import Buffer


class FakeStreams:
    """
    What `core.streams.operations.Manager` asks for.

    Attributes:
        hold: Every operation waits until it is set.
        waits: How long each read would wait that was not done at once.
        quick: Reads need no waiting.
        starts: Where each read began that was done at once.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, MessageStreamDefinition] = {}
        self.messages: dict[str, list[bytes]] = {}
        self.waits: list[float] = []
        self.starts: list[int] = []
        self.cancelled = 0
        self.quick = False
        self.error: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.hold = asyncio.Event()
        self.hold.set()

    async def _turn(self, name: str | None = None) -> None:
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        if name is not None and name not in self.definitions:
            raise StreamNotFoundError(f"stream {name!r} does not exist", stream=name)

    async def create_message_stream(self, definition: MessageStreamDefinition) -> None:
        await self._turn()
        assert definition.name is not None
        if definition.name in self.definitions:
            raise InvalidStreamRequestError(f"stream {definition.name!r} exists")
        self.definitions[definition.name] = definition
        self.messages[definition.name] = []

    async def update_message_stream(self, definition: MessageStreamDefinition) -> None:
        await self._turn(definition.name)
        assert definition.name is not None
        self.definitions[definition.name] = definition

    async def delete_message_stream(self, name: str) -> None:
        await self._turn(name)
        del self.definitions[name], self.messages[name]

    def append(self, request: Append, told: Callable[[Appended | StreamError], None]) -> None:
        """Append in a task: `hold` may be awaited."""
        appending = asyncio.get_running_loop().create_task(self._append(request, told))
        self._tasks.add(appending)
        appending.add_done_callback(self._tasks.discard)

    async def _append(
        self, request: Append, told: Callable[[Appended | StreamError], None]
    ) -> None:
        try:
            await self._turn(request.name)
        except StreamError as error:
            told(error)
            return
        (size,) = struct.unpack_from("<I", request.body)
        self.messages[request.name].append(bytes(request.body[4 : 4 + size]))
        told(Appended(len(self.messages[request.name]) - 1, 1, False))

    async def read_stored(
        self, name: str, start: int, least: int, most: int, max_bytes: int, timeout_s: float
    ) -> Sequence[Buffer]:
        self.waits.append(timeout_s)
        await self._turn(name)
        return self._found(name, start, least, most)

    def try_read(
        self, name: str, start: int, least: int, most: int, max_bytes: int
    ) -> Sequence[Buffer] | None:
        if not self.quick:
            return None
        self.starts.append(start)
        return self._found(name, start, least, most)

    def try_window(self, name: str, start: int, least: int) -> object | None:
        return (name, start) if self.quick else None

    def _found(self, name: str, start: int, least: int, most: int) -> Sequence[Buffer]:
        found = self.messages[name][start : start + most]
        if len(found) < least:
            raise NotEnoughMessagesError(f"{name!r} has {len(found)} messages", stream=name)
        return bare_parts([Block(start, 1_000, len(found), encode_body(found))])

    async def list_streams(self) -> Sequence[str]:
        await self._turn()
        return list(self.definitions)

    async def describe_message_stream(self, name: str) -> MessageStreamInfo:
        await self._turn(name)
        payloads = self.messages[name]
        status = StorageStatus(0, len(payloads) - 1, sum(map(len, payloads)))
        return MessageStreamInfo(self.definitions[name], status, [])

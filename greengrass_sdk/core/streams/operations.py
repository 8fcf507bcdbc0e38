# SPDX-License-Identifier: Apache-2.0
"""
Requests of AWS's protocol, done by the manager: bodies as they travelled, fields of the answer.

Everything that AWS's clients check before they send is checked here again, with their texts.

Ref: Greengrass V1 guide, "Use StreamManagerClient to work with streams"
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from greengrass_sdk.core.streams.manager import READ_BYTES, window_of
from greengrass_sdk.core.streams.service import Append
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
)
from greengrass_sdk.model.stream import (
    MessageStreamDefinition,
    ReadMessagesOptions,
    check_name,
    check_payload,
)
from greengrass_sdk.wire.blocks import encode_body
from greengrass_sdk.wire.streams import Operation, StreamStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from greengrass_sdk.core.streams.service import Appended
    from greengrass_sdk.model.stream import MessageStreamInfo
    from greengrass_sdk.wire.blocks import Buffer
    from greengrass_sdk.wire.streams import Call

__all__ = [
    "START",
    "Manager",
    "Read",
    "append_of",
    "check_response",
    "joined",
    "perform",
    "read",
    "read_of",
    "refusal",
    "try_read",
    "wait_s",
]

log = logging.getLogger(__name__)

_EARLY = 0.1  # of a read's timeout: its answer must arrive before the client gives up
_EARLY_MOST_S = 1.0
_OPTIONS = {declared.key for declared in ReadMessagesOptions.attributes.values()}
START = ReadMessagesOptions.attributes["desired_start_sequence_number"].key
_MOST_START = (1 << 63) - 1


class Manager(Protocol):
    """The streams, as this protocol needs them; what they raise is a `StreamError`."""

    async def create_message_stream(self, definition: MessageStreamDefinition) -> None:
        """Create a stream."""

    async def update_message_stream(self, definition: MessageStreamDefinition) -> None:
        """Change a stream."""

    async def delete_message_stream(self, name: str) -> None:
        """Delete a stream and its messages."""

    def append(self, request: Append, told: Callable[[Appended | StreamError], None]) -> None:
        """Append, and tell what became of it."""

    async def read_stored(
        self, name: str, start: int, least: int, most: int, max_bytes: int, timeout_s: float
    ) -> Sequence[Buffer]:
        """Return messages, at least as many as asked for, in blocks: their parts, in a row."""

    def try_read(
        self, name: str, start: int, least: int, most: int, max_bytes: int
    ) -> Sequence[Buffer] | None:
        """Read without waiting for anything; None: this is no time for it, `read_stored` is."""

    def try_window(self, name: str, start: int, least: int) -> object | None:
        """Return what tells where a read would find messages; None: this is no time for it."""

    async def list_streams(self) -> Sequence[str]:
        """Return the names of all streams."""

    async def describe_message_stream(self, name: str) -> MessageStreamInfo:
        """Return what a stream is and holds."""


async def perform(manager: Manager, operation: int, body: dict[str, Any]) -> dict[str, Any]:
    """
    Do what a request asks for, and return the fields of its answer.

    Appends and reads have calls of their own, `append_of` and `read`.

    Raises:
        StreamError: The request breaks a rule, or the manager refused it.
    """
    return await _PERFORM[operation](manager, body)


class Read(NamedTuple):
    """
    What is to be read.

    Attributes:
        timeout_s: How long to wait for the first messages.
    """

    name: str
    start: int
    least: int
    most: int
    timeout_s: float

    @property
    def following(self) -> Read:
        """The one that reads on, if this one finds all that it asks for."""
        return self._replace(start=self.start + self.most)


async def read(manager: Manager, call: Call) -> bytearray:
    """
    Return the answer with the messages that a request asks for.

    Raises:
        StreamError: The request breaks a rule, or the manager refused it.
    """
    name, start, least, most, timeout_s = read_of(call.body)
    parts = await manager.read_stored(name, start, least, most, READ_BYTES, timeout_s)
    return call.answer_read(name, joined(parts))


def try_read(manager: Manager, call: Call, asked: Read) -> bytearray | None:
    """Return what `read` does if that is to be had at once, without waiting for anything."""
    name, start, least, most, _ = asked
    try:
        parts = manager.try_read(name, start, least, most, READ_BYTES)
    except NotEnoughMessagesError:
        return None
    return None if parts is None else call.answer_read(name, joined(parts))


def read_of(body: dict[str, Any]) -> Read:
    """
    Return what a request asks to read.

    Raises:
        StreamError: The request breaks a rule.
    """
    name = body.get("streamName")
    if name is None:
        raise InvalidStreamRequestError("Property stream_name is required, but was None")
    name, asked = _checked_name(name), body.get("readMessagesOptions")
    if asked is not None and not isinstance(asked, dict):
        raise InvalidStreamRequestError(
            "Property read_messages_options is invalid because it must be of type "
            "ReadMessagesOptions"
        )
    asked = asked or {}
    if asked.keys() <= _OPTIONS and set(map(type, asked.values())) <= {int}:
        # Who reads on asks for the same again and again, but for where it begins.
        rest = dict(asked)
        start = rest.pop(START, 0)
        if 0 <= start <= _MOST_START:
            return Read(name, start, *_known_options(tuple(rest.items())))
    return Read(name, *_options(asked))


def _options(asked: dict[str, Any]) -> tuple[int, int, int, float]:
    options = ReadMessagesOptions.from_dict(asked).check()
    start, least, most, timeout_s = window_of(options)
    return start, least, most, timeout_s - min(timeout_s * _EARLY, _EARLY_MOST_S)


@lru_cache(64)
def _known_options(asked: tuple[tuple[str, int], ...]) -> tuple[int, int, float]:
    return _options(dict(asked))[1:]


def joined(parts: Sequence[Buffer]) -> Buffer:
    """Return what lies one behind the other as one."""
    return parts[0] if len(parts) == 1 else b"".join(parts)


def append_of(body: dict[str, Any]) -> Append:
    """
    Return what a request asks to append.

    Raises:
        StreamError: The request breaks a rule.
    """
    name, payload = body.get("name"), body.get("payload")
    if type(payload) is not bytes or not payload:
        payload = check_payload(payload)
    return Append(_checked_name(name), 1, encode_body([payload]))


def _checked_name(name: object) -> str:
    return _known_name(name) if isinstance(name, str) else check_name(name)


_known_name = lru_cache(1024)(check_name)


def refusal(error: Exception) -> tuple[int, str]:
    """Return status and text that tell a client about an error."""
    if isinstance(error, StreamError):
        return error.status, str(error)
    if isinstance(error, MemoryError):
        return StreamStatus.OUT_OF_MEMORY, "the core is out of memory"
    log.error("a bug of ours: a request failed", exc_info=error)
    return StreamStatus.UNKNOWN_FAILURE, f"the request failed: {type(error).__name__}: {error}"


def check_response(size: int, limit: int) -> tuple[int, str] | None:
    """Return status and text for an answer that is too large, None for one that is not."""
    if size <= limit:
        return None
    text = f"the answer has {size} bytes; the limit is {limit}: read fewer messages at once"
    return StreamStatus.RESPONSE_TOO_LARGE, text


def wait_s(body: dict[str, Any]) -> float:
    """Return how long the client of a read surely waits for its answer; 0 where it says nothing."""
    options = body.get("readMessagesOptions")
    found = options.get("readTimeoutMillis") if isinstance(options, dict) else None
    return found / 1000 if isinstance(found, int) and found > 0 else 0.0


async def _create(manager: Manager, body: dict[str, Any]) -> dict[str, Any]:
    await manager.create_message_stream(_definition(body))
    return {}


async def _update(manager: Manager, body: dict[str, Any]) -> dict[str, Any]:
    await manager.update_message_stream(_definition(body))
    return {}


async def _delete(manager: Manager, body: dict[str, Any]) -> dict[str, Any]:
    await manager.delete_message_stream(check_name(body.get("name")))
    return {}


async def _list(manager: Manager, body: dict[str, Any]) -> dict[str, Any]:
    del body  # asks for nothing in particular
    return {"streams": list(await manager.list_streams())}


async def _describe(manager: Manager, body: dict[str, Any]) -> dict[str, Any]:
    info = await manager.describe_message_stream(check_name(body.get("name")))
    return {"messageStreamInfo": info.as_dict()}


def _definition(body: dict[str, Any]) -> MessageStreamDefinition:
    found = body.get("definition")
    if found is None:
        raise InvalidStreamRequestError("Property definition is required, but was None")
    if not isinstance(found, dict):
        raise InvalidStreamRequestError(
            "Property definition is invalid because it must be of type MessageStreamDefinition"
        )
    try:
        return MessageStreamDefinition.from_dict(found).check()
    except InvalidStreamRequestError as error:
        text = f"Property definition is invalid because {error}"
        raise InvalidStreamRequestError(text) from error


_PERFORM: dict[int, Callable[[Manager, dict[str, Any]], Awaitable[dict[str, Any]]]] = {
    Operation.CREATE: _create,
    Operation.UPDATE: _update,
    Operation.DELETE: _delete,
    Operation.LIST: _list,
    Operation.DESCRIBE: _describe,
}

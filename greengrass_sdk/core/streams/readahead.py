# SPDX-License-Identifier: Apache-2.0
"""
Answers to reads that are made before they are asked for.

Who reads a stream in order asks for the same number of messages again and again, each time from
where the last answer ended. AWS's clients take longer to decode an answer than the server takes to
make one, so the next one is made meanwhile; when its request comes, it is only to be sent.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from greengrass_sdk.core.streams import operations
from greengrass_sdk.core.streams.operations import START
from greengrass_sdk.errors import StreamError

if TYPE_CHECKING:
    import asyncio

    from greengrass_sdk.core.streams.operations import Manager, Read
    from greengrass_sdk.wire.streams import Call

__all__ = ["KEPT_S", "LARGEST", "ReadAhead"]

LARGEST = 256 * 1024  # of an answer that is made ahead
KEPT_S = 1.0  # for a client that does not ask


class _Expected(NamedTuple):
    """What a request that reads on says, and what it asks for."""

    options: dict[str, Any]
    read: Read

    def is_in(self, body: dict[str, Any]) -> bool:
        """Whether a request is this one."""
        return (
            body.get("readMessagesOptions") == self.options
            and body.get("streamName") == self.read.name
        )


class _Ready(NamedTuple):
    """The answer to what is expected, and where its messages were found."""

    frame: bytearray
    window: object


class ReadAhead:
    """
    The reads of one connection: one answer, at most, is made ahead.

    It is made when a second request reads on where the first one ended, once the loop has served
    what waits, and if all messages are there.
    """

    def __init__(self, manager: Manager, loop: asyncio.AbstractEventLoop) -> None:
        self._manager = manager
        self._loop = loop
        self._answered: tuple[Call, Read, bool] | None = None
        self._expected: _Expected | None = None
        self._ready: _Ready | None = None
        self._ready_since: float | None = None

    def answer(self, call: Call) -> bytearray | None:
        """
        Return the answer to a read; None: it may have to wait for messages.

        Raises:
            StreamError: The request breaks a rule, or the manager refused it.
        """
        expected, self._expected = self._expected, None
        ready, self._ready = self._ready, None
        in_order = expected is not None and expected.is_in(call.body)
        read = expected.read if expected and in_order else operations.read_of(call.body)
        frame = self._still(ready, read, call) if ready and in_order else None
        if frame is None:
            frame = operations.try_read(self._manager, call, read)
        if frame is not None and len(frame) <= LARGEST:
            self._answered = call, read, in_order
        return frame

    def go_on(self) -> None:
        """Hear that an answer was sent, and get ready for what may come next."""
        if self._answered is None:
            return
        call, read, in_order = self._answered
        self._answered = None
        following = read.following
        options = call.body.get("readMessagesOptions") or {}
        self._expected = _Expected({**options, START: following.start}, following)
        if in_order:
            # What came meanwhile is served first: it is looked for in between.
            self._loop.call_soon(self._loop.call_soon, self._prepare, call)

    def age(self, now: float) -> None:
        """Forget an answer that nobody has asked for; to be called from time to time."""
        if self._ready is None:
            return
        if self._ready_since is None:
            self._ready_since = now
        elif now - self._ready_since > KEPT_S:
            self._ready = None

    def close(self) -> None:
        """Hear that the connection is gone."""
        self._expected = self._ready = None

    def _still(self, ready: _Ready, read: Read, call: Call) -> bytearray | None:
        """Return the answer that was made ahead, if it is still the right one."""
        with contextlib.suppress(StreamError):  # it will be told
            if ready.window == self._window(read) and call.adopt(ready.frame):
                return ready.frame
        return None

    def _prepare(self, call: Call) -> None:
        if self._expected is None or self._ready is not None:
            return
        read = self._expected.read
        with contextlib.suppress(StreamError):
            window = self._window(read)
            if window is None:
                return
            parts = self._manager.try_read(read.name, read.start, read.most, read.most, LARGEST)
            if parts is None:
                return
            frame = call.answer_read(read.name, operations.joined(parts))
            if len(frame) <= LARGEST:
                self._ready, self._ready_since = _Ready(frame, window), None

    def _window(self, read: Read) -> object | None:
        return self._manager.try_window(read.name, read.start, read.most)

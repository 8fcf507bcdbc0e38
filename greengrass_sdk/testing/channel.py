# SPDX-License-Identifier: Apache-2.0
"""The connection of a function to its FakeCore: frames are handed over, nothing is sent."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Protocol

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk.errors import CoreUnavailableError, RequestTimeoutError
from greengrass_sdk.testing.failures import Killed
from greengrass_sdk.testing.scheduler import current_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.testing.scheduler import Task

    Data = bytes | bytearray | memoryview

__all__ = ["FakeChannel", "Plane"]

_ANSWERS = (Kind.RESULT, Kind.VERDICT)
_CLOSED = "the connection to the core is closed"

# One count for all channels: clients of one module may speak for several functions.
_numbers = itertools.count(1)


class Plane(Protocol):
    """What a channel needs of the core."""

    def receive(self, peer: int, frame: Frame) -> None:
        """Take a frame of a peer."""

    def wake(self, task: Task) -> None:
        """Let a task that waits run."""

    def drive(self, until: Callable[[], bool], timeout_s: float | None) -> None:
        """Let everything happen until something holds, for a thread that is no task."""


class FakeChannel:
    """
    The frames of one peer; see :class:`greengrass_sdk._native._abc.Channel`.

    Callbacks are called on the thread that causes them. There is no short way to publish: a client
    that knows one keeps its session, and here another function may call it the next time.
    """

    def __init__(self, plane: Plane, peer: int) -> None:
        self.peer = peer
        self.dropped = 0
        self.closed = False
        self._plane = plane
        self._inbox: deque[Frame] = deque()
        self._answers: dict[int, Frame | None] = {}
        self._callbacks: dict[int, Callable[[Frame | BaseException], object]] = {}
        self._takers: dict[int, Callable[[Frame | BaseException], object]] = {}
        self._waiting: dict[int, Task] = {}
        self._receivers: deque[Task] = deque()

    # The core's side.

    def deliver(self, frame: Frame) -> None:
        """Take a frame for the peer."""
        if frame.kind in _ANSWERS:
            self._answer(frame)
        elif self._takers:
            self._takers.pop(next(iter(self._takers)))(frame)
        else:
            self._inbox.append(frame)
            if self._receivers:
                self._plane.wake(self._receivers.popleft())

    def _answer(self, frame: Frame) -> None:
        callback = self._callbacks.pop(frame.id, None)
        if callback is not None:
            callback(frame)
        elif frame.id in self._answers:
            self._answers[frame.id] = frame
            task = self._waiting.pop(frame.id, None)
            if task is not None:
                self._plane.wake(task)

    # The peer's side.

    def send(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        id: int = 0,
        topic: bytes = b"",
        context: Data = b"",
        payload: Data = b"",
        *,
        timeout_s: float | None = None,  # noqa: ARG002 - the core always takes it
    ) -> None:
        """Hand a frame to the core."""
        self._check_open()
        frame = Frame(kind, flags, endpoint, id, topic, bytes(context), bytes(payload))
        self._plane.receive(self.peer, frame)

    def answer(self, flags: int, endpoint: int, id: int, payload: Data, *, more: bool) -> None:  # noqa: ARG002 - the core hears of each
        """Hand a RESULT to the core."""
        self.send(Kind.RESULT, flags, endpoint, id, b"", b"", payload)

    def call(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        topic: bytes = b"",
        context: Data = b"",
        payload: Data = b"",
        timeout_s: float | None = None,
    ) -> Frame:
        """Hand over a frame and wait for its answer."""
        number = self.begin(kind, flags, endpoint, topic, context, payload)
        return self.finish(number, timeout_s)

    def begin(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        topic: bytes = b"",
        context: Data = b"",
        payload: Data = b"",
    ) -> int:
        """Hand over a frame; `finish` waits for its answer."""
        number = next(_numbers)
        self._answers[number] = None
        self.send(kind, flags, endpoint, number, topic, context, payload)
        return number

    def finish(self, number: int, timeout_s: float | None = None) -> Frame:
        """Wait for the answer to `begin`."""
        try:
            if self._answers[number] is None:
                self._wait(number, timeout_s)
            frame = self._answers[number]
        finally:
            self._answers.pop(number, None)
            self._waiting.pop(number, None)
        if frame is None:
            self._check_open()
            raise RequestTimeoutError(
                f"the core gave no answer within {timeout_s:g} s", timeout_s=timeout_s
            )
        return frame

    def _wait(self, number: int, timeout_s: float | None) -> None:
        task = current_task()
        if task is None:
            self._plane.drive(lambda: self._answers[number] is not None or self.closed, timeout_s)
        else:
            self._waiting[number] = task
            task.wait(deadline=task.timeout(timeout_s))

    def _check_open(self) -> None:
        if not self.closed:
            return
        task = current_task()
        if task is not None and task.killed:
            raise Killed
        raise CoreUnavailableError(_CLOSED)

    def submit(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        topic: bytes,
        context: Data,
        payload: Data,
        callback: Callable[[Frame | BaseException], object],
    ) -> int:
        """Hand over a frame; `callback` gets the answer."""
        number = next(_numbers)
        self._callbacks[number] = callback
        self.send(kind, flags, endpoint, number, topic, context, payload)
        return number

    def post(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: Data,
        payload: Data,
        callback: Callable[[BaseException | None], object],  # noqa: ARG002 - taken at once
    ) -> bool:
        """Hand over a frame; the core always takes it at once."""
        self.send(kind, flags, endpoint, id, topic, context, payload)
        return True

    def take(self, callback: Callable[[Frame | BaseException], object]) -> int:
        """Have the next frame that is no answer given to `callback`."""
        number = next(_numbers)
        self._check_open()
        if self._inbox:
            callback(self._inbox.popleft())
        else:
            self._takers[number] = callback
        return number

    def untake(self, frame: Frame) -> None:
        """Put a frame back in front of the others."""
        self._inbox.appendleft(frame)

    def cancel(self, number: int) -> None:
        """Forget a call or a taker."""
        self._answers.pop(number, None)
        self._callbacks.pop(number, None)
        self._takers.pop(number, None)

    def receive(self, timeout_s: float | None = None) -> Frame | None:
        """Return the next frame that is no answer; others have their turn before."""
        task = current_task()
        if task is not None and self._inbox:
            task.pause()
        if not self._inbox and not self.closed and (timeout_s is None or timeout_s > 0):
            if task is None:
                self._plane.drive(lambda: bool(self._inbox) or self.closed, timeout_s)
            else:
                self._receivers.append(task)
                try:
                    task.wait(deadline=task.timeout(timeout_s))
                finally:
                    if task in self._receivers:
                        self._receivers.remove(task)
        if self._inbox:
            return self._inbox.popleft()
        self._check_open()
        return None

    def receive_batch(self, max_bytes: int, timeout_s: float | None = None) -> list[Frame]:
        """
        Return the frames that have arrived, at least one unless none came in time.

        A worker gets one: others have their turn between two items.
        """
        frame = self.receive(timeout_s)
        found = [] if frame is None else [frame]
        size = 0 if frame is None else len(frame.payload)
        while (
            current_task() is None
            and self._inbox
            and size + len(self._inbox[0].payload) <= max_bytes
        ):
            found.append(self._inbox.popleft())
            size += len(found[-1].payload)
        return found

    def fileno(self) -> int:
        """Refuse: there is no descriptor."""
        raise CoreUnavailableError("the connection to a FakeCore has no file descriptor")

    def close(self) -> None:
        """End the connection; those who wait hear of it."""
        if self.closed:
            return
        self.closed = True
        error = CoreUnavailableError(_CLOSED)
        callbacks = [*self._callbacks.values(), *self._takers.values()]
        self._callbacks.clear()
        self._takers.clear()
        for callback in callbacks:
            callback(error)
        for task in [*self._waiting.values(), *self._receivers]:
            self._plane.wake(task)
        self._waiting.clear()
        self._receivers.clear()
        del self._plane  # which has it, too; nobody gets past `_check_open`

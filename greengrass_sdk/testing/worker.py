# SPDX-License-Identifier: Apache-2.0
"""
A worker without a process: the runtime's own code on a thread of the scheduler.

Import, decoding, context, outcome, error documents and log texts are those of
`greengrass_sdk.runtime.worker`; only what belongs to a process is replaced.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from greengrass_sdk.core.functions.worker import describe_exit
from greengrass_sdk.runtime import logs
from greengrass_sdk.runtime.worker import Worker
from greengrass_sdk.testing.failures import Killed, ProcessExit
from greengrass_sdk.testing.scheduler import current_task

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from greengrass_sdk._native import Frame
    from greengrass_sdk.client.session import Session
    from greengrass_sdk.core.functions.worker import End
    from greengrass_sdk.runtime.protocol import SpawnMessage
    from greengrass_sdk.testing.channel import FakeChannel
    from greengrass_sdk.testing.world import RecordOutput, World

__all__ = ["FakeWorker", "Hooks", "InProcess"]


class Hooks(ABC):
    """What a worker tells the core; `function` is the name."""

    @abstractmethod
    def handler_raised(self, work_id: int, error: BaseException) -> None:
        """Hear what a handler raised while it worked on an item."""

    @abstractmethod
    def import_raised(self, worker: FakeWorker, error: BaseException) -> None:
        """Hear what an import raised."""

    @abstractmethod
    def thread_raised(self, worker: FakeWorker, thread: str, error: BaseException) -> None:
        """Hear what a thread of the function raised."""

    @abstractmethod
    def exited(self, worker: FakeWorker, end: End) -> None:
        """Hear that the worker ended by itself."""

    @abstractmethod
    def fault(self, worker: FakeWorker) -> End | None:
        """Return how the worker is to end now, instead of working; None: it works."""


class InProcess(Worker):
    """The runtime's worker, for a thread that stands for a process."""

    __slots__ = ("_item", "_owner")

    def __init__(
        self, message: SpawnMessage, channel: FakeChannel, output: RecordOutput, owner: FakeWorker
    ) -> None:
        super().__init__(message, channel, output)
        self._owner = owner
        self._item = 0

    def use(self, handler: Callable[[Any, Any], Any]) -> None:
        """Take a callable for the handler: there is nothing to import."""
        self._handler = handler

    def import_handler(self) -> None:
        """Import the handler, unless it is there, and tell the core."""
        if self._handler is None:
            super().import_handler()
        else:
            self._ready(b"")

    def refuse(self, exc: BaseException) -> NoReturn:
        """Tell the core why there is no handler."""
        if isinstance(exc, Killed | ProcessExit):
            raise exc
        self._owner.hooks.import_raised(self._owner, exc)
        super().refuse(exc)

    def handle(self, frame: Frame) -> None:
        """Handle one item, or fail as the test wants it."""
        self._item = frame.id
        self._set_idle(False)
        end = self._owner.hooks.fault(self._owner)
        if end is not None:
            self._owner.verdict = end
            raise ProcessExit(0)
        super().handle(frame)
        self._set_idle(True)

    def serve(self) -> NoReturn:
        """Handle items until the core is gone."""
        self._set_idle(True)
        super().serve()

    def _set_idle(self, idle: bool) -> None:  # noqa: FBT001 - a setter
        task = current_task()
        if task is not None:
            task.idle = idle

    def _handled(self, exc: BaseException) -> bytes:
        if isinstance(exc, Killed | ProcessExit):
            raise exc
        self._owner.hooks.handler_raised(self._item, exc)
        return super()._handled(exc)

    def _exit(self, code: int) -> NoReturn:
        for writer in self._writers:
            writer.end_lines()
        raise ProcessExit((code & 0xFF) << 8)


class FakeWorker:
    """
    One worker of a function.

    Attributes:
        state: `starting`, `ready`, or `ended`.
        verdict: Why the core ends it, if it does.
        since: When it was started.
    """

    def __init__(
        self, name: str, endpoint: int, session: Session, channel: FakeChannel, hooks: Hooks
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.session = session
        self.channel = channel
        self.hooks = hooks
        self.state = "starting"
        self.verdict: End | None = None
        self.since = 0.0
        self.told: BaseException | None = None
        self._world: World

    def furnish(self, world: World) -> None:
        """Take what it runs in."""
        self._world = world

    @property
    def peer(self) -> int:
        """Its number with the router."""
        return self.channel.peer

    def enter(self) -> None:
        """Make the process its own; see `World`."""
        self._world.enter()

    def leave(self) -> None:
        """Take that back."""
        self._world.leave()

    def silence(self) -> None:
        """Let nobody hear what its threads say from now on: they only end."""
        self._world.silence()
        self.state = "ended"

    def main(self, runtime: InProcess) -> None:
        """Import the handler and serve; the body of the worker's main thread."""
        try:
            runtime.import_handler()
            runtime.serve()
        except ProcessExit as exit_:
            self._exited(exit_.status)

    def _exited(self, status: int) -> None:
        if self.state != "ended":
            self.hooks.exited(self, self.verdict or describe_exit(status))

    # For threads that the function starts.

    def thread_failed(self, thread: threading.Thread, error: BaseException) -> None:
        """Log what a thread raised, as the runtime does."""
        if self.state == "ended":
            return
        lines = "".join(traceback.format_exception(error))
        text = f"Exception in thread {thread.name}:\n{lines}".rstrip("\n")
        where = logs.raised_at(error.__traceback__)
        self._world.output.sink.write(logs.ERROR, where, text.encode("utf-8", "replace"))
        self.hooks.thread_raised(self, thread.name, error)

    def thread_exited(self, status: int) -> None:
        """End the worker: a thread ended the process."""
        self._exited(status)

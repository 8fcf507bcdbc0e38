# SPDX-License-Identifier: Apache-2.0
"""
The worker pool: starts workers, ends them, and starts pinned ones again.

The router decides when an on-demand function needs a worker and when one has run too long or been
idle enough; the pool does it.  Pinned functions have one worker each, started with the core and
started again after it ended, after a pause that doubles from 1 s to 60 s and is forgotten after
60 s of health.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk._native._py.router.events import Outcome
from greengrass_sdk._native._py.router.texts import message_of
from greengrass_sdk.core.functions.backoff import Backoff
from greengrass_sdk.core.functions.memory import MemoryGuard
from greengrass_sdk.core.functions.worker import Channels, End, WorkerProcess, describe_exit
from greengrass_sdk.errors import GreengrassError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from greengrass_sdk._native._py.router.events import (
        ImportFailed,
        NeedWorkers,
        RetireWorker,
        WorkerReady,
    )
    from greengrass_sdk.core.functions.zygote import SpawnRequest, WorkerExit, Zygote
    from greengrass_sdk.core.ports import FunctionLog, Observer, Router

__all__ = ["ManagedFunction", "Pool"]

log = logging.getLogger(__name__)

_STOP_S = 5.0  # between SIGTERM and SIGKILL


@define(eq=False)
class ManagedFunction:
    """
    A function of the group, ready to be started.

    Attributes:
        request: Makes the spawn request for a worker number.
        zygote: Returns the running zygote of the function's interpreter, starting it if need be.
    """

    name: str
    endpoint: int
    pinned: bool
    memory_kib: int | None
    logs: FunctionLog
    request: Callable[[int], SpawnRequest]
    zygote: Callable[[], Awaitable[Zygote]]
    workers: dict[int, WorkerProcess] = field(factory=dict)
    failures: int = 0
    restarts: int = 0
    last_error: str | None = None
    restart: asyncio.TimerHandle | None = None
    asked: int = 0
    """Workers that wait for their zygote."""

    @property
    def state(self) -> str:
        """`running`, `starting`, `waiting` (for a start), `idle` (on demand) or `stopped`."""
        states = {worker.state for worker in self.workers.values()}
        if "ready" in states:
            return "running"
        if "starting" in states or self.asked:
            return "starting"
        if self.restart is not None:
            return "waiting"
        return "stopped" if self.pinned else "idle"


@define(eq=False)
class Pool:
    """All workers of the core."""

    loop: asyncio.AbstractEventLoop
    router: Router
    observer: Observer
    backoff: Backoff = field(factory=Backoff)
    functions: dict[int, ManagedFunction] = field(factory=dict)
    _owners: dict[int, ManagedFunction] = field(factory=dict)
    _leaving: list[WorkerProcess] = field(factory=list)
    _tasks: set[asyncio.Task[None]] = field(factory=set)
    _stopping: bool = False
    _all_ended: asyncio.Event = field(factory=asyncio.Event)
    _memory: MemoryGuard = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._memory = MemoryGuard(self.loop, self.router.is_busy)

    def add(self, functions: Iterable[ManagedFunction]) -> None:
        """Take functions in; nothing starts yet."""
        for function in functions:
            self.functions[function.endpoint] = function

    def start_pinned(self) -> None:
        """Start every pinned function."""
        for function in self.functions.values():
            if function.pinned:
                self._spawn(function)

    async def stop(self) -> None:
        """End all workers: SIGTERM, five seconds, SIGKILL; return when all have ended."""
        self._stopping = True
        for function in self.functions.values():
            if function.restart is not None:
                function.restart.cancel()
            for worker in function.workers.values():
                self._end(worker, End("the core stopped", "Runtime.Stopped", expected=True))
        with contextlib.suppress(TimeoutError):  # what is left then dies with its zygote
            async with asyncio.timeout(2 * _STOP_S):
                while self._tasks:
                    await asyncio.wait(self._tasks)
                if self._owners:
                    await self._all_ended.wait()
        self._memory.close()
        for worker in self._leaving:
            worker.close_outputs()

    # The router's events.

    def need_workers(self, event: NeedWorkers) -> None:
        """Start workers for an on-demand function."""
        for _ in range(event.workers):
            self._spawn(self.functions[event.endpoint])

    def worker_ready(self, event: WorkerReady) -> None:
        """Note that a worker finished its import."""
        function = self.functions[event.endpoint]
        worker = function.workers.get(event.peer)
        if worker is not None:
            worker.state = "ready"
            self._tell(function, "running", worker.pid, None)

    def import_failed(self, event: ImportFailed) -> None:
        """Note why a worker, which exits by itself, could not start."""
        worker = self.functions[event.endpoint].workers.get(event.peer)
        text = f"the function does not start: {message_of(event.document)}"
        if worker is not None:
            worker.verdict = End(text, "Runtime.ImportError", told=True)  # it logged the traceback

    def retire_worker(self, event: RetireWorker) -> None:
        """End a worker that the router took out: kill an overdue one, stop an idle one."""
        function = self.functions[event.endpoint]
        worker = function.workers.get(event.peer)
        if worker is None:
            return
        if event.outcome is Outcome.OK:
            self._end(worker, End(event.reason, "Runtime.Idle", expected=True))
            return
        worker.verdict = worker.verdict or End(event.reason, "Runtime.Timeout", told=True)
        worker.kill()  # the end of its item is logged already

    # Zygotes' events.

    def exited(self, report: WorkerExit) -> None:
        """Take the report that a worker has ended."""
        function = self._owners.get(report.worker)
        if function is None:
            return
        if report.survivors:
            left = ", ".join(f"{child.pid} ({child.command})" for child in report.survivors)
            function.logs.write("WARN", "greengrass", f"processes that outlive the worker: {left}")
        self._ended(function, function.workers[report.worker], describe_exit(report.status))

    def zygote_gone(self, zygote: Zygote) -> None:
        """Kill the workers of a zygote that died: nobody else would reap them."""
        for function in self.functions.values():
            for worker in list(function.workers.values()):
                if worker.zygote is zygote:
                    worker.kill()
                    self._ended(function, worker, describe_exit(None))

    # Starting.

    def _spawn(self, function: ManagedFunction) -> None:
        """Begin to start a worker."""
        function.asked += 1
        task = self.loop.create_task(self._start(function))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, function: ManagedFunction) -> None:
        """Start a worker; how it is connected depends on what its interpreter can do."""
        try:
            zygote = await function.zygote()
        except (GreengrassError, OSError) as error:
            self._not_started(function, f"the worker could not be started: {error}")
            return
        finally:
            function.asked -= 1
        if self._stopping:
            return  # nobody waits any more
        try:
            worker = self._connect(function, zygote)
        except (OSError, MemoryError) as error:
            self._not_started(function, f"no channel for a new worker: {error}")
            return
        # Behind the spawn request: somebody waits for the worker.
        self.loop.call_soon(self._attend, function, worker)
        await self._ask(function, worker, zygote)

    def _connect(self, function: ManagedFunction, zygote: Zygote) -> WorkerProcess:
        """Create a worker's channels, and connect it to the router."""
        channels = Channels.open()
        worker = WorkerProcess(
            function.name, channels, self.loop, function.logs, self._lost, since=self.loop.time()
        )
        try:
            number, more = self.router.connect_worker(channels.channel, worker, ring=zygote.rings)
        except (OSError, MemoryError):
            channels.close()
            raise
        channels.add(more)
        worker.peer, worker.zygote = number, zygote
        function.workers[worker.peer] = worker
        self._owners[worker.peer] = function
        self.router.attach_worker(worker.peer, function.endpoint)
        return worker

    def _attend(self, function: ManagedFunction, worker: WorkerProcess) -> None:
        """Do what can wait until a worker was asked for; a brief one may have ended by then."""
        worker.listen()
        if worker.peer in self._owners:
            self._tell(function, worker.state, None, None)

    async def _ask(self, function: ManagedFunction, worker: WorkerProcess, zygote: Zygote) -> None:
        try:
            spawned = await zygote.spawn(function.request(worker.peer), worker.channels.theirs)
        except (GreengrassError, OSError) as error:
            worker.channels.close_theirs()
            end = End(f"the worker could not be started: {error}", "Runtime.StartError")
            function.logs.write("FATAL", "greengrass", end.reason)
            self._ended(function, worker, end)
            return
        worker.channels.close_theirs()
        if worker.peer not in self._owners:
            os.close(spawned.pidfd)  # it has ended before we heard of its birth
            return
        worker.born(spawned.pid, spawned.pidfd)
        if function.memory_kib is not None:
            self._memory.watch(
                worker.peer,
                spawned.pid,
                zygote.pid,
                function.memory_kib,
                lambda held: self._breach(function, worker, held),
            )

    def _not_started(self, function: ManagedFunction, reason: str) -> None:
        function.logs.write("FATAL", "greengrass", reason)
        function.last_error = reason
        self.router.worker_failed(function.endpoint, End(reason, "Runtime.StartError").document)
        self._tell(function, "failed", None, reason)
        if function.pinned and not self._stopping:
            self._restart_later(function, reason)

    # Ending.

    def _end(self, worker: WorkerProcess, end: End) -> None:
        worker.verdict = end
        worker.state = "stopping"
        worker.terminate(_STOP_S)

    def _lost(self, worker: WorkerProcess) -> None:
        """Kill a worker that closed its channel and lives on."""
        worker.verdict = worker.verdict or End(
            "the worker closed its channel and went on running", "Runtime.ProtocolError"
        )
        worker.kill()

    def _breach(self, function: ManagedFunction, worker: WorkerProcess, held_kib: int) -> None:
        text = (
            f"memory limit exceeded: {held_kib} KiB held, memory_kib = {function.memory_kib}; "
            f"the worker is killed"
        )
        worker.verdict = End(text, "Runtime.OutOfMemory")
        worker.kill()

    def _ended(self, function: ManagedFunction, worker: WorkerProcess, end: End) -> None:
        """Settle everything about a worker that is no more."""
        if self._owners.pop(worker.peer, None) is None:
            return
        self._memory.forget(worker.peer)
        worker.drain()
        self.router.drain(worker.peer)  # may tell that its import failed, and why
        del function.workers[worker.peer]
        end = worker.verdict or end
        told = end.told or self.router.is_busy(worker.peer)  # the end of its item tells why
        self.router.disconnect(worker.peer, end.document)
        worker.close()
        self._leaving = [w for w in self._leaving if w.has_outputs]
        self._leaving.append(worker)
        state = "stopped"
        if not end.expected:
            function.last_error = end.reason
            state = "failed"
            if not told:
                function.logs.write("ERROR", "greengrass", end.reason)
        self._tell(function, state, worker.pid, end.reason)
        if self._stopping and not self._owners:
            self._all_ended.set()
        if function.pinned and not self._stopping:
            healthy = self.loop.time() - worker.since >= self.backoff.healthy_s
            function.failures = 0 if healthy else function.failures
            self._restart_later(function, end.reason)

    def _restart_later(self, function: ManagedFunction, reason: str) -> None:
        function.failures += 1
        function.restarts += 1
        pause = self.backoff.pause(function.failures)
        self._tell(function, "waiting", None, f"{reason}; next start in {pause:g} s")
        function.restart = self.loop.call_later(pause, self._restart, function)

    def _restart(self, function: ManagedFunction) -> None:
        function.restart = None
        self._spawn(function)

    def _tell(
        self, function: ManagedFunction, state: str, pid: int | None, reason: str | None
    ) -> None:
        self.observer.function(function.name, state, pid, reason)

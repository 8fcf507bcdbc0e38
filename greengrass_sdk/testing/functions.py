# SPDX-License-Identifier: Apache-2.0
"""
The functions of a FakeCore and the workers they have: what the pool does in a core.

The machine asks for workers and takes them out; pinned functions get a worker when the core starts,
and another one after it ended, after the pauses of the real pool.
"""

from __future__ import annotations

import signal
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router import events
from greengrass_sdk._native._py.router.state import CORE, FunctionTarget
from greengrass_sdk._native._py.router.texts import message_of
from greengrass_sdk.client.session import Session
from greengrass_sdk.core.functions import environment
from greengrass_sdk.core.functions.backoff import Backoff
from greengrass_sdk.core.functions.worker import End, describe_exit
from greengrass_sdk.runtime.handler import split
from greengrass_sdk.runtime.outcome import log_text
from greengrass_sdk.testing.engine import BOOT
from greengrass_sdk.testing.modules import PrivateModules
from greengrass_sdk.testing.records import FunctionFailure, LogRecord
from greengrass_sdk.testing.scheduler import current_task
from greengrass_sdk.testing.worker import FakeWorker, Hooks, InProcess
from greengrass_sdk.testing.world import RecordOutput, World, encoded, variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greengrass_sdk._native._py.router.state import Item
    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.function import Function
    from greengrass_sdk.model.group import Group
    from greengrass_sdk.runtime.protocol import SpawnMessage
    from greengrass_sdk.testing.clock import Timer
    from greengrass_sdk.testing.engine import Engine

__all__ = ["OUT_OF_MEMORY", "TIMEOUT", "Crew", "Member"]

OUT_OF_MEMORY = "out of memory"
TIMEOUT = "timeout"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# What of the test's own variables a core would look at, as it starts.
_BASE = encoded([*environment.INHERITED, *_PROXIES, *(name.upper() for name in _PROXIES)])
_LEVELS = {b"D": "DEBUG", b"I": "INFO", b"W": "WARN", b"E": "ERROR", b"F": "FATAL", b"T": "TRACE"}


class Member:
    """
    A function of the group, as the double runs it.

    Attributes:
        model: Its declaration.
        handler: The callable it was given as, None if it is imported.
    """

    def __init__(self, model: Function, handler: Callable[[Any, Any], Any] | None) -> None:
        self.model = model
        self.handler = handler
        self.endpoint = 0
        self.workers: dict[int, FakeWorker] = {}
        self.outside: Session | None = None
        """For test code that acts as this function."""
        self.logs: list[LogRecord] = []
        self.faults: deque[int | str] = deque()
        self.failures = 0
        self.restart: Timer | None = None
        self.started = 0

    @property
    def name(self) -> str:
        """Its name in the group."""
        return self.model.name


class Crew(Hooks):
    """
    All functions and workers of one FakeCore.

    Args:
        layout: Returns where a core would keep things.
        failed: Is told of every failure that no caller hears of.
    """

    def __init__(
        self,
        engine: Engine,
        layout: Callable[[], Layout],
        failed: Callable[[FunctionFailure], None],
    ) -> None:
        self._engine = engine
        self._layout = layout
        self._failed = failed
        self._group: Group
        self._members: dict[int, Member] = {}
        self._exceptions: dict[int, BaseException] = {}
        self._imports: dict[int, BaseException] = {}
        self._backoff = Backoff()
        self._base_environment = variables(_BASE)
        engine.on(events.NeedWorkers, self._need_workers)
        engine.on(events.WorkerReady, self._worker_ready)
        engine.on(events.ImportFailed, self._import_failed)
        engine.on(events.RetireWorker, self._retire_worker)
        engine.on(events.CutOff, self._cut_off)
        engine.on(events.Finished, self._finished)
        engine.on_busy(self.is_busy)

    def add(self, group: Group, members: list[Member], numbers: dict[str, int]) -> None:
        """Take functions in; pinned ones start."""
        self._group = group
        for member in members:
            member.model = group.functions[member.name]
            member.endpoint = numbers[member.model.arn]
            self._members[member.endpoint] = member
        for member in members:
            if member.model.pinned:
                self._start(member)

    def outside(self, member: Member) -> Session:
        """Return the session of test code that acts as a function."""
        if member.outside is None:
            channel = self._engine.open(member.endpoint)
            member.outside = self._session(member, channel)
        return member.outside

    def is_busy(self) -> bool:
        """Return whether an item runs, or an import that an item asked for."""
        is_busy = self._engine.machine.is_busy
        return any(
            is_busy(peer) or (worker.state == "starting" and not member.model.pinned)
            for member in self._members.values()
            for peer, worker in member.workers.items()
        )

    def exception(self, work_id: int) -> BaseException | None:
        """Return, once, what the handler raised on an item."""
        return self._exceptions.pop(work_id, None)

    def stop(self) -> None:
        """End all workers."""
        for member in self._members.values():
            if member.restart is not None:
                member.restart.cancel()
            for worker in list(member.workers.values()):
                self._forget(member, worker)
            if member.outside is not None:
                member.outside.channel.close()
        self._engine.bury()

    # Starting.

    def _start(self, member: Member) -> None:
        member.restart = None
        member.started += 1
        channel = self._engine.open_worker(member.endpoint)
        worker = FakeWorker(
            member.name, member.endpoint, self._session(member, channel), channel, self
        )
        worker.since = self._engine.clock.now
        output = RecordOutput(partial(self._log, member))
        message = self._message(member, channel.peer)
        runtime = InProcess(message, channel, output, worker)
        if member.handler is not None:
            runtime.use(member.handler)
        worker.furnish(self._world(member, message, output))
        member.workers[channel.peer] = worker
        self._engine.scheduler.spawn(worker, member.name, partial(worker.main, runtime))

    def _world(self, member: Member, message: SpawnMessage, output: RecordOutput) -> World:
        imported = member.handler is None
        modules = None
        if imported:
            module, _ = split(member.model.handler)
            bundled = member.model.sdk == "bundled"
            folders = message["sys_path"]
            modules = PrivateModules(module, folders, message["code"], bundled=bundled)
        return World(
            output,
            message["environment"],
            inherit=not imported,
            directory=message["cwd"] if imported else None,
            modules=modules,
            level=message["log_level"],
        )

    def _session(self, member: Member, channel: Any) -> Session:
        limits = self._group.limits
        return Session(
            channel,
            member.endpoint,
            BOOT,
            member.model.arn,
            {
                "topic_payload_bytes": limits.topic_payload_bytes,
                "invoke_payload_bytes": limits.invoke_payload_bytes,
            },
            strict=self._group.strict,
        )

    def _message(self, member: Member, number: int) -> SpawnMessage:
        """Return what a core would tell a worker."""
        function, limits = member.model, self._group.limits
        layout = self._layout()
        code = _code_folder(member, layout)
        variables = environment.build(
            function, self._group, layout, code, token="0" * 32, base_env=self._base_environment
        )
        return {
            "op": "spawn",
            "worker": number,
            "name": function.name,
            "handler": function.handler,
            "code": str(code),
            "encoding": "binary" if function.encoding == "binary" else "json",
            "environment": variables,
            "cwd": str(code),
            "sys_path": environment.sys_path(function, code),
            "arn": function.arn,
            "function_name": function.name,
            "version": function.version,
            "timeout_s": function.timeout_s,
            "memory_kib": function.memory_kib,
            "boot": BOOT.hex(),
            "endpoint": member.endpoint,
            "address": function.arn,
            "limits": {
                "topic_payload_bytes": limits.topic_payload_bytes,
                "invoke_payload_bytes": limits.invoke_payload_bytes,
            },
            "strict": self._group.strict,
            "uid": None,
            "gid": None,
            "groups": None,
            "cgroup": None,
            "namespaces": [],
            "mounts": [],
            "rlimits": {},
            "log_level": variables["LOG_LEVEL"],
            "pinned": function.pinned,
        }

    # What the machine says.

    def _need_workers(self, event: events.NeedWorkers) -> None:
        member = self._members.get(event.endpoint)  # a service of the core is none
        if member is not None:
            for _ in range(event.workers):
                self._start(member)

    def _worker_ready(self, event: events.WorkerReady) -> None:
        member = self._members.get(event.endpoint)
        worker = None if member is None else member.workers.get(event.peer)
        if worker is not None:
            worker.state = "ready"

    def _import_failed(self, event: events.ImportFailed) -> None:
        worker = self._members[event.endpoint].workers.get(event.peer)
        if worker is not None:
            text = f"the function does not start: {message_of(event.document)}"
            worker.verdict = End(text, "Runtime.ImportError", told=True)

    def _retire_worker(self, event: events.RetireWorker) -> None:
        member = self._members[event.endpoint]
        worker = member.workers.get(event.peer)
        if worker is None:
            return
        self._forget(member, worker)
        if event.outcome is not events.Outcome.OK:
            self._restart_later(member, worker)

    def _cut_off(self, event: events.CutOff) -> None:
        for member in self._members.values():
            worker = member.workers.get(event.peer)
            if worker is not None:
                self._forget(member, worker)
                self._restart_later(member, worker)

    def _finished(self, event: events.Finished) -> None:
        """Log what nobody else tells, and note failures that no caller hears of."""
        member = self._members.get(event.endpoint)
        item, error = event.item, self._exceptions.pop(event.item.id, None)
        if event.outcome is events.Outcome.OK or member is None:
            return
        number = self._engine.request_id(item.id)
        topic = item.topic.decode("utf-8", "replace")
        what = f"message on {topic!r}" if item.kind == Kind.MESSAGE else "invocation"
        told = message_of(event.document)
        if event.outcome is not events.Outcome.HANDLED:
            text = f"{what} {number} ended {event.outcome.value}: {told}"
            self._note(member, "ERROR", text, "greengrass")
            error = error or self._imports.get(event.endpoint)
        if item.is_call:
            if item.caller is not None and item.caller.number == CORE and error is not None:
                self._exceptions[item.id] = error  # `invoke` raises it
            return
        self._fail(member, event.outcome.value, told, error, item, number)

    def _fail(
        self,
        member: Member,
        outcome: str,
        told: str,
        error: BaseException | None,
        item: Item | None = None,
        number: str | None = None,
    ) -> None:
        trigger = ""
        if item is not None:
            invoked = item.kind != Kind.MESSAGE
            trigger = "invocation" if invoked else item.topic.decode("utf-8", "replace")
        text = told if error is None else log_text(error)
        self._failed(
            FunctionFailure(
                member.name, outcome, text, exception=error, trigger=trigger, request_id=number
            )
        )

    # What workers say.

    def handler_raised(self, work_id: int, error: BaseException) -> None:
        """Keep what a handler raised until its item ends."""
        self._exceptions[work_id] = error

    def import_raised(self, worker: FakeWorker, error: BaseException) -> None:
        """Note what an import raised; a pinned function has no item that would tell."""
        member = self._members[worker.endpoint]
        self._imports[worker.endpoint] = error
        if member.model.pinned:
            self._fail(member, "import", "", error)

    def thread_raised(self, worker: FakeWorker, thread: str, error: BaseException) -> None:
        """Note what a thread raised."""
        self._fail(self._members[worker.endpoint], "thread", thread, error)

    def exited(self, worker: FakeWorker, end: End) -> None:
        """Settle a worker that has ended by itself."""
        member = self._members[worker.endpoint]
        told = end.told or self._engine.machine.is_busy(worker.peer)
        if not told and not end.expected:
            self._note(member, "ERROR", end.reason, "greengrass")
            if member.model.pinned:
                self._fail(member, "unhandled", end.reason, None)
        self._forget(member, worker, end.document)
        self._restart_later(member, worker)

    def fault(self, worker: FakeWorker) -> End | None:
        """Return how the test wants this run to end; one that times out does not come back."""
        member = self._members[worker.endpoint]
        if not member.faults:
            return None
        fault = member.faults.popleft()
        task = current_task()
        while fault == TIMEOUT and task is not None:
            task.wait()
        return self.end_of(member, fault)

    # Ending.

    def _forget(self, member: Member, worker: FakeWorker, document: bytes | None = None) -> None:
        member.workers.pop(worker.peer, None)
        worker.silence()
        self._engine.scheduler.kill(worker)
        self._engine.close_channel(worker.peer, document)

    def _restart_later(self, member: Member, worker: FakeWorker) -> None:
        """Start a pinned function again after the pause of the pool."""
        if not member.model.pinned:
            return
        clock = self._engine.clock
        healthy = clock.now - worker.since >= self._backoff.healthy_s
        member.failures = 1 if healthy else member.failures + 1
        pause = self._backoff.pause(member.failures)
        member.restart = clock.call_later(pause, lambda: self._start(member))

    # Faults.

    def inject(self, member: Member, fault: int | str) -> None:
        """Let the run that is under way end so, or else the next one; see `Hooks.fault`."""
        running = [w for w in member.workers.values() if self._engine.machine.is_busy(w.peer)]
        if not running or fault == TIMEOUT:
            member.faults.append(fault)
        for worker in running if fault != TIMEOUT else ():
            self.exited(worker, self.end_of(member, fault))

    def end_of(self, member: Member, fault: int | str) -> End:
        """Return how a worker ends with a fault."""
        limit = member.model.memory_kib
        if fault != OUT_OF_MEMORY:
            return describe_exit(int(fault))
        if limit is None:
            return describe_exit(int(signal.SIGKILL))  # the kernel has a limit, too
        return End(
            f"memory limit exceeded: {limit + 1} KiB held, memory_kib = {limit};"
            " the worker is killed",
            "Runtime.OutOfMemory",
        )

    def fill(self, member: Member, *, full: bool) -> None:
        """Let the queue of a function be full, or what it was."""
        target = self._engine.machine.target_state(member.endpoint)
        if isinstance(target, FunctionTarget):
            items = 0 if full else member.model.queue_items
            target.rules = target.rules._replace(queue_items=items)

    # Logs.

    def _log(self, member: Member, level: bytes, origin: bytes, message: bytes) -> None:
        text = message.decode("utf-8", "replace")
        self._note(member, _LEVELS[level], text, origin.decode("utf-8", "replace"))

    def _note(self, member: Member, level: str, text: str, origin: str) -> None:
        member.logs.append(LogRecord(level, text, origin, self._engine.clock.time()))


def _code_folder(member: Member, layout: Layout) -> Path:
    if member.handler is not None:
        return member.model.code  # nothing is imported from there
    from greengrass_sdk.core.functions.packages import code_folder

    return code_folder(member.model, layout)

# SPDX-License-Identifier: Apache-2.0
"""
The core without a process: the router machine, its workers, and time.

`Engine` does what the driver, the pool and the listener do in a core: it hands frames to the
machine and does what the machine says. It decides nothing that the machine decides.

Order: the machine's outputs are done in the order in which they come, so messages run in the order
of their publishing, and for one message in the order of the rows. Time moves only when nothing can
run: to the next deadline, timer or sleeper, deadlines of the core first. It moves by itself only
while an item runs or a caller waits; beyond that `advance` moves it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from greengrass_sdk._native import Frame, Kind, request_id
from greengrass_sdk._native._py.router import events
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import CORE, FunctionTarget
from greengrass_sdk.testing.channel import FakeChannel
from greengrass_sdk.testing.failures import SimulationError
from greengrass_sdk.testing.scheduler import Scheduler, current_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from greengrass_sdk._native._py.router.events import Output, Send
    from greengrass_sdk.core.router.table import Table
    from greengrass_sdk.model.group import Limits
    from greengrass_sdk.testing.clock import VirtualClock
    from greengrass_sdk.testing.scheduler import Task

__all__ = ["BOOT", "Engine"]

BOOT = b"fakecore"
"""Request ids are the same in every run."""

_CYCLE = 40  # last steps, of which a cycle is shown


class Engine:
    """
    One simulated core.

    Args:
        max_steps: Messages and invocations that one call of the test may cause.
        busy_s: See `Scheduler`.
    """

    def __init__(
        self,
        clock: VirtualClock,
        limits: Limits,
        *,
        strict: bool,
        max_steps: int,
        busy_s: float,
    ) -> None:
        self.clock = clock
        self.scheduler = Scheduler(clock, busy_s)
        self.table: Table | None = None
        self.machine = Router(
            work_items=limits.work_items,
            topic_payload_bytes=limits.topic_payload_bytes,
            invoke_payload_bytes=limits.invoke_payload_bytes,
            strict=strict,
            boot=BOOT,
            epoch=clock.epoch,
        )
        self.machine.tap = True
        self.core_channel = FakeChannel(self, CORE)
        self._channels: dict[int, FakeChannel] = {CORE: self.core_channel}
        self._handlers: dict[type, Callable[[Any], None]] = {}
        self._services: dict[int, Callable[[Send], None]] = {}
        self._starts: dict[int, Callable[[], object]] = {}
        self._published: Callable[[Frame, list[events.Tapped]], None] | None = None
        self._busy: Callable[[], bool] = lambda: False
        self._last_peer = CORE
        self._stepping = False
        self._outputs: deque[Output] = deque()
        self._max_steps = max_steps
        self._steps = 0
        self._last_steps: deque[str] = deque(maxlen=_CYCLE)
        self._overrun = ""
        self._driving = False

    # Wiring.

    def on(self, event: type, handler: Callable[[Any], None]) -> None:
        """Send outputs of a type to `handler`."""
        self._handlers[event] = handler

    def on_publish(self, handler: Callable[[Frame, list[events.Tapped]], None]) -> None:
        """Tell `handler` of every message that was routed, and what became of it."""
        self._published = handler

    def on_busy(self, busy: Callable[[], bool]) -> None:
        """Ask `busy` whether time may move by itself."""
        self._busy = busy

    def install(self, table: Table) -> None:
        """Take a new table in."""
        self.table = table
        table.install(self.machine)

    def serve(self, endpoint: int, receive: Callable[[Send], None]) -> None:
        """Hand the messages for an in-core endpoint to `receive`."""
        self.machine.define_service(endpoint)
        self._services[endpoint] = receive

    def on_invoke(self, endpoint: int, start: Callable[[], object]) -> None:
        """Have `start` called, once, when somebody invokes a function that the core itself is."""
        self._starts[endpoint] = start

    def start(self, endpoint: int) -> None:
        """Call what `on_invoke` would, if it was not called yet."""
        self._starts.pop(endpoint, lambda: None)()

    def open(self, endpoint: int) -> FakeChannel:
        """Return a channel for a peer that may speak for `endpoint`."""
        channel = self._new_channel()
        self.machine.attach(channel.peer, endpoint)
        return channel

    def open_worker(self, endpoint: int) -> FakeChannel:
        """Return a channel for a new worker of a function."""
        channel = self._new_channel()
        self.machine.attach_worker(channel.peer, endpoint, self.clock.now)
        return channel

    def _new_channel(self) -> FakeChannel:
        self._last_peer += 1
        channel = self._channels[self._last_peer] = FakeChannel(self, self._last_peer)
        return channel

    def close_channel(self, peer: int, document: bytes | None = None) -> None:
        """End a peer; with a document, the machine is told, and it ends the running item."""
        channel = self._channels.pop(peer, None)
        if channel is not None:
            channel.close()
        if document is not None:
            self.machine.detach(peer, document, self.clock.now)
            self.step()

    # The machine's turn.

    def receive(self, peer: int, frame: Frame) -> None:
        """Take a frame of a peer."""
        if frame.kind in (Kind.PUBLISH, Kind.INVOKE):
            self._count(frame)
        self.machine.receive(peer, frame, self.clock.now)
        self.step(frame if frame.kind == Kind.PUBLISH else None)
        if frame.kind == Kind.INVOKE:
            for endpoint in tuple(self._starts):
                target = self.machine.target_state(endpoint)
                if isinstance(target, FunctionTarget) and target.items:
                    self.start(endpoint)

    def send(self, endpoint: int, topic: bytes, payload: bytes) -> None:
        """Publish in the name of an in-core endpoint, such as a service."""
        self.receive(CORE, Frame(Kind.PUBLISH, 0, endpoint, 0, topic, b"", payload))

    def step(self, published: Frame | None = None) -> None:
        """Do everything that the machine has to say, one after the other."""
        outputs = self.machine.step(self.clock.now)
        if published is not None and self._published is not None:
            taps = [
                output
                for output in outputs
                if isinstance(output, events.Tapped) and output.topic == published.topic
            ]
            if taps:
                self._published(published, taps)
        self._outputs += outputs
        if self._stepping:
            return  # the loop below comes to it: what was said before is done before
        self._stepping = True
        try:
            while self._outputs:
                self._do(self._outputs.popleft())
                if not self._outputs:
                    self._outputs += self.machine.step(self.clock.now)
        finally:
            self._stepping = False

    def _do(self, output: Output) -> None:
        if not isinstance(output, events.Send):
            handler = self._handlers.get(type(output))
            if handler is not None:
                handler(output)
            return
        if output.peer == CORE and output.kind == Kind.MESSAGE:
            self._services[output.endpoint](output)
            return
        channel = self._channels.get(output.peer)
        if channel is not None:
            channel.deliver(Frame(*output[1:]))

    def wake(self, task: Task) -> None:
        """Let a task that waits for a frame run."""
        self.scheduler.wake(task)

    # Driving.

    def settle(self) -> None:
        """Let everything happen that happens by itself, time included as long as an item runs."""
        self._drive(None, None, by_itself=True)

    def advance(self, seconds: float) -> None:
        """Move time by exactly so much, and let happen what is due until then."""
        self._drive(None, self.clock.now + seconds, by_itself=False)

    def drive(self, until: Callable[[], bool], timeout_s: float | None) -> None:
        """Let everything happen until something holds, or for so long."""
        end = None if timeout_s is None else self.clock.now + timeout_s
        self._drive(until, end, by_itself=False)
        if timeout_s is None and not until():
            raise SimulationError(
                "nothing can happen any more, and what the test waits for has not: every thread"
                " of every function waits for something that nobody will do"
            )

    def _drive(
        self, until: Callable[[], bool] | None, end: float | None, *, by_itself: bool
    ) -> None:
        if current_task() is not None:
            raise SimulationError(
                "a function cannot drive the FakeCore that runs it; deliver, invoke and advance"
                " are the test's to call, a function publishes and invokes by its client"
            )
        if self._driving:
            return
        self._driving = True
        self._steps = 0
        self._last_steps.clear()
        self._check_steps()
        try:
            self._loop(until, end, by_itself=by_itself)
        finally:
            self._driving = False

    def _loop(
        self, until: Callable[[], bool] | None, end: float | None, *, by_itself: bool
    ) -> None:
        while not self.scheduler.broken:
            self.step()
            self._check_steps()
            if until is not None and until():
                return
            if self.scheduler.turn():
                continue
            if by_itself and not self._busy():
                return
            due = self._next_due()
            if due is None or (end is not None and due > end):
                self.clock.now = self.clock.now if end is None else end
                return
            if due > self.clock.now:
                self.clock.now = due
                if end is not None:
                    self._steps = 0  # bounded by the end already
            self.step()
            self.clock.fire()
            self.scheduler.fire()
        raise SimulationError(
            "this FakeCore is broken: a function's thread did not give its turn back before"
        )

    def close(self) -> None:
        """Let go of everybody, so that nothing has to wait for the garbage collector."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        self._handlers.clear()
        self._services.clear()
        self._starts.clear()
        self._published = None
        self._busy = lambda: False

    def bury(self) -> None:
        """Let threads that were told to end do so."""
        while not self.scheduler.broken and self.scheduler.bury():
            pass

    def _next_due(self) -> float | None:
        times = (
            self.machine.next_deadline(),
            self.clock.next_timer(),
            self.scheduler.next_deadline(),
        )
        known = [time for time in times if time is not None]
        return max(self.clock.now, min(known)) if known else None

    # Endless loops.

    def _count(self, frame: Frame) -> None:
        self._steps += 1
        topic = frame.topic.decode("utf-8", "replace")
        source = "?" if self.table is None else self.table.name(frame.endpoint)
        self._last_steps.append(
            f"{source} {'publishes' if frame.kind == Kind.PUBLISH else 'invokes'} {topic!r}"
        )
        task = current_task()
        if self._steps > self._max_steps and task is not None:
            self._overrun = _cycle(list(self._last_steps))
            task.wait()  # the conductor raises, and nobody wakes it

    def _check_steps(self) -> None:
        if not self._overrun:
            return
        raise SimulationError(
            f"an endless loop: one call of the test caused more than {self._max_steps} messages"
            f" and invocations, and they go on:\n{self._overrun}"
        )

    def request_id(self, work_id: int) -> str:
        """Return the request id of an item."""
        return request_id(BOOT, work_id)


def _cycle(steps: list[str]) -> str:
    """Return the shortest sequence that the last steps repeat, once."""
    for length in range(1, len(steps) // 2 + 1):
        if steps[-length:] == steps[-2 * length : -length]:
            return _lines([*steps[-length:], "and again"])
    return _lines(steps[-10:])


def _lines(steps: Iterable[str]) -> str:
    return "\n".join(f"  {step}" for step in steps)

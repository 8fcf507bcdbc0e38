# SPDX-License-Identifier: Apache-2.0
"""
Lock-step: functions run on threads of their own, and exactly one thread runs at any moment.

The thread of the test conducts. It lets one task run until that task waits for something or ends,
then picks the next one. What became ready first runs first; a task that waits for a lock or a
selector is looked at when nothing else is ready, in the order in which the waiting began. Nothing
here depends on how fast anything runs.

A task waits in `Task.wait`; the virtual clock, the locks and the channel all end there.
"""

from __future__ import annotations

import sys
import traceback
from _thread import allocate_lock, get_ident
from collections import deque
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from greengrass_sdk.testing.failures import Killed, SimulationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.testing.clock import VirtualClock

__all__ = ["Owner", "Scheduler", "Task", "current_task"]

_READS = 10_000  # of the clock, without a pause: that is a loop which waits for time to pass
_READ_S = 0.001  # what each further read then costs
_KILLS = 100  # a thread that swallows its end so often is left where it is

_tasks: dict[int, Task] = {}


def current_task() -> Task | None:
    """Return the task that this thread is, None for threads that belong to no function."""
    return _tasks.get(get_ident())


class Owner(Protocol):
    """Whom a task belongs to: a worker of a function."""

    @property
    def name(self) -> str:
        """Name of the function."""

    def enter(self) -> None:
        """Make the process look as the owner's threads are to see it."""

    def leave(self) -> None:
        """Take that back."""


class Task:
    """A thread of a function."""

    __slots__ = (
        "_baton",
        "_kills",
        "_reads",
        "_scheduler",
        "body",
        "deadline",
        "done",
        "ident",
        "idle",
        "killed",
        "name",
        "owner",
        "predicate",
        "started",
        "woken",
    )

    def __init__(self, scheduler: Scheduler, owner: Owner, name: str) -> None:
        self._scheduler = scheduler
        self._baton = allocate_lock()
        self._baton.acquire()
        self._kills = 0
        self._reads = 0
        self.owner = owner
        self.name = name
        self.body: Callable[[], None] | None = None
        self.ident = 0
        self.started = False
        self.done = False
        self.killed = False
        self.idle = False
        """Whether it waits with nobody's code on its stack: it may end unseen."""
        self.predicate: Callable[[], bool] | None = None
        self.deadline: float | None = None
        self.woken = False

    # Called on the thread itself.

    @property
    def clock(self) -> VirtualClock:
        """The clock of its world, for one look; a loop that only looks sees time pass."""
        self._reads += 1
        if self._reads > _READS:
            reads = self._reads
            self.sleep(_READ_S)
            self._reads = reads
        return self._scheduler.clock

    def sleep(self, seconds: float) -> None:
        """Let others run until the virtual clock is so much later."""
        self.wait(deadline=self._scheduler.clock.now + seconds)

    def timeout(self, seconds: float | None) -> float | None:
        """Return the deadline of a wait that begins now."""
        return None if seconds is None else self._scheduler.clock.now + seconds

    def wait(
        self, predicate: Callable[[], bool] | None = None, deadline: float | None = None
    ) -> bool:
        """Let others run until `predicate` holds, somebody wakes this task, or time is up."""
        self._check()
        if predicate is not None and predicate():
            return True
        self.predicate, self.deadline, self.woken = predicate, deadline, False
        self._scheduler.block(self)
        self._hand_over()
        return self.woken

    def pause(self) -> None:
        """Let those run that are ready; the last of them is this task."""
        self._check()
        if self._scheduler.wake_behind(self):
            self._hand_over()

    def fork(self, name: str) -> Task:
        """Return a task of the same owner for a thread that this one starts."""
        return self._scheduler.adopt(self.owner, name)

    def begin(self) -> None:
        """Wait for the first turn."""
        self.ident = get_ident()
        _tasks[self.ident] = self
        self._baton.acquire()
        self._check()

    def end(self) -> None:
        """Give up the last turn."""
        self.done = True
        _tasks.pop(self.ident, None)
        if not (self.idle and self.killed):
            self._scheduler.resume()

    def _hand_over(self) -> None:
        self._reads = 0
        self._scheduler.resume()
        self._baton.acquire()
        self._check()

    def _check(self) -> None:
        if not self.killed:
            return
        self._kills += 1
        if self._kills > _KILLS:  # it will never end: leave it behind
            self.done = True
            _tasks.pop(self.ident, None)
            self._scheduler.resume()
            self._baton.acquire()
        raise Killed

    # Called by the conductor.

    def start(self) -> None:
        """Start a thread for it, where nobody else does; it waits for its first turn."""
        if not self.started:
            self.started = True
            if self.body is not None:
                Thread(target=self._main, name=self.name, daemon=True).start()

    def run(self) -> None:
        """Give the thread its turn; the scheduler waits for the end of it."""
        self._baton.release()

    def _main(self) -> None:
        try:
            self.begin()
            if self.body is not None:
                self.body()
        except Killed:
            pass
        finally:
            self.end()


class Scheduler:
    """
    The tasks of one FakeCore.

    Args:
        busy_s: Real seconds after which a turn that does not end is an error.
    """

    def __init__(self, clock: VirtualClock, busy_s: float) -> None:
        self.clock = clock
        self.busy_s = busy_s
        self.broken = False
        """A thread did not give its turn back; nothing may run any more."""
        self._baton = allocate_lock()
        self._baton.acquire()
        self._ready: deque[Task] = deque()
        self._blocked: dict[Task, None] = {}
        self._dying: deque[Task] = deque()
        self.running: Task | None = None

    def spawn(self, owner: Owner, name: str, body: Callable[[], None]) -> Task:
        """Add a task with a thread of its own, which starts at its first turn."""
        task = self.adopt(owner, name)
        task.body = body
        return task

    def adopt(self, owner: Owner, name: str) -> Task:
        """Add a task for a thread that somebody else starts and that calls `begin` and `end`."""
        task = Task(self, owner, name)
        self._ready.append(task)
        return task

    def wake(self, task: Task) -> None:
        """Let a task that waits run, behind those that are ready."""
        if task in self._blocked:
            del self._blocked[task]
            task.woken = True
            self._ready.append(task)

    def block(self, task: Task) -> None:
        """Take note that a task waits."""
        self._blocked[task] = None

    def wake_behind(self, task: Task) -> bool:
        """Queue a task behind those that are ready; False if there are none."""
        if not self._ready:
            return False
        self._ready.append(task)
        return True

    def resume(self) -> None:
        """Return the turn to the conductor."""
        self._baton.release()

    # The conductor.

    def turn(self) -> bool:
        """Let one task run until it waits or ends; False if none can."""
        if self.bury():
            return True
        task = self._next()
        if task is None:
            return False
        self._run(task)
        return True

    def bury(self) -> bool:
        """Give one thread that is to end its last turn; False if there is none."""
        if not self._dying:
            return False
        self._run(self._dying.popleft())
        return True

    def next_deadline(self) -> float | None:
        """Return when the next task that waits for a time is due."""
        return min((t.deadline for t in self._blocked if t.deadline is not None), default=None)

    def fire(self) -> None:
        """Make those ready whose time has come, the earliest first."""
        now = self.clock.now
        due = [t for t in self._blocked if t.deadline is not None and t.deadline <= now]
        for task in sorted(due, key=lambda t: t.deadline or 0.0):
            del self._blocked[task]
            self._ready.append(task)

    def kill(self, owner: Owner) -> None:
        """End all threads of an owner: each is told at its next turn, where it waits."""
        for task in [*self._ready, *self._blocked]:
            if task.owner is not owner:
                continue
            task.killed = True
            if task.idle:
                task.run()
            elif task.started or task.body is None:  # its thread exists
                self._dying.append(task)
            else:
                task.done = True
        self._ready = deque(task for task in self._ready if not task.killed)
        self._blocked = {task: None for task in self._blocked if not task.killed}
        if self.running is not None and self.running.owner is owner:
            self.running.killed = True

    def _next(self) -> Task | None:
        if self._ready:
            return self._ready.popleft()
        for task in self._blocked:
            if task.predicate is not None and task.predicate():
                del self._blocked[task]
                task.woken = True
                return task
        return None

    def _run(self, task: Task) -> None:
        task.start()
        outer, self.running = self.running, task
        task.owner.enter()
        try:
            task.run()
            while not self._baton.acquire(timeout=self.busy_s):
                frame = sys._current_frames().get(task.ident)  # noqa: SLF001 - where it is
                if frame is not None and frame.f_trace is None:  # a debugger may take its time
                    stack = "".join(traceback.format_stack(frame))
                    raise SimulationError(
                        f"function {task.owner.name!r} has run for {self.busy_s:g} s of real time"
                        " without waiting for anything; a loop that waits for something to change"
                        " needs a time.sleep or a timeout. It is here:\n" + stack
                    )
        except BaseException:
            self.broken = not task.done
            task.killed = True  # its turn goes on without its world: it must not get far
            raise
        finally:
            task.owner.leave()
            self.running = outer

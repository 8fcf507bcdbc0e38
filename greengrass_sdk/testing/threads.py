# SPDX-License-Identifier: Apache-2.0
"""
Waiting inside functions: locks, threads and selectors in lock-step.

Everything of `threading`, `queue` and `concurrent.futures` waits for a lock in the end. While a
function runs, the locks it creates are `VirtualLock`: a real lock, except that a function's thread
lets others run instead of blocking. A thread that a function starts belongs to it and takes turns
like the others. The event loop of asyncio waits in its selector, which does the same.
"""

from __future__ import annotations

import queue
import selectors
import threading
from _thread import allocate_lock
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from greengrass_sdk.testing import scheduler
from greengrass_sdk.testing.failures import Killed, ProcessExit
from greengrass_sdk.testing.scheduler import current_task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from greengrass_sdk.testing.scheduler import Owner, Task

__all__ = ["PATCHES", "REAL_LOCK", "ThreadOwner", "VirtualLock"]

REAL_LOCK = type(allocate_lock())

_TASK = "_greengrass_task"
_LOOPBACK = 1  # a selector of asyncio watches its own wake-up; more is a socket or a pipe
_REAL_IO_S = 0.05  # given to real sockets before virtual time goes on


class ThreadOwner(Protocol):
    """What the owner of a thread that a function started must do beside."""

    def thread_failed(self, thread: threading.Thread, error: BaseException) -> None:
        """Hear that a thread ended with an exception."""

    def thread_exited(self, status: int) -> None:
        """Hear that a thread ended the process."""


class VirtualLock:
    """What `threading.Lock()` makes inside a function."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = allocate_lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - threading's own signature
        """Take the lock; a function's thread lets others run until it can."""
        if self._lock.acquire(blocking=False):
            return True
        if not blocking:
            return False
        task = current_task()
        if task is None:
            return self._lock.acquire(True, timeout)
        deadline = task.timeout(None if timeout < 0 else timeout)
        return task.wait(lambda: self._lock.acquire(blocking=False), deadline)

    def release(self) -> None:
        """Give the lock back, from whatever thread."""
        self._lock.release()

    def locked(self) -> bool:
        """Return whether somebody holds it."""
        return self._lock.locked()

    def _at_fork_reinit(self) -> None:
        self._lock = allocate_lock()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


# --- threads -----------------------------------------------------------------

_real_start = threading.Thread.start
_real_join = threading.Thread.join


@contextmanager
def _for_real(task: Task) -> Iterator[None]:
    """Let the thread wait for another one that is no task, for a moment that is sure to end."""
    del scheduler._tasks[task.ident]  # noqa: SLF001 - one mechanism in two modules
    try:
        yield
    finally:
        scheduler._tasks[task.ident] = task  # noqa: SLF001 - see above


def _start(self: threading.Thread) -> None:
    """Start a thread; inside a function it becomes the function's."""
    parent = current_task()
    if parent is None:
        _real_start(self)
        return
    child = parent.fork(self.name)
    run = self.run

    def in_turns() -> None:
        try:
            child.begin()
            run()
        except (Killed, SystemExit):
            pass
        except ProcessExit as exit_:
            _owner(child.owner).thread_exited(exit_.status)
        except BaseException as error:  # noqa: BLE001 - the end of a thread, as threading reports it
            _owner(child.owner).thread_failed(self, error)
        finally:
            child.end()

    self.run = in_turns  # type: ignore[method-assign]  # of this one thread
    vars(self)[_TASK] = child
    with _for_real(parent):
        _real_start(self)


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    """Wait for the end of a thread."""
    task = current_task()
    child: Task | None = vars(self).get(_TASK)
    if task is None or child is None or child is task:
        _real_join(self, timeout)
    elif task.wait(lambda: child.done, task.timeout(timeout)):
        with _for_real(task):
            _real_join(self)


def _owner(owner: Owner) -> ThreadOwner:
    return owner  # type: ignore[return-value]  # workers are both


# --- selectors ---------------------------------------------------------------

_real_select: Any = selectors.DefaultSelector.select


def _select(self: Any, timeout: float | None = None) -> Any:
    """Wait for what is registered; inside a function, let others run meanwhile."""
    task = current_task()
    found = _real_select(self, 0 if task is not None else timeout)
    if task is None or found or (timeout is not None and timeout <= 0):
        return found
    if len(self.get_map()) > _LOOPBACK:
        found = _real_select(self, _REAL_IO_S if timeout is None else min(timeout, _REAL_IO_S))
        if found:
            return found
    result: list[Any] = []

    def ready() -> bool:
        result[:] = _real_select(self, 0)
        return bool(result)

    task.wait(ready, task.timeout(timeout))
    return result


PATCHES: list[tuple[Any, str, Any]] = [
    (threading, "Lock", VirtualLock),
    (threading, "RLock", threading._PyRLock),  # type: ignore[attr-defined]  # noqa: SLF001 - its C twin cannot hand over
    (threading, "_allocate_lock", VirtualLock),
    (threading.Thread, "start", _start),
    (threading.Thread, "join", _join),
    (queue, "SimpleQueue", queue._PySimpleQueue),  # type: ignore[attr-defined]  # noqa: SLF001 - its C twin cannot hand over
]
# subprocess waits for real programs with this one where it is the default, too.
if selectors.DefaultSelector is not getattr(selectors, "PollSelector", None):
    PATCHES.append((selectors.DefaultSelector, "select", _select))

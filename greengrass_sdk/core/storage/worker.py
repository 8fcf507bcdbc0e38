# SPDX-License-Identifier: Apache-2.0
"""
Two threads for the disk: one works, the other one waits until what was written is on the disk.

Group commit comes by itself: while one sync runs, all that is to be synced waits, and the next sync
is for all of it. Work does not wait for syncs.

What the system takes into its memory takes no longer than to wake a thread. So the event loop may
do work itself, as long as that has been quick: `try_now`. A disk that blocked it once is left to
the thread for many times as long.

Where one caller waits for each sync, there is nothing to be grouped, and to change threads twice
takes half as long as a good disk. Then the event loop waits for the disk itself: `sync` with
`alone`.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from greengrass_sdk.core.storage.log import Unsynced

    Done = Callable[[Any], None]

__all__ = ["StorageWorker"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_QUICK_S = 0.005
_PATIENCE = 10  # times as long it does no work itself, if that was just not quick

_QUICK_SYNC_S = 0.0005  # a sync that the event loop can wait for
_CALLS = 16  # as many in a row were quick, and one caller's ...
_TURN_S = 0.00001  # ... who cannot have come back so soon; who has, waited meanwhile


class StorageWorker:
    """
    Does work in the order in which it is given.

    Args:
        schedule: Runs a callable with its arguments in the event loop, from another thread.
    """

    def __init__(self, schedule: Callable[..., object]) -> None:
        self._schedule = schedule
        self._lock = Lock()  # who works
        self._slow_until = 0.0
        self._calls = 0  # in a row of which each was alone
        self._told_at = 0.0
        self._syncing = 0  # in the thread
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Done] | None] = SimpleQueue()
        self._syncs: SimpleQueue[tuple[Sequence[Unsynced], Done] | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name="streams", daemon=True),
            Thread(target=self._wait, name="streams-sync", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], _T], done: Callable[[_T | BaseException], None]) -> None:
        """Do `work`, then call `done` in the event loop with its result, or what it raised."""
        self._jobs.put((work, done))

    def try_now(self, work: Callable[[], _T]) -> tuple[_T] | None:
        """Do `work` here, and return its result; None: this is no time for it, submit it."""
        begun = time.monotonic()
        if begun < self._slow_until or not self._jobs.empty():
            return None
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return (work(),)
        finally:
            self._lock.release()
            taken = time.monotonic() - begun
            if taken > _QUICK_S:
                # A short wait may have been for a processor; a long one was for the disk.
                self._slow_until = begun + taken * _PATIENCE * (taken / _QUICK_S)

    def sync(
        self,
        unsynced: Sequence[Unsynced],
        done: Callable[[OSError | None], None],
        *,
        alone: bool = False,
    ) -> None:
        """
        Sync, then call `done` in the event loop: with None, or with what failed.

        Args:
            alone: One caller waits for it, who has nothing else under way. If that was so for a
                while, and the disk is quick, `done` is called before this returns.
        """
        begun = time.monotonic()
        alone = alone and not self._syncing and begun - self._told_at > _TURN_S
        self._calls = self._calls + 1 if alone and all(each.quick for each in unsynced) else 0
        if self._calls > _CALLS:
            done(self._synced([unsynced])[0])
            self._told_at = time.monotonic()
        else:
            self._syncing += 1
            self._syncs.put((unsynced, partial(self._tell_synced, done)))

    def close(self) -> None:
        """Finish what was begun, and end the threads; may be called again."""
        self._jobs.put(None)
        self._threads[0].join()
        self._syncs.put(None)
        self._threads[1].join()

    # What a thread has done it forgets before it waits: the last holder of a file closes it.

    def _work(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        job = self._jobs.get()
        if job is None:
            return False
        work, done = job
        try:
            with self._lock:
                result = work()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            result = error
        self._tell(done, result)
        return True

    def _wait(self) -> None:
        while self._wait_once():
            pass

    def _wait_once(self) -> bool:
        sync = self._syncs.get()
        if sync is None:
            return False
        syncs = [sync]
        try:
            while True:
                following = self._syncs.get_nowait()
                if following is None:
                    self._syncs.put(None)
                    break
                syncs.append(following)
        except Empty:
            pass
        self._sync_all(syncs)
        return True

    def _sync_all(self, syncs: list[tuple[Sequence[Unsynced], Done]]) -> None:
        failures = self._synced([unsynced for unsynced, _ in syncs])
        for (_, done), failure in zip(syncs, failures, strict=True):
            self._tell(done, failure)

    def _synced(self, syncs: Sequence[Sequence[Unsynced]]) -> list[OSError | None]:
        """Sync each file once, whoever asked for it, and return what failed for each."""
        begun = time.monotonic()
        seen: dict[int, OSError | None] = {}
        failures = [_failure(unsynced, seen) for unsynced in syncs]
        if time.monotonic() - begun > _QUICK_SYNC_S:
            self._calls = 0
        return failures

    def _tell_synced(self, done: Callable[[OSError | None], None], failure: OSError | None) -> None:
        self._syncing -= 1
        self._told_at = time.monotonic()
        done(failure)

    def _tell(self, done: Done, result: object) -> None:
        try:
            self._schedule(done, result)
        except RuntimeError:
            log.debug("the loop is closed: nobody waits any more")


def _failure(unsynced: Sequence[Unsynced], seen: dict[int, OSError | None]) -> OSError | None:
    failure: OSError | None = None
    for each in unsynced:
        try:
            failure = each.sync(seen) or failure
        except Exception as error:
            log.exception("a bug of ours: streams could not be synced")
            failure = OSError(str(error))
    return failure

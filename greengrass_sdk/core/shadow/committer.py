# SPDX-License-Identifier: Apache-2.0
"""
Waits for the disk, in a thread, so that the event loop does not.

Where the disk answers faster than two threads change turns, the event loop waits itself: half a
millisecond at most, as far as one can tell by the commits before. The first one that takes longer
sends the next ones to the thread.
"""

from __future__ import annotations

import logging
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greengrass_sdk.core.shadow.requests import ShadowId
    from greengrass_sdk.core.shadow.store import Record, Store

    Job = tuple[Mapping[ShadowId, Record], Callable[[OSError | None], None]]

__all__ = ["Committer"]

log = logging.getLogger(__name__)

_QUICK_S = 0.0005  # a commit that the event loop can wait for
_TRIALS = 16  # as many in a row have been quick


class Committer:
    """
    Commits, one after the other.

    Args:
        schedule: Runs a callable in the event loop, from another thread.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        store: Store,
        schedule: Callable[..., object],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._store = store
        self._schedule = schedule
        self._clock = clock
        self._quick = 0  # commits in a row
        self._under_way = 0  # in the thread
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="shadows", daemon=True)
        self._thread.start()

    def commit(
        self, changes: Mapping[ShadowId, Record], done: Callable[[OSError | None], None]
    ) -> None:
        """
        Commit `changes`, then call `done` in the event loop: with None, or with what failed.

        It may be called before this returns.
        """
        if self._quick >= _TRIALS and not self._under_way:
            done(self._commit(changes))
        else:
            self._under_way += 1
            self._jobs.put((changes, done))

    def close(self) -> None:
        """Finish what was begun, and end the thread; may be called again."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            changes, done = job
            failure = self._commit(changes)
            try:
                self._schedule(self._tell, done, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _tell(self, done: Callable[[OSError | None], None], failure: OSError | None) -> None:
        self._under_way -= 1
        done(failure)

    def _commit(self, changes: Mapping[ShadowId, Record]) -> OSError | None:
        begun = self._clock()
        try:
            self._store.commit(changes)
        except OSError as error:
            self._quick = 0
            return error
        except Exception as error:
            log.exception("a bug of ours: shadows could not be committed")
            self._quick = 0
            return OSError(str(error))
        self._quick = self._quick + 1 if self._clock() - begun < _QUICK_S else 0
        return None

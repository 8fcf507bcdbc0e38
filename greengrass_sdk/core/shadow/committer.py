# SPDX-License-Identifier: Apache-2.0
"""A thread that waits for the disk, so that the event loop does not."""

from __future__ import annotations

import logging
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greengrass_sdk.core.shadow.requests import ShadowId
    from greengrass_sdk.core.shadow.store import Record, Store

    Job = tuple[Mapping[ShadowId, Record], Callable[[OSError | None], None]]

__all__ = ["Committer"]

log = logging.getLogger(__name__)


class Committer:
    """
    Commits in a thread of its own, one after the other.

    Args:
        schedule: Runs a callable in the event loop, from another thread.
    """

    def __init__(self, store: Store, schedule: Callable[..., object]) -> None:
        self._store = store
        self._schedule = schedule
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="shadows", daemon=True)
        self._thread.start()

    def commit(
        self, changes: Mapping[ShadowId, Record], done: Callable[[OSError | None], None]
    ) -> None:
        """Commit `changes`, then call `done` in the event loop: with None, or with what failed."""
        self._jobs.put((changes, done))

    def close(self) -> None:
        """Finish what was begun, and end the thread; may be called again."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            changes, done = job
            failure: OSError | None = None
            try:
                self._store.commit(changes)
            except OSError as error:
                failure = error
            except Exception as error:
                log.exception("a bug of ours: shadows could not be committed")
                failure = OSError(str(error))
            try:
                self._schedule(done, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

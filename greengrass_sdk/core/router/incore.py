# SPDX-License-Identifier: Apache-2.0
"""
A worker inside of the core: a service that is invoked and messaged as a function is.

To the router machine it is the worker of a pinned function, with credits, in order; to the driver
it is what a `Transport` is to a process.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.lent import Lent, Result
    from greengrass_sdk._native._py.router.events import Send

__all__ = ["InCoreWorker"]

log = logging.getLogger(__name__)


_TOGETHER = 32  # results that leave at once: who waits for the first must not wait for all


class InCoreWorker:
    """
    Collects the items of one step of the router, and hands them to the service at once.

    Args:
        name: Of the service, for the log.
        take: Takes items; each is ended, in their order, by `answer`.
        end: Ends items, by their numbers, with results.
        unsettled: Gets this worker when it has results that are to leave.
    """

    def __init__(
        self,
        name: str,
        take: Callable[[list[Send]], None],
        end: Callable[[list[Result]], None],
        unsettled: list[InCoreWorker],
    ) -> None:
        self._name = name
        self._take = take
        self._end = end
        self._unsettled = unsettled
        self._items: list[Send] = []
        self._results: list[Result] = []

    def answer(self, number: int, payload: bytes | Lent) -> None:
        """End an item, by its number, with a result, which leaves by `settle` at the latest."""
        if not self._results:
            self._unsettled.append(self)
        self._results.append((number, payload))
        if len(self._results) >= _TOGETHER:
            self.settle()

    def settle(self) -> None:
        """Have the results leave."""
        if self._results:
            results, self._results = self._results, []
            self._end(results)

    # As a transport.

    closed = False
    held = False

    def has_hung_up(self) -> bool:
        """Return that it never does."""
        return False

    def put(self, send: Send) -> None:
        """Take one frame; `flush` follows."""
        self._items.append(send)

    def flush(self) -> None:
        """Hand over what came."""
        items, self._items = self._items, []
        try:
            self._take(items)
        except Exception:
            log.exception("a bug of ours: %s could not take its items", self._name)
        self.settle()

    def read_all(self) -> None:
        """Receive everything: there is nothing on its way."""

    def close(self) -> None:
        """End the connection: there is none."""

    # As the owner of a connection.

    def control(self, frame: Frame) -> None:
        """Take a CONTROL frame, which nobody sends."""

    def ended(self) -> None:
        """Hear that the peer closed its end, which does not happen."""

    def cut(self, reason: str) -> None:
        """Hear that the service broke the contract; it gets nothing more."""
        log.error("a bug of ours: %s was cut off: it %s", self._name, reason)

# SPDX-License-Identifier: Apache-2.0
"""
Whose turn it is to send: a bounded number at once, the first by priority, within a bandwidth.

The bandwidth is an average: a batch leaves whole, and the next one when its bits have been paid.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["LOWEST", "Bandwidth", "Gate"]

LOWEST = 11  # the priority of an export that names none


@define(eq=False)
class Bandwidth:
    """
    Bits that were sent and when they are paid; for any thread.

    Args:
        kbit_s: Kilobits a second; None: there is no limit.
        clock: Seconds, monotonic.
    """

    kbit_s: float | None
    clock: Callable[[], float]
    _paid_at: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def spend(self, size: int) -> None:
        """Count bytes that are sent."""
        if self.kbit_s is not None:
            with self._lock:
                start = max(self._paid_at, self.clock())
                self._paid_at = start + size * 8 / (self.kbit_s * 1000)

    def wait_s(self) -> float:
        """Return how long to wait before the next bytes."""
        return 0.0 if self.kbit_s is None else max(0.0, self._paid_at - self.clock())

    def pause(self, size: int, stopping: threading.Event) -> None:
        """Wait until the bandwidth has room, and count bytes; for threads."""
        while (left := self.wait_s()) > 0 and not stopping.wait(left):
            pass
        self.spend(size)


@define(eq=False)
class Gate:
    """Lets `places` coroutines through at once, those of the lowest priority number first."""

    places: int
    bandwidth: Bandwidth
    _waiting: list[tuple[int, int, asyncio.Future[None]]] = field(factory=list, init=False)
    _numbers: itertools.count[int] = field(factory=itertools.count, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    @asynccontextmanager
    async def turn(self, priority: int | None) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block."""
        await self._take(LOWEST if priority is None else priority)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, priority: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), turn))
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()
            raise

    def _give_back(self) -> None:
        self.places += 1
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self.places:
            left = self.bandwidth.wait_s()
            if left > 0:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(left, self._paid)
                return
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self.places -= 1
                turn.set_result(None)

    def _paid(self) -> None:
        self._timer = None
        self._grant()

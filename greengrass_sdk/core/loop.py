# SPDX-License-Identifier: Apache-2.0
"""
The event loop of the core's own process.

While it has nothing to do, its thread moves the frames between functions in place of the message
plane's own: so what is for a service of the core reaches it without another switch of threads.
A core that runs in somebody else's event loop works as well; there the plane's thread does it.
"""

from __future__ import annotations

import asyncio
import selectors
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

from greengrass_sdk.core.ports import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from greengrass_sdk.core.ports import Rings

T = TypeVar("T")

__all__ = ["CoreLoop", "run_core"]


def run_core(main: Coroutine[Any, Any, T]) -> T:
    """Run what starts and stops a core, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=CoreLoop) as runner:
        return runner.run(main)


class CoreLoop(asyncio.SelectorEventLoop):
    """An event loop that lends its thread to the message plane."""

    def __init__(self) -> None:
        self._waiting = _Selector()
        super().__init__(self._waiting)

    def lend(self, rings: Rings, on_news: Callable[[], None]) -> None:
        """Move the frames of `rings` while there is nothing to do, and call `on_news` for news."""

        def tell() -> None:
            try:
                on_news()
            except Exception as error:  # noqa: BLE001 - as what a callback raises
                message = f"{on_news!r} could not take news of the message plane"
                self.call_exception_handler({"message": message, "exception": error})

        self._waiting.rings = rings
        self._waiting.tell = tell

    def keep(self) -> None:
        """End what `lend` began."""
        self._waiting.rings = None


class _Selector(selectors.EpollSelector):
    """Waits in the message plane."""

    rings: Rings | None = None
    tell: Callable[[], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        rings = self.rings
        # With a tap each message is work for Python: two threads share it better than one.
        if rings is None or rings.tap:
            return super().select(timeout)
        found = rings.wait(self.fileno(), -1 if timeout is None else ceil(max(timeout, 0) * 1e9))
        if found & Found.NEWS:
            self.tell()
        if found & Found.NOT_LED:
            return super().select(timeout)
        return super().select(0) if found & Found.READY else []

# SPDX-License-Identifier: Apache-2.0
"""The zygotes of the core: one for each interpreter or virtual environment, started when needed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk.core.functions.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.functions.zygote import WorkerExit

__all__ = ["Zygotes"]

log = logging.getLogger(__name__)


@define(eq=False)
class Zygotes:
    """
    Hands out running zygotes by interpreter; one that died is replaced at the next request.

    Args:
        on_exited: Hears of every worker that ended.
        on_gone: Hears of a zygote that died while it was needed.
    """

    on_exited: Callable[[WorkerExit], None]
    on_gone: Callable[[Zygote], None]
    running: dict[str | None, Zygote] = field(factory=dict)
    _starting: dict[str | None, asyncio.Task[Zygote]] = field(factory=dict)

    async def get(self, python: str | None) -> Zygote:
        """
        Return the zygote of an interpreter, None for the core's own.

        Raises:
            GreengrassError: The interpreter does not start or lacks this package.
        """
        running = self.running.get(python)
        if running is not None:
            return running
        task = self._starting.get(python)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._start(python))
            self._starting[python] = task
        return await asyncio.shield(task)

    def resume(self) -> None:
        """Let those go on that somebody stopped: before the workers end, whose end they report."""
        for zygote in self.running.values():
            zygote.resume()

    async def stop(self) -> None:
        """End all zygotes."""
        for task in list(self._starting.values()):
            task.cancel()
        zygotes = list(self.running.values())
        self.running.clear()
        for zygote in zygotes:
            await zygote.stop()

    async def _start(self, python: str | None) -> Zygote:
        try:
            zygote = await Zygote.start(
                python,
                on_exited=self.on_exited,
                on_gone=lambda gone: self._gone(python, gone),
            )
            self.running[python] = zygote
        finally:
            del self._starting[python]
        log.info("zygote of %s started, pid %d", python or "this interpreter", zygote.pid)
        return zygote

    def _gone(self, python: str | None, zygote: Zygote) -> None:
        if self.running.get(python) is zygote:
            del self.running[python]
            log.error("zygote of %s (pid %d) died", python or "this interpreter", zygote.pid)
        self.on_gone(zygote)

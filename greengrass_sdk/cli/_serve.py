# SPDX-License-Identifier: Apache-2.0
"""
Run a core in this process until it is told to stop.

The first SIGINT or SIGTERM stops it cleanly; while that takes its time, a second SIGINT ends the
process at once (the zygotes see their core die and kill what is left).
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any, Protocol

from greengrass_sdk.cli._output import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greengrass_sdk.core.daemon import Core
    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.coreconfig import CoreConfig
    from greengrass_sdk.model.group import Group

__all__ = ["RunnableCore", "Supervision", "build_core", "layout_of", "read_root", "serve"]


class RunnableCore(Protocol):
    """What `serve` needs of a core."""

    async def start(self) -> None:
        """Return when the core is ready."""

    async def stop(self) -> None:
        """End all workers and return when nothing is left."""

    async def wait_stopped(self) -> None:
        """Return when somebody asked the core to stop."""

    def request_stop(self) -> None:
        """Ask the core to stop; `wait_stopped` returns."""


class Supervision:
    """What happens around a core's life; every part may be left out."""

    def __init__(
        self,
        *,
        on_ready: Callable[[], None] | None = None,
        on_stopping: Callable[[str], None] | None = None,
        duration_s: float | None = None,
        force: Callable[[], Any] | None = None,
    ) -> None:
        self.on_ready = on_ready or (lambda: None)
        self.on_stopping = on_stopping or (lambda _reason: None)
        self.duration_s = duration_s
        self.force = force or (lambda: os._exit(EXIT_INTERRUPTED))


async def serve(core: RunnableCore, supervision: Supervision) -> None:
    """Start `core`, wait until it shall stop, stop it."""
    loop = asyncio.get_running_loop()
    stop = _Stop(core, supervision)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.signalled, number)
    try:
        if await _start(core, stop):
            supervision.on_ready()
            await _until_stopped(core, stop, supervision.duration_s)
    finally:
        await core.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Stop:
    """Remembers the first signal, and answers the second one with force."""

    def __init__(self, core: RunnableCore, supervision: Supervision) -> None:
        self._core = core
        self._supervision = supervision
        self.asked = asyncio.Event()

    def signalled(self, number: signal.Signals) -> None:
        if not self.asked.is_set():
            self._supervision.on_stopping(number.name)
            self.asked.set()
            self._core.request_stop()
        elif number == signal.SIGINT:
            self._supervision.force()


async def _start(core: RunnableCore, stop: _Stop) -> bool:
    """Start the core unless a signal comes first; return whether it is ready."""
    starting = asyncio.ensure_future(core.start())
    asked = asyncio.ensure_future(stop.asked.wait())
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False
    await starting
    return not stop.asked.is_set()


async def _until_stopped(core: RunnableCore, stop: _Stop, duration_s: float | None) -> None:
    stopped = asyncio.ensure_future(core.wait_stopped())
    asked = asyncio.ensure_future(stop.asked.wait())
    try:
        await asyncio.wait(
            {stopped, asked}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED
        )
        if stopped.done():
            await stopped
    finally:
        asked.cancel()
        stopped.cancel()
        await asyncio.gather(asked, stopped, return_exceptions=True)


def build_core(
    group: Group,
    root: Path,
    *,
    as_current_user: bool,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    on_record: Callable[[dict[str, Any]], None] | None = None,
) -> Core:
    """
    Return the core of `root` for `group`, not started, with what the root's `config.json` says.

    Raises:
        ConfigError: `config.json` is wrong.
    """
    from greengrass_sdk.core.daemon import Core, CoreOptions

    layout, config = read_root(root)
    options = CoreOptions(run_as_current_user=as_current_user, own_process=True)
    return Core(group, layout, config, options, on_event, on_record)


def layout_of(root: Path) -> Layout:
    """Return the layout of `root`, also when its `config.json` is broken: to look, and to stop."""
    from greengrass_sdk.client.connect import write_dir
    from greengrass_sdk.core.layout import Layout

    written = write_dir(root)
    return Layout(root, None if written == root / "ggc" else written)


def read_root(root: Path) -> tuple[Layout, CoreConfig | None]:
    """
    Return the layout of `root` and its `config.json`, None if it has none.

    Raises:
        ConfigError: `config.json` is wrong.
    """
    from greengrass_sdk.core.config import load_config
    from greengrass_sdk.core.layout import Layout

    layout = Layout(root)
    config = load_config(layout.config_file)
    if config is not None and config.write_directory is not None:
        layout = Layout(root, config.write_directory)
    return layout, config

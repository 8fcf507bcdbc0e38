# SPDX-License-Identifier: Apache-2.0
"""What a stream manager has towards others: its port, and its exports."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk.core.streams.exporters.exporter import ExportError, Setting, one_line
from greengrass_sdk.core.streams.exporters.schedule import ExportSchedule
from greengrass_sdk.core.streams.server import StreamServer
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.wire import cbor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from greengrass_sdk.core.streams.manager import StreamManager
    from greengrass_sdk.model.parts import Streams

__all__ = ["Outlets"]

log = logging.getLogger(__name__)

_APPEND_S = 30.0


@define(eq=False)
class Outlets:
    """
    Opens and closes both.

    Args:
        settings: `[streams]` of the group.
        region: Of the group.
        root: Relative paths of exports begin there.
        tokens: Returns what clients may show.
    """

    manager: StreamManager
    settings: Streams
    region: str
    root: Path
    tokens: Callable[[], Iterable[str]]
    _server: StreamServer | None = field(default=None, init=False)
    _schedule: ExportSchedule = field(init=False)

    @property
    def port(self) -> int:
        """The port that clients connect to, or would."""
        return self.settings.port if self._server is None else self._server.port

    async def start(self) -> None:
        """
        Listen, and export; without the extra `streams` only functions and programs are served.

        Raises:
            ConfigError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        settings = self.settings
        try:
            cbor.require()
        except ConfigError as error:
            log.warning("AWS's clients cannot connect: %s", error)
        else:
            tokens = self.tokens if settings.authenticate_client else None
            self._server = StreamServer(self.manager, loop, tokens=tokens)
            await self._server.open(settings.port)
        setting = Setting(
            stream="",
            region=self.region,
            root=self.root,
            append=self._append_from_thread(loop),
            part_bytes=settings.s3_part_bytes,
            read_only_dirs=settings.read_only_dirs,
        )
        self._schedule = ExportSchedule(
            self.manager,
            setting,
            settings.threads,
            now_ms=lambda: time.time_ns() // 1_000_000,
            kbit_s=settings.bandwidth_kbit_s,
        )
        self._schedule.start()

    async def stop(self) -> None:
        """Close the port, and end exports where they are."""
        if self._server is not None:
            await self._server.close()
        await self._schedule.stop()

    def _append_from_thread(self, loop: asyncio.AbstractEventLoop) -> Callable[[str, bytes], None]:
        def append(stream: str, payload: bytes) -> None:
            appending = asyncio.run_coroutine_threadsafe(
                self.manager.append_message(stream, payload), loop
            )
            try:
                appending.result(_APPEND_S)
            except Exception as error:
                raise ExportError(f"status stream {stream}: {one_line(error)}") from error

        return append

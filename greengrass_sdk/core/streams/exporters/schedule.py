# SPDX-License-Identifier: Apache-2.0
"""
When batches are sent.

Each export has a task of its own that waits for messages, then for its turn, reads a batch, sends
it in a thread and notes how far it is. A batch that did not arrive is sent again after a pause
which grows, with jitter; the position is noted only behind what arrived, so nothing is lost and no
more than one batch comes twice. What is behind in the same stream waits: order is kept.

Ref: Greengrass V1 guide, "Manage data streams": higher-priority streams first, batch size or
interval, bandwidth, threads
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, evolve, field, frozen

from greengrass_sdk.core.streams.exporters import registry
from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line
from greengrass_sdk.core.streams.exporters.gate import Bandwidth, Gate
from greengrass_sdk.errors import StreamError, StreamNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Exporter, Setting
    from greengrass_sdk.core.streams.exports import ExportTask
    from greengrass_sdk.model.stream import Message

__all__ = ["ExportSchedule", "Pauses"]

log = logging.getLogger(__name__)

_IDLE_S = 60.0  # how long one look for messages lasts
_LOOK_S = 1.0  # how often a batch that is not full is looked at
_AGAIN_S = 600.0  # how often the same trouble is logged
_STOP_S = 5.0


class Source(Protocol):
    """What exports ask of the stream manager; it says more."""

    def export_tasks(self) -> list[ExportTask]:
        """Return all exports that are to be done."""

    def watch_exports(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` when those change."""

    async def read_export(
        self, task: ExportTask, most: int, max_bytes: int = ..., timeout_s: float = ...
    ) -> Sequence[Message]:
        """Return what is to be sent next."""

    async def advance_export(
        self, task: ExportTask, last_sequence_number: int, messages: int, size: int
    ) -> None:
        """Note what has arrived."""

    async def report_export(self, task: ExportTask, error: str | None) -> None:
        """Note why nothing arrives."""


@frozen
class Pauses:
    """How long a failed export waits: twice as long each time, up to a bound, less some jitter."""

    first_s: float = 0.5
    most_s: float = 60.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        """Return the pause after so many failures in a row."""
        full = min(self.first_s * 2.0 ** min(failures - 1, 32), self.most_s)
        return full * (0.5 + self.jitter() / 2)


@define(eq=False)
class ExportSchedule:
    """
    Runs the exports of a stream manager.

    Args:
        setting: What exporters are offered; the stream is filled in.
        kbit_s: Bandwidth of all exports together; None: as much as there is.
        make: Makes exporters, from kind, configuration and setting.
        now_ms: Milliseconds since 1970, as the times of messages.
    """

    source: Source
    setting: Setting
    threads: int
    now_ms: Callable[[], int]
    kbit_s: float | None = None
    pauses: Pauses = field(factory=Pauses)
    make: Callable[[str, Any, Setting], Exporter] = registry.make
    _gate: Gate = field(init=False)
    _bandwidth: Bandwidth = field(init=False)
    _running: dict[tuple[str, str], _Export] = field(factory=dict, init=False)
    _unwatch: Callable[[], None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin; the loop that runs is where exports belong."""
        loop = asyncio.get_running_loop()
        self._bandwidth = Bandwidth(self.kbit_s, loop.time)
        self._gate = Gate(self.threads, self._bandwidth)
        self.setting = evolve(
            self.setting, pause=lambda size: self._bandwidth.pause(size, self.setting.stopping)
        )
        self._unwatch = self.source.watch_exports(self._look)
        self._look()

    async def stop(self) -> None:
        """End all exports; what is being sent may still arrive, and is sent again."""
        if self._unwatch is None:
            return
        self._unwatch()
        self._unwatch = None
        self.setting.stopping.set()
        ending = [export.end() for export in self._running.values()]
        self._running.clear()
        if ending:
            await asyncio.wait(ending, timeout=_STOP_S)

    def _look(self) -> None:
        """Start, end and replace exports as the definitions have become."""
        wanted = {(task.stream, task.identifier): task for task in self.source.export_tasks()}
        for key, export in list(self._running.items()):
            if not _same(export.task, wanted.get(key)):
                export.end()
        for key, task in wanted.items():
            before = self._running.get(key)
            if before is None or before.ended or before.job.done():
                after = None if before is None else before.job
                self._running[key] = self._begin(task, after)
        for key in self._running.keys() - wanted.keys():
            if self._running[key].job.done():
                del self._running[key]

    def _begin(self, task: ExportTask, after: asyncio.Task[None] | None) -> _Export:
        setting = evolve(self.setting, stream=task.stream)
        export = _Export(task, self, self._gate, self._bandwidth, setting)
        export.job = asyncio.get_running_loop().create_task(export.run(after))
        return export


@define(eq=False)
class _Export:
    """One export."""

    task: ExportTask
    _schedule: ExportSchedule
    _gate: Gate
    _bandwidth: Bandwidth
    _setting: Setting
    job: asyncio.Task[None] = field(init=False)
    ended: bool = field(default=False, init=False)
    _exporter: Exporter | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _trouble: str = field(default="", init=False)
    _told_at: float = field(default=0.0, init=False)

    def end(self) -> asyncio.Task[None]:
        """Have it end; return what is done when it has."""
        self.ended = True
        self.job.cancel()
        return self.job

    async def run(self, after: asyncio.Task[None] | None) -> None:
        """Export until cancelled, behind the export that was there before."""
        if after is not None:
            await asyncio.wait([after])
        try:
            while True:
                try:
                    await self._wait_for_batch()
                    async with self._gate.turn(getattr(self.task.config, "priority", None)):
                        await self._batch()
                except StreamNotFoundError:
                    self.ended = True  # the schedule hears of it, perhaps only that there is one
                    return
                except StreamError as error:
                    await self._failed((), ExportError(one_line(error)))
                if self._failures:
                    await asyncio.sleep(self._schedule.pauses.after(self._failures))
        finally:
            await self._let_go()

    def __str__(self) -> str:
        return f"stream {self.task.stream}, export {self.task.identifier}"

    # --- one batch ------------------------------------------------------------

    async def _wait_for_batch(self) -> None:
        """Return when there is a batch: as many messages as it takes, or old enough ones."""
        source, loop = self._schedule.source, asyncio.get_running_loop()
        while not (first := await source.read_export(self.task, 1, 1, _IDLE_S)):
            pass
        interval_ms = getattr(self.task.config, "batch_interval_millis", None)
        if not interval_ms:
            return
        most, size = self._bounds()
        left_s = (first[0].ingest_time + interval_ms - self._schedule.now_ms()) / 1000
        deadline = loop.time() + min(left_s, interval_ms / 1000)
        while (left := deadline - loop.time()) > 0:
            found = await source.read_export(self.task, most, size)
            if len(found) >= most or _size(found) >= size // 2:
                return
            del found
            await asyncio.sleep(min(left, _LOOK_S))

    def _bounds(self) -> tuple[int, int]:
        most, size = registry.BATCHES.get(self.task.kind, registry.BATCHES["custom"])
        return getattr(self.task.config, "batch_size", None) or most, size

    async def _batch(self) -> None:
        """Read a batch and send it."""
        messages = await self._schedule.source.read_export(self.task, *self._bounds())
        if not messages:
            return
        self._bandwidth.spend(_size(messages))
        sending = _in_thread(partial(self._send, messages))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait([sending])  # it must have ended before another takes over
            sending.exception()
            raise
        except ExportError as error:
            await self._failed(messages[: error.done], error)
        else:
            await self._arrived(messages)
            if self._trouble:
                log.info("%s: goes on, after %d failures", self, self._failures)
            self._failures, self._trouble = 0, ""

    def _send(self, messages: Sequence[Message]) -> None:
        """In a thread: send, with a new exporter if there is none."""
        try:
            if self._exporter is None:
                self._exporter = self._schedule.make(
                    self.task.kind, self.task.config, self._setting
                )
            self._exporter.send(messages)
        except ExportError:
            raise
        except Exception as error:
            log.exception("%s: a fault of its exporter", self)
            raise ExportError(f"{type(error).__name__}: {one_line(error)}") from error

    async def _arrived(self, messages: Sequence[Message]) -> None:
        last = messages[-1].sequence_number
        await self._schedule.source.advance_export(self.task, last, len(messages), _size(messages))

    async def _failed(self, arrived: Sequence[Message], error: ExportError) -> None:
        if arrived:
            self._failures = 0
        self._failures += 1
        text, now = str(error), asyncio.get_running_loop().time()
        if text != self._trouble or now - self._told_at > _AGAIN_S:
            log.error("%s: %s", self, text)
            self._trouble, self._told_at = text, now
        with suppress(StreamError):  # the disk may be what fails
            if arrived:
                await self._arrived(arrived)
            await self._schedule.source.report_export(self.task, text)
        await self._let_go()

    async def _let_go(self) -> None:
        exporter, self._exporter = self._exporter, None
        if exporter is None:
            return
        try:
            await _in_thread(exporter.close)
        except Exception as error:  # noqa: BLE001 - it is of no use any more
            log.debug("%s: did not close: %s", self, error)


def _in_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    """Do something in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - the loop hears of it
            error = failure
        with suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="export", daemon=True).start()
    return done


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message.payload) for message in messages)


def _same(before: ExportTask, after: ExportTask | None) -> bool:
    return (
        after is not None
        and before.kind == after.kind
        and before.config.as_dict() == after.config.as_dict()
    )

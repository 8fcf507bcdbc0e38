# SPDX-License-Identifier: Apache-2.0
"""Exports without a stream manager: messages in lists, exporters that record."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from greengrass_sdk.core.streams.exporters.exporter import ExportError, Setting
from greengrass_sdk.errors import StreamNotFoundError
from greengrass_sdk.model.stream import HTTPConfig, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@frozen
class Task:
    """What `core.streams.exports.ExportTask` is."""

    stream: str
    kind: str
    config: Any

    @property
    def identifier(self) -> str:
        return str(self.config.identifier)


def task(stream: str = "s", identifier: str = "e", **config: Any) -> Task:
    """Return an HTTP export that nobody serves."""
    return Task(stream, "http", HTTPConfig(identifier=identifier, uri="http://x", **config))


def messages(count: int, stream: str = "s", size: int = 4, first: int = 0) -> list[Message]:
    """Return messages whose payloads tell their numbers."""
    return [
        Message(stream, number, 1_000_000 + number, f"{number:0{size}}".encode())
        for number in range(first, first + count)
    ]


def setting(root: Path = Path("/nonexistent"), **more: Any) -> Setting:
    """Return a setting for exporters."""
    values: dict[str, Any] = {"stream": "s", "region": "us-east-1", "root": root, "timeout_s": 5.0}
    return Setting(**{**values, **more})


class FakeSource:
    """The streams of a test."""

    def __init__(self, *tasks: Task) -> None:
        self.tasks = list(tasks)
        self.streams: dict[str, list[Message]] = {each.stream: [] for each in tasks}
        self.positions: dict[tuple[str, str], int] = {}
        self.reports: list[tuple[str, str | None]] = []
        self.advances: list[tuple[str, int, int, int]] = []
        self.failing: Exception | None = None
        self._changed: list[Callable[[], None]] = []
        self._more = asyncio.Event()

    def put(self, found: Sequence[Message]) -> None:
        """Append messages."""
        for message in found:
            self.streams[message.stream_name].append(message)
        self._more.set()
        self._more = asyncio.Event()

    def change(self, *tasks: Task) -> None:
        """Replace the exports."""
        self.tasks = list(tasks)
        for each in tasks:
            self.streams.setdefault(each.stream, [])
        for changed in self._changed:
            changed()

    def export_tasks(self) -> list[Any]:
        return list(self.tasks)

    def watch_exports(self, changed: Callable[[], None]) -> Callable[[], None]:
        self._changed.append(changed)
        return lambda: self._changed.remove(changed)

    async def read_export(
        self, task: Any, most: int, max_bytes: int = 1 << 30, timeout_s: float = 0.0
    ) -> Sequence[Message]:
        if self.failing is not None:
            raise self.failing
        while True:
            if task.stream not in self.streams:
                raise StreamNotFoundError(task.stream)
            at = self.positions.get((task.stream, task.identifier), 0)
            found = self.streams[task.stream][at : at + most]
            while len(found) > 1 and sum(len(each.payload) for each in found) > max_bytes:
                found.pop()
            if found or not timeout_s:
                return found
            await self._more.wait()

    async def advance_export(
        self, task: Any, last_sequence_number: int, messages: int, size: int
    ) -> None:
        self.positions[task.stream, task.identifier] = last_sequence_number + 1
        self.advances.append((task.identifier, last_sequence_number, messages, size))
        self.reports.append((task.identifier, None))

    async def report_export(self, task: Any, error: str | None) -> None:
        self.reports.append((task.identifier, error))


class Recorder:
    """Makes exporters that record what they are given; `script` says what becomes of a batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.arrived: list[tuple[str, int]] = []
        self.made = 0
        self.closed = 0
        self.at_once = 0
        self.most_at_once = 0
        self.script: Callable[[Sequence[Message]], None] = lambda _: None
        self.closing: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def make(self, kind: str, config: Any, given: Setting) -> Recorder._Exporter:
        with self._lock:
            self.made += 1
        return self._Exporter(self, config.identifier)

    class _Exporter:
        def __init__(self, recorder: Recorder, identifier: str) -> None:
            self._recorder, self._identifier = recorder, identifier

        def send(self, messages: Sequence[Message]) -> None:
            recorder = self._recorder
            numbers = [message.sequence_number for message in messages]
            with recorder._lock:
                recorder.batches.append((self._identifier, numbers))
                recorder.at_once += 1
                recorder.most_at_once = max(recorder.most_at_once, recorder.at_once)
            done = len(numbers)
            try:
                recorder.script(messages)
            except ExportError as error:
                done = error.done
                raise
            finally:
                with recorder._lock:
                    recorder.at_once -= 1
                    recorder.arrived += [(self._identifier, each) for each in numbers[:done]]

        def close(self) -> None:
            self._recorder.closing()
            with self._recorder._lock:
                self._recorder.closed += 1

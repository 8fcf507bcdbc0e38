# SPDX-License-Identifier: Apache-2.0
"""
Streams in tests: the core's own service, in memory and on virtual time, and exports to look at.

`FakeStreams` is to a FakeCore what `GGStreamManager` is to a core. Whoever waits for a message
waits in virtual time. Batches of exports are made by the rules of a core and recorded; those of the
kinds that a test names are really sent, by the core's own exporters.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk.core.streams.exporters import registry
from greengrass_sdk.core.streams.exporters.exporter import Exporter, ExportError, Setting
from greengrass_sdk.core.streams.manager import messages_of
from greengrass_sdk.core.streams.service import Append, StreamService
from greengrass_sdk.core.streams.store import MemoryStore
from greengrass_sdk.errors import InvalidInputError, NotEnoughMessagesError, StreamError
from greengrass_sdk.model.arn import STREAMS_ARN
from greengrass_sdk.model.stream import DESTINATIONS, MessageStreamDefinition
from greengrass_sdk.wire import streamcalls as calls
from greengrass_sdk.wire.blocks import encode_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk._native import Frame
    from greengrass_sdk.core.router.table import Table
    from greengrass_sdk.core.streams.exports import ExportTask
    from greengrass_sdk.model.stream import Message
    from greengrass_sdk.testing.channel import FakeChannel
    from greengrass_sdk.testing.clock import Timer
    from greengrass_sdk.testing.engine import Engine

__all__ = ["Exported", "FakeStreams"]

log = logging.getLogger(__name__)

REGION = "us-east-1"
_ALL = 1 << 30
_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.5, 60.0


@frozen
class Exported:
    """
    A batch that an export sent.

    Attributes:
        stream: Name of the stream.
        identifier: Of the export.
        kind: Of destination, as `kinesis`.
        messages: In their order.
    """

    stream: str
    identifier: str
    kind: str
    messages: list[Message]

    @property
    def payloads(self) -> list[bytes]:
        """What was sent."""
        return [message.payload for message in self.messages]


@define(eq=False)
class _Reader:
    """A read that waits."""

    call: calls.Call
    tell: Callable[[bytes], None]
    timer: Timer = field(init=False)


class FakeStreams:
    """
    The stream manager of one FakeCore, which lives as long as it does.

    A group without a stream manager has none here either.

    Args:
        table: Returns the table as it is now.
    """

    def __init__(self, engine: Engine, table: Callable[[], Table]) -> None:
        self._engine = engine
        self._clock = engine.clock
        self._service = StreamService(MemoryStore(), lambda: int(self._clock.time() * 1000))
        self._service.open()
        self._readers: dict[str, list[_Reader]] = {}
        self._idle = 0
        self._sent_kinds: frozenset[str] = frozenset()
        self._exporters: dict[tuple[str, str], Exporter] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._pausing: set[tuple[str, str]] = set()
        self._due: Timer | None = None
        self._due_at = 0.0
        self._leaving = False
        self.exported: list[Exported] = []
        """The batches that have arrived."""
        self._endpoint = table().numbers.get(STREAMS_ARN, 0)
        if self._endpoint:
            self._open_post()

    def send_exports(self, *kinds: str) -> None:
        """Really send what exports of these kinds have, from now on."""
        for kind in kinds:
            if kind not in DESTINATIONS:
                raise InvalidInputError(
                    f"no exports of kind {kind!r}; there are: {', '.join(DESTINATIONS)}"
                )
        self._sent_kinds = frozenset(kinds)

    def close(self) -> None:
        """Let go of exporters."""
        for exporter in self._exporters.values():
            exporter.close()
        self._exporters.clear()
        self._service.close()

    # As workers of the router.

    def _open_post(self) -> None:
        """Have one more worker: there is always one for the next request."""
        channel = self._engine.open_worker(self._endpoint)
        channel.take(partial(self._taken, channel))
        self._idle += 1
        channel.send(Kind.READY, 0, self._endpoint)

    def _taken(self, channel: FakeChannel, frame: Frame | BaseException) -> None:
        if isinstance(frame, BaseException):
            return  # the end
        channel.take(partial(self._taken, channel))
        self._idle -= 1
        if not self._idle:
            self._open_post()

        def tell(reply: bytes) -> None:
            self._idle += 1
            reply = b"" if frame.flags & Flag.EVENT else reply
            channel.send(Kind.RESULT, 0, self._endpoint, frame.id, payload=reply)

        if frame.kind != Kind.INVOKE:
            tell(b"")
            return
        try:
            self._serve(calls.Call.parse(frame.payload), tell)
        except StreamError as error:
            tell(calls.answer_error(error))

    # Requests.

    def _serve(self, call: calls.Call, tell: Callable[[bytes], None]) -> None:
        service, operation = self._service, call.operation
        if operation == calls.READ:
            self._read(call, tell)
            return
        if operation == calls.APPEND:
            tell(self._append(call))
        elif operation == calls.LIST:
            tell(calls.answer_json(service.names()))
        elif operation == calls.DESCRIBE:
            tell(calls.answer_json(service.describe(call.name).as_dict()))
        elif operation == calls.VERIFY:
            tell(calls.answer_json(service.verify(call.name, call.start())))
        else:
            self._change(call)
            tell(calls.answer_json(None))
        self._changed(call.name)

    def _changed(self, name: str) -> None:
        """Let those look again who wait for a message; exports leave when nothing runs."""
        self._wake(name)
        self._leaving = True
        self._look_at(0.0)

    def _change(self, call: calls.Call) -> None:
        if call.operation == calls.DELETE:
            self._service.delete(call.name)
            return
        definition = MessageStreamDefinition.from_dict(call.json())
        if call.operation == calls.UPDATE:
            self._service.update(definition)
        else:
            self._service.create(definition)

    def _append(self, call: calls.Call) -> bytes:
        count, body = call.batch()
        separate = bool(call.flags & calls.SEPARATE)
        [result] = self._service.append([Append(call.name, count, bytes(body), separate)])
        if isinstance(result, StreamError):
            raise result
        return calls.answer_append(result.first, result.count, result.refused)

    def _read(self, call: calls.Call, tell: Callable[[bytes], None]) -> None:
        start, least, most, timeout_s, max_bytes = call.window()
        try:
            blocks = self._service.read(call.name, start, least, most, max_bytes or _ALL)
        except NotEnoughMessagesError:
            if not timeout_s:
                raise
            reader = _Reader(call, tell)
            reader.timer = self._clock.call_later(timeout_s, partial(self._give_up, reader))
            self._readers.setdefault(call.name, []).append(reader)
            return
        tell(calls.answer_blocks(blocks))

    def _wake(self, name: str) -> None:
        for reader in tuple(self._readers.get(name, ())):
            start, least, most, _, max_bytes = reader.call.window()
            try:
                blocks = self._service.read(name, start, least, most, max_bytes or _ALL)
            except NotEnoughMessagesError:
                continue
            except StreamError as error:
                reply = calls.answer_error(error)
            else:
                reply = calls.answer_blocks(blocks)
            self._end(reader, reply)

    def _give_up(self, reader: _Reader) -> None:
        start, least, *_ = reader.call.window()
        text = f"stream {reader.call.name} has fewer than {least} messages from {start} on"
        error = NotEnoughMessagesError(text, stream=reader.call.name)
        self._end(reader, calls.answer_error(error))

    def _end(self, reader: _Reader, reply: bytes) -> None:
        reader.timer.cancel()
        self._readers[reader.call.name].remove(reader)
        reader.tell(reply)

    # Exports.

    def _export(self) -> None:
        """Send every batch that is due, and look again when the next one will be."""
        self._leaving = False
        tasks = self._service.export_tasks()
        tasks.sort(key=lambda task: getattr(task.config, "priority", None) or 11)
        known = {(task.stream, task.identifier) for task in tasks}
        for key in self._exporters.keys() - known:
            self._exporters.pop(key).close()
        for task in tasks:
            while (task.stream, task.identifier) not in self._pausing:
                if not self._export_batch(task):
                    break

    def leave(self) -> None:
        """Send what is due, before anybody looks."""
        if self._leaving:
            self._export()

    def _look_at(self, seconds: float) -> None:
        """Look for batches after so many seconds, if not before."""
        when = self._clock.now + seconds
        if self._due is not None and not self._due.cancelled:
            if self._due_at <= when:
                return
            self._due.cancel()
        self._due, self._due_at = self._clock.call_at(when, self._export), when

    def _export_batch(self, task: ExportTask) -> bool:
        """Send one batch if there is one; return whether there may be another."""
        most = getattr(task.config, "batch_size", None) or registry.BATCHES[task.kind][0]
        blocks = self._service.read_export(task.stream, task.identifier, most, _ALL)
        messages = messages_of(task.stream, blocks)[:most]
        if not messages:
            return False
        interval_ms = getattr(task.config, "batch_interval_millis", None) or 0
        due_s = (messages[0].ingest_time + interval_ms) / 1000 - self._clock.time()
        if len(messages) < most and interval_ms and due_s > 0:
            self._look_at(due_s)
            return False
        try:
            if task.kind in self._sent_kinds:
                self._send(task, messages)
        except ExportError as error:
            self._note(task, messages[: error.done])
            self._failed(task, error)
            return False
        self._note(task, messages)
        self._failures.pop((task.stream, task.identifier), None)
        return True

    def _note(self, task: ExportTask, messages: list[Message]) -> None:
        if not messages:
            return
        self.exported.append(Exported(task.stream, task.identifier, task.kind, messages))
        last = messages[-1].sequence_number
        size = sum(len(message.payload) for message in messages)
        self._service.advance_export(task.stream, task.identifier, last, len(messages), size)

    def _send(self, task: ExportTask, messages: list[Message]) -> None:
        key = (task.stream, task.identifier)
        exporter = self._exporters.get(key)
        if exporter is None:
            setting = Setting(
                stream=task.stream, region=REGION, root=Path.cwd(), append=self._append_status
            )
            exporter = self._exporters[key] = registry.make(task.kind, task.config, setting)
        exporter.send(messages)

    def _append_status(self, name: str, payload: bytes) -> None:
        [result] = self._service.append([Append(name, 1, encode_body([payload]))])
        if isinstance(result, StreamError):
            raise result
        self._wake(name)

    def _failed(self, task: ExportTask, error: ExportError) -> None:
        """Try again later, in virtual time."""
        log.error("stream %s, export %s: %s", task.stream, task.identifier, error)
        self._service.report_export(task.stream, task.identifier, str(error))
        key = (task.stream, task.identifier)
        if (exporter := self._exporters.pop(key, None)) is not None:
            exporter.close()
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _MOST_PAUSE_S)

        def again() -> None:
            self._pausing.remove(key)
            self._export()

        self._pausing.add(key)
        self._clock.call_later(pause_s, again)

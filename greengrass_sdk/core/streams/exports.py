# SPDX-License-Identifier: Apache-2.0
"""How far the exports of a stream are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk.errors import StreamNotFoundError
from greengrass_sdk.model.stream import ExportStatus

if TYPE_CHECKING:
    from greengrass_sdk.core.streams.store import Store
    from greengrass_sdk.model.stream import ExportConfig, MessageStreamDefinition

__all__ = ["ExportTask", "Exports"]


@frozen(eq=False)
class ExportTask:
    """
    An export that somebody is to do.

    Attributes:
        stream: Name of the stream.
        kind: Of destination, as `ExportDefinition` names it: `kinesis`, `http`, ...
        config: The destination.
    """

    stream: str
    kind: str
    config: ExportConfig

    @property
    def identifier(self) -> str:
        """The name of the export, unique in its stream."""
        return self.config.identifier or ""


@define(eq=False)
class Exports:
    """
    The exports of one stream.

    Args:
        store: Where positions are kept; None: they end with the core, as their stream.
        number: Of the stream in the store.

    Raises:
        OSError: The store cannot be read or written.
    """

    _definition: MessageStreamDefinition
    _store: Store | None
    _number: int
    _statuses: dict[str, ExportStatus] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        kept = {} if self._store is None else self._store.exports(self._number)
        for identifier, config in self._configs().items():
            self._statuses[identifier] = kept.get(identifier) or _beginning(config)

    def _configs(self) -> dict[str, ExportConfig]:
        exports = self._definition.export_definition
        configs = [] if exports is None else exports.configs()
        return {config.identifier or "": config for _, config in configs}

    def tasks(self) -> list[ExportTask]:
        """Return what is to be done."""
        exports = self._definition.export_definition
        stream = self._definition.name or ""
        return [
            ExportTask(stream, kind, config)
            for kind, config in ([] if exports is None else exports.configs())
            if not getattr(config, "disabled", None)
        ]

    def statuses(self) -> list[ExportStatus]:
        """Return copies of all statuses."""
        return [status.replaced() for status in self._statuses.values()]

    def position(self, identifier: str) -> int:
        """Return the sequence number that is to be exported next."""
        return self._status(identifier).last_exported_sequence_number + 1

    def clamp(self, following: int) -> None:
        """Export again what the stream has lost: its numbers are given to other messages."""
        for status in self._statuses.values():
            if status.last_exported_sequence_number >= max(following, 1) and _was_begun(status):
                status.last_exported_sequence_number = following - 1
                self._save(status)

    def change(self, definition: MessageStreamDefinition) -> None:
        """Take a new definition: exports that it leaves out are forgotten."""
        before = self._configs()
        self._definition = definition
        configs = self._configs()
        for identifier in before.keys() - configs.keys():
            del self._statuses[identifier]
            if self._store is not None:
                self._store.forget_export(self._number, identifier)
        for identifier, config in configs.items():
            start = getattr(config, "start_sequence_number", None)
            old = getattr(before.get(identifier), "start_sequence_number", None)
            if identifier not in self._statuses or (start is not None and start != old):
                self._statuses[identifier] = _beginning(config)
                self._save(self._statuses[identifier])

    def advance(self, identifier: str, last: int, messages: int, size: int, now_ms: int) -> None:
        """Note that all up to `last` is exported, `messages` more, of `size` bytes."""
        old = self._status(identifier)
        status = ExportStatus(
            identifier,
            max(last, old.last_exported_sequence_number),
            now_ms,
            None,
            old.exported_bytes_from_stream + size,
            old.exported_messages_count + messages,
        )
        self._save(status)
        self._statuses[identifier] = status

    def report(self, identifier: str, error: str | None) -> None:
        """Note why an export does not go on."""
        self._status(identifier).error_message = error

    def _status(self, identifier: str) -> ExportStatus:
        try:
            return self._statuses[identifier]
        except KeyError:
            name = self._definition.name or ""
            raise StreamNotFoundError(
                f"stream {name} has no export {identifier}", stream=name
            ) from None

    def _save(self, status: ExportStatus) -> None:
        if self._store is not None:
            self._store.save_export(self._number, status)


def _beginning(config: ExportConfig) -> ExportStatus:
    start: int | None = getattr(config, "start_sequence_number", None)
    return ExportStatus(config.identifier or "", (start or 0) - 1)


def _was_begun(status: ExportStatus) -> bool:
    """Whether it has exported anything; else its position is where it will begin."""
    return status.exported_messages_count > 0

# SPDX-License-Identifier: Apache-2.0
"""What a definition may be, and what it may become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk.errors import InvalidStreamRequestError, StreamUpdateError
from greengrass_sdk.model.stream import (
    MessageStreamDefinition,
    Persistence,
    S3ExportTaskExecutorConfig,
)

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["check_definition", "check_status_streams", "check_update", "segment_bytes"]

_SEGMENTS = 4  # of a stream whose segment size exceeds its size


def check_definition(definition: MessageStreamDefinition) -> MessageStreamDefinition:
    """
    Return a definition that has all its defaults.

    Raises:
        InvalidStreamRequestError: It is not valid.
    """
    definition.check()
    defaults = {
        name: declared.default
        for name, declared in MessageStreamDefinition.attributes.items()
        if getattr(definition, name) is None
    }
    return definition.replaced(**defaults)


def check_status_streams(definition: MessageStreamDefinition, names: Container[str]) -> None:
    """
    Check that the streams that get the status of exports exist.

    Raises:
        InvalidStreamRequestError: One does not.
    """
    exports = definition.export_definition
    for _, config in exports.configs() if exports is not None else ():
        if not isinstance(config, S3ExportTaskExecutorConfig) or config.status_config is None:
            continue
        name = config.status_config.status_stream_name
        if name is not None and name not in names:
            raise InvalidStreamRequestError(
                f"status stream {name} of export {config.identifier} doesn't exist: create it"
                " first",
                stream=definition.name or "",
            )


def check_update(
    old: MessageStreamDefinition, new: MessageStreamDefinition, size: int, following: int
) -> None:
    """
    Check that a stream may change so.

    Args:
        size: Bytes that the stream holds.
        following: Sequence number of the next message.

    Raises:
        StreamUpdateError: It may not.
    """
    name = old.name or ""
    max_size, segment_size = new.max_size or 0, new.stream_segment_size or 0
    text = ""
    if new.persistence != old.persistence:
        text = "its persistence cannot change"
    elif max_size < size:
        text = f"max_size {max_size} is below the {size} bytes that it holds"
    elif segment_size != old.stream_segment_size and segment_size >= max_size:
        text = f"stream_segment_size {segment_size} must be below max_size {max_size}"
    elif max_size != old.max_size and max_size < segment_size:
        text = f"max_size {max_size} is below stream_segment_size {segment_size}"
    else:
        text = _check_starts(old, new, following)
    if text:
        raise StreamUpdateError(f"stream {name} cannot be updated: {text}", stream=name)


def _check_starts(
    old: MessageStreamDefinition, new: MessageStreamDefinition, following: int
) -> str:
    """Exports that are new, or begin anew, begin before the newest message."""
    before = old.export_definition
    known = {} if before is None else {config.identifier: config for _, config in before.configs()}
    exports = new.export_definition
    for _, config in exports.configs() if exports is not None else ():
        start = getattr(config, "start_sequence_number", None)
        if not start or start == getattr(
            known.get(config.identifier), "start_sequence_number", None
        ):
            continue
        if start >= following - 1:
            return (
                f"start_sequence_number {start} of export {config.identifier} must be below the"
                f" newest sequence number, {following - 1}"
            )
    return ""


def segment_bytes(definition: MessageStreamDefinition) -> int:
    """
    Return how large the segments of a stream become.

    A stream whose segment size is not below its size, as the default of a small one, would lose all
    at once when it is full; it has segments of a quarter of its size.
    """
    max_size, wanted = definition.max_size or 0, definition.stream_segment_size or 0
    return wanted if wanted < max_size else max_size // _SEGMENTS


def is_in_memory(definition: MessageStreamDefinition) -> bool:
    """Return whether a stream ends with the core."""
    return definition.persistence == Persistence.Memory

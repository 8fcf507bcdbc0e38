# SPDX-License-Identifier: Apache-2.0
"""
A file: a line of JSON for each message, on the disk when the batch is acknowledged.

A line that a crash left unfinished is cut off before the next batch. A file that was moved away is
begun anew.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

from greengrass_sdk.core.streams.exporters.exporter import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import FileConfig, Message

__all__ = ["FileExporter"]

_TAIL_BYTES = 65_536


class FileExporter:
    """One file; its folder is made."""

    def __init__(self, config: FileConfig, setting: Setting) -> None:
        self._path = setting.root / (config.path or "")

    def send(self, messages: Sequence[Message]) -> None:
        """Append lines and sync them."""
        data = b"".join(_line(message) for message in messages)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                end = _end_of_lines(descriptor)
                os.ftruncate(descriptor, end)
                _write(descriptor, data, end)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ExportError(f"file {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Do nothing: the file is open during a batch only."""

    @property
    def path(self) -> Path:
        """Where the lines are."""
        return self._path


def _line(message: Message) -> bytes:
    try:
        payload, encoding = message.payload.decode(), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(message.payload).decode(), "base64"
    document = {
        "streamName": message.stream_name,
        "sequenceNumber": message.sequence_number,
        "ingestTime": message.ingest_time,
        "payload": payload,
        "encoding": encoding,
    }
    return json.dumps(document).encode() + b"\n"


def _end_of_lines(descriptor: int) -> int:
    """Return where the last whole line ends."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _TAIL_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written

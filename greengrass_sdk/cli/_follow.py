# SPDX-License-Identifier: Apache-2.0
"""Read a log that is written and rotated at the same time, from its oldest file on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from greengrass_sdk.core.telemetry.logfile import segments

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Follower"]

READ_BYTES = 1024 * 1024


class Follower:
    """
    Hands out the lines of a log, each once, whatever the writer renames meanwhile.

    A file is known by its inode. The open one is read to its end before a newer one is opened, so
    what was written just before a rotation is not lost; when the open one is no longer among the
    files of the log, all that exist are newer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None
        self._partial = b""

    def lines(self) -> list[str]:
        """Return the whole lines that were added since the last call, without their ends."""
        data = self._partial + self._drain()
        for file, identity in self._newer():
            if not self._switch(file, identity):
                break  # renamed while we looked: the next call sees the new order
            data += self._drain()
        complete, newline, self._partial = data.rpartition(b"\n")
        return complete.decode("utf-8", "replace").split("\n") if newline else []

    def close(self) -> None:
        """Close the open file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _newer(self) -> list[tuple[Path, tuple[int, int]]]:
        files = []
        for file in segments(self._path):
            try:
                found = file.stat()
            except FileNotFoundError:
                continue
            files.append((file, (found.st_dev, found.st_ino)))
        known = [identity for _, identity in files]
        if self._identity in known:
            return files[known.index(self._identity) + 1 :]
        return files

    def _switch(self, file: Path, identity: tuple[int, int]) -> bool:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        opened = os.fstat(descriptor)
        if (opened.st_dev, opened.st_ino) != identity:
            os.close(descriptor)
            return False
        self.close()
        self._descriptor, self._identity = descriptor, identity
        return True

    def _drain(self) -> bytes:
        pieces = []
        while self._descriptor >= 0 and (piece := os.read(self._descriptor, READ_BYTES)):
            pieces.append(piece)
        return b"".join(pieces)

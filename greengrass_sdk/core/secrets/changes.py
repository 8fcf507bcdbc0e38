# SPDX-License-Identifier: Apache-2.0
"""
Whether a file has changed since it was read, for the price of a look into memory.

Whoever changes it counts in a small file beside it, once before and once after, and all who have it
open share these counters. While both are equal and what they were when the file was read, it is as
it was read. A writer that dies between leaves them different: then readers have to look into the
file itself, until somebody has changed it again.
"""

from __future__ import annotations

import mmap
import os
from struct import Struct
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Changes"]

_counter = Struct("@Q")
_BEGUN, _ENDED, _BYTES = 0, 8, 16  # where they stand, and how much that is


@define(eq=False)
class Changes:
    """
    The counters of changes to a file.

    Each writer writes only what it has a right to: `begun` under the file's lock, `ended` when its
    change is over. Two that end at once may leave `ended` too low, which costs readers a look.
    """

    _memory: mmap.mmap
    _begun: int = 0

    @classmethod
    def open(cls, path: Path) -> Changes:
        """
        Open the counters, or make them.

        Raises:
            OSError: They cannot be.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(descriptor, _BYTES)
            return cls(mmap.mmap(descriptor, _BYTES))
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the counters."""
        self._memory.close()

    def look(self) -> bytes:
        """Return something that is another one after each change, and during one."""
        return self._memory[:]

    @staticmethod
    def is_settled(look: bytes) -> bool:
        """Return whether at that look nobody was changing the file."""
        return look[_BEGUN:_ENDED] == look[_ENDED:]

    def begin(self) -> None:
        """Count a change that comes; for who holds the file's lock against other writers."""
        self._begun = self._read(_BEGUN) + 1
        _counter.pack_into(self._memory, _BEGUN, self._begun)

    def end(self) -> None:
        """Count that it came, or will not come; nothing if none was begun."""
        if self._begun > self._read(_ENDED):
            _counter.pack_into(self._memory, _ENDED, self._begun)
        self._begun = 0

    def _read(self, place: int) -> int:
        return int(_counter.unpack_from(self._memory, place)[0])

# SPDX-License-Identifier: Apache-2.0
"""Bytes of a file as the end of a result: whoever can be given the descriptor reads them itself."""

from __future__ import annotations

import os

from greengrass_sdk._native import companion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Result: TypeAlias = "tuple[int, bytes | Lent]"

__all__ = ["Lent", "read_in_python", "read_lent"]


class Lent:
    """
    `head`, then `size` bytes of a file from `offset` on.

    Nobody promises that they are still those that were meant: the head says how to find out.

    Args:
        descriptor: To read the file by, and for nothing else; closed with this.
    """

    __slots__ = ("_descriptor", "head", "offset", "size")

    def __init__(self, descriptor: int, offset: int, size: int, head: bytes = b"") -> None:
        self._descriptor = descriptor
        self.head = head
        self.offset = offset
        self.size = size

    def __len__(self) -> int:
        return len(self.head) + self.size

    def __bytes__(self) -> bytes:
        return read_lent(self._descriptor, self.offset, self.size, self.head)

    def detach(self) -> int:
        """Return the descriptor, which is the caller's now; there is nothing left to read here."""
        descriptor, self._descriptor = self._descriptor, -1
        return descriptor

    def __del__(self) -> None:
        if self._descriptor != -1:
            os.close(self._descriptor)


def read_in_python(descriptor: int, offset: int, size: int, head: bytes) -> bytes:
    """Return `head` and bytes of a file behind it, those that can be read."""
    try:
        return head + os.pread(descriptor, size, offset)
    except OSError:
        return head


_fast = companion()
read_lent: Callable[[int, int, int, bytes], bytes] = (
    read_in_python if _fast is None else _fast.read_lent
)

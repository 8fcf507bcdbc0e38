# SPDX-License-Identifier: Apache-2.0
"""
Memory bounds of functions: looks at the anonymous resident memory of a worker's process tree.

`memory_kib` of a function bounds what its processes hold beyond the zygote they were forked from.
Linux has no limit of that kind that works without privileges, so the core looks: every 50 ms while
a worker of a bounded function runs something, twice a second while all are idle.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["MemoryGuard", "tree_anonymous_kib"]

_BUSY_S = 0.05
_IDLE_S = 0.5
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def anonymous_kib(pid: int) -> int:
    """Return the anonymous resident memory of one process, 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE_KIB


def tree_anonymous_kib(pid: int) -> int:
    """Return the anonymous resident memory of a process and its descendants."""
    total = anonymous_kib(pid)
    for child in _children(pid):
        total += tree_anonymous_kib(child)
    return total


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_bytes().split())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return children  # the process ended while we looked, or the kernel hides its children
    return children


@define(eq=False)
class MemoryGuard:
    """
    Watches workers of bounded functions.

    Args:
        loop: The core's event loop.
        is_busy: Whether any watched worker runs something.
    """

    loop: asyncio.AbstractEventLoop
    is_busy: Callable[[int], bool]
    _watched: dict[int, tuple[int, int, int, Callable[[int], None]]] = field(factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def watch(
        self, peer: int, pid: int, zygote_pid: int, limit_kib: int, breach: Callable[[int], None]
    ) -> None:
        """Call `breach` once, with the KiB held, when the tree of `pid` exceeds its limit."""
        base = anonymous_kib(zygote_pid)
        self._watched[peer] = (pid, base, limit_kib, breach)
        if self._timer is None:
            self._timer = self.loop.call_later(_BUSY_S, self._look)

    def forget(self, peer: int) -> None:
        """Stop watching a worker."""
        self._watched.pop(peer, None)

    def close(self) -> None:
        """Stop watching."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        for peer, (pid, base, limit, breach) in list(self._watched.items()):
            held = tree_anonymous_kib(pid) - base
            if held > limit:
                del self._watched[peer]
                breach(held)
        self._timer = None
        if self._watched:
            busy = any(self.is_busy(peer) for peer in self._watched)
            self._timer = self.loop.call_later(_BUSY_S if busy else _IDLE_S, self._look)

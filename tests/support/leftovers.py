# SPDX-License-Identifier: Apache-2.0
"""What a core holds, seen from outside: processes, descriptors, shared memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Footprint", "descriptors", "eventually", "has_ended", "tree"]

DEADLINE_S = 20.0
_POLL_S = 0.01


def eventually(condition: Callable[[], object], what: str, timeout_s: float = DEADLINE_S) -> None:
    """Return when `condition` holds; fail, naming `what`, when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(_POLL_S)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that a container's init has not collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def descriptors(pid: int) -> list[str]:
    """
    Return what the open descriptors of a process are, without the numbers of sockets and pipes.

    Log files are left out: each is opened with its first record and stays open.
    """
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(entry.readlink()).partition(":")[0])
    return sorted(name for name in found if not name.endswith(".log"))


def tree(pid: int) -> list[psutil.Process]:
    """Return the living descendants of a process."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process for process in below if not has_ended(process.pid)]


class Footprint(NamedTuple):
    """
    What a core and its zygotes hold at one moment, in a form that can be compared.

    A pinned function that was started again leaves it as it was: workers count by name.
    """

    processes: Counter[str]
    descriptors: dict[str, Counter[str]]
    shared_memory: frozenset[str]

    @classmethod
    def of(cls, core: int) -> Footprint:
        """Look at the core with this process id."""
        below = tree(core)
        zygotes = [process for process in below if process.ppid() == core]
        return cls(
            Counter(_name(process) for process in below),
            {
                "core": Counter(descriptors(core)),
                "zygotes": Counter(fd for zygote in zygotes for fd in descriptors(zygote.pid)),
            },
            frozenset(os.listdir("/dev/shm")),  # noqa: PTH208 - names only
        )

    @classmethod
    def settled(cls, core: int) -> Footprint:
        """Look until two looks show the same."""
        last = cls.of(core)

        def same() -> bool:
            nonlocal last
            time.sleep(5 * _POLL_S)
            before, last = last, cls.of(core)
            return before == last

        eventually(same, "the core comes to rest")
        return last

    def check(self, core: int, timeout_s: float = DEADLINE_S) -> None:
        """Wait until the core holds this and no more."""
        now = self

        def same() -> bool:
            nonlocal now
            try:
                now = Footprint.of(core)
            except (psutil.NoSuchProcess, FileNotFoundError):
                return False  # a process ended while we looked
            return now == self

        try:
            eventually(same, "", timeout_s)
        except AssertionError:
            raise AssertionError(f"something is left:\nbefore {self}\nnow    {now}") from None


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return "gone"

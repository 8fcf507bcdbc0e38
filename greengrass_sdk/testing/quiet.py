# SPDX-License-Identifier: Apache-2.0
"""Whether a real core has anything to do, by its status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Quiet"]

_LOOKS = 3


class Quiet:
    """
    Looks at one status after the other.

    A core is busy while it has work items, or workers that start. A pinned function need not return
    from its import: its worker counts as waiting once its process sleeps and has used no processor
    time between several looks.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._used: dict[int, str] = {}
        self._still: dict[int, int] = {}

    def busy(self, status: Mapping[str, Any]) -> str:
        """Return what the core is busy with, empty if with nothing."""
        told = []
        for function in status["functions"]:
            running, waiting = function["running"], function["waiting"]
            if running or waiting:
                told.append(f"{function['name']} runs {running} and has {waiting} waiting")
            elif function["state"] == "starting" and not self._sleeps(function):
                told.append(f"{function['name']} starts")
        used = status["work_items"]["used"]
        if used and not told:
            told.append(f"{used} work items")
        return ", ".join(told)

    def _sleeps(self, function: Mapping[str, Any]) -> bool:
        """Return whether all starting workers of a pinned function wait for something."""
        pids = [w["pid"] for w in function["workers"] if w["state"] == "starting"]
        if not function["pinned"] or not pids or None in pids:
            return False
        still = [self._is_still(pid) for pid in pids]  # each of them is looked at
        return all(still)

    def _is_still(self, pid: int) -> bool:
        try:
            state = (self._proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[0]
            used = (self._proc / str(pid) / "schedstat").read_text().split()[0]
        except OSError:
            return False  # it has ended, which the next status tells
        if state != b"S" or used != self._used.get(pid):
            self._used[pid], self._still[pid] = used, 0
            return False
        self._still[pid] += 1
        return self._still[pid] >= _LOOKS

# SPDX-License-Identifier: Apache-2.0
"""What a measurement is given: a folder, how long it may take, the floors in C, and the peers."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.kit import LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.live import Peers

NATIVE = Path(__file__).parents[2] / "native"
ROUNDS = 11
QUICK_ROUNDS = 2


@dataclass
class Setting:
    """
    Attributes:
        folder: Empty, for one measurement.
        quick: Whether it is to show that all works, not how fast.
        notes: What turned out on the way: how the functions were connected.
    """

    folder: Path
    quick: bool
    peers: Peers
    floors: CFloors
    notes: dict[str, str]

    @property
    def rounds(self) -> int:
        """How many rounds count."""
        return QUICK_ROUNDS if self.quick else ROUNDS

    @property
    def seconds(self) -> float:
        """How long a source sends in one round."""
        return 0.1 if self.quick else 0.4


class CFloors:
    """The program of native/bench, built into a folder of ours."""

    def __init__(self, cache: Path, *, quick: bool) -> None:
        self._options = ["--quick"] if quick else []
        self._program = cache / "native" / "bench" / "floors"
        self.missing = ""
        if not (shutil.which("make") and shutil.which("gcc") and NATIVE.is_dir()):
            self.missing = "the floors in C need gcc, make and the source tree"
            return
        self._program.parent.mkdir(parents=True, exist_ok=True)
        command = ["make", "-s", "-C", str(NATIVE), f"OUT={cache / 'native'}", str(self._program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.missing = f"the floors in C do not build: {done.stderr.strip()[-300:]}"

    def row(self, name: str) -> dict[str, Any]:
        """Return one row, measured now."""
        command = [str(self._program), *self._options, name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
        return next(one for one in rows if one["name"] == name)

    def value(self, name: str) -> float:
        """Return the figure of one row, measured now."""
        return float(self.row(name)["value"])

    def values(self, *names: str) -> dict[str, Callable[[], float]]:
        """Return what measures these rows, by name; nothing without a compiler."""
        if self.missing:
            return {}
        return {f"C {name}": partial(self.value, name) for name in names}


def void_if_lost(name: str, take: Callable[[], float]) -> Callable[[], float]:
    """Return `take` with NaN for a run that lost a message; there is none after that."""
    lost = False

    def attempt() -> float:
        nonlocal lost
        if lost:
            return math.nan
        try:
            return take()
        except LostError as error:
            lost = True
            print(f"{name} is void: {error}", flush=True)
            return math.nan

    return attempt

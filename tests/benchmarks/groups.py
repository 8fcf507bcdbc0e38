# SPDX-License-Identifier: Apache-2.0
"""The groups that are measured: functions that share a code folder, and clients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from running_core import GREENGRASS, RunningCore, copy_example, environment

from greengrass_sdk import Client

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CLIENT",
    "GREENGRASS",
    "MeasuredCore",
    "copy_example",
    "environment",
    "write_group",
]

CLIENT = "bench"

# What the handlers below need to be measured is in them; the rest of a function is the core's.
HANDLERS = """
import time

seen = 0

def stamp(event, context):
    return time.monotonic_ns()

def echo(event, context):
    return event

def count(event, context):
    global seen
    if event == "how many":
        return seen
    seen += 1
"""


def write_group(
    folder: Path,
    functions: Iterable[str],
    keys: str,
    *,
    clients: Iterable[str] = (CLIENT,),
    rows: Iterable[tuple[str, str, str]] = (),
) -> Path:
    """Write a group of functions with the same `keys`, and rows of (source, subject, target)."""
    code = folder / "code"
    code.mkdir(parents=True)
    (code / "main.py").write_text(HANDLERS)
    parts = ['schema = 1\n[group]\nname = "bench"\ncore = "bench-core"\n']
    parts += [f"[clients.{name}]\n" for name in clients]
    parts += [f'[functions.{name}]\ncode = "code/"\n{keys}\n' for name in functions]
    parts += [
        f'[[subscriptions]]\nsource = "{source}"\nsubject = "{subject}"\ntarget = "{target}"\n'
        for source, subject, target in rows
    ]
    (folder / "group.toml").write_text("".join(parts))
    return folder


class MeasuredCore(RunningCore):
    """A core whose processes let their memory be read, and a client of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, env={"GREENGRASS_DEBUGGABLE": "1"})

    def client(self, name: str = CLIENT) -> Client:
        """Return a client of the group."""
        return Client(root=self.root, name=name)

    def pids(self) -> tuple[int, list[int], list[int]]:
        """Return the processes of the core, of its zygotes and of its functions."""
        status = self.status()
        workers = [worker["pid"] for one in status["functions"] for worker in one["workers"]]
        return status["pid"], [zygote["pid"] for zygote in status["zygotes"]], workers

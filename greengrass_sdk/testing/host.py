# SPDX-License-Identifier: Apache-2.0
"""
A real core in a process of its own, for one test: `python -m greengrass_sdk.testing.host FOLDER`.

`FOLDER/group.pickle` is the group, `FOLDER/root` the root. Standard output holds the events of
`greengrass run --json`. Each line on standard input is answered by an event `sync` that repeats it,
behind everything that had happened. The core stops at the end of the input: also when the test's
process is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk.core.daemon import Core, CoreOptions
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.loop import run_core
from greengrass_sdk.errors import GreengrassError

if TYPE_CHECKING:
    from greengrass_sdk.model.group import Group

__all__ = ["GROUP", "ROOT", "main"]

GROUP = "group.pickle"
ROOT = "root"

_STDIN, _STDOUT = 0, 1
_READ_BYTES = 4096
_TURNS = 3  # of the loop: one to see which descriptors have something, one to read it, one to spare


class Host:
    """
    The core and its two pipes.

    Args:
        events: Descriptor that takes the events.
    """

    def __init__(self, group: Group, root: Path, events: int) -> None:
        self._events = events
        self._input = b""
        self._told = 0
        self._syncs: set[asyncio.Task[None]] = set()
        options = CoreOptions(own_process=True)
        self.core = Core(group, Layout(root), None, options, self.tell)

    def tell(self, event: dict[str, Any]) -> None:
        """Write an event; whoever reads does so all the time."""
        self._told += 1
        data = json.dumps(event).encode() + b"\n"
        while data:
            data = data[os.write(self._events, data) :]

    def read(self, descriptor: int) -> None:
        """Take what came on standard input."""
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            asyncio.get_running_loop().remove_reader(descriptor)
            self.core.request_stop()
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            task = asyncio.get_running_loop().create_task(self._sync(line.decode()))
            self._syncs.add(task)
            task.add_done_callback(self._syncs.discard)

    async def _sync(self, line: str) -> None:
        """Answer when what lies in logs and pipes is read, however much it is."""
        told = -1
        while told != self._told:
            told = self._told
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        self.tell({"event": "sync", "line": line})

    async def run(self, descriptor: int) -> None:
        """Run the core until the input ends."""
        loop = asyncio.get_running_loop()
        try:
            await self.core.start()
            loop.add_reader(descriptor, self.read, descriptor)
            await self.core.wait_stopped()
        except GreengrassError as error:
            self.tell({"event": "refused", "code": error.code, "message": str(error)})
        finally:
            await self.core.stop()


def main(folder: str) -> None:
    """Run the core of a folder."""
    # Pickled by the test that started this process, in a folder that only its user can write to.
    group = pickle.loads((Path(folder) / GROUP).read_bytes())  # noqa: S301
    run_core(Host(group, Path(folder) / ROOT, _STDOUT).run(_STDIN))


if __name__ == "__main__":
    main(sys.argv[1])

# SPDX-License-Identifier: Apache-2.0
"""A group's functions on real zygotes and workers, with a router and without the rest of a core."""

import asyncio
import json
import textwrap
from typing import Any

import pytest

from greengrass_sdk import _native
from greengrass_sdk._native._py.router import events
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk.core.functions.backoff import Backoff
from greengrass_sdk.core.functions.fleet import Fleet
from greengrass_sdk.core.functions.pool import Pool
from greengrass_sdk.core.functions.zygotes import Zygotes
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.router.driver import RouterDriver
from greengrass_sdk.core.router.table import TOOL, Table
from greengrass_sdk.core.telemetry.logs import Logs
from greengrass_sdk.model.group import parse_group

HEAD = 'schema = 1\n[group]\nname = "g"\ncore = "c"\n'


def driver(loop):
    """Return the driver of the machine that a core would have: with rings where there are any."""
    bounds: Any = {
        "work_items": 100,
        "topic_payload_bytes": 100_000,
        "invoke_payload_bytes": 1_000_000,
    }
    if _native.impl == "python":
        return RouterDriver(Router(**bounds), loop)
    from greengrass_sdk._native._plane import Plane

    plane = Plane(**bounds)
    return RouterDriver(plane, loop, rings=plane)


class Bench:
    """Functions with their pool; `invoke` is a caller, `states` and `logs` what happened."""

    def __init__(self, folder, group, backoff):
        self.loop = asyncio.get_running_loop()
        self.group = parse_group(HEAD + group, base=folder, file="group.toml")
        self.layout = Layout(folder / "root")
        self.layout.create()
        self.states = []
        self.records: list[tuple[str | None, str, str]] = []
        self.finished: list[events.Finished] = []
        self.logs = Logs(self.layout, on_record=lambda *record: self.records.append(record[:3]))
        self.table = Table(self.group)
        self.driver = driver(self.loop)
        self.machine = self.driver.machine
        self.table.install(self.machine)
        self.driver.serve(self.table.numbers[TOOL], lambda _: None)
        self.pool = Pool(self.loop, self.driver, self, backoff)
        self.zygotes = Zygotes(self.pool.exited, self.pool.zygote_gone)
        self.fleet = Fleet(
            self.group, self.layout, None, self.logs, self.zygotes, bytes(8), (1024, 4096)
        )
        self.driver.on(events.NeedWorkers, self.pool.need_workers)
        self.driver.on(events.WorkerReady, self.pool.worker_ready)
        self.driver.on(events.ImportFailed, self.pool.import_failed)
        self.driver.on(events.RetireWorker, self.pool.retire_worker)
        self.driver.on(events.Finished, self.finished.append)

    def function(self, name, state, pid, reason):
        """Be the observer."""
        self.states.append((name, state, reason))

    def managed(self, name):
        return self.pool.functions[self.table.number(name)]

    def start(self):
        self.pool.add(self.fleet.prepare(self.table.numbers, as_current_user=True))
        self.driver.start()
        self.pool.start_pinned()

    async def invoke(self, name, event=None, *, only_event=False):
        async with asyncio.timeout(20):
            answer = await self.driver.call(
                self.table.numbers[TOOL],
                name.encode(),
                b"",
                json.dumps(event or {}).encode(),
                event=only_event,
            )
        return answer.flags, json.loads(answer.payload or b"null")

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    async def stop(self):
        await self.pool.stop()
        await self.zygotes.stop()
        self.driver.close()
        self.logs.close()


@pytest.fixture
def run(tmp_path):
    """Write the code, build the bench, play the scenario, stop everything."""

    def play_it(play, *, code="", group="", backoff=Backoff(first_s=0.01, longest_s=0.02)):  # noqa: B008
        folder = tmp_path / "code"
        folder.mkdir()
        (folder / "f.py").write_text(textwrap.dedent(code))

        async def all_of_it():
            bench = Bench(tmp_path, group, backoff)
            try:
                await play(bench)
            finally:
                await bench.stop()
            assert {} == {n: f.workers for n, f in bench.pool.functions.items() if f.workers}

        asyncio.run(all_of_it())

    return play_it

# SPDX-License-Identifier: Apache-2.0
import asyncio
import os
import signal
import subprocess
from typing import Any

import pytest

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk.core.functions.pool import ManagedFunction, Pool
from greengrass_sdk.core.functions.zygotes import Zygotes
from greengrass_sdk.core.router.driver import RouterDriver
from greengrass_sdk.core.router.table import Table
from greengrass_sdk.core.status import Status, _is_stopped, _waits
from greengrass_sdk.model.group import parse_group

GROUP = """
schema = 1
[group]
name = "g"
core = "c"
[functions.f]
code = "."
handler = "f.handler"
pinned = true
[clients.panel]
[[subscriptions]]
id = "row"
source = "cloud"
subject = "a"
target = "f"
[[subscriptions]]
id = "other"
source = "cloud"
subject = "a"
target = "panel"
"""


class Nobody:
    def function(self, name, state, pid, reason):
        pass


def test_the_report_names_functions_rows_clients_and_counters(tmp_path):
    async def scenario():
        loop = asyncio.get_running_loop()
        table = Table(parse_group(GROUP, base=tmp_path, file="group.toml"))
        machine = Router(work_items=9, topic_payload_bytes=100, invoke_payload_bytes=100)
        driver = RouterDriver(machine, loop)
        table.install(machine)
        cloud, endpoint = table.number("cloud"), table.number("f")
        driver.serve(cloud, lambda _: None)
        pool = Pool(loop, driver, Nobody())
        unused: Any = None
        managed = ManagedFunction(
            name="f",
            endpoint=endpoint,
            pinned=True,
            memory_kib=None,
            logs=unused,
            request=unused,
            zygote=unused,
        )
        pool.add([managed])
        driver.send(Frame(Kind.PUBLISH, 0, cloud, 0, b"a", b"", b"x"))
        driver.send(Frame(Kind.PUBLISH, 0, cloud, 0, b"nowhere", b"", b"x"))
        status = Status(tmp_path, table, driver, pool, Zygotes(pool.exited, pool.zygote_gone))
        report = status.report()
        driver.close()
        return report

    report = asyncio.run(scenario())
    assert ("g", "c", os.getpid(), str(tmp_path)) == (
        report["group"],
        report["core"],
        report["pid"],
        report["root"],
    )
    assert {"used": 1, "limit": 9} == report["work_items"]
    assert 1 == report["unrouted"]
    [function] = report["functions"]
    assert ("f", True, "stopped", 1, 0, []) == (
        function["name"],
        function["pinned"],
        function["state"],
        function["waiting"],
        function["running"],
        function["workers"],
    )
    assert {"count": 0, "p50_us": None, "p99_us": None, "buckets_us": []} == function["waits"]
    assert [{"name": "panel", "connected": False}] == report["clients"]
    assert [("row", 1, {}), ("other", 0, {"not connected": 1})] == [
        (row["id"], row["delivered"], row["dropped"]) for row in report["subscriptions"]
    ]


@pytest.mark.parametrize(
    ("counts", "report"),
    [
        ([0] * 4, {"count": 0, "p50_us": None, "p99_us": None, "buckets_us": []}),
        ([3, 0, 0], {"count": 3, "p50_us": 1, "p99_us": 1, "buckets_us": [[1, 3]]}),
        (
            [0, 60, 39, 1],
            {
                "count": 100,
                "p50_us": 2,
                "p99_us": 4,
                "buckets_us": [[1, 0], [2, 60], [4, 39], [8, 1]],
            },
        ),
        (
            [0, 1, 1],
            {"count": 2, "p50_us": 2, "p99_us": 4, "buckets_us": [[1, 0], [2, 1], [4, 1]]},
        ),
    ],
)
def test_waiting_times_are_told_by_the_bounds_they_stayed_below(counts, report):
    assert report == _waits(counts)


def test_a_process_that_is_stopped_is_seen():
    assert not _is_stopped(None)
    assert not _is_stopped(os.getpid())
    child = subprocess.Popen(["sleep", "600"])
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert _is_stopped(child.pid)
    child.kill()
    child.wait()
    assert not _is_stopped(child.pid)

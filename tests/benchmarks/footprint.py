# SPDX-License-Identifier: Apache-2.0
"""Memory and processor time of a core with twenty idle functions, also after many messages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from groups import CLIENT, MeasuredCore, write_group
from report import Row, must, row

if TYPE_CHECKING:
    from setting import Setting

    from greengrass_sdk import Client

FUNCTIONS = 20
MESSAGES = 10_000  # to each function
QUICK_MESSAGES = 200
BATCH = 40  # times 20 functions; the core holds 1024 work items
IDLE_S = 30.0
QUICK_IDLE_S = 1.0
SETTLE_S = 1.0


def measure(setting: Setting) -> list[Row]:
    """Return the rows of memory and idle load."""
    messages = QUICK_MESSAGES if setting.quick else MESSAGES
    names = [f"idle{number}" for number in range(FUNCTIONS)]
    path = write_group(
        setting.folder,
        names,
        'handler = "main.count"\npinned = true',
        rows=[(CLIENT, "all", name) for name in names],
    )
    with MeasuredCore(path) as core, core.client() as client:
        _deliver(client, names, 0, 1)
        daemon, zygotes, workers = core.pids()
        time.sleep(SETTLE_S)
        seconds = QUICK_IDLE_S if setting.quick else IDLE_S
        load = _load_percent([daemon, *zygotes, *workers], seconds)
        before = [_pss_mib(pid) for pid in workers]
        core_before, zygote = _pss_mib(daemon), [_pss_mib(pid) for pid in zygotes]
        started = time.monotonic()
        _deliver(client, names, 1, messages)
        rate = (messages - 1) * FUNCTIONS / (time.monotonic() - started)
        time.sleep(SETTLE_S)
        after, core_after = [_pss_mib(pid) for pid in workers], _pss_mib(daemon)
    limit = must(at_most=40)
    many = f"{messages:,} messages each".replace(",", " ")
    return [
        row("memory of an idle function (PSS)", "MiB", before, must(at_most=4.0)),
        row(f"memory of an idle function after {many} (PSS)", "MiB", after, must(at_most=4.0)),
        row(f"memory of the core with {FUNCTIONS} functions (PSS)", "MiB", [core_before], limit),
        row("memory of the core after all messages (PSS)", "MiB", [core_after], limit),
        row("memory of the zygote (PSS)", "MiB", zygote),
        row(f"idle core with {FUNCTIONS} functions, of one CPU", "%", [load], must(at_most=0.2)),
        row("messages delivered to 20 functions, together", "1/s", [rate]),
    ]


def _deliver(client: Client, names: list[str], first: int, end: int) -> None:
    """Publish to all functions and wait until each has seen every message."""
    for number in range(first, end):
        client.publish("all", "{}")
        if number % BATCH == BATCH - 1 or number == end - 1:
            for name in names:
                seen = client.invoke(name, '"how many"').json()
                if seen != number + 1:
                    raise AssertionError(f"{name} saw {seen} of {number + 1} messages")


def _pss_mib(pid: int) -> float:
    """Return the memory of a process; what it shares counts in parts."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of process {pid}")


def _load_percent(pids: list[int], seconds: float) -> float:
    """Return the processor time that these take while nothing happens."""
    before = sum(map(_cpu_s, pids))
    time.sleep(seconds)
    return 100 * (sum(map(_cpu_s, pids)) - before) / seconds


def _cpu_s(pid: int) -> float:
    """Return the time that all threads of a process ran: finer than the ticks of `stat`."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

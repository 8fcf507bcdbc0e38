# SPDX-License-Identifier: Apache-2.0
"""What `greengrass status` shows: one look at everything that runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk import __version__, _native
from greengrass_sdk._native._py.router.events import Outcome
from greengrass_sdk._native._py.router.state import FunctionTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greengrass_sdk.core.functions.pool import ManagedFunction, Pool
    from greengrass_sdk.core.functions.zygotes import Zygotes
    from greengrass_sdk.core.ipc.listener import Listener
    from greengrass_sdk.core.router.driver import RouterDriver
    from greengrass_sdk.core.router.table import Table

__all__ = ["Status"]

_SHARES = {"p50_us": 0.5, "p99_us": 0.99}


@define(eq=False)
class Status:
    """Collects the answer to a tool's `status` request."""

    root: Path
    table: Table
    driver: RouterDriver
    pool: Pool
    zygotes: Zygotes
    listener: Listener | None = None
    started_at: float = field(factory=time.monotonic)
    started_at_ms: int = field(factory=lambda: time.time_ns() // 1_000_000)

    def report(self) -> Mapping[str, object]:
        """Return everything, as plain values."""
        self.driver.run()  # takes the counters over from where the frames are moved
        machine = self.driver.machine
        used, limit = machine.work_items
        group = self.table.group
        connected = {} if self.listener is None else self.listener.connected
        return {
            "root": str(self.root),
            "pid": os.getpid(),
            "version": __version__,
            "started_at_ms": self.started_at_ms,
            "uptime_s": round(time.monotonic() - self.started_at, 3),
            "native": _native.impl,
            "group": group.name,
            "core": group.core,
            "work_items": {"used": used, "limit": limit},
            "unrouted": machine.unrouted,
            "functions": [self._function(function) for function in self.pool.functions.values()],
            "zygotes": [
                {"python": python or "default", "pid": zygote.pid}
                for python, zygote in self.zygotes.running.items()
            ],
            "clients": [{"name": name, "connected": name in connected} for name in group.clients],
            "subscriptions": [
                {
                    "id": row.id,
                    "source": group.name_of(row.source),
                    "subject": row.subject,
                    "target": group.name_of(row.target),
                    "delivered": route.delivered,
                    "dropped": dict(route.dropped),
                }
                for row, route in zip(group.subscriptions, self.table.routes, strict=True)
            ],
        }

    def _function(self, function: ManagedFunction) -> Mapping[str, object]:
        target = self.driver.machine.target_state(function.endpoint)
        if not isinstance(target, FunctionTarget):
            return {"name": function.name}
        outcomes = target.outcomes
        now = time.monotonic()
        return {
            "name": function.name,
            "arn": self.table.addresses[function.endpoint],
            "pinned": function.pinned,
            "state": function.state,
            "workers": [
                {
                    "pid": worker.pid,
                    "state": worker.state,
                    "since_ms": round((now - worker.since) * 1000),
                    "stalled": self.driver.is_stalled(worker.peer) or _is_stopped(worker.pid),
                }
                for worker in function.workers.values()
            ],
            "waiting": len(target.waiting),
            "running": target.items - len(target.waiting),
            "waits": _waits(target.waits),
            "refused": target.refused,
            "ok": outcomes[Outcome.OK],
            "handled": outcomes[Outcome.HANDLED],
            "unhandled": outcomes[Outcome.UNHANDLED],
            "timeouts": outcomes[Outcome.TIMEOUT],
            "restarts": function.restarts,
            "last_error": function.last_error,
        }


def _is_stopped(pid: int | None) -> bool:
    """Return whether a signal or a debugger stopped a process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] in {b"T", b"t"}


def _waits(counts: Sequence[int]) -> Mapping[str, object]:
    """
    Return how long items waited for their start: counts, and the bounds that shares stayed below.

    `counts[n]` items waited less than 2**n microseconds, and no less than half of that.
    """
    total = sum(counts)
    report: dict[str, object] = {"count": total}
    for name, share in _SHARES.items():
        report[name] = _below(counts, total * share) if total else None
    used = max((n + 1 for n, count in enumerate(counts) if count), default=0)
    return {**report, "buckets_us": [[1 << n, counts[n]] for n in range(used)]}


def _below(counts: Sequence[int], wanted: float) -> int:
    """Return the bound in microseconds that the first `wanted` items stayed below."""
    seen = 0
    for number, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return 1 << number
    return 1 << len(counts)

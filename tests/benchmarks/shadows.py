# SPDX-License-Identifier: Apache-2.0
"""
Shadows: durable updates beside what the disk and sqlite allow, and gets beside a bare invocation.

The floor is sqlite's rate of commits of one row each, with a write-ahead log and synchronous=FULL,
on the file system of the core, in alternation with the updates. All updates are answered when they
are on the disk; who asks is a pinned function.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import MUST, Row, beside, must, row
from rounds import alternate
from service import BENCH, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from setting import Setting

THINGS = 100
IN_FLIGHT = 256
CALLS_S = 120.0
DOCUMENT = b'{"state":{"reported":{"celsius":1000}},"metadata":{"reported":{"celsius":{}}}}'

GROUP = f"""
schema = 1
[group]
name = "bench"
core = "bench-core"
[clients.{BENCH}]
[functions.asker]
code = "code/"
handler = "shadowing.asker"
pinned = true
timeout_s = 600
[functions.nothing]
code = "code/"
handler = "shadowing.nothing"
encoding = "binary"
pinned = true
"""


def measure(setting: Setting) -> list[Row]:
    """Return the rows of shadows."""
    seconds, calls = (0.1, 100) if setting.quick else (1.0, 3000)
    with Service(_group(setting.folder)) as core, closing(_Floor(core.root)) as floor:

        def ask(measure: str, **command: Any) -> Any:
            command["measure"] = measure
            return core.client.invoke("asker", command, timeout_s=CALLS_S).json()

        cases: dict[str, Callable[[], float]] = {
            "commits": partial(floor.rate, seconds),
            "one": partial(ask, "update_one", seconds=seconds),
            "many": partial(ask, "update_many", seconds=seconds, things=THINGS),
            "gets": partial(ask, "get_many", seconds=seconds, in_flight=IN_FLIGHT),
            "get": lambda: statistics.median(ask("get_spans", calls=calls, warm=calls // 10)) / 1e3,
            "invoke": lambda: (
                statistics.median(ask("invoke_spans", calls=calls, warm=calls // 10)) / 1e3
            ),
        }
        found = alternate(cases, setting.rounds)
    commits = found["commits"]
    floor_name = "one commit"
    return [
        row(
            "durable updates of one thing, one caller at a time",
            "/s",
            found["one"],
            beside(found["one"], commits, floor_name, MUST, at_least=0.5),
        ),
        row(
            f"durable updates of {THINGS} things, one under way for each",
            "/s",
            found["many"],
            beside(found["many"], commits, floor_name, MUST, at_least=2),
        ),
        row(
            f"gets through AsyncClient, {IN_FLIGHT} under way",
            "/s",
            found["gets"],
            must(at_least=50_000),
        ),
        row(
            "get, one at a time, p50",
            "us",
            found["get"],
            beside(found["get"], found["invoke"], "invoke", MUST, at_most=1.5),
        ),
        row("floor: one commit of sqlite, synchronous=FULL", "/s", commits),
        row("floor: invoke of a function that does nothing, p50", "us", found["invoke"]),
    ]


class _Floor:
    """Commits of one row each, on the disk of a core."""

    def __init__(self, root: Path) -> None:
        self._database = sqlite3.connect(root / "floor.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE one (thing TEXT PRIMARY KEY, document BLOB)")

    def rate(self, seconds: float) -> float:
        """Return the commits a second."""
        put = "INSERT OR REPLACE INTO one VALUES ('bench', ?)"
        done = 0
        begun = time.perf_counter()
        while (taken := time.perf_counter() - begun) < seconds:
            self._database.execute(put, (DOCUMENT,))
            done += 1
        return done / taken

    def close(self) -> None:
        """Close the file; it goes with the folder of the core."""
        self._database.close()


def _group(folder: Path) -> Path:
    code = folder / "code"
    code.mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "functions" / "shadowing.py", code)
    (folder / "group.toml").write_text(GROUP)
    return folder

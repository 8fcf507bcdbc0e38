# SPDX-License-Identifier: Apache-2.0
"""From a caller's invoke, through the core, to the first line of a handler that has no process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import floors
from groups import MeasuredCore, write_group
from report import Row, beside, must, row
from rounds import alternate

if TYPE_CHECKING:
    from collections.abc import Callable

    from setting import Setting

STARTS = 60
QUICK_STARTS = 4
# A function is not invoked for the first time right behind another one: the zygote has had the time
# to lay by a process for it. What happens without is measured as well.
PAUSE_S = 0.1


def measure(setting: Setting) -> list[Row]:
    """Return the rows of cold starts, one by one and in a row, and of their floors."""
    starts = QUICK_STARTS if setting.quick else STARTS
    names = [f"cold{number}" for number in range(2 * starts + 1)]
    path = write_group(setting.folder, names, 'handler = "main.stamp"')
    with MeasuredCore(path) as core, core.client() as client, floors.WarmInterpreter() as warm:

        def first_line_ms(name: str) -> float:
            asked = time.monotonic_ns()
            return float(client.invoke(name, "null").json() - asked) / 1e6

        waiting = iter(names)
        spans = alternate(
            {
                "cold": lambda: _rested(lambda: first_line_ms(next(waiting))),
                "warm": lambda: _rested(lambda: first_line_ms(names[0])),
                "fork": lambda: _rested(warm.fork_ms),
                "exec": lambda: _rested(floors.exec_ms),
            },
            starts,
        )
        burst = [first_line_ms(name) for name in waiting]
    cold, fork = spans["cold"], spans["fork"]
    return [
        row("cold start", "ms", cold, must(at_most=3.0), beside(cold, fork, "fork")),
        row("cold start, one right behind the other", "ms", burst, beside(burst, fork, "fork")),
        row("the same invocation of a running function", "ms", spans["warm"]),
        row("floor: fork of a warm interpreter to its first line", "ms", spans["fork"]),
        row("floor: new interpreter to its first line", "ms", spans["exec"]),
    ]


def _rested(take: Callable[[], float]) -> float:
    time.sleep(PAUSE_S)
    return take()

# SPDX-License-Identifier: Apache-2.0
"""
What a test cannot do alike on the double and on a real core: the one table of it.

A test that asks a real core for what has a reason here is skipped with that reason.
`docs/reference/testing.md` shows the table.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DIFFERENCES", "WAIT_S", "Difference", "WorldDifference", "differs"]

WAIT_S = 30
"""Real seconds for which `advance` waits on a core."""


class Difference(NamedTuple):
    """
    One row of the table.

    Attributes:
        what: What a test does or sees.
        fake: What the double does.
        core: What a real core does.
        reason: Why a test that does it is skipped on a real core; empty if it runs.
    """

    what: str
    fake: str
    core: str
    reason: str = ""


class WorldDifference(Exception):  # noqa: N818 - no error of the test, nor of the core
    """Raised when a test asks a real core for what only the double has; the plugin skips it."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(f"{difference.what}: {difference.reason}")
        self.difference = difference


DIFFERENCES = {
    # Tests that do this are skipped on a core.
    "closure": Difference(
        "a handler that is a closure, lambda, method, partial or mock",
        "called as it is",
        "skipped",
        "a worker is a process of its own, which imports its handler by module and name",
    ),
    "late": Difference(
        "functions, devices, rows or group files that are added after the first call that drives or"
        " asks",
        "taken in at once",
        "skipped",
        "a core reads its group when it starts",
    ),
    "advance": Difference(
        f"`advance` by more than {WAIT_S} seconds",
        "moves the virtual clock",
        "skipped; less is waited for in real time",
        "the time of a core is real",
    ),
    "begin": Difference(
        "`begin_at`",
        "sets the virtual clock",
        "skipped",
        "what time it is on a core is not the test's to say",
    ),
    "client": Difference(
        "`deliver` with a client as the source",
        "published in its name",
        "skipped",
        "a client of a core is the program that connected under its name",
    ),
    "faults": Difference(
        "`crash`, `exit`, `timeout`, `out_of_memory`, `queue_full` of a function",
        "injected",
        "skipped",
        "what runs in a process of a core fails by itself only: a handler may raise, exit or sleep",
    ),
    "link": Difference(
        "`cloud.down`, `up`, `latency`, `drop`",
        "injected",
        "skipped",
        "the cloud of this core is a stand-in beside it, with no link that could fail",
    ),
    "exports": Difference(
        "`exports`, `send_exports`",
        "recorded; sent only for the kinds that a test names",
        "skipped",
        "a core sends exports to where they go: look there, or at `stream(...).describe()`",
    ),
    "acting": Difference(
        "test code that calls the SDK as a function, also by `acting_as`",
        "published and invoked in the function's name",
        "skipped",
        "a core knows a function by the process that it started for it",
    ),
    # The rest runs, and differs.
    "time": Difference(
        "time inside of functions: `sleep`, timers, timeouts, idle workers",
        "virtual: it takes none, and moves while an item runs, or by `advance`",
        "real",
    ),
    "busy": Difference(
        "a loop that never waits",
        "ends when it looks at the clock; else `SimulationError` after 10 real seconds, with the"
        " place",
        "ends by the function's timeout",
    ),
    "endless": Difference(
        "messages that cause each other without end",
        "`SimulationError` after 10 000 steps, with the circle",
        "`RequestTimeoutError` after 60 s",
    ),
    "order": Difference(
        "order and parallel work",
        "one thread at a time, in an order that is the same in every run",
        "parallel; in order for each source and target",
    ),
    "state": Difference(
        "a handler that is a function of the test's own module",
        "shares its globals with the test",
        "runs in a worker, which imports the test's file for itself",
    ),
    "modules": Difference(
        "what a function may import beside its own folder and what is installed",
        "whatever the test can, also by `sys.path` and `pythonpath`",
        "nothing",
    ),
    "environment": Difference(
        "variables and patches of the test (`monkeypatch`)",
        "seen by handlers that are callables",
        "not seen: a function has the environment of its group",
    ),
    "exception": Difference(
        "`__cause__` of a FunctionHandledError, `exception` of a FunctionFailure",
        "the exception itself",
        "None; text and traceback are the same",
    ),
    "limits": Difference(
        "`memory_kib`, `run_as`, `python` of a function, and everything of its process",
        "without effect",
        "as declared",
    ),
    "many": Difference(
        "more than 1000 messages in a second",
        "all are recorded",
        "`LimitExceededError`: what a core shows is sampled then",
    ),
    "ids": Difference("request ids", "the same in every run", "new in every run"),
    "cost": Difference("a simple test", "about a millisecond", "about a second"),
}


def differs(key: str) -> WorldDifference:
    """Return what to raise for a row of the table."""
    return WorldDifference(DIFFERENCES[key])

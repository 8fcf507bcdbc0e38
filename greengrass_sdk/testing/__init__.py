# SPDX-License-Identifier: Apache-2.0
"""
Test doubles: a whole core in the process of the test, with virtual time; and the same on a core.

* `plugin`: the pytest fixture `greengrass`. `greengrass`: what it gives, on any world.
* `fakecore`: that on simulated workers; start here. `function`, `cloud`: its parts that tests
  hold. `records`, `explain`: what tests ask for, and the texts of failures.
* `declarations`: the group that a test builds up. `engine`: router machine, time and order.
  `services`: shadows, secrets and streams, where a test uses them; `thing_shadow`, what it holds.
  `functions`, `worker`: who runs, and the runtime's own code that does. `channel`: frames.
* `realcore`: the same on a real core: `host`, `coreprocess`, its process; `happenings`, what its
  events tell; `quiet`, when it has nothing to do; `realfunction`, what tests hold. `differences`:
  the table of what cannot be alike.
* `tape`: what `greengrass run --record` wrote; `tape_replay`: given to a core once more;
  `tape_writer`: as a test.
* `scheduler`, `clock`, `threads`: lock-step and virtual time. `world`, `modules`: what a worker
  sees of the process. `identity`: which function calls. `tracebacks`: what of an error is shown.

Names are imported when they are first used: the plugin costs nothing where no test wants it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrass_sdk.testing.cloud import FakeCloud
    from greengrass_sdk.testing.failures import SimulationError, UnreadErrors
    from greengrass_sdk.testing.fakecore import FakeCore
    from greengrass_sdk.testing.function import FakeFunction
    from greengrass_sdk.testing.greengrass import Greengrass, GreengrassCloud, GreengrassFunction
    from greengrass_sdk.testing.records import (
        Delivery,
        FunctionFailure,
        LogRecord,
        Message,
        Messages,
    )
    from greengrass_sdk.testing.tape import TapeError
    from greengrass_sdk.testing.tape_replay import Replay
    from greengrass_sdk.testing.thing_shadow import ThingShadow

__all__ = [
    "Delivery",
    "FakeCloud",
    "FakeCore",
    "FakeFunction",
    "FunctionFailure",
    "Greengrass",
    "GreengrassCloud",
    "GreengrassFunction",
    "LogRecord",
    "Message",
    "Messages",
    "Replay",
    "SimulationError",
    "TapeError",
    "ThingShadow",
    "UnreadErrors",
]

_HOMES = {
    "FakeCloud": "cloud",
    "FakeCore": "fakecore",
    "FakeFunction": "function",
    "Greengrass": "greengrass",
    "GreengrassCloud": "greengrass",
    "GreengrassFunction": "greengrass",
    "Replay": "tape_replay",
    "SimulationError": "failures",
    "TapeError": "tape",
    "ThingShadow": "thing_shadow",
    "UnreadErrors": "failures",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f"{__name__}.{_HOMES.get(name, 'records')}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

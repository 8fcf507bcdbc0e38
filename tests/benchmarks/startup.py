# SPDX-License-Identifier: Apache-2.0
"""What imports cost a function, and how soon `greengrass run` shows its first message."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from groups import GREENGRASS, copy_example, environment
from report import Row, must, row
from rounds import alternate

import greengrass_sdk

if TYPE_CHECKING:
    from setting import Setting

IMPORTS = 31
QUICK_IMPORTS = 3
RUNS = 9
QUICK_RUNS = 1

_DROPIN = str(Path(next(iter(greengrass_sdk.__path__))) / "dropin")
_CASES = {
    "bare": "pass",
    "from greengrass_sdk import Client": "from greengrass_sdk import Client",
    'greengrasssdk.client("iot-data")': (
        f"import sys; sys.path.insert(0, {_DROPIN!r});"
        " import greengrasssdk; greengrasssdk.client('iot-data')"
    ),
}


def imports(setting: Setting) -> list[Row]:
    """Return what an import costs beyond an interpreter that imports nothing."""
    spans = alternate(
        {case: functools.partial(_python_ms, code) for case, code in _CASES.items()},
        QUICK_IMPORTS if setting.quick else IMPORTS,
    )
    bare = spans.pop("bare")
    rows = [
        # Less the bare one of the same round.
        row(name, "ms", list(map(float.__sub__, found, bare)), must(at_most=15.0))
        for name, found in spans.items()
    ]
    return [*rows, row("floor: an interpreter that imports nothing", "ms", bare)]


def _python_ms(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
    return (time.perf_counter() - started) * 1e3


def first_message(setting: Setting) -> list[Row]:
    """Return the time from the start of `greengrass run` to the first message that it shows."""
    example = copy_example("hello_world", setting.folder)
    _first_message_s(setting.folder, example)
    spans = [
        _first_message_s(setting.folder, example)
        for _ in range(QUICK_RUNS if setting.quick else RUNS)
    ]
    return [row("`greengrass run` to its first message", "s", spans, must(at_most=1.0))]


def _first_message_s(folder: Path, example: Path) -> float:
    started = time.perf_counter()
    with subprocess.Popen(
        [*GREENGRASS, "run", str(example), "--json"],
        env=environment(folder / "run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line)["event"] == "message":
                took = time.perf_counter() - started
                running.terminate()
                running.stdout.read()
                return took
    raise AssertionError(f"greengrass run ended with {running.returncode} and showed no message")

# SPDX-License-Identifier: Apache-2.0
"""
What a simple test costs on the double, and what the plugin adds to pytest's start.

    python tests/benchmarks/testing_double.py [TESTS]

A simple test makes a FakeCore, adds one function and two rows, delivers a message, and looks at
what was published. The goals are 1 ms for a test and 20 ms for the plugin. Processor time is told
beside the time that passes, which other work on the machine makes longer. What is compared runs in
turns, with its bytecode at hand, and medians are told.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
TEST = """
import greengrasssdk
import pytest

client = greengrasssdk.client("iot-data")

def handler(event, context):
    client.publish(topic="out", payload=str(event["n"]))

@pytest.mark.parametrize("n", range({tests}))
def test_simple(n{fixture}):
    {body}
"""
BODY = """greengrass.add_function("echo", handler)
    greengrass.subscribe("cloud", "in", "echo")
    greengrass.subscribe("echo", "out", "cloud")
    greengrass.deliver("in", {"n": n})
    assert greengrass.published("out")[0].json() == n"""
WITHOUT: list[str] = []
WITH = ["-p", "greengrass_sdk.testing.plugin"]


def in_process_ms(tests: int) -> tuple[float, float]:
    """Return processor and wall time of one test without pytest."""
    import greengrasssdk
    from greengrass_sdk.testing import FakeCore

    client = greengrasssdk.client("iot-data")

    def handler(event: dict[str, int], _context: object) -> None:
        client.publish(topic="out", payload=str(event["n"]))

    def test(n: int) -> None:
        with FakeCore() as core:
            core.add_function("echo", handler)
            core.subscribe("cloud", "in", "echo")
            core.subscribe("echo", "out", "cloud")
            core.deliver("in", {"n": n})
            if core.published("out")[0].json() != n:
                raise AssertionError(n)

    rounds = []
    for _ in range(ROUNDS):
        begin = time.process_time(), time.perf_counter()
        for n in range(tests // ROUNDS):
            test(n)
        end = time.process_time(), time.perf_counter()
        rounds.append([(b - a) / (tests // ROUNDS) * 1000 for a, b in zip(begin, end, strict=True)])
    return statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds)


def pytest_s(folder: Path, options: list[str]) -> tuple[float, float]:
    """Return processor and wall time of one run of pytest in a folder, start included."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    begin = _children_s(), time.perf_counter()
    # Plugins of others, which are there or not, are left out; bytecode is kept beside the tests.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder.parent / "bytecode")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(run.stdout + run.stderr)
    return _children_s() - begin[0], time.perf_counter() - begin[1]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write(folder: Path, tests: int, *, fixture: bool) -> Path:
    """Write a folder with one test file."""
    folder.mkdir()
    filled = TEST.replace("{tests}", str(tests))
    filled = filled.replace("{fixture}", ", greengrass" if fixture else "")
    filled = filled.replace("{body}", BODY if fixture else "assert n >= 0")
    (folder / "test_simple.py").write_text(filled)
    return folder


def difference(
    rounds: int, low: tuple[Path, list[str]], high: tuple[Path, list[str]]
) -> list[float]:
    """Return by how many milliseconds, processor and wall, one run is dearer than another."""
    pytest_s(*low)  # writes bytecode
    pytest_s(*high)
    pairs = [(pytest_s(*low), pytest_s(*high)) for _ in range(rounds)]  # in turns
    return [statistics.median(b[n] - a[n] for a, b in pairs) * 1000 for n in (0, 1)]


def main() -> None:
    """Measure and print."""
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    cpu, wall = in_process_ms(tests)
    print(f"one test, without pytest: {cpu:.2f} ms processor, {wall:.2f} ms wall (goal 1 ms)")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        empty = write(base / "empty", 1, fixture=False)
        bare = write(base / "bare", tests, fixture=False)
        full = write(base / "full", tests, fixture=True)
        cpu, wall = difference(ROUNDS, (empty, WITHOUT), (empty, WITH))
        print(f"the plugin, unused: {cpu:.1f} ms processor, {wall:.1f} ms wall (goal 20 ms)")
        cpu, wall = (ms / tests for ms in difference(5, (bare, WITH), (full, WITH)))
        print(f"one test of {tests}, over an empty one: {cpu:.2f} ms processor, {wall:.2f} ms wall")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""
What a simple test costs on the double, and what the plugin adds to pytest's start.

    python tests/benchmarks/testing_double.py [TESTS]

A simple test makes a FakeCore, adds one function and two rows, delivers a message, and looks at
what was published. The goals are 1 ms for a test and 20 ms for the plugin.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOAL_TEST_MS = 1.0
GOAL_PLUGIN_MS = 20.0
ROUNDS = 5
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
PLUGIN = "greengrass_sdk.testing.plugin"


def in_process_ms(tests: int) -> float:
    """Return the time of one test without pytest, in the best of some rounds."""
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

    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for n in range(tests // ROUNDS):
            test(n)
        best = min(best, (time.perf_counter() - begin) / (tests // ROUNDS))
    return best * 1000


def pytest_s(folder: Path, *options: str) -> float:
    """Return the seconds of one run of pytest in a folder, start included."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    begin = time.perf_counter()
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stdout + run.stderr)
    return time.perf_counter() - begin


def write(folder: Path, tests: int, *, fixture: bool) -> Path:
    """Write a folder with one test file."""
    folder.mkdir()
    filled = TEST.replace("{tests}", str(tests))
    filled = filled.replace("{fixture}", ", greengrass" if fixture else "")
    filled = filled.replace("{body}", BODY if fixture else "assert n >= 0")
    (folder / "test_simple.py").write_text(filled)
    return folder


def main() -> None:
    """Measure and print."""
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"one test, without pytest: {in_process_ms(tests):.2f} ms (goal {GOAL_TEST_MS:g} ms)")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        empty = write(base / "empty", 1, fixture=False)
        bare = write(base / "bare", tests, fixture=False)
        full = write(base / "full", tests, fixture=True)
        without, with_ = [], []
        for _ in range(ROUNDS):  # in turns: the machine may have other work
            without.append(pytest_s(empty))
            with_.append(pytest_s(empty, "-p", PLUGIN))
        added = (statistics.median(with_) - statistics.median(without)) * 1000
        least = (min(with_) - min(without)) * 1000
        print(
            f"the plugin, unused: {added:.1f} ms by medians, {least:.1f} ms by minima"
            f" (goal {GOAL_PLUGIN_MS:g} ms)"
        )
        cost = (pytest_s(full, "-p", PLUGIN) - pytest_s(bare, "-p", PLUGIN)) / tests * 1000
        print(f"one of {tests} tests over an empty test, under pytest: {cost:.2f} ms")


if __name__ == "__main__":
    main()

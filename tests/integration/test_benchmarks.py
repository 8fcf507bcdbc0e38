# SPDX-License-Identifier: Apache-2.0
"""The benchmarks work; how fast anything is they say to whoever runs `nox -s bench`."""

import getpass
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MACHINE = {"processor", "cpus", "memory_mib", "kernel", "python", "package", "native"}
MUST_BE_AT_MOST = {
    "cold start": 3,
    "memory of an idle function (PSS)": 4,
    "memory of an idle function after 200 messages each (PSS)": 4,
    "memory of the core with 20 functions (PSS)": 40,
    "memory of the core after all messages (PSS)": 40,
    "idle core with 20 functions, of one CPU": 0.2,
    "from greengrass_sdk import Client": 15,
    'greengrasssdk.client("iot-data")': 15,
    "`greengrass run` to its first message": 1,
}
MUST_BE_AT_LEAST = {
    "1 to 1, 64 KiB, to a function's handler": 4,
    "1 to 1, 64 KiB, to Client.receive_many of a program": 4,
    "JSON handler calls, a document of 131 B": 150_000,
    "invoke with 1 MiB": 2,
    "invoke with 6 MiB": 2,
    "gets through AsyncClient, 256 under way": 50_000,
}


def run(folder, *options):
    """Run the benchmarks quickly; return what they wrote, and what they showed."""
    result, table = folder / "bench.json", folder / "table.md"
    done = subprocess.run(
        [
            *(sys.executable, BENCHMARKS / "run.py", "--quick", "--peers", ""),
            *("--cache", folder / "cache", "--json", result, "--markdown", table, *options),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(result.read_text()), done.stdout + table.read_text()


def limits(content, level, kind):
    """Return the bounds of the rows themselves."""
    return {
        row["name"]: goal[kind]
        for row in content["rows"]
        for goal in row["goals"]
        if (goal["level"], goal["against"]) == (level, None) and goal[kind] is not None
    }


@pytest.mark.slow
@pytest.mark.needs_core
@pytest.mark.timeout(300)
def test_a_quick_run_measures_everything_and_names_no_machine_user_or_folder(tmp_path):
    content, shown = run(tmp_path)

    assert (2, True, MACHINE) == (content["schema"], content["quick"], set(content["machine"]))
    assert MUST_BE_AT_MOST == limits(content, "must", "at_most")
    assert MUST_BE_AT_LEAST == limits(content, "must", "at_least")
    assert [] == [row["name"] for row in content["rows"] if row["value"] is None]  # no message lost
    assert [] == [row["name"] for row in content["rows"] if row["name"] not in shown]
    assert str(tmp_path) not in json.dumps(content) + shown
    facts = {str(fact) for fact in content["machine"].values()}
    assert not facts & {platform.node(), getpass.getuser(), str(Path.home())}


@pytest.mark.slow
@pytest.mark.needs_core
@pytest.mark.needs_compiler
@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
@pytest.mark.timeout(300)
def test_round_trips_stand_beside_the_same_in_c(tmp_path):
    content, _shown = run(tmp_path, "trips", "publish")

    against = {goal["against"] for row in content["rows"] for goal in row["goals"]}
    assert {"C", "the C ring call", "the C call that also wakes", "Client"} <= against
    assert [] == [
        row["name"]
        for row in content["rows"]
        for goal in row["goals"]
        if goal["against"] is not None and not goal["value"] > 0
    ]

# SPDX-License-Identifier: Apache-2.0
"""The benchmarks work; how fast anything is they say to whoever runs `nox -s bench`."""

import getpass
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MACHINE = {"processor", "cpus", "memory_mib", "kernel", "python", "package", "native"}


@pytest.mark.slow
@pytest.mark.needs_core
@pytest.mark.timeout(180)
def test_a_quick_run_measures_everything_and_names_no_machine_user_or_folder(tmp_path):
    result, table = tmp_path / "bench.json", tmp_path / "table.md"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "run.py", "--quick", "--json", result, "--markdown", table],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (0, "") == (done.returncode, done.stderr)

    content = json.loads(result.read_text())
    assert (1, True, MACHINE) == (content["schema"], content["quick"], set(content["machine"]))
    bounds = {row["name"]: row["bound"] for row in content["rows"] if row["bound"] is not None}
    assert {
        "cold start": 3,
        "memory of an idle function (PSS)": 4,
        "memory of an idle function after 200 messages each (PSS)": 4,
        "memory of the core with 20 functions (PSS)": 40,
        "memory of the core after all messages (PSS)": 40,
        "idle core with 20 functions, of one CPU": 0.2,
        "from greengrass_sdk import Client": 15,
        'greengrasssdk.client("iot-data")': 15,
        "`greengrass run` to its first message": 1,
    } == bounds
    floors = {row["floor"] for row in content["rows"] if row["ratio"] is not None}
    assert {"fork", "socket"} == floors

    shown = done.stdout + table.read_text()
    assert [] == [row["name"] for row in content["rows"] if row["name"] not in shown]
    assert str(tmp_path) not in result.read_text() + table.read_text()
    facts = {str(fact) for fact in content["machine"].values()}
    assert not facts & {platform.node(), getpass.getuser(), str(Path.home())}

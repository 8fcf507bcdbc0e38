# SPDX-License-Identifier: Apache-2.0
"""The smoke test, for every Python that is here."""

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]


@pytest.mark.smoke
@pytest.mark.needs_core
@pytest.mark.timeout(90)
def test_the_installed_package_runs_hello_world_with_the_required_packages_alone():
    done = subprocess.run(
        [sys.executable, TREE / "tests" / "smoke.py", TREE / "examples" / "hello_world"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert (0, "") == (done.returncode, done.stderr)

# SPDX-License-Identifier: Apache-2.0
"""Type checkers find nothing wrong with users' tests, and everything that is meant to be wrong."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "typing"
# An ignore that is not needed is an error for both: what is meant to be wrong must be.
CHECKERS = {
    "mypy": [
        *("mypy", "--config-file", "", "--strict", "--warn-unreachable"),
        *("--cache-dir", "CACHE", "user_tests.py"),
    ],
    "mypy, as users run it": [
        *("mypy", "--config-file", "", "--cache-dir", "CACHE", "user_tests_untyped.py"),
    ],
    "pyright": ["pyright", "--warnings"],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_users_tests_pass_type_checkers(checker, tmp_path):
    module, *options = CHECKERS[checker]
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed; it is in the dependency group `typing`")
    options = [str(tmp_path) if option == "CACHE" else option for option in options]
    done = subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr

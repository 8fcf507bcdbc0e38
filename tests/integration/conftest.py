# SPDX-License-Identifier: Apache-2.0
"""What integration tests share."""

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """Skip where pip cannot reach the registry that it is configured for."""
    folder = tmp_path_factory.mktemp("registry")
    python = os.path.realpath(sys.executable)
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True, capture_output=True)
    pip = [folder / "venv" / "bin" / "pip", "download", "-q", "--no-deps", "-d", folder, "attrs"]
    if subprocess.run(pip, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("pip reaches no package registry")

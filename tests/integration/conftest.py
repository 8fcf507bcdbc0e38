# SPDX-License-Identifier: Apache-2.0
"""What integration tests share."""

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """Return a pip that reaches the registry it is configured for; skip where none does."""
    folder = tmp_path_factory.mktemp("registry")
    python = os.path.realpath(sys.executable)
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True, capture_output=True)
    pip = folder / "venv" / "bin" / "pip"
    probe = [pip, "download", "-q", "--no-deps", "-d", folder, "attrs"]
    if subprocess.run(probe, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("pip reaches no package registry")
    return pip

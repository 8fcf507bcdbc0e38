# SPDX-License-Identifier: Apache-2.0
"""The README's two commands work as they stand, in a copy of the tree with nothing installed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".nox",
    ".venv",
    "venv",
    "build",
    "dist",
    "*.egg-info",
    "*.so",
    "__pycache__",
    ".*_cache",
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_core,
    pytest.mark.needs_network,
    pytest.mark.timeout(600),
]


def commands() -> list[str]:
    quick_start = (TREE / "README.md").read_text().partition("## Quick start")[2]
    return re.findall(r"```bash\n(.*?)\n```", quick_start, re.DOTALL)


@pytest.fixture
def clone(tmp_path, registry):
    return Path(shutil.copytree(TREE, tmp_path / "clone", ignore=LEFT_OUT))


def environment(clone: Path) -> dict[str, str]:
    """Make `python3` this Python, and keep the outer environment's packages out."""
    folder = clone.parent / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(os.path.realpath(sys.executable))
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONDEVMODE", "GREENGRASS_TEST_INSTALLED"}
    }
    return {**kept, "PATH": f"{folder}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(folder)}


def test_the_first_command_installs_and_shows_the_messages_of_hello_world(clone):
    first, _second = commands()
    shell = subprocess.Popen(
        ["bash", "-c", first],
        cwd=clone,
        env=environment(clone),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert shell.stdout is not None
    told = []
    with shell.stdout:
        for line in shell.stdout:
            told.append(line)
            if "hello/world" in line and "Hello world! Sent from Greengrass Core" in line:
                os.killpg(shell.pid, signal.SIGINT)
                break
        rest = shell.stdout.read()
    assert shell.wait() in (0, 130), "".join([*told, rest])
    assert any("Hello world!" in line for line in told), "".join(told)


def test_the_second_command_installs_what_the_tests_need_and_finds_them(clone):
    _first, second = commands()
    assert second.endswith("/pytest")
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{second} --collect-only -q tests/unit tests/conformance tests/integration",
        ],
        cwd=clone,
        env=environment(clone),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "tests/conformance/test_module_3_functions.py" in done.stdout

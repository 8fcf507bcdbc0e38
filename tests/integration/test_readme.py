# SPDX-License-Identifier: Apache-2.0
"""
The README's code works as it stands, and so do its two commands, in a copy of the tree with nothing
installed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import entry_points
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
PLUGIN = ["-p", "greengrass_sdk.testing.plugin"]
pytestmark = pytest.mark.needs_core


def files() -> dict[str, str]:
    """Return what the README shows, by the names in the first lines."""
    text = (TREE / "README.md").read_text().partition("## Quick start")[0]
    blocks = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", text, re.DOTALL)
    return dict(blocks)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("world", ["fake", "core"])
def test_its_function_passes_its_test(tmp_path, world):
    for name, text in files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    plugin = [] if entry_points(group="pytest11", name="greengrass_sdk") else PLUGIN
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", f"--greengrass={world}", *plugin],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert 5 >= len(files()["test_climate.py"].splitlines())


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


@pytest.mark.slow
@pytest.mark.needs_network
@pytest.mark.timeout(600)
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


@pytest.mark.slow
@pytest.mark.needs_network
@pytest.mark.timeout(600)
def test_the_second_command_installs_what_the_tests_need_and_finds_them(clone):
    _first, second = commands()
    assert second.endswith("/pytest -n auto")
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

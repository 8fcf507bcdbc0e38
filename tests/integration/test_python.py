# SPDX-License-Identifier: Apache-2.0
"""
`python = ...`: functions with an interpreter or a virtual environment of their own.

Ref: docs/reference/group-file.md, `python`
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import write_project
from running_core import GREENGRASS, RunningCore, environment

import greengrass_sdk

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

CODE = """
    import os
    import sys
    from greengrass_sdk import Client


    def handler(event, context):
        try:
            from only_there import WORD as word
        except ImportError:
            word = None
        Client().publish("ran", "by " + sys.version.split()[0])
        return [list(sys.version_info[:2]), sys.prefix, word, os.getpid()]
"""


def interpreter(version):
    """Return a CPython of this version, None if there is none."""
    found = shutil.which(f"python{version}")
    pyenv = Path.home() / ".pyenv" / "versions"
    candidates = [found] if found else []
    candidates += [str(path) for path in pyenv.glob(f"{version}.*/bin/python")]
    for python in candidates:
        probe = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:  # a shim of pyenv may be there and run nothing
            return python
    return None


@pytest.fixture(scope="module")
def other():
    """An interpreter of another version that functions can run in."""
    ours = "{}.{}".format(*sys.version_info[:2])
    for version in ("3.11", "3.12", "3.13"):
        python = interpreter(version) if version != ours else None
        if python is not None:
            return python
    return pytest.skip("there is no other CPython of 3.11 or newer")


@pytest.fixture
def make_venv(tmp_path):
    """Return a function that makes a virtual environment, with this package importable or not."""

    def make(python=sys.executable, *, installed=True):
        venv = tmp_path / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "only_there.py").write_text('WORD = "found"\n')
        if installed:
            package = Path(next(iter(greengrass_sdk.__path__))).parent
            (site / "here.pth").write_text(f"{package}\n")
        return venv

    return make


def project(folder, **keys):
    return write_project(
        folder / "project",
        {"f": CODE},
        {"own": {"handler": "f.handler", **keys}, "usual": {"handler": "f.handler"}},
        rows=[("own", "#", "cloud"), ("usual", "#", "cloud")],
    )


def test_a_function_runs_in_its_virtual_environment_beside_one_that_does_not(
    tmp_path, make_venv, other
):
    venv = make_venv(other)
    with RunningCore(project(tmp_path, python=str(venv))) as core:
        own = json.loads(core.command("invoke", "own").stdout)
        usual = json.loads(core.command("invoke", "usual").stdout)
        zygotes = core.status()["zygotes"]
        assert "by 3." in core.message("ran", count=2)["payload"]
    version = venv.joinpath("pyvenv.cfg").read_text().partition("version = ")[2].split()[0]
    assert version.startswith("{}.{}".format(*own[0]))
    assert [str(venv), "found"] == own[1:3]
    assert [list(sys.version_info[:2]), None] == [usual[0], usual[2]]
    assert ["default", str(venv / "bin" / "python")] == sorted(
        (zygote["python"] for zygote in zygotes), reverse=True
    )


def test_an_interpreter_may_be_named_itself(tmp_path, make_venv):
    venv = make_venv()
    with RunningCore(project(tmp_path, python=str(venv / "bin" / "python"))) as core:
        assert [str(venv), "found"] == json.loads(core.command("invoke", "own").stdout)[1:3]


def test_a_relative_path_starts_at_the_group_file(tmp_path, make_venv):
    venv = make_venv()
    with RunningCore(project(tmp_path, python="../venv")) as core:
        assert str(venv) == json.loads(core.command("invoke", "own").stdout)[1]


@pytest.fixture
def refused(tmp_path):
    """Run a command that must fail, and return what it says."""

    def call(*arguments):
        done = subprocess.run(
            [*GREENGRASS, *map(str, arguments)],
            env=environment(tmp_path / "run"),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback (" not in done.stderr.partition("it said")[0]
        assert 3 == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize("command", ["run", "lint"])
def test_without_the_package_the_pip_command_is_named(tmp_path, make_venv, refused, command):
    venv = make_venv(installed=False)
    text = refused(command, project(tmp_path, python=str(venv)))
    command = rf"{venv}/bin/python -m pip install (--upgrade )?greengrass-core\n"
    assert re.search(command, text)


@pytest.mark.parametrize("command", ["run", "lint"])
def test_an_interpreter_that_is_too_old_is_told_by_its_version(tmp_path, refused, command):
    python = next(filter(None, map(interpreter, ("3.8", "3.9", "3.10"))), None)
    if python is None:
        pytest.skip("there is no CPython older than 3.11")
    text = refused(command, project(tmp_path, python=python))
    assert re.search(r"functions need CPython 3\.11|older than Python 3\.11", text)


@pytest.mark.parametrize("command", ["run", "lint"])
@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("nowhere/python", "nowhere/python"),
        ("code", "python3 -m venv "),
        ("/bin/true", "a Python interpreter"),
    ],
)
def test_what_is_no_interpreter_is_told(tmp_path, refused, command, python, said):
    assert said in refused(command, project(tmp_path, python=python))

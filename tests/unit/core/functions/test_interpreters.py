# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import sys

import pytest

from greengrass_sdk.core.functions import interpreters
from greengrass_sdk.errors import ConfigError


def test_no_interpreter_is_the_one_that_runs_the_core():
    assert sys.executable == interpreters.path_of(None)


def test_a_file_is_taken_as_it_is():
    assert sys.executable == interpreters.path_of(sys.executable)


def test_a_virtual_environment_is_its_interpreter(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert str(tmp_path / "bin" / "python") == interpreters.path_of(str(tmp_path))


def test_a_folder_that_is_no_virtual_environment_is_named_with_the_command(tmp_path):
    with pytest.raises(ConfigError, match=rf"no bin/python; .*`python3 -m venv {tmp_path}`"):
        interpreters.path_of(str(tmp_path))


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        interpreters.path_of(str(tmp_path / "python9"))


def test_a_zygote_gets_what_an_interpreter_needs_and_no_secret_of_the_core():
    base = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "s",
        "GREENGRASS_SDK_NATIVE": "python",
        "COVERAGE_PROCESS_CONFIG": "x",
        "PYTHONPATH": "/elsewhere",
    }
    assert interpreters.environment_of_zygotes(base) == {
        "LANG": "C.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "PATH": "/bin",
        "GREENGRASS_SDK_NATIVE": "python",
        "COVERAGE_PROCESS_CONFIG": "x",
    }


def test_a_python_that_is_new_enough_needs_the_package():
    text = asyncio.run(interpreters.remedy(sys.executable))
    assert text.endswith(f"{sys.executable} -m pip install --upgrade greengrass-core")


def test_a_path_that_cannot_be_run_is_questioned(tmp_path):
    assert asyncio.run(interpreters.remedy(str(tmp_path))) == "; is it a Python interpreter?"


def test_an_interpreter_that_hangs_is_questioned_and_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(interpreters, "_PROBE_S", 0.1)
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    assert asyncio.run(interpreters.remedy(str(slow))) == "; is it a Python interpreter?"

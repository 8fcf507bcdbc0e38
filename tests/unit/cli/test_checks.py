# SPDX-License-Identifier: Apache-2.0
"""What `greengrass doctor` looks at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greengrass_sdk.cli import _checks
from greengrass_sdk.cli._checks import FAIL, INFO, OK, WARN


def by_name(checks):
    return {check.name: check for check in checks}


@pytest.fixture(autouse=True)
def _own_runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_every_check_has_a_known_state():
    assert {check.state for check in _checks.all_checks()} <= {OK, INFO, WARN, FAIL}


def test_a_missing_requirement_fails_with_the_pip_command(monkeypatch):
    monkeypatch.setattr(_checks, "REQUIRED", ("attrs", "no-such-package"))
    found = by_name(_checks.installation())["requirements"]

    assert (found.state, found.text) == (FAIL, "missing: no-such-package")
    assert found.advice.endswith("-m pip install no-such-package")


def test_the_pure_path_is_a_warning_only(monkeypatch):
    monkeypatch.setattr("greengrass_sdk._native.impl", "python")
    monkeypatch.delenv("GREENGRASS_SDK_NATIVE", raising=False)
    found = by_name(_checks.native())["native"]

    assert (found.state, found.advice != "") == (WARN, True)


@pytest.mark.parametrize(("mode", "needed", "state"), [(0o700, True, WARN), (0o750, False, INFO)])
def test_an_interpreter_in_a_closed_home_is_told(tmp_path, monkeypatch, mode, needed, state):
    home = tmp_path / "home"
    (home / "venv" / "bin").mkdir(parents=True)
    python = home / "venv" / "bin" / "python"
    python.touch()
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(
        _checks, "_is_closed", lambda one: one == home and not one.stat().st_mode & 1
    )
    home.chmod(0o755)
    assert [] == list(_checks._reachable(needed=needed))
    home.chmod(mode)
    [found] = _checks._reachable(needed=needed)
    assert state == found.state
    assert str(python) in found.text
    assert f"{home} lets nobody else in" in found.text
    assert f"chmod o+x {home}" in found.advice


def test_a_folder_is_closed_to_other_users_by_its_mode(tmp_path):
    for mode, closed in ((0o755, False), (0o711, False), (0o700, True), (0o750, True)):
        tmp_path.chmod(mode)
        assert closed == _checks._is_closed(tmp_path)


def test_a_build_that_failed_is_repeated_with_its_reason(monkeypatch):
    monkeypatch.setattr("greengrass_sdk._native.impl", "python")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("pathlib.Path.exists", lambda _path: True)
    monkeypatch.delenv("GREENGRASS_SDK_NATIVE", raising=False)

    assert "pip install -v" in by_name(_checks.native())["native"].advice


def test_a_missing_compiler_matters_only_while_the_extension_is_missing(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.delenv("GREENGRASS_SDK_NATIVE", raising=False)
    monkeypatch.setattr("greengrass_sdk._native.impl", "c")
    assert by_name(_checks.native())["compiler"].state == INFO
    monkeypatch.setattr("greengrass_sdk._native.impl", "python")
    assert by_name(_checks.native())["compiler"].state == WARN


def test_another_system_fails_and_looks_no_further(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    [found] = _checks.kernel()

    assert (found.name, found.state) == ("kernel", FAIL)


def test_a_kernel_without_pidfds_fails(monkeypatch):
    def refused(_pid):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refused)
    found = by_name(_checks.kernel())

    assert found["pidfd"].state == FAIL
    assert "Function not implemented" in found["pidfd"].text
    assert found["memfd"].state == OK


def test_missing_accounts_matter_to_the_service_only(monkeypatch):
    def unknown(_name):
        raise KeyError

    monkeypatch.setattr("pwd.getpwnam", unknown)
    found = by_name(_checks.identities())["ggc_user"]

    assert found.state == INFO
    assert found.text.startswith("missing: ggc_user")
    assert "adduser --system" in found.advice


def test_one_user_for_all_functions_is_warned_about():
    assert by_name(_checks.identities())["isolation"].state == WARN


def test_a_socket_under_a_long_path_is_no_problem(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.chdir(deep)
    found = by_name(_checks.sockets())["sockets"]

    assert found.state == OK
    assert "reached through /proc/self/fd" in found.text


def test_a_registry_of_somebody_else_is_warned_about(tmp_path, monkeypatch):
    (tmp_path / "greengrass").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 12345)

    assert by_name(_checks.sockets())["running cores"].state == WARN


def test_running_cores_are_listed(monkeypatch):
    assert [check.text for check in _checks.cores()] == ["none of yours is running"]
    monkeypatch.setattr(
        "greengrass_sdk.client.connect.running_cores", lambda: [(7, Path("/a")), (9, Path("/b"))]
    )
    assert [check.text for check in _checks.cores()] == ["pid 7, root /a", "pid 9, root /b"]


def test_only_interpreters_that_start_are_listed(tmp_path, monkeypatch):
    for name, script in (("python3.11", "exit 0"), ("python3.12", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [check.text for check in _checks.interpreters()] == ["on PATH: python3.11"]

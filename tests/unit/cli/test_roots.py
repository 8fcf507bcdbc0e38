# SPDX-License-Identifier: Apache-2.0
"""Where `greengrass run` keeps its state, and which root the other commands mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from greengrass_sdk.cli._roots import run_root, stored_root


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GREENGRASS_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "group.toml").write_text("")
    return tmp_path / "project"


def test_a_folder_keeps_its_state_inside(project):
    assert run_root(project) == project / ".greengrass"
    assert run_root(Path("project")) == project / ".greengrass"


def test_a_group_file_shares_the_state_of_its_folder(project):
    assert run_root(project / "group.toml") == project / ".greengrass"


def test_a_zip_keeps_its_state_with_the_user(tmp_path):
    archive = tmp_path / "hello.zip"
    archive.touch()
    root = run_root(archive)

    assert root.parent == tmp_path / "state" / "greengrass"
    assert root.name.startswith("hello-")
    assert run_root(Path("hello.zip")) == root


def test_zips_of_the_same_name_do_not_share_their_state(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hello.zip").touch()

    roots = {run_root(tmp_path / name / "hello.zip") for name in ("a", "b")}
    assert len(roots) == 2


def test_a_folder_that_cannot_be_written_keeps_its_state_with_the_user(
    project, tmp_path, monkeypatch
):
    monkeypatch.setattr("os.access", lambda _path, _mode: False)

    assert run_root(project).parent == tmp_path / "state" / "greengrass"


@pytest.mark.parametrize("stated", ["", "relative/path"])
def test_a_state_home_that_is_no_absolute_path_does_not_count(stated, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", stated)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "x.zip").touch()

    expected = tmp_path / "home" / ".local" / "state" / "greengrass"
    assert run_root(tmp_path / "x.zip").parent == expected


def test_the_option_wins_over_the_environment_and_the_folder(tmp_path, monkeypatch):
    (tmp_path / ".greengrass").mkdir()
    assert stored_root(None) == tmp_path / ".greengrass"
    monkeypatch.setenv("GREENGRASS_ROOT", "/from/environment")
    assert stored_root(None) == Path("/from/environment")
    assert stored_root("named") == tmp_path / "named"

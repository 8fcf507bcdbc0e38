# SPDX-License-Identifier: Apache-2.0
"""`greengrass init`: files that work as they are."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from user_tests import PYTEST

from greengrass_sdk.model.group import load_group

PACKAGE = Path(__file__).parents[3]
HANDLER = "def function_handler(event, context):\n    return event\n"


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("hello.py", HANDLER)
    return path


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def pytest_in(folder):
    path = [str(PACKAGE), str(PACKAGE / "greengrass_sdk" / "dropin")]
    return subprocess.run(
        [*PYTEST, "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_group_file_a_handler_and_its_test_are_written(run, tmp_path):
    code, out, _err = run("init", tmp_path / "demo")

    assert code == 0
    assert files(tmp_path / "demo") == ["group.toml", "hello/hello.py", "tests/test_hello.py"]
    assert out.count("wrote ") == 3


def test_the_group_file_is_valid_without_a_warning(run, tmp_path):
    run("init", tmp_path / "demo")
    group = load_group(tmp_path / "demo")

    assert (group.name, group.core, list(group.functions)) == ("demo", "demo-core", ["hello"])
    assert group.warnings == []


def test_the_test_that_comes_with_the_handler_passes(run, tmp_path):
    run("init", tmp_path / "demo")
    done = pytest_in(tmp_path / "demo")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_next_steps_are_remarks(run, tmp_path):
    _code, _out, err = run("init", tmp_path / "demo")
    assert f"  greengrass run {tmp_path / 'demo'}\n" in err
    _code, _out, err = run("init", tmp_path / "other", "--quiet")
    assert err == ""


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "hello.py").write_text("mine")
    code, _out, err = run("init", tmp_path)

    assert code == 3
    assert err.startswith(f"error: {tmp_path / 'hello' / 'hello.py'} exists already; ")
    assert files(tmp_path) == ["hello/hello.py"]


def test_a_file_is_no_folder_to_write_into(run, tmp_path):
    (tmp_path / "file").touch()

    assert run("init", tmp_path / "file") == (
        3,
        "",
        f"error: {tmp_path / 'file'} is a file; name a folder\n",
    )


def test_a_zip_gets_a_group_file_with_its_handler(run, tmp_path, archive):
    code, _out, _err = run("init", tmp_path / "demo", "--zip", archive)
    group = load_group(tmp_path / "demo")

    assert code == 0
    assert files(tmp_path / "demo") == ["group.toml", "tests/test_old.py"]
    assert group.functions["old"].handler == "hello.function_handler"
    assert group.functions["old"].code.samefile(archive)


def test_the_test_that_comes_with_a_zip_passes(run, tmp_path, archive):
    run("init", tmp_path / "demo", "--zip", archive)
    done = pytest_in(tmp_path / "demo")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_guess_between_several_handlers_is_said(run, tmp_path, archive):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("world.py", HANDLER)
    code, _out, err = run("init", tmp_path / "demo", "--zip", archive)

    assert code == 0
    assert "it could also be world.function_handler" in err
    text = (tmp_path / "demo" / "group.toml").read_text()
    assert '# guessed; the zip also has world.function_handler\nhandler = "hello.' in text


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_a_zip_that_cannot_be_used_leaves_nothing_behind(run, tmp_path, content):
    path = tmp_path / "bad.zip"
    if content is not None:
        path.write_bytes(content)
    code, _out, err = run("init", tmp_path / "demo", "--zip", path)

    assert code != 0
    assert str(path) in err
    assert not (tmp_path / "demo").exists()

# SPDX-License-Identifier: Apache-2.0
"""What `code` and `python` may name."""

import os
import re
import sys
import zipfile

import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import paths
from greengrass_sdk.model.paths import absolute, code_path, python_command


def refused(function, base, text):
    with pytest.raises(InvalidInputError) as caught:
        function(base, text)
    return str(caught.value)


class TestCode:
    def test_a_folder_is_relative_to_the_group_file(self, tmp_path):
        (tmp_path / "app").mkdir()
        assert tmp_path / "app" == code_path(tmp_path, "app/") == code_path(tmp_path, "./x/../app")
        assert tmp_path / "app" == code_path(tmp_path / "elsewhere", str(tmp_path / "app"))

    def test_a_link_to_a_folder_stays_a_link(self, tmp_path):
        (tmp_path / "app").mkdir()
        (tmp_path / "link").symlink_to("app")
        assert tmp_path / "link" == code_path(tmp_path, "link")

    @pytest.mark.parametrize("name", ["app.zip", "app.ZIP", "package"])
    def test_a_zip_is_known_by_its_first_bytes(self, tmp_path, name):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("app.py", "")
        assert tmp_path / name == code_path(tmp_path, name)

    def test_a_broken_zip_is_left_to_whoever_unpacks_it(self, tmp_path):
        (tmp_path / "app.zip").write_text("no zip")
        assert tmp_path / "app.zip" == code_path(tmp_path, "app.zip")

    def test_missing_code_names_the_nearest(self, tmp_path):
        (tmp_path / "climate").mkdir()
        text = refused(code_path, tmp_path, "climat")
        assert f"'climat' does not exist ({tmp_path}/climat); did you mean 'climate'?" in text

    def test_missing_code_in_a_missing_folder_is_missing(self, tmp_path):
        assert "does not exist" in refused(code_path, tmp_path, "nowhere/app")

    def test_an_executable_is_refused_by_name(self, tmp_path):
        (tmp_path / "run.exe").write_bytes(b"\x7fELF...")
        (tmp_path / "run.sh").write_text("#!/bin/sh\n")
        (tmp_path / "run.sh").chmod(0o755)
        for name in ("run.exe", "run.sh"):
            text = refused(code_path, tmp_path, name)
            assert f"{name!r} is an executable; executables as code are not supported yet" in text

    def test_a_single_module_asks_for_its_folder(self, tmp_path):
        (tmp_path / "app.py").write_text("")
        assert "name the folder it is in" in refused(code_path, tmp_path, "app.py")

    def test_anything_else_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").write_text("")
        os.mkfifo(tmp_path / "pipe")
        assert "neither a folder nor a zip" in refused(code_path, tmp_path, "notes.txt")
        assert "neither a folder nor a zip" in refused(code_path, tmp_path, "pipe")

    def test_what_cannot_be_read_says_why(self, tmp_path):
        (tmp_path / "file").write_text("")
        text = refused(code_path, tmp_path, "file/app")
        assert f"'file/app' cannot be read: Not a directory ({tmp_path}/file/app)" == text


class TestPython:
    def test_a_command_is_left_to_the_path(self, tmp_path):
        assert "python3.12" == python_command(tmp_path, "python3.12")

    def test_an_interpreter_keeps_its_path(self, tmp_path):
        (tmp_path / "py").symlink_to(sys.executable)
        assert (
            f"{tmp_path}/py" == python_command(tmp_path, "py") == python_command(tmp_path, "./py")
        )

    def test_a_virtual_environment_gives_its_interpreter_unresolved(self, tmp_path):
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
        expected = f"{tmp_path}/.venv/bin/python"
        assert expected == python_command(tmp_path, ".venv") == python_command(tmp_path, ".venv/")

    def test_a_folder_without_interpreter_says_how_to_make_one(self, tmp_path):
        (tmp_path / ".venv").mkdir()
        expected = re.escape(f"create the virtual environment: python3 -m venv {tmp_path}/.venv")
        assert re.search(expected, refused(python_command, tmp_path, ".venv"))

    def test_a_missing_path_is_refused(self, tmp_path):
        assert "does not exist" in refused(python_command, tmp_path, "./python")

    def test_what_is_not_executable_is_no_interpreter(self, tmp_path):
        (tmp_path / "python").write_text("")
        assert "it is not executable" in refused(python_command, tmp_path, "python")


def test_absolute_paths_stay_what_they_are(tmp_path):
    assert tmp_path / "a" == absolute(tmp_path / "b", str(tmp_path / "a"))
    assert {"absolute", "code_path", "python_command"} == set(paths.__all__)

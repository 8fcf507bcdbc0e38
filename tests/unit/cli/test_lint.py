# SPDX-License-Identifier: Apache-2.0
"""`greengrass lint`: everything wrong with a group at once."""

from __future__ import annotations

import json
import sys

import pytest

from greengrass_sdk.cli import lint
from greengrass_sdk.cli._groups import group_text

HANDLER = "def function_handler(event, context):\n    return event\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hello.py").write_text(HANDLER)
    text = group_text(name="hello", code="code/", handler="hello.function_handler")
    (tmp_path / "group.toml").write_text(text)
    return tmp_path


def change(project, old, new):
    path = project / "group.toml"
    path.write_text(path.read_text().replace(old, new))


def test_a_good_group_has_no_problems(run, project):
    assert run("lint", project) == (0, "no problems\n", "")


def test_all_problems_are_listed_with_their_lines(run, project):
    change(project, "pinned = true", "pinned = 1\ntimeot_s = 2")
    code, out, _err = run("lint", project)
    lines = out.splitlines()

    assert code == 3
    assert len(lines) == 3
    assert all(line.startswith(f"error: {project}/group.toml:") for line in lines[:2])
    assert "did you mean 'timeout_s'?" in out
    assert lines[-1] == "2 problems, 0 warnings"


def test_a_warning_is_no_failure(run, project):
    change(project, 'encoding = "json"', 'encoding = "json"\nidle_s = 5')
    code, out, _err = run("lint", project)

    assert code == 0
    assert out.startswith("warning: ")
    assert out.endswith("0 problems, 1 warning\n")


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        ("helo.function_handler", "there is no module 'helo' in"),
        ("hello.functon_handler", "module 'hello' in"),
    ],
)
def test_a_handler_that_is_not_there_is_a_problem_with_the_nearest(run, project, handler, text):
    change(project, "hello.function_handler", handler)
    code, out, _err = run("lint", project)

    assert code == 3
    assert "functions.hello.handler: " in out
    assert text in out
    assert "did you mean 'hello.function_handler'?" in out
    assert "1 problem, 0 warnings" in out


def test_an_interpreter_with_the_package_is_fine(run, project, monkeypatch):
    monkeypatch.setattr(lint, "probe_interpreter", lambda _python: None)
    change(project, "pinned", f"python = {json.dumps(sys.executable)}\npinned")

    assert run("lint", project)[0] == 0


def test_an_interpreter_without_the_package_names_the_pip_command(run, project, tmp_path):
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'greengrass_sdk'\" >&2\nexit 1\n"
    )
    python.chmod(0o755)
    change(project, "pinned", f"python = {json.dumps(str(python))}\npinned")
    code, out, _err = run("lint", project)

    assert code == 3
    assert f"functions.hello.python: {python} has no greengrass-core; install it: " in out
    assert f"{python} -m pip install greengrass-core" in out


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo AssertionError: old >&2; exit 1", "is older than Python 3.11"),
        ("echo ImportError: libx >&2; exit 1", "cannot import the runtime: ImportError: libx"),
        ("exit 4", "cannot import the runtime: exit status 4"),
        ("exit 0", "does not answer as a Python interpreter does"),
    ],
)
def test_an_interpreter_that_fails_says_why(tmp_path, script, text):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)

    assert text in (lint.probe_interpreter(str(python)) or "")


def test_an_interpreter_that_is_no_program_says_so(tmp_path):
    (tmp_path / "python").write_text("nothing")
    (tmp_path / "python").chmod(0o755)

    assert "does not run" in (lint.probe_interpreter(str(tmp_path / "python")) or "")


def test_json_is_one_document(run, project):
    change(project, "hello.function_handler", "hello.nothing")
    code, out, _err = run("lint", project, "--json")
    document = json.loads(out)

    assert code == 3
    assert (document["schema"], document["warnings"]) == (1, [])
    [problem] = document["problems"]
    assert (problem["file"], problem["key"]) == (
        f"{project}/group.toml",
        "functions.hello.handler",
    )


def test_a_folder_without_a_group_file_is_a_problem(run, tmp_path):
    code, out, _err = run("lint", tmp_path)

    assert code == 3
    assert "has no group.toml" in out


def test_a_zip_without_a_handler_is_a_problem(run, tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    code, out, _err = run("lint", tmp_path / "bad.zip")

    assert code == 3
    assert "cannot be read as a zip" in out

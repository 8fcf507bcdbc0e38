# SPDX-License-Identifier: Apache-2.0
"""`greengrass logs`: the files of a root, whether its core runs or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from greengrass_sdk.cli import logs
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.telemetry.lines import format_line
from greengrass_sdk.errors import CoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:lambda:us-east-1:000000000000:function:fresh:1"


@pytest.fixture
def layout(tmp_path, core):
    core.answers["status"] = CoreUnavailableError("none")
    layout = Layout(tmp_path)
    path = layout.user_log("us-east-1", "000000000000", "hello")
    path.parent.mkdir(parents=True)
    path.write_text(
        format_line(1000, "INFO", "hello.py:1", "first")
        + format_line(2000, "ERROR", "hello.py:2", "Traceback\n  File\nValueError")
        + format_line(3000, "INFO", "hello.py:3", "last")
    )
    layout.system_log_dir.mkdir(parents=True)
    (layout.system_log_dir / "runtime.log").write_text("[t][INFO]-a.py:1,up\n")
    (layout.system_log_dir / "router.log").write_text("[t][WARN]-a.py:1,no row\n")
    layout.crash_log.write_text("boom\n")
    return layout


def test_a_log_is_printed_as_it_stands_in_the_file(run, layout):
    code, out, err = run("logs", "hello", "--root", layout.root)

    assert (code, err) == (0, "")
    assert out == layout.user_log("us-east-1", "000000000000", "hello").read_text()


def test_an_arn_names_its_function(run, layout):
    arn = "arn:aws:lambda:us-east-1:000000000000:function:hello:1"

    assert (
        run("logs", arn, "--root", layout.root)[1] == run("logs", "hello", "--root", layout.root)[1]
    )


def test_the_last_records_are_counted_with_all_their_lines(run, layout):
    out = run("logs", "hello", "-n", "2", "--root", layout.root)[1]

    assert [line.split(",")[-1].strip() for line in out.splitlines()] == [
        "Traceback",
        "File",
        "ValueError",
        "last",
    ]
    assert run("logs", "hello", "-n", "0", "--root", layout.root)[1] == ""
    assert len(run("logs", "hello", "-n", "9", "--root", layout.root)[1].splitlines()) == 5


def test_json_is_one_document_with_whole_records(run, layout):
    document = json.loads(run("logs", "hello", "--root", layout.root, "--json")[1])

    assert (document["schema"], document["function"]) == (1, "hello")
    assert document["records"][1] == {
        "at_ms": 2000,
        "level": "ERROR",
        "origin": "hello.py:2",
        "message": "Traceback\n  File\nValueError",
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--system"], "[t][INFO]-a.py:1,up\n"),
        (["--system", "router"], "[t][WARN]-a.py:1,no row\n"),
        (["--system", "crash"], "boom\n"),
    ],
)
def test_the_logs_of_the_core_are_printed_too(run, layout, arguments, text):
    assert run("logs", "--root", layout.root, *arguments) == (0, text, "")


def test_an_unknown_system_log_lists_those_that_exist(run, layout):
    code, _out, err = run("logs", "--system", "ruter", "--root", layout.root)

    assert code == 4
    assert err.endswith(f"under {layout.root} there are: crash, router, runtime\n")


def test_an_unknown_function_lists_those_that_have_a_log(run, layout):
    code, _out, err = run("logs", "helo", "--root", layout.root)

    assert code == 4
    assert "there is no log of a function 'helo'" in err
    assert err.endswith(f"under {layout.root} there are: hello\n")


@pytest.mark.parametrize("arguments", [["hello"], ["--system"]])
def test_a_root_without_logs_says_so(run, core, tmp_path, arguments):
    core.answers["status"] = CoreUnavailableError("none")
    code, _out, err = run("logs", *arguments, "--root", tmp_path)

    assert code == 4
    assert err.endswith(f"{tmp_path} has no logs\n")


def test_a_function_that_has_not_logged_yet_is_no_error(run, layout, core):
    core.answers["status"] = {"functions": [{"name": "fresh", "arn": ARN}]}

    assert run("logs", "fresh", "--root", layout.root) == (
        0,
        "",
        "fresh has not logged anything yet\n",
    )


@pytest.mark.parametrize("arguments", [[], ["hello", "--system"], ["hello", "-n", "-1"]])
def test_wrong_usage_is_said(run, layout, arguments):
    assert run("logs", "--root", layout.root, *arguments)[0] == 2


@pytest.fixture
def waits(monkeypatch):
    """Replace the pause between two looks by steps of the test; then it is interrupted."""
    steps: list[Callable[[], object]] = []

    def wait(_seconds):
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(logs, "_wait", wait)
    return steps


def test_following_prints_what_comes(run, layout, waits):
    path = layout.user_log("us-east-1", "000000000000", "hello")

    def write():
        with path.open("a") as file:
            file.write(format_line(4000, "INFO", "hello.py:4", "new"))

    waits += [write, lambda: None]
    code, out, _err = run("logs", "hello", "-f", "-n", "1", "--root", layout.root)

    assert code == 0
    assert [line.split(",")[-1] for line in out.splitlines()] == ["last", "new"]


def test_following_a_function_that_has_not_logged_yet_waits_for_its_file(run, layout, core, waits):
    core.answers["status"] = {"functions": [{"name": "fresh", "arn": ARN}]}
    path = layout.user_log("us-east-1", "000000000000", "fresh")
    waits.append(lambda: path.write_text(format_line(1, "INFO", "f.py:1", "hi")))
    code, out, _err = run("logs", "fresh", "-f", "--root", layout.root)

    assert code == 0
    assert out.endswith("-f.py:1,hi\n")


def test_following_in_json_is_one_line_per_record(run, layout, waits):
    out = run("logs", "hello", "-f", "--json", "--root", layout.root)[1]
    events = [json.loads(line) for line in out.splitlines()]

    assert [event["at_ms"] for event in events] == [1000, 2000, 3000]
    assert {(event["event"], event["function"]) for event in events} == {("log", "hello")}

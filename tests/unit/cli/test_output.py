# SPDX-License-Identifier: Apache-2.0
"""Text for people, JSON for programs, and an exit code for both."""

from __future__ import annotations

import io
import json

import pytest

from greengrass_sdk.cli._output import Output, Paint, UsageError, exit_code_of, printable
from greengrass_sdk.errors import ConfigError, CoreUnavailableError, FunctionHandledError, Problem


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


def _output(streams, **options):
    return Output(stdout=streams[0], stderr=streams[1], **options)


def test_an_error_is_one_line_on_standard_error(streams):
    _output(streams).error(CoreUnavailableError("no core runs"))

    assert streams[0].getvalue() == ""
    assert streams[1].getvalue() == "error: no core runs\n"


def test_an_error_is_a_document_on_standard_output_with_json(streams):
    _output(streams, json=True).error(CoreUnavailableError("no core runs"))

    document = {"error": {"code": "CoreUnavailable", "message": "no core runs"}}
    assert json.loads(streams[0].getvalue()) == document
    assert streams[1].getvalue() == "error: no core runs\n"


def test_all_problems_of_a_file_are_reported_at_once(streams):
    problems = [Problem("one", file="g.toml", line=3), Problem("two", file="g.toml", key="group")]
    _output(streams, json=True).error(ConfigError(problems))

    assert streams[1].getvalue() == "error: g.toml:3: one\nerror: g.toml: group: two\n"
    found = json.loads(streams[0].getvalue())["error"]["problems"]
    assert [(problem["line"], problem["key"], problem["message"]) for problem in found] == [
        (3, None, "one"),
        (None, "group", "two"),
    ]


def test_wrong_usage_shows_the_usage_and_where_to_read_on(streams):
    error = UsageError("TOPIC is missing", usage="usage: greengrass publish", prog="greengrass x")
    _output(streams).error(error)

    assert streams[1].getvalue().splitlines() == [
        "error: TOPIC is missing",
        "usage: greengrass publish",
        "try `greengrass x --help`",
    ]


def test_a_traceback_is_shown_only_with_debug(streams):
    try:
        raise ConfigError("broken")
    except ConfigError as error:
        _output(streams).error(error)
        assert "Traceback" not in streams[1].getvalue()
        _output(streams, debug=True).error(error)
    assert "Traceback" in streams[1].getvalue()


def test_a_bug_of_ours_says_so(streams):
    _output(streams).error(KeyError("x"))

    assert streams[1].getvalue() == (
        "error: KeyError: 'x'\n  This is a bug of ours; --debug shows where it happened.\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 3),
        (FunctionHandledError("x"), 1),
        (UsageError("x"), 2),
        (KeyboardInterrupt(), 130),
        (PermissionError(13, "denied"), 1),
        (ZeroDivisionError(), 99),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert exit_code_of(error) == code


def test_what_others_sent_cannot_steer_the_terminal():
    assert printable("a\x1b[2Jb\x07\n") == "a\\x1b[2Jb\\x07\\n"
    assert printable("grün → 温度") == "grün → 温度"


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Paint.for_stream(Terminal())("x", "red") == "\x1b[31mx\x1b[0m"
    assert Paint.for_stream(io.StringIO())("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Paint.for_stream(Terminal())("x", "red") == "x"


def test_a_table_is_aligned_under_its_columns(streams):
    _output(streams).table(["NAME", "N"], [["a", "1"], ["longer", "22"]])

    assert streams[0].getvalue() == "NAME    N\na       1\nlonger  22\n"


def test_remarks_are_dropped_when_quiet(streams):
    output = _output(streams, quiet=True)
    output.note("remark")
    output.warning("careful")

    assert streams[1].getvalue() == ""


def test_text_is_dropped_when_standard_output_is_for_json(streams):
    output = _output(streams, json=True)
    output.text("for people")
    output.document({"a": 1})

    assert streams[0].getvalue() == '{"schema": 1, "a": 1}\n'


def test_a_payload_gets_a_last_newline_and_nothing_else():
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="utf-8")
    output = Output(stdout=stdout, stderr=io.StringIO())
    output.data(b"\xff\x00")
    output.data(b"x\n")

    assert raw.getvalue() == b"\xff\x00\nx\n"


def _encoded(encoding):
    raw = io.BytesIO()
    return raw, io.TextIOWrapper(raw, encoding=encoding)


def test_json_is_valid_whatever_the_terminal_can_show():
    for encoding in ("utf-8", "ascii", "latin-1"):
        raw, stdout = _encoded(encoding)
        Output(json=True, stdout=stdout, stderr=io.StringIO()).document({"a": "grün → 😀"})

        assert json.loads(raw.getvalue().decode(encoding))["a"] == "grün → 😀"


def test_text_that_cannot_be_encoded_is_escaped():
    raw, stdout = _encoded("ascii")
    output = Output(stdout=stdout, stderr=io.StringIO())
    output.text("→ \udcff")
    output.flush()

    assert raw.getvalue() == b"\\u2192 \\udcff\n"


def test_a_standard_stream_that_is_closed_is_no_error(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    output = Output(stderr=io.StringIO())
    output.text("nobody hears it")

    output.stdout.close()

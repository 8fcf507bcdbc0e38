# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.telemetry.lines: V1's log line, there and back."""

from __future__ import annotations

import logging

import pytest
from hypothesis import example, given, strategies as st

from greengrass_sdk.core.telemetry.lines import (
    LEVELS,
    LogRecord,
    format_line,
    level_name,
    parse_lines,
    severity,
)

AT_MS = 1_784_538_892_910  # 2026-07-20T09:14:52.910Z


def test_a_line_has_three_digits_of_milliseconds_and_utc():
    line = format_line(AT_MS, "ERROR", "streammanagerclient.py:188", "Unable to read")

    expected = "[2026-07-20T09:14:52.910Z][ERROR]-streammanagerclient.py:188,Unable to read\n"
    assert expected == line
    assert format_line(1_000, "INFO", "a.py:1", "").startswith("[1970-01-01T00:00:01.000Z]")


def test_further_lines_of_a_message_are_indented():
    line = format_line(0, "ERROR", "a.py:1", "Traceback\r\n  File\nValueError\n")

    expected = "[1970-01-01T00:00:00.000Z][ERROR]-a.py:1,Traceback\n      File\n    ValueError\n"
    assert expected == line


def test_a_message_cannot_forge_a_record():
    forged = "x\n[2026-07-20T09:14:52.910Z][FATAL]-core.py:1,all is lost"

    (record,) = parse_lines(format_line(0, "INFO", "a.py:1", forged).splitlines(keepends=True))

    assert LogRecord(0, "INFO", "a.py:1", forged) == record


def test_an_origin_cannot_forge_a_record():
    text = format_line(0, "INFO", "a,b.py:1\n[2026-07-20T09:14:52.910Z][FATAL]-x:1,", "m")

    (record,) = parse_lines(text.splitlines(keepends=True))

    assert "m" == record.message


@given(
    at_ms=st.integers(0, 4_000_000_000_000),
    level=st.sampled_from(list(LEVELS)),
    lines=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))),
)
@example(at_ms=1, level="INFO", lines=["", "", "x"])
@example(at_ms=1, level="INFO", lines=["    deep", "\ttab", "    deeper"])
def test_what_was_written_is_read_back(at_ms, level, lines):
    message = "\n".join(lines).rstrip("\n")

    line = format_line(at_ms, level, "file.py:7", message)

    assert [LogRecord(at_ms, level, "file.py:7", message)] == list(
        parse_lines(line.split("\n")[:-1])
    )


def test_lines_before_the_first_record_are_skipped():
    lines = ["    tail of a record\n", "[2026-07-20T09:14:52.91Z][WARN]-[5]GK Remote: x,y\n"]

    assert [LogRecord(AT_MS, "WARN", "[5]GK Remote: x", "y")] == list(parse_lines(lines))


def test_a_record_of_v1_with_trimmed_milliseconds_is_read():
    lines = ["[2026-07-20T09:14:52Z][INFO]-a.go:1,x\n", "[2026-07-20T09:14:52.9Z][INFO]-a.go:1,y\n"]

    assert [AT_MS - 910, AT_MS - 10] == [record.at_ms for record in parse_lines(lines)]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "TRACE"),
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (25, "INFO"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "FATAL"),
        (99, "FATAL"),
    ],
)
def test_levels_of_logging_have_names_of_v1(number, name):
    assert name == level_name(number)


def test_an_unknown_level_counts_as_info():
    assert LEVELS["INFO"] == severity("SHOUT")

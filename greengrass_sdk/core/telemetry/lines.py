# SPDX-License-Identifier: Apache-2.0
"""
The line of a log: `[2026-11-21T09:14:52.910Z][ERROR]-file.py:188,message`.

A message of several lines stays one record: the lines after the first are indented by four spaces,
so that every line which starts with a bracket starts a record, whatever a function prints.

Ref: Greengrass V1 guide, "Monitoring with AWS IoT Greengrass logs". V1 cut trailing zeros from the
milliseconds; we always write three digits, so that lines sort as text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LEVELS", "LogRecord", "format_line", "level_name", "parse_lines", "severity"]

# V1's names with the numbers of Python's logging, which has no TRACE and calls FATAL critical.
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}

CONTINUED = "    "

_HEAD = re.compile(
    r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,3}))?Z\]"  # time
    r"\[([A-Z]+)\]-([^,]*),(.*)",  # level, origin, message
    re.DOTALL,
)


class LogRecord(NamedTuple):
    """One record of a log; `origin` is `file.py:line`, `message` may have several lines."""

    at_ms: int
    level: str
    origin: str
    message: str


def format_line(at_ms: int, level: str, origin: str, message: str) -> str:
    """Return the record as it stands in a file, with the newline at its end."""
    if "\n" in message or "\r" in message:
        message = message.replace("\r\n", "\n").rstrip("\n").replace("\n", "\n" + CONTINUED)
    if "," in origin or "\n" in origin:
        origin = origin.replace(",", ";").replace("\n", " ")
    return f"[{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z][{level}]-{origin},{message}\n"


def parse_lines(lines: Iterable[str]) -> Iterator[LogRecord]:
    """
    Yield the records of a log, also of one that V1 wrote.

    Lines before the first record (the tail of one that was rotated away) are skipped.
    """
    head: re.Match[str] | None = None
    rest: list[str] = []
    for line in lines:
        text = line.removesuffix("\n")
        found = _HEAD.fullmatch(text)
        if found is None:
            rest.append(text.removeprefix(CONTINUED))
            continue
        if head is not None:
            yield _record(head, rest)
        head, rest = found, []
    if head is not None:
        yield _record(head, rest)


def severity(level: str) -> int:
    """Return the number of a level; a word that V1 does not know counts as INFO."""
    return LEVELS.get(level, LEVELS["INFO"])


def level_name(number: int) -> str:
    """Return V1's name for a level of Python's logging: the highest that is not above it."""
    name = "TRACE"
    for word, limit in LEVELS.items():
        if number < limit:
            break
        name = word
    return name


def _record(head: re.Match[str], rest: list[str]) -> LogRecord:
    second, fraction, level, origin, message = head.groups()
    at_s = int(datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp())
    at_ms = at_s * 1000 + int((fraction or "0").ljust(3, "0"))
    return LogRecord(at_ms, level, origin, "\n".join([message, *rest]))


@lru_cache(maxsize=8)
def _second(at_s: int) -> str:
    """Return the date and time of a second; records come many to the second."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")

# SPDX-License-Identifier: Apache-2.0
"""The texts of failures: what came instead, what was dropped, and which row was nearest."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from greengrass_sdk.testing.records import FunctionFailure, LogRecord, Message

__all__ = ["everything", "missing", "nearest_text", "other_functions"]

_MOST = 20  # messages and log records of a function that are shown


def missing(topic_filter: str, messages: Sequence[Message], errors: int) -> str:
    """Return what was published instead of what a filter asks for."""
    told = [f"no function has published on {topic_filter!r}"]
    if messages:
        subjects = [message.subject for message in messages]
        near = difflib.get_close_matches(topic_filter, subjects, n=1)
        told.append(f"; the nearest topic is {near[0]!r}" if near else "")
        told.append("\nwhat came:\n" + _lines(messages))
    else:
        told.append("; there were no messages at all")
    if errors:
        told.append(f"\n{errors} error(s) in functions, see `errors`")
    return "".join(told)


def everything(
    messages: Sequence[Message],
    logs: Mapping[str, Sequence[LogRecord]],
    errors: Sequence[FunctionFailure],
) -> str:
    """Return what happened in a test, for the report of its failure."""
    parts = ["messages:\n" + (_lines(messages) or "  none")]
    for name, records in logs.items():
        if records:
            shown = [f"  {record.describe()}" for record in records[-_MOST:]]
            left_out = len(records) - len(shown)
            head = f"log of {name}:\n" + (f"  ({left_out} more)\n" if left_out else "")
            parts.append(head + "\n".join(shown))
    parts += ["error in " + error.describe() for error in errors]
    return "\n\n".join(parts)


def nearest_text(row: Mapping[str, str] | None) -> str:
    """Return which row almost routed a message, and what it lacks."""
    if row is None:
        return "the group has no subscription"
    return (
        f"nearest is subscription {row['id']!r} ({row['source']} -> {row['target']}),"
        f" but {row['why']}"
    )


def other_functions(name: str, names: Collection[str]) -> str:
    """Return which functions there are, where one was named that there is not."""
    if not names:
        return "the group has no functions; add_function adds one"
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near and near[0] != name else ""
    return f"{hint}the functions of the group: {', '.join(names)}"


def _lines(messages: Sequence[Message]) -> str:
    shown = [f"  {message.describe()}" for message in messages[-_MOST:]]
    if len(messages) > _MOST:
        shown.insert(0, f"  ({len(messages) - _MOST} more)")
    return "\n".join(shown)

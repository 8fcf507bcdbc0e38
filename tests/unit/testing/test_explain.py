# SPDX-License-Identifier: Apache-2.0
"""The texts of failures."""

from __future__ import annotations

from greengrass_sdk.testing import FunctionFailure, LogRecord, Message
from greengrass_sdk.testing.explain import everything, missing, nearest_text, other_functions


def test_what_is_missing_is_told_with_what_came_instead():
    messages = [Message("out/a", "f", b"1"), Message("x", "cloud", b"")]
    text = missing("out/b", messages, 1)
    assert text.startswith("no function has published on 'out/b'; the nearest topic is 'out/a'")
    assert "\n  f: out/a 1: dropped: no subscription matches" in text
    assert text.endswith("1 error(s) in functions, see `errors`")
    assert "no function has published on 'a'; there were no messages at all" == missing("a", [], 0)


def test_a_long_list_is_cut():
    messages = [Message(f"t/{n}", "f", b"") for n in range(30)]
    text = everything(messages, {"f": [LogRecord("INFO", str(n), "o", 0) for n in range(30)]}, [])
    assert "messages:\n  (10 more)\n" in text
    assert "log of f:\n  (10 more)\n" in text


def test_everything_has_messages_logs_and_errors():
    failure = FunctionFailure("f", "timeout", "Task timed out")
    assert (
        "messages:\n  none\n\nlog of f:\n  [INFO]-o,m\n\nerror in function 'f' (timeout):\n"
        "Task timed out"
    ) == everything([], {"f": [LogRecord("INFO", "m", "o", 0)], "g": []}, [failure])


def test_the_nearest_row_is_named_with_what_it_lacks():
    row = {"id": "r", "source": "a", "target": "b", "why": "its subject is 'x'"}
    assert "nearest is subscription 'r' (a -> b), but its subject is 'x'" == nearest_text(row)
    assert "the group has no subscription" == nearest_text(None)


def test_the_functions_that_there_are_are_named():
    assert "the group has no functions; add_function adds one" == other_functions("f", [])
    assert "the functions of the group: f, g" == other_functions("f", ["f", "g"])

# SPDX-License-Identifier: Apache-2.0
"""From the events of a core to the records of a test."""

from __future__ import annotations

import pytest

from greengrass_sdk.core.router.table import Table
from greengrass_sdk.model.group import parse_group
from greengrass_sdk.testing.happenings import Happenings

GROUP = """
schema = 1
group = { name = "g", core = "c" }
functions.a = { code = ".", handler = "a.handler" }
functions.b = { code = ".", handler = "b.handler", pinned = true }
subscriptions = [
    { id = "one", source = "cloud", subject = "t/#", target = "a" },
    { id = "two", source = "cloud", subject = "t/+", target = "b" },
    { id = "three", source = "cloud", subject = "t/x", target = "a" },
]
"""
TRACEBACK = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'n'"


@pytest.fixture
def failures():
    return []


@pytest.fixture
def happened(tmp_path, failures):
    table = Table(parse_group(GROUP, base=tmp_path, file="group.toml"))
    return Happenings(table, failures.append)


def message(target, payload="x", subject="t/x", **more):
    return {
        "event": "message",
        "at_ms": 1500,
        "source": "cloud",
        "subject": subject,
        "target": target,
        "payload": payload,
        "encoding": "utf-8",
        "outcome": "delivered",
        "reason": None,
        **more,
    }


def log(function, text, level="ERROR"):
    return {
        "event": "log",
        "at_ms": 2000,
        "function": function,
        "level": level,
        "message": text,
        "origin": "a.py:1",
    }


def run(outcome="handled", kind="message", **more):
    return {
        "event": "invocation",
        "at_ms": 1,
        "function": "a",
        "request_id": "number",
        "outcome": outcome,
        "subject": "t/x",
        "type": kind,
        "error": {"errorType": "KeyError", "errorMessage": "'n'", "stackTrace": []},
        **more,
    }


def feed(happened, *events):
    for event in events:
        happened.take(event)
    happened.explain()


def shown(happened):
    return [
        [(d.target, d.outcome, d.subscription) for d in each.deliveries]
        for each in happened.messages
    ]


def test_the_events_of_one_message_are_one_message(happened):
    feed(happened, message("a"), message("b", outcome="dropped", reason="queue full"))
    assert [[("a", "delivered", "one"), ("b", "dropped", "two")]] == shown(happened)
    [found] = happened.messages
    assert ("t/x", "cloud", b"x", 1.5) == (found.subject, found.source, found.payload, found.time)
    assert "queue full" == found.reason


def test_the_same_message_twice_is_two_messages(happened):
    feed(happened, *[message(target) for target in ("a", "b", "a", "b")])
    assert [[("a", "delivered", "one"), ("b", "delivered", "two")]] * 2 == shown(happened)


def test_other_payloads_and_topics_are_other_messages(happened):
    feed(happened, message("a"), message("b", "y"), message("b", "y", "t/y"))
    assert [["a"], ["b"], ["b"]] == [[t for t, _, _ in each] for each in shown(happened)]


def test_a_message_that_all_targets_must_take_shows_those_that_do_not(happened):
    """`AllOrException`: the events are those of the targets that refused."""
    feed(happened, message("b"), message("b"), message("a"), message("b"))
    assert [["b"], ["b"], ["a", "b"]] == [[t for t, _, _ in each] for each in shown(happened)]


def test_what_no_row_matches_has_no_deliveries_and_names_the_nearest_row(happened):
    event = message(None, subject="u", source="b", outcome="dropped", reason="no subscription")
    feed(happened, event, event)
    first, second = happened.messages
    assert ("dropped", "no subscription matches", ()) == (
        first.outcome,
        first.reason,
        second.targets,
    )
    assert first.nearest.startswith("nearest is subscription 'one' (cloud -> a)")


def test_bytes_that_are_no_text_are_decoded(happened):
    feed(happened, message("a", "/wA=", encoding="base64"))
    assert b"\xff\x00" == happened.messages[0].payload


def test_records_go_to_the_log_of_their_function_and_the_cores_own_to_none(happened):
    feed(happened, log("a", "one", "INFO"), log(None, "two"))
    [record] = happened.logs["a"]
    assert ("INFO", "one", "a.py:1", 2.0) == (
        record.level,
        record.message,
        record.origin,
        record.time,
    )
    assert [] == happened.logs["b"]


def test_a_failed_run_is_a_failure_with_the_traceback_that_was_logged(happened, failures):
    feed(happened, run(), log("a", "Traceback of another"), log("a", TRACEBACK))
    [failure] = failures
    assert ("a", "handled", "t/x", "number", TRACEBACK) == (
        failure.function,
        failure.outcome,
        failure.trigger,
        failure.request_id,
        failure.text,
    )


def test_two_failures_have_a_traceback_each(happened, failures):
    again = TRACEBACK.replace("line 1", "line 2")
    feed(happened, run(), run(), log("a", TRACEBACK), log("a", again))
    assert {TRACEBACK, again} == {failure.text for failure in failures}


def test_without_a_traceback_in_the_log_the_error_itself_is_told(happened, failures):
    feed(happened, run(), run("timeout", error={"errorType": "", "errorMessage": "Task timed out"}))
    assert ["KeyError: 'n'", "Task timed out"] == [failure.text for failure in failures]


def test_an_import_that_failed_has_its_traceback(happened, failures):
    text = f"Failed to import handler function 'a.handler' due to exception: {TRACEBACK}"
    error = {"errorType": "KeyError", "errorMessage": "'n'", "stackTrace": []}
    feed(happened, run("unhandled", error=error), log("a", text, "FATAL"))
    assert TRACEBACK == failures[0].text


def test_what_a_caller_hears_and_what_went_well_is_no_failure(happened, failures):
    feed(happened, run(kind="call"), run("ok", error=None), run(function="GGShadowService"))
    assert [] == failures


def test_an_event_is_triggered_by_an_invocation(happened, failures):
    feed(happened, run(kind="event", subject=None))
    assert "invocation" == failures[0].trigger


def test_a_thread_that_raised_is_a_failure(happened, failures):
    feed(happened, log("a", f"Exception in thread Thread-1:\n{TRACEBACK}"))
    assert [("a", "thread", TRACEBACK)] == [(f.function, f.outcome, f.text) for f in failures]


def ended(function, reason, state="failed"):
    return {"event": "function", "function": function, "state": state, "pid": 1, "reason": reason}


def test_a_pinned_function_that_does_not_start_or_ends_is_a_failure(happened, failures):
    feed(
        happened,
        log("b", f"Failed to import handler function 'b.handler' due to exception: {TRACEBACK}"),
        ended("b", "the function does not start: 'n'"),
        log("b", "exited with code 3"),
        ended("b", "exited with code 3"),
    )
    assert [("import", TRACEBACK), ("unhandled", "exited with code 3")] == [
        (failure.outcome, failure.text) for failure in failures
    ]


def test_what_an_item_tells_is_told_once_and_a_function_on_demand_may_end(happened, failures):
    feed(
        happened,
        ended("b", "exited with code 3"),
        ended("b", None, "running"),
        log("a", "exited with code 3"),
        ended("a", "exited with code 3"),
    )
    assert [] == failures


def test_what_was_not_shown_is_counted(happened):
    feed(happened, {"event": "skipped", "count": 3}, {"event": "skipped", "count": 4})
    assert 7 == happened.skipped

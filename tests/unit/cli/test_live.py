# SPDX-License-Identifier: Apache-2.0
"""The view of `greengrass run`, as text and as JSON, and the thread that writes it."""

from __future__ import annotations

import io
import json
import threading

import pytest

from greengrass_sdk.cli._live import EventWriter, JsonLines, LiveText
from greengrass_sdk.cli._output import Paint

AT_MS = 1_700_000_000_123


def message(**changes):
    return {
        "event": "message",
        "at_ms": AT_MS,
        "source": "hello",
        "subject": "hello/world",
        "target": "cloud",
        "payload": "Hello!",
        "encoding": "utf-8",
        "outcome": "delivered",
        "reason": None,
        **changes,
    }


def log(text="text", **changes):
    event = {"event": "log", "at_ms": AT_MS, "function": "hello", "level": "INFO", "message": text}
    return {**event, **changes}


def text_of(event, **options):
    defaults = {"paint": Paint(enabled=False), "columns": None, "unicode": True, "verbose": False}
    return LiveText(**{**defaults, **options}).render(event)[len("HH:MM:SS.mmm ") :]


def test_a_message_shows_its_way_topic_and_payload():
    assert text_of(message()) == "hello → cloud     hello/world  Hello!"


def test_a_terminal_without_unicode_gets_a_plain_arrow():
    assert text_of(message(), unicode=False) == "hello -> cloud    hello/world  Hello!"


def test_a_dropped_message_says_why():
    dropped = message(outcome="dropped", reason="queue full")
    assert text_of(dropped) == "hello → cloud     dropped (queue full)  hello/world  Hello!"


def test_a_message_without_a_row_has_a_question_mark_as_target():
    event = message(outcome="dropped", target=None)
    assert text_of(event).startswith("hello → ?         dropped (no row of the group matches)")


def lines_of(*events, **options):
    defaults = {"paint": Paint(enabled=False), "columns": None, "unicode": True, "verbose": False}
    view = LiveText(**{**defaults, **options})
    return [line[len("HH:MM:SS.mmm ") :] for event in events if (line := view.render(event))]


def unrouted(**changes):
    text = "no subscription routes topic 'hello/world' from 'hello'; dropped. nearest is none"
    warning = log(text, function=None, level="WARN")
    dropped = message(target=None, outcome="dropped", reason="no subscription matches")
    return warning, {**dropped, **changes}


def test_a_message_that_no_row_routes_is_one_line_with_the_nearest_row():
    warning, dropped = unrouted()
    first, second = lines_of(warning, dropped, dropped)
    assert "nearest is none" in first
    assert second.startswith("hello → ?")  # warned of once, seen each time


def test_another_message_than_the_one_of_the_warning_is_shown():
    assert len(lines_of(*unrouted(subject="other"))) == 2


def test_an_import_failure_is_told_once():
    failed = {
        "event": "function",
        "at_ms": AT_MS,
        "function": "hello",
        "state": "failed",
        "pid": 7,
        "reason": "the function does not start: No module named 'x'",
    }
    traceback = log("Traceback ...\nModuleNotFoundError: No module named 'x'", level="FATAL")
    assert len(lines_of(traceback, failed)) == 1
    ended = log("invocation 7 ended unhandled: No module named 'x'", level="ERROR")
    assert len(lines_of(traceback, ended, failed)) == 1
    assert len(lines_of(log("something else", level="FATAL"), ended)) == 2
    assert len(lines_of(failed)) == 1  # nobody told why
    assert len(lines_of(log("something else", level="FATAL"), failed)) == 2
    assert len(lines_of(traceback, failed, verbose=True)) == 2


def test_a_payload_cannot_steer_the_terminal():
    event = message(payload="\x1b[2J\nx", subject="a\x07")
    assert text_of(event) == "hello → cloud     a\\x07  \\x1b[2J\\nx"


def test_binary_payloads_are_shown_as_hexadecimal():
    assert text_of(message(payload="AP8=", encoding="base64")).endswith("<2 bytes> 00 ff")


def test_a_long_payload_is_cut_to_the_terminal():
    line = LiveText(paint=Paint(enabled=False), columns=80, unicode=True, verbose=False).render(
        message(payload="x" * 500)
    )

    assert len(line) <= 80
    assert line.endswith("xxx…")


def test_an_invocation_shows_caller_outcome_and_time():
    event = {
        "event": "invocation",
        "at_ms": AT_MS,
        "caller": "tool",
        "function": "hello",
        "request_id": "x",
        "outcome": "ok",
        "duration_ms": 1.26,
    }
    assert text_of(event) == "tool → hello      invoked: ok in 1.3 ms"


def test_a_handler_that_a_message_started_shows_only_if_it_went_wrong():
    event = {
        "event": "invocation",
        "at_ms": AT_MS,
        "caller": "cloud",
        "function": "hello",
        "request_id": "x",
        "outcome": "ok",
        "duration_ms": 1.26,
        "subject": "a/b",
    }
    view = LiveText(paint=Paint(enabled=False), columns=None, unicode=True, verbose=False)
    assert view.render(event) == ""
    assert (
        text_of({**event, "outcome": "handled"})
        == "cloud → hello     ran for a/b: failed (handled) in 1.3 ms"
    )


def test_a_function_shows_its_state_pid_and_reason():
    event = {
        "event": "function",
        "at_ms": AT_MS,
        "function": "hello",
        "state": "ended",
        "pid": 12,
        "reason": "exit status 1",
    }
    assert text_of(event) == "hello             ended, pid 12: exit status 1"


def test_a_function_that_waits_says_only_when_it_starts_again():
    event = {
        "event": "function",
        "at_ms": AT_MS,
        "function": "hello",
        "state": "waiting",
        "pid": None,
        "reason": "the worker exited with code 3; next start in 2 s",
    }
    assert text_of(event) == "hello             waiting: next start in 2 s"


def test_the_lines_of_a_traceback_stay_together():
    lines = LiveText(paint=Paint(enabled=False), columns=None, unicode=True, verbose=False).render(
        log("Traceback\n  File x\nValueError", level="ERROR")
    )
    first, *rest = lines.splitlines()

    assert first.endswith("ERROR Traceback")
    assert [line.strip() for line in rest] == ["File x", "ValueError"]
    assert all(line.startswith(" " * 20) for line in rest)


def test_routine_records_of_the_system_are_for_debug_only():
    assert text_of(log(function=None)) == ""
    assert text_of(log(function=None), verbose=True) == "greengrass        INFO  text"
    assert text_of(log(function=None, level="WARN")) == "greengrass        WARN  text"


def test_unknown_events_are_left_out():
    assert text_of({"event": "started", "at_ms": AT_MS}) == ""
    assert text_of({"event": "new", "at_ms": AT_MS}) == ""


def test_json_lines_hold_the_event_unchanged():
    event = message(payload='grün "x"')
    line = JsonLines().render(event)

    assert "\n" not in line
    assert json.loads(line) == event


class Gate(io.StringIO):
    """A stream whose reader does not read until it is opened."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Event()
        self.opened = threading.Event()

    def write(self, text):
        self.entered.set()
        self.opened.wait(10)
        return super().write(text)


def test_events_are_written_in_their_order():
    stream = io.StringIO()
    writer = EventWriter(stream, lambda event: str(event["n"]))
    for number in range(100):
        writer.put({"event": "message", "n": number})
    writer.close(10)

    assert stream.getvalue().split() == [str(number) for number in range(100)]


def test_a_stalled_reader_costs_messages_and_is_told_how_many():
    stream = Gate()
    writer = EventWriter(stream, JsonLines().render, queued_events=2)
    writer.put(message(payload="0"))
    assert stream.entered.wait(10)
    for number in range(1, 6):
        writer.put(message(payload=str(number)))
    writer.put(log("kept"))
    stream.opened.set()
    writer.close(10)

    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event.get("payload") or event["event"] for event in events] == [
        "0",
        "1",
        "2",
        "log",
        "skipped",
    ]
    assert events[-1]["count"] == 3


def test_a_reader_that_goes_away_ends_the_writing():
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    told = threading.Event()
    writer = EventWriter(Broken(), JsonLines().render, on_closed=told.set)
    writer.put(message())

    assert told.wait(10)
    assert writer.broken
    writer.put(message())
    writer.close(10)


def test_events_after_the_end_are_ignored():
    stream = io.StringIO()
    writer = EventWriter(stream, JsonLines().render)
    writer.close(10)
    writer.put(message())

    assert stream.getvalue() == ""


@pytest.mark.parametrize(("columns", "cut"), [(None, False), (40, True)])
def test_only_a_terminal_cuts_lines(columns, cut):
    line = text_of(message(payload="x" * 100), columns=columns)
    assert line.endswith("…") is cut

# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.telemetry.view: the events of `run --json`, exactly."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from greengrass_sdk.core.telemetry.view import EVENTS_PER_S, HIDDEN, Request, View


class Watch:
    """A view whose time stands still until it is set."""

    def __init__(self, *, started=True):
        self.now_s = 100.0
        self.events: list[dict[str, Any]] = []
        self.view = View(self.events.append, clock=lambda: self.now_s, now_ms=lambda: 1234)
        if started:
            self.view.started("/root", 1)
            self.events.clear()

    def publish(self, count=1):
        for _ in range(count):
            self.view.message("a", "t", "b", b"", "delivered")

    def kinds(self):
        return [event["event"] for event in self.events]


@pytest.fixture
def watch():
    return Watch()


def test_started_is_the_first_event_whatever_happened_before():
    watch = Watch(started=False)
    watch.view.log(None, "INFO", "starting")
    watch.view.function("hello", "starting", None, None)
    assert [] == watch.events

    watch.view.started("/greengrass", 42)

    assert {
        "event": "started",
        "at_ms": 1234,
        "schema": 1,
        "root": "/greengrass",
        "pid": 42,
    } == watch.events[0]
    assert ["started", "log", "function"] == watch.kinds()


def test_a_delivered_message(watch):
    watch.view.message("hello", "hello/world", "cloud", "Grüße".encode(), "delivered")

    assert [
        {
            "event": "message",
            "at_ms": 1234,
            "source": "hello",
            "subject": "hello/world",
            "target": "cloud",
            "payload": "Grüße",
            "encoding": "utf-8",
            "outcome": "delivered",
            "reason": None,
        }
    ] == watch.events


def test_a_message_that_no_row_matched(watch):
    watch.view.message("hello", "x", None, b"", "dropped", "no row matches")

    assert (None, "dropped", "no row matches") == (
        watch.events[0]["target"],
        watch.events[0]["outcome"],
        watch.events[0]["reason"],
    )


def test_bytes_that_are_no_text_are_base64(watch):
    watch.view.message("hello", "x", "y", b"\xff\x00", "delivered")

    assert ("/wA=", "base64") == (watch.events[0]["payload"], watch.events[0]["encoding"])


def test_an_invocation(watch):
    watch.view.invocation("a", "b", "id", "ok", 1.5, "a/topic", type="message")

    assert [
        {
            "event": "invocation",
            "at_ms": 1234,
            "caller": "a",
            "function": "b",
            "request_id": "id",
            "outcome": "ok",
            "duration_ms": 1.5,
            "subject": "a/topic",
            "type": "message",
            "error": None,
        }
    ] == watch.events


def test_a_function_and_a_log_record(watch):
    watch.view.function("hello", "running", 7, None)
    watch.view.log("hello", "INFO", "x", "a.py:1")
    watch.view.log(None, "ERROR", "y")

    assert [
        {
            "event": "function",
            "at_ms": 1234,
            "function": "hello",
            "state": "running",
            "pid": 7,
            "reason": None,
        },
        {
            "event": "log",
            "at_ms": 1234,
            "function": "hello",
            "level": "INFO",
            "message": "x",
            "origin": "a.py:1",
        },
        {
            "event": "log",
            "at_ms": 1234,
            "function": None,
            "level": "ERROR",
            "message": "y",
            "origin": "greengrass",
        },
    ] == watch.events


def test_every_event_can_be_json(watch):
    watch.publish()
    watch.view.log(None, "INFO", "a\udcffb")

    assert [json.loads(json.dumps(event)) for event in watch.events] == watch.events


# --- sampling


def test_a_thousand_messages_at_once_are_all_shown(watch):
    watch.publish(EVENTS_PER_S)

    assert ["message"] * EVENTS_PER_S == watch.kinds()


def test_more_are_skipped_and_counted_before_the_next_one(watch):
    watch.publish(EVENTS_PER_S + 25)
    watch.now_s += 0.001
    watch.publish()

    assert ["skipped", "message"] == watch.kinds()[EVENTS_PER_S:]
    assert {"event": "skipped", "at_ms": 1234, "count": 25} == watch.events[EVENTS_PER_S]


def test_a_steady_flood_is_thinned_evenly(watch):
    watch.publish(EVENTS_PER_S)
    watch.events.clear()

    for _ in range(1000):  # one second of 10 000 messages a second
        watch.now_s += 0.001
        watch.publish(10)

    shown = watch.kinds().count("message")
    skipped = sum(event["count"] for event in watch.events if event["event"] == "skipped")
    assert 990 <= shown <= 1000
    watch.view.flush()
    skipped = sum(event["count"] for event in watch.events if event["event"] == "skipped")
    assert 10_000 == shown + skipped


def test_flush_tells_what_is_missing_and_only_that(watch):
    watch.view.flush()
    assert [] == watch.events

    watch.publish(EVENTS_PER_S + 3)
    watch.view.flush()
    watch.view.flush()

    assert ["skipped"] == watch.kinds()[EVENTS_PER_S:]
    assert 3 == watch.events[-1]["count"]


def test_logs_and_functions_are_never_skipped(watch):
    for _ in range(3 * EVENTS_PER_S):
        watch.view.log("hello", "INFO", "x")
        watch.view.function("hello", "idle", 1, None)

    assert 6 * EVENTS_PER_S == len(watch.events)


def test_messages_do_not_take_the_room_of_invocations(watch):
    watch.publish(5 * EVENTS_PER_S)
    watch.view.invocation("a", "b", "id", "ok", 1.0)

    assert "invocation" == watch.kinds()[-1]


def test_invocations_are_sampled_too(watch):
    for _ in range(EVENTS_PER_S + 2):
        watch.view.invocation("a", "b", "id", "ok", 1.0)
    watch.view.flush()

    assert 2 == watch.events[-1]["count"]


def test_without_a_sink_nothing_is_done():
    view = View(None, clock=lambda: 0.0, now_ms=lambda: 0)

    view.log(None, "INFO", "x")
    view.message("a", "t", "b", b"", "delivered")
    view.started("/", 1)
    view.flush()

    assert not view.wanted
    assert Watch().view.wanted


def test_the_manual_names_every_event_and_key(watch):
    page = (Path(__file__).parents[4] / "docs" / "reference" / "events.md").read_text()
    watch.view.started("/root", 1)
    watch.publish(EVENTS_PER_S + 1)
    watch.view.invocation("a", "b", "id", "ok", 1.0)
    watch.view.function("hello", "running", 7, None)
    watch.view.log(None, "INFO", "x")

    words = {event["event"] for event in watch.events} | {key for e in watch.events for key in e}

    assert {"started", "message", "invocation", "function", "log", "skipped"} <= words
    assert [] == [word for word in sorted(words) if f"`{word}`" not in page]


class Recording:
    """A view that nobody watches, with a tape."""

    def __init__(self, sink=None, now_s=100.0):
        self.now_s = now_s
        self.tape: list[dict[str, Any]] = []
        self.view = View(sink, clock=lambda: self.now_s, now_ms=lambda: 5000, tape=self.tape.append)
        self.view.started("/root", 1)
        self.tape.clear()


def test_a_tape_is_not_sampled_where_the_view_is():
    events: list[dict[str, Any]] = []
    recording = Recording(events.append)
    for _ in range(EVENTS_PER_S + 5):
        recording.view.message("a", "t", "b", b"", "delivered")
        recording.view.invocation("a", "f", "1", "ok", 1.0, "t")
    recording.view.flush()

    assert 2 * (EVENTS_PER_S + 5) == len(recording.tape)
    assert 10 == events[-1]["count"]
    assert {"message", "invocation"} == {event["event"] for event in recording.tape}


def test_a_tape_names_the_row_of_a_message():
    recording = Recording()
    recording.view.message("a", "t", "b", b"x", "delivered", row="row-1")

    assert "row-1" == recording.tape[0]["subscription"]


def test_what_the_router_left_out_is_missing_on_the_tape_too():
    recording = Recording()
    recording.view.skip(7)

    assert [("skipped", 7)] == [(e["event"], e["count"]) for e in recording.tape]


def test_a_tape_holds_what_was_asked_from_outside_and_when():
    recording = Recording(now_s=100.0)
    asked = Request(99.5, b"\xff", b'{"custom": {}}', b"{}")
    recording.view.invocation("tool", "f", "1", "ok", 20.0, request=asked)

    assert {
        "at_ms": 4500,
        "payload": "/w==",
        "encoding": "base64",
        "client_context": '{"custom": {}}',
        "result": {"payload": "{}", "encoding": "utf-8"},
    } == recording.tape[0]["request"]


def test_only_a_tape_holds_what_was_asked():
    events: list[dict[str, Any]] = []
    recording = Recording(events.append)
    events.clear()
    recording.view.invocation("t", "f", "1", "ok", 2.0, request=Request(99.0, b"x", b"", None))
    recording.view.message("a", "t", "b", b"x", "delivered", row="row-1")

    assert "request" not in events[0]
    assert "subscription" not in events[1]
    assert recording.tape[0]["request"]["result"] is None


def test_secrets_are_never_on_a_tape_whatever_holds_them():
    events: list[dict[str, Any]] = []
    recording = Recording(events.append)
    recording.view.hide(['to"ken'])
    asked = Request(99.0, b'{"a": "to\\"ken"}', b'{"to\\"ken": 1}', b'\xff to"ken')
    recording.view.log("f", "INFO", 'it is to"ken')
    recording.view.message("a", "t", "b", b'\xff to"ken', "delivered")
    recording.view.invocation(
        "t", "f", "1", "handled", 1.0, error={"errorMessage": 'to"ken'}, request=asked
    )

    assert "ken" not in json.dumps(recording.tape).replace('"tokens"', "")
    assert HIDDEN in recording.tape[0]["message"]
    assert b"\xff " + HIDDEN.encode() == base64.b64decode(recording.tape[1]["payload"])
    assert 'it is to"ken' == events[1]["message"]  # the screen of the owner shows it


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (b"hunter2", "it is hunter2"),
        (b'{"wifi": {"passwords": ["hunter2", 5]}}', "it is hunter2"),
        (b"\xff\x00\x01", "it is /wAB"),
    ],
)
def test_the_value_of_a_secret_is_hidden_and_so_are_its_parts(secret, told):
    recording = Recording()
    recording.view.hide_secret(secret)
    recording.view.hide_secret(secret)
    recording.view.log("f", "INFO", told)
    recording.view.message("a", "t", "b", b"5 " + secret, "delivered")

    assert f"it is {HIDDEN}" == recording.tape[0]["message"]
    assert "hunter2" not in json.dumps(recording.tape)


def test_what_is_too_short_to_be_a_secret_is_not_hidden():
    recording = Recording()
    recording.view.hide(["", "abc"])
    recording.view.log("f", "INFO", "abcabc")

    assert "abcabc" == recording.tape[0]["message"]

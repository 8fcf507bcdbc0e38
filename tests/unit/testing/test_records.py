# SPDX-License-Identifier: Apache-2.0
"""What a test asks for, and how it shows itself."""

from __future__ import annotations

import pytest

from greengrass_sdk.testing import Delivery, FunctionFailure, LogRecord, Message, Messages


def message(subject="t", payload=b"{}", **more):
    return Message(subject, "f", payload, **more)


def test_a_message_shows_what_became_of_it():
    got = Delivery("cloud", "delivered", "", "row-1")
    lost = Delivery("g", "dropped", "queue full", "row-2")
    both = message(deliveries=[got, lost])
    assert ("delivered", ("cloud",), "queue full") == (both.outcome, both.targets, both.reason)
    assert "f: t {}: delivered to cloud; dropped to g (queue full)" == both.describe()
    assert "Message('t' from 'f', {}, -> cloud)" == repr(both)
    assert "Delivery('g', dropped, queue full)" == repr(lost)
    nobody = message(nearest="nearest is x")
    assert ("dropped", "no subscription matches") == (nobody.outcome, nobody.reason)
    assert "f: t {}: dropped: no subscription matches; nearest is x" == nobody.describe()


def test_a_payload_is_bytes_text_and_json():
    one = message(payload=b'{"a": "\xc3\xa9"}')
    assert ({"a": "é"}, '{"a": "é"}') == (one.json(), one.text)
    with pytest.raises(ValueError, match="Expecting value"):
        message(payload=b"x").json()
    assert len(repr(message(payload=bytes(10_000)))) < 1000


def test_messages_are_a_sequence_that_says_what_is_missing():
    first, second = message("a", b"1"), message("b", b"2")
    both = Messages([first, second], lambda: "nothing else")
    assert (2, first, second) == (len(both), both[0], both[-1])
    assert [first, second] == both
    assert both == Messages([first, second], str)
    assert [second] == both[1:]
    assert both != 1
    assert ([b"1", b"2"], [1, 2]) == (both.payloads, both.json())
    with pytest.raises(AssertionError, match="one message was expected, there are 2"):
        both.one()
    none = Messages([], lambda: "what came: x")
    assert "<no messages: what came: x>" == repr(none)
    assert [] == none
    with pytest.raises(IndexError, match="message 0 was asked for, there are 0: what came: x"):
        none[0]


def test_log_records_and_failures_show_themselves():
    record = LogRecord("INFO", "hello", "app.py:3", 0.0)
    assert "[INFO]-app.py:3,hello" == record.describe()
    assert "LogRecord(INFO app.py:3: 'hello')" == repr(record)
    failure = FunctionFailure("f", "handled", "Traceback\nValueError: x", trigger="t")
    assert "FunctionFailure('f', handled, 'ValueError: x')" == repr(failure)
    assert "function 'f' (handled on t):\nTraceback\nValueError: x" == failure.describe()


def test_a_payload_that_is_no_json_is_shown():
    with pytest.raises(ValueError, match="Expecting value") as caught:
        Message("t", "f", b"hello").json()
    assert ["the message on 't' is no JSON, it is: hello"] == caught.value.__notes__

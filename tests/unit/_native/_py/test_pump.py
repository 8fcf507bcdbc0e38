# SPDX-License-Identifier: Apache-2.0
"""Frames by callback."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import pytest
from fake_core import FakeCore, echo

from greengrass_sdk._native import Kind
from greengrass_sdk.errors import CoreUnavailableError

LARGE = bytes(4_000_000)


@pytest.fixture
def core():
    with FakeCore() as core:
        yield core


def silent(_frame):
    return None


def submit(channel, payload, callback):
    return channel.submit(Kind.INVOKE, 0, 0, b"f", b"", payload, callback)


def test_the_answer_is_given_to_the_callback_on_another_thread(core):
    answers: SimpleQueue[Any] = SimpleQueue()
    submit(
        core.channel,
        b"ping",
        lambda answer: answers.put((answer.payload, threading.get_ident())),
    )
    payload, thread = answers.get(timeout=10)
    assert b"ping" == payload
    assert thread != threading.get_ident()


def test_many_are_under_way_at_once(core):
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(200):
        submit(core.channel, b"%d" % number, answers.put)
    got = {answers.get(timeout=10).payload for _ in range(200)}
    assert {b"%d" % number for number in range(200)} == got


def test_a_pump_that_sleeps_is_woken_by_the_next_call(core):
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(200):
        submit(core.channel, b"%d" % number, answers.put)
        assert b"%d" % number == answers.get(timeout=10).payload


def test_callbacks_and_blocking_calls_share_the_connection(core):
    answers: SimpleQueue[Any] = SimpleQueue()
    for number in range(50):
        submit(core.channel, b"%d" % number, answers.put)
        payload = b"blocking %d" % number
        answer = core.channel.call(Kind.INVOKE, topic=b"f", payload=payload, timeout_s=10)
        assert payload == answer.payload
    assert 50 == len({answers.get(timeout=10).payload for _ in range(50)})


def test_a_large_frame_does_not_block_who_submits_it():
    with FakeCore(reading=False) as core:
        answers: SimpleQueue[Any] = SimpleQueue()
        submit(core.channel, LARGE, answers.put)
        core.read()
        assert LARGE == answers.get(timeout=10).payload


def test_a_post_that_is_taken_at_once_needs_no_callback(core):
    assert core.channel.post(Kind.PUBLISH, 0, 0, 0, b"t", b"", b"x", None)
    assert b"x" == core.wait(1)[0].payload


def test_a_post_that_is_not_taken_at_once_is_reported_when_it_is():
    with FakeCore(reading=False) as core:
        written: SimpleQueue[Any] = SimpleQueue()
        payload = bytearray(LARGE)
        assert not core.channel.post(Kind.PUBLISH, 0, 0, 0, b"t", b"", payload, written.put)
        payload[:] = b"x" * len(payload)
        core.read()
        assert written.get(timeout=10) is None
        assert LARGE == core.wait(1)[0].payload


def test_a_post_that_never_will_be_taken_is_reported():
    with FakeCore(reading=False) as core:
        written: SimpleQueue[Any] = SimpleQueue()
        core.channel.post(Kind.PUBLISH, 0, 0, 0, b"t", b"", LARGE, written.put)
        core.hang_up()
        assert isinstance(written.get(timeout=10), CoreUnavailableError)


def test_a_cancelled_number_gets_no_callback():
    with FakeCore(silent) as core:
        answers: SimpleQueue[Any] = SimpleQueue()
        number = submit(core.channel, b"never", answers.put)
        core.wait(1)
        core.channel.cancel(number)
        core.script = echo
        submit(core.channel, b"next", answers.put)
        assert b"next" == answers.get(timeout=10).payload
        assert answers.empty()


def test_the_end_is_told_to_everybody_who_waits():
    with FakeCore(silent) as core:
        told: SimpleQueue[Any] = SimpleQueue()
        submit(core.channel, b"", told.put)
        core.channel.take(told.put)
        core.wait(1)
        core.hang_up()
        assert [CoreUnavailableError] * 2 == [type(told.get(timeout=10)) for _ in range(2)]
        with pytest.raises(CoreUnavailableError):
            submit(core.channel, b"", told.put)
        with pytest.raises(CoreUnavailableError):
            core.channel.take(told.put)


def test_close_is_told_to_everybody_who_waits():
    with FakeCore(silent) as core:
        told: SimpleQueue[Any] = SimpleQueue()
        submit(core.channel, b"", told.put)
        core.channel.close()
        assert isinstance(told.get(timeout=10), CoreUnavailableError)


def test_a_pump_that_sleeps_notices_the_end(core):
    told: SimpleQueue[Any] = SimpleQueue()
    submit(core.channel, b"", told.put)
    told.get(timeout=10)
    pump = [thread for thread in threading.enumerate() if thread.name == "greengrass-pump"]
    core.channel.close()
    for thread in pump:
        thread.join(10)
        assert not thread.is_alive()


def test_take_gives_the_next_message_and_untake_returns_it(core):
    taken: SimpleQueue[Any] = SimpleQueue()
    core.channel.take(taken.put)
    core.message("t", b"1")
    frame = taken.get(timeout=10)
    core.message("t", b"2")
    core.channel.untake(frame)
    assert [b"1", b"2"] == [core.channel.receive(10).payload for _ in range(2)]


def test_a_message_that_is_there_already_is_taken(core):
    core.message("t", b"1")
    core.channel.call(Kind.INVOKE, topic=b"f")
    taken: SimpleQueue[Any] = SimpleQueue()
    core.channel.take(taken.put)
    assert b"1" == taken.get(timeout=10).payload


def test_a_cancelled_take_leaves_the_message(core):
    number = core.channel.take(lambda _frame: pytest.fail("was cancelled"))
    core.channel.cancel(number)
    core.message("t", b"1")
    assert b"1" == core.channel.receive(10).payload


def test_a_callback_that_raises_is_shown_and_the_next_is_made(core, monkeypatch):
    shown: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    answers: SimpleQueue[Any] = SimpleQueue()
    submit(core.channel, b"", lambda _answer: 1 / 0)
    submit(core.channel, b"next", answers.put)
    assert b"next" == answers.get(timeout=10).payload
    assert [ZeroDivisionError] == [arguments.exc_type for arguments in shown]

# SPDX-License-Identifier: Apache-2.0
"""Frames between a function and its core."""

from __future__ import annotations

from typing import Any

import pytest

from greengrass_sdk import CoreUnavailableError, RequestTimeoutError
from greengrass_sdk._native import Frame, Kind
from greengrass_sdk.testing.channel import FakeChannel

Got = list[Any]


class Script:
    """A core that keeps what it gets and answers by a function."""

    def __init__(self, answer=None) -> None:
        self.frames: list[Frame] = []
        self.answer = answer
        self.channel = FakeChannel(self, 7)

    def receive(self, peer, frame) -> None:
        assert peer == self.channel.peer
        self.frames.append(frame)
        if self.answer is not None:
            self.channel.deliver(self.answer(frame))

    def wake(self, task) -> None:
        raise AssertionError(task)

    def drive(self, until, timeout_s) -> None:
        pass


def result(frame):
    return Frame(Kind.RESULT, 0, frame.endpoint, frame.id, b"", b"", frame.payload[::-1])


def message(payload):
    return Frame(Kind.MESSAGE, 0, 1, 0, b"t", b"", payload)


def test_a_call_returns_its_answer():
    core = Script(result)
    assert b"cba" == core.channel.call(Kind.INVOKE, payload=memoryview(b"abc")).payload
    assert b"abc" == core.frames[0].payload
    got: list[Any] = []
    core.channel.submit(Kind.INVOKE, 0, 1, b"", b"", b"ab", got.append)
    assert [b"ba"] == [frame.payload for frame in got]


def test_numbers_are_not_shared_between_channels():
    first, second = Script(), Script()
    assert first.channel.begin(Kind.INVOKE) != second.channel.begin(Kind.INVOKE)


def test_a_call_without_an_answer_times_out():
    core = Script()
    with pytest.raises(RequestTimeoutError, match="within 2 s"):
        core.channel.call(Kind.INVOKE, timeout_s=2)
    with pytest.raises(KeyError):
        core.channel.finish(1234567)


def test_a_cancelled_call_is_forgotten():
    core, got = Script(), Got()
    number = core.channel.submit(Kind.INVOKE, 0, 1, b"", b"", b"", got.append)
    core.channel.cancel(number)
    core.channel.deliver(result(core.frames[0]))
    assert [] == got


def test_messages_are_received_in_order_and_in_batches():
    channel = Script().channel
    for payload in (b"1", b"22", b"333"):
        channel.deliver(message(payload))
    first = channel.receive()
    assert first is not None
    assert b"1" == first.payload
    channel.untake(first)
    assert [b"1", b"22"] == [frame.payload for frame in channel.receive_batch(3)]
    assert [b"333"] == [frame.payload for frame in channel.receive_batch(1)]
    assert channel.receive(0.0) is None
    assert [] == channel.receive_batch(10, 0.0)


def test_a_taker_gets_the_next_message():
    channel, got = Script().channel, Got()
    channel.deliver(message(b"1"))
    channel.take(got.append)
    channel.take(got.append)
    channel.deliver(message(b"2"))
    assert [b"1", b"2"] == [frame.payload for frame in got]


def test_nothing_is_published_the_short_way_and_there_is_no_descriptor():
    core = Script()
    assert not hasattr(core.channel, "publish")
    assert core.channel.post(Kind.PUBLISH, 0, 1, 0, b"t", b"", b"", lambda _: None)
    assert [b"t"] == [frame.topic for frame in core.frames]
    with pytest.raises(CoreUnavailableError, match="no file descriptor"):
        core.channel.fileno()


def test_a_closed_channel_says_so():
    core, got = Script(), Got()
    core.channel.submit(Kind.INVOKE, 0, 1, b"", b"", b"", got.append)
    core.channel.take(got.append)
    core.channel.close()
    core.channel.close()
    assert [CoreUnavailableError] * 2 == [type(error) for error in got]
    for call in (core.channel.receive, lambda: core.channel.take(got.append)):
        with pytest.raises(CoreUnavailableError):
            call()
    with pytest.raises(CoreUnavailableError):
        core.channel.send(Kind.PUBLISH)

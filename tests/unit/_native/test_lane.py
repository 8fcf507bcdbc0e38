# SPDX-License-Identifier: Apache-2.0
"""The short way: what it does, and that it does nothing at all where it says so."""

from __future__ import annotations

import gc
import sys
from collections import deque
from typing import Any

import pytest

pytest.importorskip("greengrass_sdk._native._fast", reason="the companion is not built")

from greengrass_sdk import _native
from greengrass_sdk._native import Frame, Kind, _lane, _port, _ring
from greengrass_sdk.client.results import Message

LIMITS = (7, 256, 1000)  # endpoint, bytes of a topic, bytes of a payload


@pytest.fixture
def ends():
    core, channel = _ring.pair()
    yield core, channel
    channel.close()
    core.close()


@pytest.fixture
def core(ends):
    return ends[0]


@pytest.fixture
def lane(ends):
    return ends[1]._lane


def arrived(core):
    frames, _ = core.receive()
    found = list(frames)
    frames.clear()
    return found


# --- sending


@pytest.mark.parametrize(
    "payload", [b"payload", bytearray(b"payload"), memoryview(b"payload"), b"", bytes(20_000)]
)
def test_a_frame_is_sent_as_it_is(core, lane, payload):
    assert lane.send(Kind.RESULT, 1, 2**32 - 1, 2**64 - 1, b"topic", b"context", payload)
    expected = Frame(Kind.RESULT, 1, 2**32 - 1, 2**64 - 1, b"topic", b"context", bytes(payload))
    assert [expected] == arrived(core)


@pytest.mark.parametrize(
    "fields",
    [
        (300, 0, 0, 0, b"", b"", b""),
        (-1, 0, 0, 0, b"", b"", b""),
        (Kind.PUBLISH, 256, 0, 0, b"", b"", b""),
        (Kind.PUBLISH, 0, 2**32, 0, b"", b"", b""),
        (Kind.PUBLISH, 0, 0, 2**64, b"", b"", b""),
        (Kind.PUBLISH, 0, 0, 1.0, b"", b"", b""),
        (Kind.PUBLISH, 0, 0, 0, b"x" * 513, b"", b""),
        (Kind.PUBLISH, 0, 0, 0, b"", bytes(65537), b""),
        (Kind.PUBLISH, 0, 0, 0, "text", b"", b""),
        (Kind.PUBLISH, 0, 0, 0, b"", b"", "text"),
        (Kind.PUBLISH, 0, 0, 0, b"", b"", None),
        (Kind.PUBLISH, 0, 0, 0, b"", b"", memoryview(b"gaps")[::2]),
        (Kind.PUBLISH, 0, 0, 0, b"", b"", bytes(6 * 1024 * 1024 + 1)),
    ],
)
def test_a_frame_that_cannot_be_sent_is_not_sent(core, lane, fields):
    assert not lane.send(*fields)
    assert [] == arrived(core)


def test_what_waits_goes_first(core, ends):
    lane, link = ends[1]._lane, ends[1]._exchange.link()
    link.outgoing.append(_port.OutgoingFrame(Kind.PUBLISH, 0, 0, 1, b"", b"", b""))
    assert not lane.send(Kind.PUBLISH, 0, 0, 2, b"", b"", b"")
    assert not lane.publish("t", b"", *LIMITS)
    link.flush()
    assert lane.send(Kind.PUBLISH, 0, 0, 3, b"", b"", b"")
    assert [1, 3] == [frame.id for frame in arrived(core)]


def test_a_full_ring_takes_nothing(core, lane):
    count = 0
    while lane.send(Kind.PUBLISH, 0, 0, 0, b"", b"", bytes(1000)):
        count += 1
    assert count == 64  # of 1 KiB, in the smallest ring
    assert count == len(arrived(core))


def test_a_closed_lane_does_nothing(lane):
    lane.close()
    assert not lane.send(Kind.PUBLISH, 0, 0, 0, b"t", b"", b"")
    assert not lane.publish("t", b"", *LIMITS)
    assert not lane.take(deque())


def test_without_a_companion_all_goes_the_long_way(core, monkeypatch):
    monkeypatch.setattr(_lane, "_FastLane", None)
    other, channel = _ring.pair()
    lane = channel._lane
    assert not lane.send(Kind.PUBLISH, 0, 0, 0, b"t", b"", b"")
    assert not lane.publish("t", b"", *LIMITS)
    assert not lane.answer(0, 1, 2, b"", True)
    assert not lane.take(deque())
    channel.send(Kind.PUBLISH, topic=b"t")
    assert [b"t"] == [frame.topic for frame in arrived(other)]
    channel.close()
    other.close()


# --- publishing


@pytest.mark.parametrize(
    ("topic", "payload"),
    [("a/b", b"1"), ("ü", "ü"), ("t", bytearray(b"1")), ("t" * 256, bytes(1000)), ("t", "")],
)
def test_text_and_buffers_are_published(core, lane, topic, payload):
    assert lane.publish(topic, payload, *LIMITS)
    raw = payload.encode() if isinstance(payload, str) else bytes(payload)
    expected = Frame(Kind.PUBLISH, endpoint=7, topic=topic.encode(), payload=raw)
    assert [expected] == arrived(core)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("", b""),
        ("t" * 257, b""),
        ("a/+", b""),
        ("a/#", b""),
        ("a\0b", b""),
        ("\ud800", b""),
        (b"t", b""),
        (None, b""),
        ("t", bytes(1001)),
        ("t", {}),
        ("t", 1),
        ("t", None),
        ("t", "\ud800"),
    ],
)
def test_what_has_rules_of_its_own_is_not_published(core, lane, topic, payload):
    assert not lane.publish(topic, payload, *LIMITS)
    assert [] == arrived(core)


# --- receiving


def deliver(core, *frames):
    for frame in frames:
        core.send(_port.OutgoingFrame(*frame.as_tuple()))


def test_frames_are_taken_up_to_a_large_one(core, lane):
    small = [
        Frame(Kind.MESSAGE, 0, 1, 2**64 - 1, b"same", b"", b"payload"),
        Frame(Kind.MESSAGE, 0, 1, 0, b"same", b"context", b""),
        Frame(Kind.INVOKE, 1, 1, 300, b"other", b"", b"x"),
    ]
    deliver(core, *small, Frame(Kind.MESSAGE, payload=bytes(200_000)), small[0])
    frames: deque[Frame] = deque()
    assert lane.take(frames)
    assert small == list(frames)
    assert frames[0].topic is frames[1].topic
    assert not lane.take(frames)


def test_no_reference_is_lost_or_kept(core, lane):
    topic, payload, frames = b"a topic of its own", bytes(100), deque[Frame]()
    text = "a text of its own"
    gc.collect()  # frames of other tests refer to their class
    before = [sys.getrefcount(one) for one in (topic, payload, text, frames, Frame)]
    count = len(gc.get_objects())
    for number in range(1000):
        lane.send(Kind.PUBLISH, 0, 7, number, topic, payload, payload)
        lane.publish(text, payload, *LIMITS)
        lane.publish(text, None, *LIMITS)
        arrived(core)
        deliver(core, Frame(Kind.MESSAGE, 0, 7, 10**9 + number, topic, b"", payload))
        assert lane.take(frames)
        frames.clear()
    gc.collect()
    after = [sys.getrefcount(one) for one in (topic, payload, text, frames, Frame)]
    # Others hold a few, too, and more or fewer of them; a leak would be a thousand.
    assert all(abs(now - then) < 10 for then, now in zip(before, after, strict=True))
    assert abs(len(gc.get_objects()) - count) < 50


def test_a_lane_needs_a_class_with_slots():
    core, channel = _ring.pair()
    make: Any = _lane._FastLane
    lane: Any = channel._lane
    with pytest.raises(TypeError, match="a class"):
        make(0, (0, 0, 0, 0), owner=None, frame=7, outgoing=[])
    with pytest.raises(AttributeError):
        make(0, (0, 0, 0, 0), owner=None, frame=Message, outgoing=[])
    with pytest.raises(TypeError):
        lane.send()
    with pytest.raises(TypeError):
        lane.publish()
    channel.close()
    core.close()


# --- messages


@pytest.mark.parametrize("impl", sorted({_native.impl, "python"}))
def test_messages_are_read_from_frames(monkeypatch, impl):
    monkeypatch.setattr(_native, "impl", impl)
    read = _native.message_reader(Message)
    topic = b"t"
    frames = [
        Frame(Kind.MESSAGE, topic=topic, payload=b"1"),
        Frame(Kind.CONTROL, topic=topic),
        Frame(Kind.MESSAGE, topic=topic, payload=b"2"),
        Frame(Kind.MESSAGE, topic=b"\xff"),
    ]
    assert [Message("t", b"1"), Message("t", b"2"), Message("\ufffd", b"")] == read(frames)
    assert [] == read([])
    before = sys.getrefcount(topic)
    for _ in range(100):
        read(frames)
    assert before == sys.getrefcount(topic)


def test_what_is_no_list_of_frames_is_refused(monkeypatch):
    monkeypatch.setattr(_native, "impl", "c")
    read = _native.message_reader(Message)
    broken = Frame(Kind.MESSAGE)
    broken.topic = "text"  # type: ignore[assignment]
    for wrong in (7, [7], [broken]):
        with pytest.raises((TypeError, SystemError)):
            read(wrong)  # type: ignore[arg-type]
    del broken.payload
    broken.topic = b""
    with pytest.raises(AttributeError):
        read([broken])

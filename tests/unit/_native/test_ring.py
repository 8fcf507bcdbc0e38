# SPDX-License-Identifier: Apache-2.0
"""
The channel over rings: all that holds for streams, and what is different.

The tests of `_py/test_channel.py` run here once more with the other transport. Left out is what
is about bytes that a socket took in parts.
"""

from __future__ import annotations

import importlib.util
import os
import select
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("greengrass_sdk._native._lib", reason="the C extension is not built")

from interrupts import places, raise_interrupted, run
from ring_core import RING_BYTES, RingCore

from greengrass_sdk._native import Frame, Kind, _lane, _port, _ring
from greengrass_sdk._native._lib import lib
from greengrass_sdk._native._py import channel as channel_module, exchange
from greengrass_sdk.errors import (
    CoreUnavailableError,
    LimitExceededError,
    LocalProtocolError,
    RequestTimeoutError,
)

if TYPE_CHECKING:
    from types import ModuleType

LARGE = 6 * 1024 * 1024
OF_STREAMS = {
    "test_a_frame_above_the_bound_ends_the_connection": "a ring bounds frames by its size",
    "test_close_wakes_a_blocked_sender": "one large message does not fill a ring; below",
    "test_a_sender_gives_up_in_time_and_the_next_frame_still_arrives_whole": "the same; below",
    "test_a_large_send_may_be_interrupted_anywhere": "the same; below",
    "test_a_frame_of_which_nothing_was_taken_is_taken_back": "the same; below",
}


def _of_streams() -> ModuleType:
    path = Path(__file__).parent / "_py" / "test_channel.py"
    spec = importlib.util.spec_from_file_location("channel_tests_over_rings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.FakeCore = RingCore  # type: ignore[attr-defined]
    module.MODULES = [channel_module, exchange, _lane, _ring, _port]  # type: ignore[attr-defined]
    return module


streams = _of_streams()
globals().update(
    (name, value)
    for name, value in vars(streams).items()
    if name.startswith("test_") and name not in OF_STREAMS
)


@pytest.fixture(autouse=True, params=["fast", "long"])
def lane(request, monkeypatch):
    """Let it all pass with and without the companion of the extension."""
    if request.param == "long":
        monkeypatch.setattr(_lane, "_FastLane", None)
    elif _lane._FastLane is None:
        pytest.skip("the companion is not built")
    return request.param


@pytest.fixture
def core():
    with RingCore() as core:
        yield core


def test_what_is_left_out_exists():
    assert set(OF_STREAMS) <= set(vars(streams))


def fill(channel, size=1000):
    """Publish until the ring is full; return how many frames went in."""
    count = 0
    while True:
        try:
            channel.send(Kind.PUBLISH, id=count, payload=bytes(size), timeout_s=0)
        except RequestTimeoutError:
            return count
        count += 1


def test_an_answer_that_is_there_is_taken_without_waiting(monkeypatch, lane):
    ours, channel = _ring.pair()
    waits = []
    wait = _ring.RingLink.wait

    def counted(*arguments, **options):
        waits.append(arguments)
        wait(*arguments, **options)

    monkeypatch.setattr(_ring.RingLink, "wait", counted)
    number = channel.begin(Kind.INVOKE, topic=b"f")
    ours.send(_port.OutgoingFrame(Kind.RESULT, 0, 0, number, b"", b"", b"out"))
    assert b"out" == channel.finish(number).payload
    assert {"fast": 0, "long": 1}[lane] == len(waits)
    channel.close()
    ours.close()


# --- a full ring


def test_a_sender_gives_up_in_time_and_its_frame_is_taken_back():
    with RingCore(reading=False) as core:
        count = fill(core.channel)
        assert count == RING_BYTES // 1024
        with pytest.raises(RequestTimeoutError, match=r"did not read within 0\.01 s"):
            core.channel.send(Kind.PUBLISH, payload=bytes(1000), timeout_s=0.01)
        core.read()
        core.channel.send(Kind.PUBLISH, topic=b"last")
        assert [*range(count), 0] == [frame.id for frame in core.wait(count + 1)]


def test_close_wakes_a_blocked_sender():
    with RingCore(reading=False) as core:
        fill(core.channel)
        blocked = Event()

        def send(_number):
            blocked.set()
            with pytest.raises(CoreUnavailableError):
                core.channel.send(Kind.PUBLISH, payload=bytes(1000))

        def close(_number):
            blocked.wait()
            core.channel.close()

        streams.in_threads(2, lambda number: send(0) if number else close(0))


@pytest.mark.parametrize("size", [1000, 60_000, 200_000])
def test_memory_stays_while_others_are_in_a_send(size):
    """A thread that is in C without the GIL looks at memory that close gives back."""
    for _ in range(100):
        core, channel = _ring.pair()

        def send(channel=channel):
            with suppress(CoreUnavailableError):
                while True:
                    channel.send(Kind.PUBLISH, payload=bytes(size))

        senders = [Thread(target=send) for _ in range(2)]
        for sender in senders:
            sender.start()
        os.sched_yield()
        core.receive()
        channel.close()
        for sender in senders:
            sender.join()
        core.close()


def test_a_send_into_a_full_ring_may_be_interrupted_anywhere():
    for at in places():
        with RingCore(reading=False) as core:
            channel = core.channel
            count = fill(channel, 20_000)

            def read_once_it_waits(channel=channel, core=core):
                while channel._exchange.writing.holder is None and not core._may_read.is_set():
                    os.sched_yield()
                core.read()

            action = partial(channel.send, Kind.PUBLISH, topic=b"t", payload=bytes(100_000))
            other = Thread(target=read_once_it_waits)
            other.start()
            where = run(streams.MODULES, action, raise_interrupted, at=at)
            core.read()
            other.join()
            streams.check_that_it_works(channel, core)
            sent = [frame.topic for frame in core.frames[count:]]
            assert sent in ([b"t", b"f"], [b"f"])
            if where is None:
                break
    assert at >= streams.PLACES


def test_a_frame_that_was_posted_keeps_its_place_before_later_ones():
    with RingCore(reading=False) as core:
        count = fill(core.channel)
        written = Event()
        payload = bytearray(b"posted")
        assert not core.channel.post(
            Kind.PUBLISH, 0, 0, 1, b"first", b"", payload, lambda _: written.set()
        )
        payload[:] = b"change"  # the caller's memory is the caller's again
        core.read()
        core.channel.send(Kind.PUBLISH, topic=b"second")
        assert written.wait(10)
        frames = core.wait(count + 2)[-2:]
        assert [(b"first", b"posted"), (b"second", b"")] == [
            (frame.topic, frame.payload) for frame in frames
        ]


# --- large messages


@pytest.mark.parametrize("size", [RING_BYTES // 2 - 24, RING_BYTES // 2 - 23, LARGE])
def test_a_payload_of_any_size_keeps_its_place(core, size):
    payload = os.urandom(size)
    core.channel.send(Kind.PUBLISH, id=1)
    core.channel.send(Kind.PUBLISH, id=2, payload=payload)
    core.channel.send(Kind.PUBLISH, id=3)
    frames = core.wait(3)
    assert [1, 2, 3] == [frame.id for frame in frames]
    assert payload == frames[1].payload


def test_more_large_messages_than_may_be_under_way_wait_their_turn():
    with RingCore(reading=False) as core:
        for number in range(8):
            core.channel.send(Kind.PUBLISH, id=number, payload=bytes(200_000))
        with pytest.raises(RequestTimeoutError):
            core.channel.send(Kind.PUBLISH, id=8, payload=bytes(200_000), timeout_s=0.01)
        core.read()
        core.channel.send(Kind.PUBLISH, id=9, payload=bytes(200_000))
        assert [*range(8), 9] == [frame.id for frame in core.wait(9)]


def test_a_payload_above_the_limit_is_refused(core):
    with pytest.raises(LimitExceededError, match="6291457"):
        core.channel.send(Kind.PUBLISH, payload=bytes(LARGE + 1))


def test_no_descriptor_of_a_large_message_is_left(core):
    core.channel.call(Kind.INVOKE, topic=b"f", payload=bytes(LARGE))
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(20):
        core.channel.call(Kind.INVOKE, topic=b"f", payload=bytes(200_000))
    # The core's thread may not have closed its last one yet.
    assert len([*Path("/proc/self/fd").iterdir()]) < before + 5


def test_a_reference_without_its_descriptor_ends_the_connection(core):
    core.sock.setblocking(False)
    handle = core._port.handle
    assert 0 == lib.gg_port_send(handle, 2, 0, 0, 0, b"", 0, b"", 0, bytes(200_000), 200_000, 0)
    core.theirs.recv(100)  # takes the descriptor away
    with pytest.raises(CoreUnavailableError, match="not sealed, not of its size, or not there"):
        core.channel.receive(5)


# --- the socket


def test_control_frames_of_the_socket_are_received(core):
    core.send_on_the_socket(Frame(Kind.CONTROL, id=4711, payload=b"request"))
    frame = core.channel.receive(5)
    assert frame is not None
    assert b"request" == frame.payload


def test_the_descriptor_to_poll_tells_of_every_message(core):
    fd = core.channel.fileno()
    for number in range(3):
        assert ([], [], []) == select.select([fd], [], [], 0)
        core.message("t", b"%d" % number)
        assert [fd] == select.select([fd], [], [], 5)[0]
        frame = core.channel.receive(0)
        assert frame is not None
        assert b"%d" % number == frame.payload
        assert core.channel.receive(0) is None


def test_a_core_that_breaks_the_ring_ends_the_connection(core):
    core.message("t", b"good")
    frame = core.channel.receive(5)
    assert frame is not None
    # A frame of which the core committed no more than the header's length says.
    memory = core._port.memory  # up, as the core sees it; the worker's own ring lies beside it
    assert len(memory) == 2 * RING_BYTES
    lib.gg_port_send(core._port.handle, 2, 0, 0, 0, b"", 0, b"", 0, b"x" * 10, 10, 0)
    channel_memory = core.channel._exchange.link().port.memory
    at = bytes(channel_memory).rindex(b"x" * 10)
    channel_memory[at - 20 : at - 19] = b"\x00"  # kind
    with pytest.raises(CoreUnavailableError, match="kind of the frame is unknown"):
        core.channel.receive(5)


def test_fields_that_c_cannot_take_are_refused_in_words(core):
    with pytest.raises(LocalProtocolError):
        core.channel.send(300)
    with pytest.raises(LocalProtocolError):
        core.channel.send(Kind.PUBLISH, id=-1)


@pytest.mark.parametrize("spin_ns", [0, 50_000])
def test_calls_are_answered_whether_they_spin_or_sleep(spin_ns):
    with RingCore(spin_ns=spin_ns) as core:
        for number in range(200):
            payload = b"%d" % number
            assert payload == core.channel.call(Kind.INVOKE, topic=b"f", payload=payload).payload


# --- whether to spin


def test_a_quota_on_processor_time_forbids_to_spin(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (tmp_path / "a" / "b").mkdir(parents=True)
    mine = tmp_path / "cgroup"
    mine.write_text("1:name=old:/x\n0::/a/b\n")
    assert _ring.may_spin(str(mine), str(tmp_path))
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert _ring.may_spin(str(mine), str(tmp_path))
    (tmp_path / "a" / "cpu.max").write_text("50000 100000\n")
    assert not _ring.may_spin(str(mine), str(tmp_path))
    assert _ring.may_spin(str(tmp_path / "none"), str(tmp_path))


def test_one_processor_forbids_to_spin(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert not _ring.may_spin()

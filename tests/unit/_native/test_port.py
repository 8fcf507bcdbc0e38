# SPDX-License-Identifier: Apache-2.0
"""Two ends of shared memory in one process, against a model: a deque each way."""

from __future__ import annotations

import os
import socket
import tempfile
from collections import deque
from contextlib import contextmanager

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("greengrass_sdk._native._lib", reason="the C extension is not built")

from greengrass_sdk._native import MAX_FRAME, Frame, Kind
from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._port import OutgoingFrame, Port, create, failure
from greengrass_sdk.errors import (
    CoreUnavailableError,
    LimitExceededError,
    LocalProtocolError,
    NativeError,
    RemoteProtocolError,
)

CAPACITY = 65536
IN_FLIGHT = 8


@contextmanager
def pair():
    """Return the ends of the core and of a worker."""
    sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for sock in sockets:
        sock.setblocking(False)
    event = ffi.new("int *")
    assert lib.GG_OK == lib.gg_event_create(event)
    segment, fd = create(CAPACITY, CAPACITY)
    core = Port(sockets[0], segment, side=lib.GG_SIDE_CORE, event=-1, max_frame=MAX_FRAME)
    worker = Port(sockets[1], fd, side=lib.GG_SIDE_WORKER, event=event[0], max_frame=MAX_FRAME)
    try:
        yield core, worker
    finally:
        core.close()
        worker.close()


def put(port, *fields):
    return port.send(OutgoingFrame(*fields))


class Taker:
    """A lane that takes what C would give it."""

    def __init__(self, *frames, work):
        self.frames, self.work = frames, work

    def take(self, ready, batch=None):
        (batch if self.work else ready).extend(self.frames)
        return bool(self.frames)


def test_work_goes_past_what_was_received_and_nothing_else_does():
    item = Frame(Kind.MESSAGE, 0, 0, 1)
    with pair() as (_, worker):
        batch: list[Frame] = []
        assert not worker.take_work(Taker(work=True), batch)
        assert not worker.take_work(Taker(item, item, work=False), batch)
        assert not worker.take_work(Taker(item, work=True), batch)  # those come first
        assert [] == batch
        received, _ = worker.receive()
        assert [item, item] == list(received)
        received.clear()
        assert worker.take_work(Taker(item, work=True), batch)
        assert [item] == batch


# --- the model

SIZES = st.one_of(
    st.integers(0, 200),
    st.integers(CAPACITY // 2 - 64, CAPACITY // 2 + 8),  # the last in the ring, the first large one
    st.integers(30_000, 100_000),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["up", "down"]), SIZES), st.sampled_from(["core", "worker"])
    ),
    max_size=60,
)


class Model:
    """What one direction holds; a bulk message takes its reference's place in the ring."""

    def __init__(self):
        self.frames: deque[Frame] = deque()
        self.used: deque[int] = deque()
        self.large = 0

    def takes(self, frame):
        size = 24 + len(frame.topic) + len(frame.context) + len(frame.payload)
        is_large = size > CAPACITY // 2
        if is_large:
            size = 24 + len(frame.topic) + len(frame.context) + 8
        room = CAPACITY - sum(self.used)
        # To send a large one takes half a ring of room where it is not known how much is needed.
        fits = size <= room and (not is_large or self.large < IN_FLIGHT)
        maybe = fits and is_large and room < CAPACITY // 2
        return fits, maybe, size, is_large

    def put(self, frame, size, *, is_large):
        self.frames.append(frame)
        self.used.append(size)
        self.large += is_large

    def take_all(self, frames):
        assert frames == [self.frames.popleft() for _ in frames]
        assert not self.frames
        self.used.clear()
        self.large = 0


@given(STEPS)
def test_frames_come_out_as_they_went_in_in_order(steps):
    with pair() as (core, worker):
        ends = {"up": (worker, core), "down": (core, worker)}
        models = {"up": Model(), "down": Model()}
        for number, step in enumerate(steps):
            if isinstance(step, tuple):
                way, size = step
                topic = b"t" * (size % 512)
                payload = bytes([number]) * size
                frame = Frame(Kind.MESSAGE, 0, number, size, topic, b"c" * (number % 9), payload)
                fits, maybe, used, is_large = models[way].takes(frame)
                status = ends[way][0].send(OutgoingFrame(*frame.as_tuple()))
                if not maybe:
                    assert status == (lib.GG_OK if fits else lib.GG_AGAIN)
                if status == lib.GG_OK:
                    models[way].put(frame, used, is_large=is_large)
            else:
                way = "up" if step == "core" else "down"
                received = []
                while True:
                    frames, ended = ends[way][1].receive()
                    assert not ended
                    if not frames:
                        break
                    received.extend(frames)
                    frames.clear()
                models[way].take_all(received)


# --- a peer that writes anything

NOISE = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 895), st.binary(min_size=1, max_size=64)),  # the control page
        st.tuples(st.integers(4096, 4096 + CAPACITY - 64), st.binary(min_size=1, max_size=64)),
        st.just("frame"),
        st.just("read"),
    ),
    max_size=40,
)


@given(NOISE)
def test_noise_in_the_segment_is_a_frame_or_a_named_error(steps):
    segment, fd = create(CAPACITY, CAPACITY)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    core = Port(ours, segment, side=lib.GG_SIDE_CORE, event=-1, max_frame=MAX_FRAME)
    try:
        for step in steps:
            if step == "frame":
                assert put(core, 2, 0, 0, 0, b"t", b"", b"payload") in {lib.GG_OK, lib.GG_AGAIN}
            elif step == "read":
                frames, _ = core.receive()
                for frame in frames:
                    assert len(frame.payload) <= CAPACITY // 2
                frames.clear()
            else:
                os.pwrite(fd, step[1], step[0])
    except RemoteProtocolError:
        pass  # found out
    finally:
        core.close()
        os.close(fd)
        theirs.close()


# --- the binding


def test_the_view_has_the_layout_that_python_reads():
    view = ffi.typeof("struct gg_port_view")
    assert [
        ("id", 0),
        ("topic", 8),
        ("context", 12),
        ("payload", 16),
        ("end", 20),
        ("endpoint", 24),
        ("bulk_size", 28),
        ("bulk_number", 32),
        ("kind", 36),
        ("flags", 37),
        ("zero", 38),
    ] == [(name, field.offset) for name, field in view.fields]
    assert 40 == ffi.sizeof("struct gg_port_view")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("GG_ECLOSED", CoreUnavailableError),
        ("GG_EFORKED", CoreUnavailableError),
        ("GG_ERING", RemoteProtocolError),
        ("GG_EKIND", RemoteProtocolError),
        ("GG_ESYSTEM", OSError),
        ("GG_EINVAL", NativeError),
    ],
)
def test_a_status_becomes_an_error_with_its_sentence(status, kind):
    error = failure("an attempt", getattr(lib, status))
    assert isinstance(error, kind)
    assert str(error).startswith("an attempt") or error.args[1].startswith("an attempt")


def test_what_is_no_segment_is_refused():
    with (
        socket.socket(socket.AF_UNIX) as sock,
        tempfile.TemporaryFile() as file,
        pytest.raises(RemoteProtocolError, match="no segment of ours"),
    ):
        Port(sock, os.dup(file.fileno()), side=0, event=-1, max_frame=MAX_FRAME)
    with pytest.raises(NativeError, match="Invalid argument"):
        create(1000, CAPACITY)


def test_a_frame_is_checked_before_it_is_sent():
    with pytest.raises(LocalProtocolError, match="kind 9 is unknown"):
        OutgoingFrame(9, 0, 0, 0, b"", b"", b"")
    with pytest.raises(LimitExceededError):
        OutgoingFrame(Kind.PUBLISH, 0, 0, 0, b"", b"", bytes(6 * 1024 * 1024 + 1))


def test_the_end_of_the_socket_is_told_after_what_was_committed():
    with pair() as (core, worker):
        put(core, Kind.MESSAGE, 0, 0, 1, b"", b"", b"last")
        core.close()
        frames, ended = worker.receive(read_socket=True)
        assert ([b"last"], False) == ([frame.payload for frame in frames], ended)
        frames.clear()
        assert worker.ended
        assert (deque(), True) == worker.receive()


def test_what_is_good_before_something_bad_is_received_first():
    with pair() as (core, worker):
        put(worker, Kind.PUBLISH, 0, 0, 1, b"", b"", b"good")
        put(worker, Kind.PUBLISH, 0, 0, 2, b"", b"", bytes(100_000))
        worker.sock.shutdown(socket.SHUT_WR)
        core.sock.recv(1000)  # its descriptor is lost
        frames, _ = core.receive()
        assert [b"good"] == [frame.payload for frame in frames]
        frames.clear()
        with pytest.raises(RemoteProtocolError, match="large message"):
            core.receive()


def test_a_closed_port_may_be_closed_again_and_sends_no_more():
    with pair() as (core, _worker):
        core.close()
        core.close()
        with pytest.raises(CoreUnavailableError):
            put(core, Kind.MESSAGE, 0, 0, 1, b"", b"", b"")

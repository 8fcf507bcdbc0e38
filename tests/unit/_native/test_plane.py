# SPDX-License-Identifier: Apache-2.0
"""The message plane over Python: what the core's thread gets of it, with workers on real rings."""

from __future__ import annotations

import os
import select
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._py.lent import Lent
from greengrass_sdk._native._py.router.events import (
    Control,
    CutOff,
    Ended,
    RetireWorker,
    Send,
    Skipped,
    Tapped,
    WorkerReady,
)
from greengrass_sdk._native._py.router.state import CORE, FunctionRules, Route
from greengrass_sdk.errors import InvalidInputError

_plane = pytest.importorskip("greengrass_sdk._native._plane", reason="the C extension is not built")
_c = pytest.importorskip("greengrass_sdk._native._c")
_ring = pytest.importorskip("greengrass_sdk._native._ring")
_lib = pytest.importorskip("greengrass_sdk._native._lib")
lib = _lib.lib

FIRST, SECOND, SERVICE = 1, 2, 3
RING_BYTES = 65536
PATIENCE_S = 20.0
LARGE = bytes(range(256)) * 400


class Scene:
    """Two functions with a worker each; the first publishes to the second and to a service."""

    def __init__(self, *, confidential=False, **options):
        bounds = {
            "work_items": 10_000,
            "topic_payload_bytes": 1_000_000,
            "invoke_payload_bytes": 1_000_000,
            **options,
        }
        self.plane = _plane.Plane(**bounds)
        rules = FunctionRules(True, 0.2, 1, 60.0, 10_000, 1 << 26)
        self.plane.define_function(FIRST, rules, [b"first"])
        self.plane.define_function(SECOND, rules._replace(confidential=confidential), [b"second"])
        self.plane.define_service(SERVICE)
        index = _c.TopicIndex()
        self.routes = [Route("to-second", SECOND), Route("to-core", SERVICE)]
        index.add(FIRST, b"second", 0)
        index.add(FIRST, b"core", 1)
        self.plane.install_routes(index, self.routes)
        self.channels = {}
        self.plane.start()
        for endpoint in (FIRST, SECOND):
            self.worker(10 + endpoint, endpoint)

    def worker(self, peer, endpoint):
        ours, theirs = socket.socketpair()
        segment, event = self.plane.connect(peer, ours, RING_BYTES)
        assert -1 == ours.fileno()
        channel = self.channels[peer] = _ring.RingChannel(theirs, segment, event)
        channel.send(Kind.READY, 0, endpoint)
        self.plane.attach_worker(peer, endpoint, monotonic())
        assert self.until(WorkerReady).peer == peer

    def until(self, kind):
        """Return the next output of a type; the others are gone."""
        deadline = monotonic() + PATIENCE_S
        while (left := deadline - monotonic()) > 0:
            if select.select([self.plane.fd], [], [], left)[0]:
                for output in self.plane.step(monotonic()):
                    if isinstance(output, kind):
                        return output
        raise AssertionError(f"no {kind.__name__} came")

    def close(self):
        self.plane.shut_down()
        for channel in self.channels.values():
            channel.close()


@pytest.fixture
def scene():
    scene = Scene()
    yield scene
    scene.close()


@pytest.mark.parametrize("payload", [b"", b"x", LARGE], ids=["nothing", "little", "much"])
def test_a_message_passes_between_workers_without_python(scene, payload):
    scene.channels[11].send(Kind.PUBLISH, 0, FIRST, 0, b"second", b"", payload)
    message = scene.channels[12].receive(PATIENCE_S)
    assert (Kind.MESSAGE, b"second", payload) == (message.kind, message.topic, message.payload)
    scene.channels[12].send(Kind.RESULT, 0, SECOND, message.id)
    scene.plane.step(monotonic())
    assert 1 == scene.routes[0].delivered


def test_an_answer_in_confidence_is_wiped_where_it_lay():
    scene = Scene(confidential=True)
    try:
        asker, asked = scene.channels[11], scene.channels[12]

        def answer():
            item = asked.receive(PATIENCE_S)
            asked.send(Kind.RESULT, 0, SECOND, item.id, payload=b"the secret" * 1000)
            return item

        with ThreadPoolExecutor() as pool:
            item = pool.submit(answer)
            given = asker.call(Kind.INVOKE, 0, FIRST, b"second", b"", b"", PATIENCE_S)
            assert FIRST == item.result().endpoint
        assert (Kind.RESULT, b"the secret" * 1000) == (given.kind, given.payload)
        asker.send(Kind.PUBLISH, 0, FIRST, 0, b"second", b"", b"no secret")
        assert b"no secret" == asked.receive(PATIENCE_S).payload
        assert b"secret" not in incoming(asker)
        assert b"no secret" in incoming(asked)
    finally:
        scene.close()


def incoming(channel):
    """Return all that lies in the ring that the core writes to a worker."""
    size = _lib.ffi.new("uint32_t *")
    data = lib.gg_port_data(channel._exchange._link.port.handle, size)
    return bytes(_lib.ffi.buffer(data, size[0]))


def test_a_message_for_a_service_is_handed_out(scene):
    scene.channels[11].send(Kind.PUBLISH, 0, FIRST, 0, b"core", b"", LARGE)
    assert Send(CORE, Kind.MESSAGE, 0, SERVICE, 0, b"core", b"", LARGE) == scene.until(Send)


def wait_leading(plane, own):
    """Wait, as soon as the thread lets the owner have the rounds."""
    deadline = monotonic() + PATIENCE_S
    while (found := plane.wait(own.fileno(), -1)) == lib.GG_IS_NOT_LED:
        assert monotonic() < deadline
    return found


def test_who_waits_in_the_plane_hears_of_messages_of_its_own_set_and_of_the_time(scene):
    with select.epoll() as own:
        own.register(scene.plane.fd, select.EPOLLIN)
        scene.plane.step(monotonic())
        assert 0 == scene.plane.wait(own.fileno(), 1000)
        scene.channels[11].send(Kind.PUBLISH, 0, FIRST, 0, b"core", b"", b"x")
        assert wait_leading(scene.plane, own)
        assert b"x" == scene.until(Send).payload

        read, write = socket.socketpair()
        with read, write:
            own.register(read, select.EPOLLIN)
            write.send(b"x")
            assert lib.GG_IS_READY == wait_leading(scene.plane, own)


def test_a_signal_ends_a_wait_in_the_plane(scene):
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(True))
    try:
        with select.epoll() as own:
            assert 0 == scene.plane.wait(own.fileno(), 1000)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            assert 0 == wait_leading(scene.plane, own)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert heard


def test_what_the_core_publishes_reaches_a_worker_before_the_next_step(scene):
    frame = Frame(Kind.INVOKE, 0, SERVICE, 7, b"second", b"context", LARGE)
    scene.plane.receive(CORE, frame, monotonic())
    item = scene.channels[12].receive(PATIENCE_S)
    assert (Kind.INVOKE, b"context", LARGE) == (item.kind, item.context, item.payload)
    scene.channels[12].send(Kind.RESULT, Flag.HANDLED, SECOND, item.id, b"", b"", b"{}")
    answer = scene.until(Send)
    assert (CORE, Kind.RESULT, Flag.HANDLED, 7) == (*answer[:3], answer.id)


def test_control_frames_go_both_ways_past_the_router(scene):
    scene.channels[11].send(Kind.CONTROL, 0, FIRST, 5, b"", b"", b"question")
    assert Control(11, Frame(Kind.CONTROL, 0, FIRST, 5, b"", b"", b"question")) == scene.until(
        Control
    )
    scene.plane.send(Send(11, Kind.CONTROL, 0, FIRST, 6, b"", b"", b"answer"))
    answer = scene.channels[11].receive(PATIENCE_S)
    assert (Kind.CONTROL, 6, b"answer") == (answer.kind, answer.id, answer.payload)
    scene.plane.send(Send(99, Kind.CONTROL, 0, FIRST, 6, b"", b"", b"nobody"))


def test_deadlines_fire_without_python(scene):
    assert scene.plane.next_deadline() is None
    number = scene.channels[11].begin(Kind.INVOKE, 0, FIRST, b"second", b"", b"")
    answer = scene.channels[11].finish(number, PATIENCE_S)
    assert answer.flags == Flag.UNHANDLED | Flag.TIMEOUT
    assert 12 == scene.until(RetireWorker).peer


def test_what_a_dead_worker_published_is_received_before_it_is_forgotten(scene):
    for number in range(50):
        scene.channels[11].send(Kind.PUBLISH, 0, FIRST, 0, b"second", b"", b"%d" % number)
    assert not scene.plane.has_hung_up(11)
    scene.channels[11].close()
    assert scene.plane.has_hung_up(11)
    assert Ended(11) == scene.until(Ended)
    assert scene.plane.has_hung_up(11)
    scene.plane.drain(11)
    scene.plane.disconnect(11)
    scene.plane.detach(11, b"{}", monotonic())
    assert not scene.plane.is_connected(11)
    for number in range(50):
        message = scene.channels[12].receive(PATIENCE_S)
        assert b"%d" % number == message.payload
        scene.channels[12].send(Kind.RESULT, 0, SECOND, message.id)


def test_a_worker_that_does_not_read_is_stalled_and_then_cut_off():
    scene = Scene(unread_bytes=200_000)
    frame = Send(11, Kind.CONTROL, 0, FIRST, 1, b"", b"", bytes(20_000))
    assert not scene.plane.stalled(11)
    stalled = False
    while scene.plane.is_connected(11):
        stalled = stalled or scene.plane.stalled(11)
        scene.plane.send(frame)
    assert stalled
    cut = scene.until(CutOff)
    assert 11 == cut.peer
    assert "did not read: " in cut.reason
    scene.close()


def test_outputs_that_nobody_takes_are_left_out_and_counted():
    scene = Scene(inbox_bytes=20_000)
    scene.plane.tap = True
    for _ in range(200):
        scene.channels[11].send(Kind.PUBLISH, 0, FIRST, 0, b"second", b"", bytes(1000))
        message = scene.channels[12].receive(PATIENCE_S)
        scene.channels[12].send(Kind.RESULT, 0, SECOND, message.id)
    skipped = scene.until(Skipped)
    assert skipped.outputs > 0
    scene.close()


def test_a_tapped_message_names_the_route_of_the_table_that_decided_it(scene):
    scene.plane.tap = True
    scene.channels[11].send(Kind.PUBLISH, 0, FIRST, 0, b"second")
    scene.channels[12].receive(PATIENCE_S)
    scene.plane.install_routes(_c.TopicIndex(), [])
    assert scene.until(Tapped).route is scene.routes[0]


def test_what_cannot_be_connected_leaves_the_socket_alone(scene):
    ours, theirs = socket.socketpair()
    for peer, size in ((11, RING_BYTES), (20, 1000)):
        with pytest.raises(InvalidInputError, match=f"peer {peer} is connected"):
            scene.plane.connect(peer, ours, size)
    assert ours.fileno() != -1
    ours.close()
    theirs.close()


def test_a_plane_that_was_never_started_is_driven_by_the_caller():
    plane = _plane.Plane(work_items=1, topic_payload_bytes=1, invoke_payload_bytes=1)
    assert plane.next_deadline() is None
    plane.define_function(FIRST, FunctionRules(True, 1.0, 1, 1.0, 1, 100), [b"f"])
    plane.receive(CORE, Frame(Kind.INVOKE, 0, SERVICE, 1, b"f"), 0.0)
    assert 60.0 == plane.next_deadline()
    plane.shut_down()


def test_shutting_down_twice_gives_every_descriptor_back():
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    scene = Scene()
    scene.close()
    scene.plane.shut_down()
    assert before == count()


def test_the_thread_takes_no_signals():
    scene = Scene()
    thread = scene.plane._thread
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text(encoding="ascii")
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
    assert int(blocked.split()[1], 16) & 1 << signal.SIGTERM - 1
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    scene.close()


@pytest.mark.parametrize("stop", [len(LARGE), len(LARGE) + 10], ids=["whole", "short"])
def test_a_worker_is_lent_bytes_of_a_file_of_the_core(scene, tmp_path, stop):
    (tmp_path / "file").write_bytes(b"before" + LARGE)
    scene.plane.define_function(90, FunctionRules(True, 3.0, 1, 60.0, 9, 1 << 20), [b"core's"])
    scene.plane.attach_worker(90, 90, monotonic())
    scene.plane.receive(90, Frame(Kind.READY, 0, 90), monotonic())
    asker = scene.channels[11]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(
            asker.call, Kind.INVOKE, 0, FIRST, b"core's", b"", b"", timeout_s=PATIENCE_S
        )
        item = scene.until(Send)
        descriptor = os.open(tmp_path / "file", os.O_RDONLY)
        scene.plane.end(90, 90, [(item.id, Lent(descriptor, 6, stop, b"head"))], monotonic())
        answer = asked.result()
    assert (Kind.RESULT, b"head" + LARGE) == (answer.kind, answer.payload)
    held = [str(each.resolve()) for each in Path("/proc/self/fd").iterdir()]
    assert str(tmp_path / "file") not in held

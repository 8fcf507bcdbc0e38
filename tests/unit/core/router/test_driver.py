# SPDX-License-Identifier: Apache-2.0
import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from greengrass_sdk._native import Flag, Frame, FrameDecoder, Kind, Status, TopicIndex, encode_frame
from greengrass_sdk._native._py.router.events import (
    Control,
    CutOff,
    Ended,
    NeedWorkers,
    RetireWorker,
    Send,
    Unrouted,
)
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import FunctionRules, Route
from greengrass_sdk.core.router.driver import RouterDriver

FUNCTION, CLOUD, CLIENT = 1, 2, 3


class Peer:
    """The owner of a connection, and the far end of its socket."""

    def __init__(self, sock):
        self.number = 0
        self.descriptors = []
        self.ours = None
        self.sock = sock
        self.sock.setblocking(False)
        self.decoder = FrameDecoder()
        self.controls = []
        self.ends = 0
        self.cuts = []

    def control(self, frame):
        self.controls.append(frame.payload)

    def ended(self):
        self.ends += 1

    def cut(self, reason):
        self.cuts.append(reason)

    def send(self, *args, **kwargs):
        self.sock.sendall(encode_frame(*args, **kwargs))

    async def receive(self):
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(BlockingIOError):
                    if frames := self.decoder.feed(self.sock.recv(65536)):
                        return frames
                await asyncio.sleep(0)


class Rings(Router):
    """A machine with rings: what reaches a ring peer is in `sent`, what comes from it in `news`."""

    def __init__(self, **options):
        super().__init__(**options)
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.calls = []
        self.peers = {}
        self.sent = []
        self.news = []

    def tell(self, *outputs):
        self.news += outputs
        os.eventfd_write(self.fd, 1)

    def step(self, now):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        news, self.news = self.news, []
        outputs = [*super().step(now), *news]
        ring = [o for o in outputs if isinstance(o, Send) and o.peer in self.peers]
        self.sent += ring
        return [output for output in outputs if output not in ring]

    def start(self):
        self.calls.append("start")

    def shut_down(self):
        self.calls.append("shut_down")
        for sock in self.peers.values():
            sock.close()
        os.close(self.fd)

    def connect(self, peer, sock, ring_bytes):
        if ring_bytes == 0:
            raise OSError(errno.ENOMEM, "no memory")
        self.peers[peer] = socket.socket(fileno=sock.detach())
        self.given = [os.eventfd(10 + number, os.EFD_NONBLOCK) for number in range(2)]
        return self.given[0], self.given[1]

    def drain(self, peer):
        self.calls.append(("drain", peer))

    def disconnect(self, peer):
        self.calls.append(("disconnect", peer))
        self.peers.pop(peer).close()

    def send(self, frame):
        self.sent.append(frame)

    def stalled(self, peer):
        return peer in self.peers

    def has_hung_up(self, peer):
        return peer not in self.peers


class Bench:
    """A driver with a function, a service and a client, and rows from the cloud to all of them."""

    def __init__(self, *, timeout_s=3.0, ring_bytes=None):
        kind = Router if ring_bytes is None else Rings
        machine: Any = kind(work_items=10, topic_payload_bytes=1000, invoke_payload_bytes=1000)
        rules = FunctionRules(
            pinned=False,
            timeout_s=timeout_s,
            max_workers=2,
            idle_s=60,
            queue_items=10,
            queue_bytes=1000,
        )
        machine.define_function(FUNCTION, rules, [b"function"])
        machine.define_peer_target(CLIENT, queue_items=1, queue_bytes=100)
        self.rings = machine
        self.driver = RouterDriver(
            machine,
            asyncio.get_running_loop(),
            rings=None if ring_bytes is None else machine,
            ring_bytes=ring_bytes or 0,
        )
        self.cloud: list[Send] = []
        self.driver.serve(CLOUD, self.cloud.append)
        index = TopicIndex()
        self.routes = [Route("up", CLOUD), Route("down", FUNCTION), Route("aside", CLIENT)]
        index.add(CLIENT, b"up", 0)
        index.add(CLOUD, b"down", 1)
        index.add(CLOUD, b"aside", 2)
        machine.install_routes(index, self.routes)
        self.sockets = []
        self.descriptors = []
        self.heard: list[Any] = []
        for event in (NeedWorkers, RetireWorker, Unrouted):
            self.driver.on(event, self.heard.append)

    def connect(self):
        ours, theirs = socket.socketpair()
        peer = Peer(theirs)
        peer.number = self.driver.connect(ours, peer)
        self.sockets.append(theirs)
        return peer

    def worker(self, *, ring=True):
        ours, theirs = socket.socketpair()
        peer = Peer(theirs)
        peer.ours = ours
        self.sockets += [ours, theirs]
        peer.number, peer.descriptors = self.driver.connect_worker(ours, peer, ring=ring)
        self.descriptors += peer.descriptors
        return peer

    def client(self):
        peer = self.connect()
        self.driver.attach(peer.number, CLIENT)
        return peer

    def publish(self, topic, source=CLOUD):
        return Frame(Kind.PUBLISH, 0, source, 0, topic, b"", b"x")


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def scenario():
    """Run a coroutine with a fresh bench, and close what it opened."""

    def run(play, **options):
        async def play_all():
            bench = Bench(**options)
            try:
                await play(bench)
            finally:
                bench.driver.close()
                for sock in bench.sockets:
                    sock.close()
                for descriptor in bench.descriptors:
                    os.close(descriptor)

        asyncio.run(play_all())

    return run


def test_a_clients_message_reaches_a_service(scenario):
    async def play(bench):
        client = bench.client()
        client.send(Kind.PUBLISH, 0, CLIENT, 0, b"up", b"", b"hello")
        await until(lambda: bench.cloud)
        assert [(b"up", b"hello")] == [(m.topic, m.payload) for m in bench.cloud]

    scenario(play)


def test_a_services_message_reaches_a_client(scenario):
    async def play(bench):
        client = bench.client()
        bench.driver.send(bench.publish(b"aside"))
        [frame] = await client.receive()
        assert (Kind.MESSAGE, b"aside", b"x") == (frame.kind, frame.topic, frame.payload)

    scenario(play)


def test_a_message_has_left_when_those_who_watch_are_told_of_it(scenario):
    async def play(bench):
        client = bench.client()
        left = []
        bench.driver.watch(lambda _: left.extend(client.decoder.feed(client.sock.recv(65536))))
        bench.driver.send(bench.publish(b"aside"))
        assert [(Kind.MESSAGE, b"aside")] == [(frame.kind, frame.topic) for frame in left]

    scenario(play)


def test_an_invocation_of_the_core_gets_the_workers_answer(scenario):
    async def play(bench):
        call = asyncio.create_task(bench.driver.call(CLOUD, b"function", b"", b"in", event=False))
        await until(lambda: bench.heard)
        assert [NeedWorkers(FUNCTION, 1)] == bench.heard
        worker = bench.connect()
        bench.driver.attach_worker(worker.number, FUNCTION)
        worker.send(Kind.READY, 0, FUNCTION)
        [work] = await worker.receive()
        assert bench.driver.is_busy(worker.number)
        worker.send(Kind.RESULT, 0, FUNCTION, work.id, b"", b"", b"out")
        answer = await call
        assert (Kind.RESULT, b"out") == (answer.kind, answer.payload)

    scenario(play)


def test_an_unknown_function_is_refused_at_once(scenario):
    async def play(bench):
        answer = await bench.driver.call(CLOUD, b"nobody", b"", b"", event=False)
        assert (Kind.VERDICT, Status.NOT_FOUND) == (answer.kind, answer.flags)

    scenario(play)


def test_a_deadline_fires_without_any_frame(scenario):
    async def play(bench):
        worker = bench.connect()
        bench.driver.attach_worker(worker.number, FUNCTION)
        worker.send(Kind.READY, 0, FUNCTION)
        answer = await bench.driver.call(CLOUD, b"function", b"", b"", event=False)
        assert Flag.UNHANDLED | Flag.TIMEOUT == answer.flags
        assert [worker.number] == [e.peer for e in bench.heard if isinstance(e, RetireWorker)]

    scenario(play, timeout_s=0.01)


def test_a_peer_that_breaks_the_contract_is_cut_off_and_others_go_on(scenario):
    async def play(bench):
        bad = bench.client()
        bad.send(Kind.PUBLISH, 0, CLOUD, 0, b"down", b"", b"x")
        await until(lambda: bad.cuts)
        assert "spoke for endpoint 2" in bad.cuts[0]
        with pytest.raises(ConnectionError):
            bad.sock.sendall(b"x")
        worse = bench.connect()
        worse.sock.sendall(b"\xff" * 24)
        await until(lambda: worse.cuts)
        bench.driver.send(bench.publish(b"down"))
        assert NeedWorkers(FUNCTION, 1) in bench.heard

    scenario(play)


def test_the_end_of_a_peer_is_told_and_what_it_wrote_before_counts(scenario):
    async def play(bench):
        client = bench.client()
        client.send(Kind.PUBLISH, 0, CLIENT, 0, b"up", b"", b"last words")
        client.sock.close()
        bench.driver.disconnect(client.number)
        assert [b"last words"] == [m.payload for m in bench.cloud]
        bench.driver.send(bench.publish(b"aside"))
        assert {"not connected": 1} == bench.routes[2].dropped

    scenario(play)


def test_control_frames_go_to_the_owner_and_answers_to_the_peer(scenario):
    async def play(bench):
        peer = bench.connect()
        peer.send(Kind.CONTROL, payload=b"hello")
        await until(lambda: peer.controls)
        assert [b"hello"] == peer.controls
        bench.driver.reply(Send(peer.number, Kind.CONTROL, 0, 0, 9, b"", b"", b"welcome"))
        [frame] = await peer.receive()
        assert (9, b"welcome") == (frame.id, frame.payload)

    scenario(play)


def test_a_traced_publish_tells_what_became_of_it_and_leaves_the_tap_off(scenario):
    async def play(bench):
        [tapped] = bench.driver.traced(bench.publish(b"aside"))
        assert ("dropped", "not connected") == (tapped.outcome, tapped.reason)
        assert not bench.driver.machine.tap

    scenario(play)


def test_unrouted_messages_are_heard(scenario):
    async def play(bench):
        bench.driver.send(bench.publish(b"nowhere"))
        assert [Unrouted(CLOUD, b"nowhere")] == bench.heard

    scenario(play)


def test_what_fails_in_one_service_takes_nothing_else_along(scenario, caplog):
    async def play(bench):
        def fail(_):
            raise RuntimeError("boom")

        bench.driver.on(Unrouted, fail)
        client = bench.client()
        bench.driver.machine.receive(0, bench.publish(b"nowhere"), 0.0)
        bench.driver.send(bench.publish(b"aside"))
        assert [b"aside"] == [frame.topic for frame in await client.receive()]
        assert "a bug of ours: Unrouted could not be handled" in caplog.text

    scenario(play)


def test_a_control_frame_behind_a_violation_is_not_heard(scenario):
    async def play(bench):
        bad = bench.client()
        frames = encode_frame(Kind.PUBLISH, endpoint=CLOUD, topic=b"down")
        bad.sock.sendall(frames + encode_frame(Kind.CONTROL, payload=b"hello"))
        await until(lambda: bad.cuts)
        assert [] == bad.controls

    scenario(play)


def test_a_worker_is_on_a_stream_unless_both_sides_have_rings(scenario):
    async def without(bench):
        assert [] == bench.worker().descriptors

    async def cannot(bench):
        worker = bench.worker(ring=False)
        assert [] == worker.descriptors
        assert not bench.driver.is_stalled(worker.number)

    scenario(without)
    scenario(cannot, ring_bytes=65536)


def test_a_worker_on_rings_is_the_planes_and_an_invocation_reaches_it(scenario):
    async def play(bench):
        worker = bench.worker()
        number = worker.number
        assert bench.rings.given == worker.descriptors
        bench.driver.attach_worker(number, FUNCTION)
        bench.rings.receive(number, Frame(Kind.READY, 0, FUNCTION, 0, b"", b"", b""), 0.0)
        call = asyncio.create_task(
            bench.driver.call(CLOUD, b"function", b"", b"in", event=False),
        )
        await until(lambda: bench.rings.sent)
        [item] = bench.rings.sent
        assert (number, Kind.INVOKE, b"in") == (item.peer, item.kind, item.payload)
        result = Frame(Kind.RESULT, 0, FUNCTION, item.id, b"", b"", b"out")
        bench.rings.receive(number, result, 0.0)
        os.eventfd_write(bench.rings.fd, 1)
        assert b"out" == (await call).payload
        assert bench.driver.is_stalled(number)
        assert not bench.driver.has_hung_up(number)
        bench.rings.peers.pop(number).close()
        assert bench.driver.has_hung_up(number)

    scenario(play, ring_bytes=65536)


def test_the_owner_of_a_ring_hears_control_frames_and_the_end_and_can_answer(scenario):
    async def play(bench):
        worker = bench.worker()
        frame = Frame(Kind.CONTROL, 0, 0, 1, b"", b"", b"hello")
        bench.rings.tell(Control(worker.number, frame), Ended(worker.number))
        await until(lambda: worker.ends)
        assert [b"hello"] == worker.controls
        answer = Send(worker.number, Kind.CONTROL, 0, 0, 1, b"", b"", b"welcome")
        bench.driver.reply(answer)
        assert [answer] == bench.rings.sent

    scenario(play, ring_bytes=65536)


def test_a_disconnected_ring_is_drained_first_and_heard_no_more(scenario):
    async def play(bench):
        worker, other = bench.worker(), bench.worker()
        bench.driver.drain(worker.number)
        bench.driver.disconnect(worker.number)
        bench.rings.tell(Ended(worker.number), Ended(other.number))
        await until(lambda: other.ends)
        assert 0 == worker.ends
        number = worker.number
        drained = [("drain", number), ("drain", number), ("disconnect", number)]
        assert drained == bench.rings.calls

    scenario(play, ring_bytes=65536)


def test_a_ring_peer_that_is_cut_off_is_told_to_its_owner_once(scenario):
    async def play(bench):
        worker = bench.worker()
        bench.rings.tell(CutOff(worker.number, "broke its ring"), Ended(worker.number))
        await until(lambda: worker.cuts)
        assert (["broke its ring"], 0) == (worker.cuts, worker.ends)

    scenario(play, ring_bytes=65536)


def test_a_worker_that_gets_no_ring_leaves_the_socket_to_the_caller(scenario):
    async def play(bench):
        with pytest.raises(OSError, match="no memory"):
            bench.worker()
        assert bench.sockets[0].fileno() >= 0
        assert {} == bench.driver._connections

    scenario(play, ring_bytes=0)


def test_a_client_is_moved_to_rings_and_told_so_with_the_descriptors(scenario):
    async def play(bench):
        peer = bench.connect()
        answer = Send(peer.number, Kind.CONTROL, 0, 0, 1, b"", b"", b"welcome")
        assert bench.driver.move_to_rings(peer.number, answer)
        kept = [one for one in bench.rings.given if Path(f"/proc/self/fd/{one}").exists()]
        assert [] == kept
        data, descriptors, _, _ = socket.recv_fds(peer.sock, 65536, 3)
        bench.descriptors += descriptors
        assert [b"welcome"] == [frame.payload for frame in peer.decoder.feed(data)]
        assert [10, 11] == [os.eventfd_read(descriptor) for descriptor in descriptors]
        bench.driver.attach(peer.number, CLIENT)
        bench.driver.send(bench.publish(b"aside"))
        [message] = bench.rings.sent
        assert (peer.number, Kind.MESSAGE) == (message.peer, message.kind)
        assert bench.driver.is_stalled(peer.number)
        bench.rings.tell(Ended(peer.number))
        await until(lambda: peer.ends)
        bench.driver.disconnect(peer.number)
        assert b"" == peer.sock.recv(1)

    scenario(play, ring_bytes=65536)


def test_a_client_stays_on_its_socket_where_no_rings_are_to_be_had(scenario):
    async def play(bench):
        peer = bench.client()
        answer = Send(peer.number, Kind.CONTROL, 0, 0, 1, b"", b"", b"welcome")
        assert not bench.driver.move_to_rings(peer.number, answer)
        bench.driver.send(bench.publish(b"aside"))
        assert [b"x"] == [frame.payload for frame in await peer.receive()]

    scenario(play)
    scenario(play, ring_bytes=0)


def test_the_thread_is_started_when_all_is_wired_and_ended_once(scenario):
    async def play(bench):
        bench.driver.start()
        bench.driver.close()
        bench.driver.close()
        bench.driver.run()  # nobody asks the machine any more
        assert ["start", "shut_down"] == bench.rings.calls

    scenario(play, ring_bytes=65536)


def test_a_busy_thread_does_not_keep_the_loop(scenario):
    async def play(bench):
        def again(_):
            bench.rings.tell(Unrouted(CLOUD, b"x"))

        bench.driver.on(Unrouted, again)
        again(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # would not return

    scenario(play, ring_bytes=65536)


@pytest.mark.parametrize("ring_bytes", [None, 65536])
def test_a_service_of_the_core_works_for_a_function(scenario, ring_bytes):
    async def play(bench):
        service, taken = 4, []

        def take(items):
            for item in items:
                taken.append((item.kind, item.topic, item.payload))
                bench.driver.post(bench.publish(b"aside"))
                worker.answer(item.id, b"" if item.kind == Kind.MESSAGE else b"out")

        rules = FunctionRules(True, 9e8, 1, 60, 10, 1000)
        bench.driver.machine.define_function(service, rules, [b"service"])
        worker = bench.driver.employ(service, "service", take)
        assert [] == bench.heard
        client = bench.client()
        answer = await bench.driver.call(CLOUD, b"service", b"context", b"in", event=False)
        assert (Kind.RESULT, 0, b"out") == (answer.kind, answer.flags, answer.payload)
        assert [(Kind.INVOKE, b"service", b"in")] == taken
        [message] = await client.receive()
        assert b"aside" == message.topic

    scenario(play, ring_bytes=ring_bytes)

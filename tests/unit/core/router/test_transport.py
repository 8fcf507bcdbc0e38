# SPDX-License-Identifier: Apache-2.0
import asyncio
import socket

import pytest

from greengrass_sdk._native import Frame, FrameDecoder, Kind, encode_frame
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.router.transport import Transport


class Owner:
    """What the driver does with a transport, written down."""

    def __init__(self):
        self.frames = []
        self.broken = []
        self.ended = 0
        self.held = []

    def open(self, sock):
        self.transport = Transport(
            7,
            sock,
            asyncio.get_running_loop(),
            on_frames=lambda _, frames: self.frames.extend(frames),
            on_broken=lambda _, reason: self.broken.append(reason),
            on_eof=self.eof,
            on_held=lambda _, held: self.held.append(held),
        )
        return self.transport

    def eof(self, _):
        self.ended += 1


def message(payload: bytes) -> Send:
    return Send(7, Kind.MESSAGE, 0, 1, 2, b"topic", b"", payload)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_frames_of_the_peer_arrive_and_its_end_is_told_once(pair):
    ours, theirs = pair

    async def scenario():
        owner = Owner()
        transport = owner.open(ours)
        theirs.sendall(encode_frame(Kind.PUBLISH, topic=b"a", payload=b"1"))
        theirs.sendall(encode_frame(Kind.PUBLISH, topic=b"a", payload=b"2"))
        assert not transport.has_hung_up()
        theirs.close()
        assert transport.has_hung_up()
        await until(lambda: owner.ended)
        transport.read_all()
        transport.close()
        transport.close()
        assert [b"1", b"2"] == [frame.payload for frame in owner.frames]
        assert 1 == owner.ended
        assert transport.closed

    asyncio.run(scenario())


def test_read_all_takes_what_a_dead_peer_left(pair):
    ours, theirs = pair

    async def scenario():
        owner = Owner()
        transport = owner.open(ours)
        theirs.sendall(encode_frame(Kind.PUBLISH, topic=b"a", payload=b"1"))
        transport.read_all()
        assert [b"1"] == [frame.payload for frame in owner.frames]
        transport.close()

    asyncio.run(scenario())


def test_small_and_large_frames_arrive_whole_and_in_order_at_a_slow_reader(pair):
    ours, theirs = pair
    payloads = [bytes([n]) * size for n, size in enumerate([0, 10, 5000, 2_000_000, 3, 900_000])]

    async def scenario():
        owner = Owner()
        transport = owner.open(ours)
        for payload in payloads:
            transport.put(message(payload))
        transport.flush()
        assert [True] == owner.held
        decoder = FrameDecoder()
        received: list[Frame] = []
        theirs.setblocking(False)
        async with asyncio.timeout(10):
            while len(received) < len(payloads):
                try:
                    received += decoder.feed(theirs.recv(65536))
                except BlockingIOError:
                    await asyncio.sleep(0)
        await until(lambda: owner.held == [True, False])
        transport.close()
        assert payloads == [frame.payload for frame in received]

    asyncio.run(scenario())


def test_a_peer_that_sends_garbage_is_reported_after_its_good_frames(pair):
    ours, theirs = pair

    async def scenario():
        owner = Owner()
        transport = owner.open(ours)
        theirs.sendall(encode_frame(Kind.PUBLISH, topic=b"a", payload=b"1") + b"\xff" * 24)
        await until(lambda: owner.broken)
        transport.close()
        assert [b"1"] == [frame.payload for frame in owner.frames]
        assert 1 == len(owner.broken)

    asyncio.run(scenario())


def test_a_peer_that_never_reads_is_reported_at_the_limit(pair):
    ours, _ = pair

    async def scenario():
        owner = Owner()
        transport = owner.open(ours)
        payload = bytes(6_000_000)
        for _ in range(45):
            transport.put(message(payload))
        transport.flush()
        transport.close()
        assert ["did not read"] == [reason.partition(":")[0] for reason in owner.broken]

    asyncio.run(scenario())


def test_writing_to_a_closed_peer_loses_quietly_and_its_end_is_told_by_reading(pair):
    ours, theirs = pair

    async def scenario():
        owner = Owner()
        transport = owner.open(ours)
        theirs.close()
        transport.put(message(b"1"))
        transport.flush()
        await until(lambda: owner.ended)
        transport.close()
        transport.put(message(b"2"))
        transport.flush()
        assert [] == owner.broken

    asyncio.run(scenario())

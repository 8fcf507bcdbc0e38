# SPDX-License-Identifier: Apache-2.0
"""The stream manager on its port: connections, bounds, deadlines. The clock stands still."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import cbor2
import pytest
from fake_streams import FakeStreams

from greengrass_sdk.core.streams import server as module
from greengrass_sdk.core.streams.readahead import KEPT_S
from greengrass_sdk.core.streams.server import ServerLimits, StreamServer
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.wire.streams import (
    ClientSession,
    Operation,
    ServerSession,
    StreamStatus,
    encode_frame,
)

pytestmark = pytest.mark.sockets

WAIT_S = 10.0
S = {"name": "s", "strategyOnFull": 1}


class Peer:
    """A client by hand."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, server, token=None):
        peer = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        peer.writer.write(ClientSession().hello("h", token, "1.1.1"))
        assert b"\x01" == await peer.reader.readexactly(1)
        operation, body = await peer.answer()
        assert (6, 0) == (operation, body["status"]), body
        return peer

    def send(self, operation, request_id="r", **body):
        self.writer.write(encode_frame(operation, {"requestId": request_id, **body}))

    async def answer(self):
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readexactly(5)
            body = await self.reader.readexactly(int.from_bytes(head[:4], "big") - 1)
        return head[4], cbor2.loads(body)

    async def ask(self, operation, request_id="r", **body):
        self.send(operation, request_id, **body)
        return (await self.answer())[1]

    async def ended(self):
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(ConnectionError):
                return b"" == await self.reader.read()
        return True

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Setting:
    """A server on fake streams, and a clock that a test moves."""

    def __init__(self, streams, server):
        self.streams, self.server = streams, server
        self.now = 100.0
        self.peers = []

    async def peer(self, token=None):
        peer = await Peer.connect(self.server, token)
        self.peers.append(peer)
        return peer

    async def until(self, wanted):
        async with asyncio.timeout(WAIT_S):
            while not wanted():
                await asyncio.sleep(0)

    def running(self):
        return sum(len(one._calls) for one in self.server.connections)


@pytest.fixture
def serving(monkeypatch):
    """Run a conversation with a server."""
    monkeypatch.setattr(module, "_BEAT_S", 0.01)

    def run(conversation, limits=None, tokens=None):
        async def whole():
            streams = FakeStreams()
            server = StreamServer(
                streams,
                asyncio.get_running_loop(),
                tokens=tokens,
                limits=limits or ServerLimits(),
                clock=lambda: setting.now,
            )
            setting = Setting(streams, server)
            await server.open(0)
            try:
                async with asyncio.timeout(20):
                    await conversation(setting)
            finally:
                streams.hold.set()
                await server.close()
                for peer in setting.peers:
                    await peer.close()
            assert 0 == server.held
            assert set() == server.connections

        asyncio.run(whole())

    return run


def test_a_client_creates_appends_reads_and_goes(serving, caplog):
    async def conversation(setting):
        peer = await setting.peer()
        assert 0 == (await peer.ask(Operation.CREATE, definition=S))["status"]
        for number in range(3):
            answer = await peer.ask(Operation.APPEND, name="s", payload=b"%d" % number)
            assert {"requestId": "r", "status": 0, "sequenceNumber": number} == answer
        options = {"minMessageCount": 2, "maxMessageCount": 5, "desiredStartSequenceNumber": 1}
        answer = await peer.ask(Operation.READ, streamName="s", readMessagesOptions=options)
        assert [b"1", b"2"] == [message["payload"] for message in answer["messages"]]
        assert ["s"] == (await peer.ask(Operation.LIST))["streams"]
        await peer.close()
        await setting.until(lambda: not setting.server.connections)

    caplog.set_level(logging.INFO)
    serving(conversation)
    assert "client-1 connected: SDK 1.1.1, protocol 1.1.0" in caplog.messages
    assert "client-1 is gone" in caplog.messages


def test_errors_are_answers(serving):
    async def conversation(setting):
        peer = await setting.peer()
        answer = await peer.ask(Operation.APPEND, name="none", payload=b"x")
        assert (5, "stream 'none' does not exist") == (answer["status"], answer["errorMessage"])
        assert 3 == (await peer.ask(Operation.CREATE, definition={"name": "s"}))["status"]
        setting.streams.error = RuntimeError("odd")
        assert 1 == (await peer.ask(Operation.LIST))["status"]

    serving(conversation)


def test_many_clients_are_served_at_once(serving):
    async def conversation(setting):
        peers = [await setting.peer() for _ in range(20)]
        await peers[0].ask(Operation.CREATE, definition=S)
        for peer in peers:
            for number in range(5):
                peer.send(Operation.APPEND, f"r{number}", name="s", payload=b"x")
        sequence = []
        for peer in peers:
            answers = [(await peer.answer())[1] for _ in range(5)]
            assert [f"r{number}" for number in range(5)] == [one["requestId"] for one in answers]
            sequence += [one["sequenceNumber"] for one in answers]
        assert list(range(100)) == sorted(sequence)

    serving(conversation)


def test_a_head_by_itself_wakes_nobody_and_a_torn_frame_is_finished(serving, monkeypatch):
    """AWS's clients send the head first, in a write of its own."""
    reads = []
    receive = ServerSession.receive

    def recording(self, data):
        reads.append(len(data))
        return receive(self, data)

    monkeypatch.setattr(ServerSession, "receive", recording)

    async def conversation(setting):
        peer = await setting.peer()
        frame = encode_frame(Operation.LIST, {"requestId": "r"})
        for cuts in ((5,), (5, 7), (6, len(frame) - 1)):
            del reads[:]
            at = 0
            for cut in (*cuts, len(frame)):
                peer.writer.write(frame[at:cut])
                at = cut
                await asyncio.sleep(0.02)
            assert 0 == (await peer.answer())[1]["status"]
            assert 5 not in reads

    serving(conversation)


def test_each_answer_is_one_write(serving, monkeypatch):
    """AWS's client takes what one read returns for a whole head."""
    writes = []
    write = module._Connection._write

    def recording(self, data):
        writes.append(data)
        write(self, data)

    monkeypatch.setattr(module._Connection, "_write", recording)

    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.LIST)

    serving(conversation)
    connect, listed = writes
    assert len(connect) == 5 + int.from_bytes(connect[1:5], "big")
    assert len(listed) == 4 + int.from_bytes(listed[:4], "big")


@pytest.mark.parametrize("token", [None, "", "wrong", "two-tokens", "zwölf"])
def test_a_client_without_a_token_of_the_core_is_refused(serving, token, caplog):
    async def conversation(setting):
        reader, writer = await asyncio.open_connection("127.0.0.1", setting.server.port)
        writer.write(ClientSession().hello("h", token, "1.1.1"))
        answer = await reader.read()
        assert 2 == cbor2.loads(answer[6:])["status"]
        writer.close()

    serving(conversation, tokens=lambda: ["one", "two"])
    assert any("has no token of this core" in text for text in caplog.messages)


def test_a_client_with_a_token_of_the_core_is_served(serving):
    async def conversation(setting):
        for token in ("one", "two"):
            peer = await setting.peer(token)
            assert 0 == (await peer.ask(Operation.LIST))["status"]

    serving(conversation, tokens=lambda: ["one", "two"])


# --- deadlines ------------------------------------------------------------------


def test_an_answer_that_took_long_fails_the_request_and_wedges_nobody(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        setting.streams.hold.clear()
        peer.send(Operation.APPEND, name="s", payload=b"x")
        await setting.until(setting.running)
        for _ in range(10):  # the loop runs, the disk does not
            setting.now += 0.6
            await asyncio.sleep(0.02)
        setting.streams.hold.set()
        operation, body = await peer.answer()
        assert (Operation.UNKNOWN, "r") == (operation, body["requestId"])
        assert "took 6.0 s" in body["errorMessage"]
        assert 0 == (await peer.ask(Operation.LIST, "next"))["status"]
        assert [b"x"] == setting.streams.messages["s"]

    serving(conversation)


def test_a_request_that_never_ends_is_given_up_before_its_client_does_so(serving):
    async def conversation(setting):
        peer = await setting.peer()
        setting.streams.hold.clear()
        peer.send(Operation.LIST)
        await setting.until(setting.running)
        for _ in range(112):
            setting.now += 0.5
            setting.server._seen = setting.now
        operation, body = await peer.answer()
        assert (Operation.UNKNOWN, "r") == (operation, body["requestId"])
        setting.streams.hold.set()
        await setting.until(lambda: not setting.running())
        assert "next" == (await peer.ask(Operation.LIST, "next"))["requestId"]

    serving(conversation)


def test_a_read_may_take_as_long_as_it_said(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        await peer.ask(Operation.APPEND, name="s", payload=b"x")
        setting.streams.hold.clear()
        options = {"readTimeoutMillis": 30_000}
        peer.send(Operation.READ, streamName="s", readMessagesOptions=options)
        await setting.until(setting.running)
        for _ in range(50):
            setting.now += 0.5
            setting.server._seen = setting.now
        setting.streams.hold.set()
        operation, body = await peer.answer()
        assert (Operation.READ_RESPONSE, 0) == (operation, body["status"])

    serving(conversation)


def test_a_read_that_needs_no_waiting_is_answered_at_once(serving):
    async def conversation(setting):
        setting.streams.quick = True
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        await peer.ask(Operation.APPEND, name="s", payload=b"x")
        answer = await peer.ask(Operation.READ, streamName="s")
        assert [b"x"] == [message["payload"] for message in answer["messages"]]
        assert [] == setting.streams.waits
        options = {"minMessageCount": 2, "maxMessageCount": 2}
        answer = await peer.ask(Operation.READ, streamName="s", readMessagesOptions=options)
        assert StreamStatus.NOT_ENOUGH_MESSAGES == answer["status"]
        assert not setting.server.running

    serving(conversation)


def test_who_reads_on_gets_answers_that_are_made_before_and_let_go_later(serving):
    async def conversation(setting):
        setting.streams.quick = True
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        for number in range(9):
            await peer.ask(Operation.APPEND, name="s", payload=b"%d" % number)

        async def read(start):
            options = {"desiredStartSequenceNumber": start}
            answer = await peer.ask(
                Operation.READ, str(start), streamName="s", readMessagesOptions=options
            )
            assert (str(start), [b"%d" % start]) == (
                answer["requestId"],
                [message["payload"] for message in answer["messages"]],
            )

        for start in range(3):
            await read(start)
        await setting.until(lambda: len(setting.streams.starts) == 4)
        assert [0, 1, 2, 3] == setting.streams.starts
        (connection,) = setting.server.connections
        assert None is not connection._ahead._ready
        setting.now += 0.5
        await setting.until(lambda: connection._ahead._ready_since == setting.now)
        setting.now += KEPT_S / 2
        await peer.ask(Operation.LIST)
        setting.now += KEPT_S / 2 + 0.1
        await setting.until(lambda: connection._ahead._ready is None)
        await read(3)
        assert [0, 1, 2, 3, 3] == setting.streams.starts[:5]
        await setting.until(lambda: connection._ahead._ready is not None)
        await peer.close()
        await setting.until(lambda: not setting.server.connections)
        assert None is connection._ahead._ready

    serving(conversation)


def test_what_waited_while_the_process_was_stopped_is_not_answered_as_usual(serving):
    """Its client may have given it up, and would not survive the answer."""

    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.LIST)
        setting.now += 2.0  # nothing ran meanwhile
        peer.send(Operation.LIST, "old")
        operation, body = await peer.answer()
        assert (Operation.UNKNOWN, "old") == (operation, body["requestId"])
        assert 0 == (await peer.ask(Operation.LIST, "new"))["status"]

    serving(conversation)


def test_what_ran_while_the_process_was_stopped_is_not_answered_as_usual(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        await peer.ask(Operation.APPEND, name="s", payload=b"x")
        setting.streams.hold.clear()
        peer.send(Operation.LIST, "old")
        options = {"readTimeoutMillis": 30_000}
        peer.send(Operation.READ, "long", streamName="s", readMessagesOptions=options)
        await setting.until(lambda: setting.running() == 2)
        setting.now += 2.0
        setting.streams.hold.set()
        answers = {
            body["requestId"]: operation
            for operation, body in [await peer.answer(), await peer.answer()]
        }
        assert {"old": Operation.UNKNOWN, "long": Operation.READ_RESPONSE} == answers

    serving(conversation)


def test_a_request_of_which_the_rest_comes_late_is_doubted_whole(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        frame = encode_frame(Operation.LIST, {"requestId": "torn"})
        setting.now += 2.0
        peer.writer.write(frame[:9])
        await setting.until(lambda: next(iter(setting.server.connections)).session.unfinished)
        await asyncio.sleep(0.02)
        peer.writer.write(frame[9:])
        assert Operation.UNKNOWN == (await peer.answer())[0]
        assert 0 == (await peer.ask(Operation.LIST))["status"]

    serving(conversation)


def test_a_read_ends_with_its_client(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        setting.streams.hold.clear()
        peer.send(Operation.READ, streamName="s", readMessagesOptions={"readTimeoutMillis": 9_000})
        await setting.until(setting.running)
        await peer.close()
        await setting.until(lambda: setting.streams.cancelled)
        await setting.until(lambda: not setting.server.connections)

    serving(conversation)


def test_an_append_outlives_its_client(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        setting.streams.hold.clear()
        peer.send(Operation.APPEND, name="s", payload=b"x")
        await setting.until(setting.running)
        await peer.close()
        await setting.until(lambda: not setting.server.connections)
        setting.streams.hold.set()
        await setting.until(lambda: setting.streams.messages["s"])

    serving(conversation)


# --- bounds ---------------------------------------------------------------------


def test_one_client_too_many_is_closed(serving):
    async def conversation(setting):
        peers = [await setting.peer() for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", setting.server.port)
        assert await Peer(reader, writer).ended()
        writer.close()
        await peers[0].close()
        await setting.until(lambda: len(setting.server.connections) == 1)
        await setting.peer()

    serving(conversation, ServerLimits(clients=2))


def test_requests_beyond_the_limit_wait_in_the_socket(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        setting.streams.hold.clear()
        for number in range(20):
            peer.send(Operation.APPEND, f"r{number}", name="s", payload=bytes(100_000))
            await peer.writer.drain()
        await setting.until(lambda: not next(iter(setting.server.connections))._reading)
        assert setting.running() < 20
        setting.streams.hold.set()
        answers = [(await peer.answer())[1]["requestId"] for _ in range(20)]
        assert {f"r{number}" for number in range(20)} == set(answers)

    serving(conversation, ServerLimits(calls=2))


def test_bytes_in_memory_are_bounded_and_all_requests_are_served(serving):
    limits = ServerLimits(held_bytes=300_000, frame_bytes=1 << 20)

    async def conversation(setting):
        most = 0
        peers = [await setting.peer() for _ in range(8)]
        await peers[0].ask(Operation.CREATE, definition=S)
        for _ in range(3):
            for peer in peers:
                peer.send(Operation.APPEND, name="s", payload=bytes(500_000))

        async def watch():
            nonlocal most
            while True:
                most = max(most, setting.server.held)
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        for peer in peers:
            for _ in range(3):
                assert 0 == (await peer.answer())[1]["status"]
        watching.cancel()
        # What it may hold, one request beyond it, and what each read brought before it was told.
        assert most <= 300_000 + 600_000 + 8 * 262_144

    serving(conversation, limits)


def test_a_request_that_is_too_large_is_answered(serving):
    async def conversation(setting):
        peer = await setting.peer()
        peer.send(Operation.APPEND, name="s", payload=bytes(300_000))
        _, body = await peer.answer()
        assert (4, "r") == (body["status"], body["requestId"])
        assert 0 == (await peer.ask(Operation.LIST))["status"]

    serving(conversation, ServerLimits(frame_bytes=200_000))


def test_an_answer_that_is_too_large_is_refused(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        await peer.ask(Operation.APPEND, name="s", payload=bytes(5_000))
        assert 7 == (await peer.ask(Operation.READ, streamName="s"))["status"]

    serving(conversation, ServerLimits(response_bytes=1_000))


def test_a_client_that_does_not_read_is_closed(serving, caplog):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        await peer.ask(Operation.APPEND, name="s", payload=bytes(900_000))
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.reader._transport.pause_reading()
        with contextlib.suppress(ConnectionError):
            for number in range(60):
                peer.send(Operation.READ, f"r{number}", streamName="s")
                await peer.writer.drain()
        await setting.until(lambda: not setting.server.connections)

    serving(conversation, ServerLimits(response_bytes=1 << 20))
    assert any("does not read its answers" in text for text in caplog.messages)


def test_a_request_that_does_not_arrive_ends_the_connection(serving, caplog):
    async def conversation(setting):
        peer = await setting.peer()
        peer.writer.write(b"\x00\x00\x10\x00\x04\xa1")
        await setting.until(lambda: next(iter(setting.server.connections)).session.unfinished)
        for _ in range(130):
            setting.now += 0.5
            setting.server._seen = setting.now
        assert await peer.ended()

    serving(conversation)
    assert any("did not arrive" in text for text in caplog.messages)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\xff\xff\xff\xff\x04",
        b"\x01\x00\x00\x00\x05\x01\x9b\xff\xff\xff",
        b"\x01\x40\x00\x00\x00\x01" + bytes(100_000),
    ],
)
def test_a_stranger_gets_an_answer_or_nothing_and_others_go_on(serving, data):
    async def conversation(setting):
        good = await setting.peer()
        reader, writer = await asyncio.open_connection("127.0.0.1", setting.server.port)
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            if b"\x40" in data:
                writer.write_eof()
            async with asyncio.timeout(WAIT_S):
                answer = await reader.read()
                assert len(answer) < 1000
        writer.close()
        assert 0 == (await good.ask(Operation.LIST))["status"]

    serving(conversation)


# --- the port -------------------------------------------------------------------


def test_a_taken_port_is_named():
    async def run():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            server = StreamServer(FakeStreams(), asyncio.get_running_loop())
            with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use"):
                await server.open(port)
            await server.close()

    asyncio.run(run())


def test_a_server_that_stops_finishes_what_runs(serving):
    async def conversation(setting):
        peer = await setting.peer()
        await peer.ask(Operation.CREATE, definition=S)
        setting.streams.hold.clear()
        peer.send(Operation.APPEND, name="s", payload=b"x")
        await setting.until(setting.running)
        closing = asyncio.create_task(setting.server.close())
        await asyncio.sleep(0)
        setting.streams.hold.set()
        operation, body = await peer.answer()
        assert (9, 0) == (operation, body["status"])
        await closing
        assert await peer.ended()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", setting.server.port)
        await setting.until(lambda: not setting.server.connections)

    serving(conversation)

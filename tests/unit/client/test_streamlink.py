# SPDX-License-Identifier: Apache-2.0
"""Links to a stream manager: over a port with a server by script, and natively."""

from __future__ import annotations

import socket
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from greengrass_sdk.client import streamlink
from greengrass_sdk.client.streamlink import NativeLink, StreamLink
from greengrass_sdk.errors import (
    AuthorizationError,
    CoreUnavailableError,
    LimitExceededError,
    NotEnoughMessagesError,
    ProtocolError,
    StreamsDisabledError,
)
from greengrass_sdk.wire import streamcalls as calls
from greengrass_sdk.wire.blocks import Block, encode_body
from greengrass_sdk.wire.streams import Call, Send, ServerSession

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 10.0


class Server:
    """Answers each request with what a test put; one connection after the other."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answers: SimpleQueue[Callable[[Call], list[bytes]]] = SimpleQueue()
        self.calls: SimpleQueue[Call] = SimpleQueue()
        self.connections = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.drop()
        self._thread.join(WAIT_S)
        self.socket.close()

    def drop(self):
        for one in self.connections:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _serve(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(one)
            with one:
                self._speak(one)

    def _speak(self, one):
        session = ServerSession(
            lambda token: token == "T", identifier="c", version="v", max_frame=1 << 20
        )
        try:
            while data := one.recv(65536):
                for event in session.receive(data):
                    if isinstance(event, Send):
                        one.sendall(event.data)
                    elif isinstance(event, Call):
                        self.calls.put(event)
                        for frame in self.answers.get(timeout=WAIT_S)(event):
                            one.sendall(frame)
                    else:
                        return
        except OSError:
            return


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def link_to(server, token="T", timeout_s=WAIT_S):
    return StreamLink(
        "127.0.0.1",
        server.port,
        token=token,
        sdk_version="1.1.1",
        connect_timeout_s=WAIT_S,
        request_timeout_s=timeout_s,
    )


@pytest.fixture
def link(server):
    link = link_to(server)
    yield link
    link.close()


@pytest.mark.sockets
class TestOverAPort:
    def test_a_request_gets_its_answer(self, server, link):
        server.answers.put(lambda call: [call.answer(0, streams=["s"])])
        operation, body = link.call(11, {})
        assert (12, ["s"]) == (operation, body["streams"])
        assert link.connected

    def test_an_answer_that_nobody_waits_for_is_skipped(self, server, link):
        late = Call(11, "given up", {}).answer(0)
        server.answers.put(lambda call: [late, call.answer(0), late])
        server.answers.put(lambda call: [call.answer(5)])
        assert 0 == link.call(11, {})[1]["status"]
        assert 5 == link.call(11, {})[1]["status"]

    def test_a_server_that_says_nothing_is_a_timeout_and_no_more(self, server):
        link = link_to(server, timeout_s=0.2)
        server.answers.put(lambda call: [])
        server.answers.put(lambda call: [call.answer(0)])
        with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
            link.call(11, {})
        assert 0 == link.call(11, {})[1]["status"]
        link.close()

    def test_the_end_of_a_connection_is_told_at_once_and_the_next_call_connects(self, server, link):
        def drop(call):
            server.drop()
            return []

        server.answers.put(drop)
        with pytest.raises(CoreUnavailableError):
            link.call(11, {})
        server.answers.put(lambda call: [call.answer(0)])
        assert 0 == link.call(11, {})[1]["status"]
        assert 2 == len(server.connections)

    def test_many_threads_share_a_link(self, server, link):
        got: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()

        def ask(number):
            got.put((number, link.call(4, {"requestId": f"r{number}", "payload": b"x"})[1]))

        for _ in range(20):
            server.answers.put(lambda call: [call.answer(0)])
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        answers = [got.get_nowait() for _ in range(20)]
        assert [f"r{number}" for number, _ in answers] == [body["requestId"] for _, body in answers]

    def test_a_refused_handshake_is_told(self, server):
        with pytest.raises(AuthorizationError, match="has no token of this core"):
            link_to(server, token=None)

    def test_nobody_listening_is_refused(self, server):
        server.close()
        with pytest.raises(ConnectionRefusedError):
            link_to(server)
        server.socket = socket.create_server(("127.0.0.1", 0))  # for the fixture to close

    def test_what_is_no_stream_manager_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as other:

            def answer():
                one, _ = other.accept()
                with one:
                    one.recv(1000)
                    one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            fake = type("Other", (), {"port": other.getsockname()[1]})
            with pytest.raises(ProtocolError, match="no stream manager"):
                link_to(fake)
            thread.join(WAIT_S)


# --- natively -------------------------------------------------------------------


@pytest.fixture
def native(monkeypatch):
    """Return a native link, what it asked and the answers that it gets."""
    asked = []
    answers: list[bytes | Exception] = [calls.answer_json([])]

    def ask(invoke, payload):
        asked.append(calls.Call.parse(payload))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("greengrass_sdk.client.streams.ask_streams", ask)
    return NativeLink(5.0), asked, answers


def test_a_native_link_fails_where_there_is_no_stream_manager(monkeypatch):
    def ask(invoke, payload):
        raise StreamsDisabledError("off")

    monkeypatch.setattr("greengrass_sdk.client.streams.ask_streams", ask)
    with pytest.raises(ConnectionRefusedError):
        NativeLink(5.0)


def test_a_native_link_answers_as_a_server_would(native):
    link, asked, answers = native
    answers += [
        calls.answer_json(None),
        calls.answer_append(7, 1),
        calls.answer_blocks([Block(7, 5, 2, encode_body([b"x", b"y"]))]),
        calls.answer_json(["s"]),
        calls.answer_json({"storageStatus": {}}),
    ]
    definition = {"name": "s", "strategyOnFull": 1}
    for operation, body, wanted in (
        (2, {"definition": definition}, {}),
        (4, {"name": "s", "payload": b"x"}, {"sequenceNumber": 7}),
        (
            5,
            {"streamName": "s", "readMessagesOptions": {"minMessageCount": 2}},
            {
                "messages": [
                    {"streamName": "s", "sequenceNumber": 7, "ingestTime": 5, "payload": b"x"},
                    {"streamName": "s", "sequenceNumber": 8, "ingestTime": 5, "payload": b"y"},
                ]
            },
        ),
        (11, {}, {"streams": ["s"]}),
        (13, {"name": "s"}, {"messageStreamInfo": {"storageStatus": {}}}),
    ):
        number, answer = link.call(operation, body)
        assert (operation, 0) == (number, answer.pop("status"))
        assert answer.pop("requestId")
        assert wanted == answer
    assert [11, 2, 4, 5, 11, 13] == [call.operation for call in asked]
    assert definition == asked[1].json()
    assert (0, 2, 2, 0.0, 0) == asked[3].window()
    assert link.connected
    link.close()


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (calls.answer_error(NotEnoughMessagesError("few")), 13, "few"),
        (NotEnoughMessagesError("few"), 13, "few"),
        (LimitExceededError("large"), 4, "large"),
        (calls.answer_append(7, 0, NotEnoughMessagesError("full")), 13, "full"),
    ],
)
def test_a_native_refusal_has_its_status(native, answer, status, text):
    link, _, answers = native
    answers.append(answer)
    _, told = link.call(4, {"name": "s", "payload": b"x"})
    assert (status, text) == (told["status"], told["errorMessage"])


def test_a_process_without_a_session_is_no_function():
    assert not streamlink.in_function()


def test_a_native_link_looks_at_what_it_was_lent(native, monkeypatch):
    monkeypatch.setattr(calls, "READ_FLAGS", calls.UNCHECKED)
    link, asked, answers = native
    block = Block(7, 5, 1, encode_body([b"x"]))
    sound = calls.stored_head(3, 7, 8) + block.header(3) + block.body
    answers += [sound, sound[:-1] + b"!", calls.answer_blocks([block])]
    for _ in range(2):
        _, answer = link.call(5, {"streamName": "s"})
        assert [(7, b"x")] == [(m["sequenceNumber"], m["payload"]) for m in answer["messages"]]
    assert [0, calls.UNCHECKED, calls.UNCHECKED, 0] == [call.flags for call in asked]

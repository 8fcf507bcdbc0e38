# SPDX-License-Identifier: Apache-2.0
"""The stream manager's protocol, as conversations; the first bytes were captured from a client."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.errors import RemoteProtocolError
from greengrass_sdk.wire import streams
from greengrass_sdk.wire.streams import (
    Call,
    ClientSession,
    Close,
    FrameDecoder,
    Operation,
    Oversize,
    Send,
    ServerSession,
    StreamStatus,
    encode_frame,
)

# What `stream_manager` 1.1.1 sends with the token TOKEN123.
CONNECT = bytes.fromhex(
    "01 00000093 01 a5 69726571756573744964 7824"
    "62343836626461612d626464322d343163302d383164652d383638623062303461653065"
    "6f70726f746f636f6c56657273696f6e 65312e312e30"
    "781e6f74686572537570706f7274656450726f746f636f6c56657273696f6e73 8165312e302e30"
    "6a73646b56657273696f6e 65312e312e31 6961757468546f6b656e 68544f4b454e313233"
)


def session(max_frame=1 << 20, *, token="TOKEN123"):
    return ServerSession(
        lambda given: given == token, identifier="client-1", version="0.1.0", max_frame=max_frame
    )


def connect(**changes):
    body = {"requestId": "r", "protocolVersion": "1.1.0", "authToken": "TOKEN123", **changes}
    return b"\x01" + encode_frame(1, {key: body[key] for key in body if body[key] is not None})


def connected(max_frame=1 << 20, version="1.1.0"):
    server = session(max_frame)
    (answer,) = server.receive(connect(protocolVersion=version))
    assert isinstance(answer, Send)
    return server


def opened(data):
    """Return operation and body of the one frame in `data`."""
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    return data[4], cbor2.loads(data[5:])


def test_a_client_connects():
    server = session()
    (answer,) = server.receive(CONNECT)
    assert b"\x01" == answer.data[:1]
    assert (
        6,
        {
            "requestId": "b486bdaa-bdd2-41c0-81de-868b0b04ae0e",
            "status": 0,
            "protocolVersion": "1.1.0",
            "serverVersion": "0.1.0",
            "supportedProtocolVersions": ["1.1.0", "1.0.0"],
            "clientIdentifier": "client-1",
        },
    ) == opened(answer.data[1:])
    assert "1.1.0" == server.protocol


def test_a_client_connects_byte_by_byte():
    server = session()
    events = [event for byte in CONNECT for event in server.receive(bytes([byte]))]
    assert [Send] == [type(event) for event in events]
    assert not server.unfinished


@pytest.mark.parametrize(
    ("wanted", "others", "agreed"),
    [
        ("1.1.0", None, "1.1.0"),
        ("1.0.0", None, "1.0.0"),
        ("1.2.0", ["1.1.0", "1.0.0"], "1.1.0"),
        ("1.2.0", ["1.0.0"], "1.0.0"),
    ],
)
def test_the_newest_common_protocol_is_agreed_upon(wanted, others, agreed):
    server = session()
    (answer,) = server.receive(
        connect(protocolVersion=wanted, otherSupportedProtocolVersions=others)
    )
    assert agreed == opened(answer.data[1:])[1]["protocolVersion"] == server.protocol


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x02" + CONNECT[1:], StreamStatus.UNSUPPORTED_CONNECT_VERSION),
        (b"G", StreamStatus.UNSUPPORTED_CONNECT_VERSION),
        (connect(authToken=None), StreamStatus.UNAUTHORIZED),
        (connect(authToken="other"), StreamStatus.UNAUTHORIZED),
        (connect(authToken=5), StreamStatus.UNAUTHORIZED),
        (connect(protocolVersion=None), StreamStatus.INVALID_PROTOCOL),
        (connect(protocolVersion=1), StreamStatus.INVALID_PROTOCOL),
        (connect(protocolVersion="1.x.0"), StreamStatus.INVALID_PROTOCOL),
        (connect(protocolVersion="2.0.0"), StreamStatus.UNSUPPORTED_PROTOCOL),
        (b"\x01" + encode_frame(4, {"requestId": "r"}), StreamStatus.UNEXPECTED_OPERATION),
    ],
)
def test_a_handshake_that_is_refused_is_answered_and_ends(data, status):
    server = session()
    answer, end = server.receive(data)
    operation, body = opened(answer.data[1:])
    assert (6, status) == (operation, body["status"])
    assert body["errorMessage"] == end.reason
    assert "protocolVersion" not in body
    assert [] == server.receive(CONNECT)


def test_a_stranger_may_send_little():
    server = session(1 << 30)
    (end,) = server.receive(b"\x01" + (1 << 20).to_bytes(4, "big") + b"\x01" + bytes(1 << 20))
    assert isinstance(end, Close)
    assert server.pending < streams.CONNECT_BYTES


@pytest.mark.parametrize("operation", sorted(streams.RESPONSES))
def test_each_request_becomes_a_call_and_its_answer_a_frame(operation):
    (call,) = connected().receive(encode_frame(operation, {"requestId": "r", "name": "s"}))
    assert (operation, "r", "s") == (call.operation, call.request_id, call.body["name"])
    response = streams.RESPONSES[operation]
    assert (response, {"requestId": "r", "status": 0}) == opened(call.answer(0))
    assert (response, {"requestId": "r", "status": 3, "errorMessage": "no"}) == opened(
        call.answer(3, "no")
    )


def test_an_append_in_the_bytes_of_a_client():
    data = bytes.fromhex("00000019 04 a3 69 726571756573744964 61 72 64 6e616d65 61 73") + b""
    data += bytes.fromhex("67 7061796c6f6164 42 6869")
    data = (len(data) - 4).to_bytes(4, "big") + data[4:]
    (call,) = connected().receive(data)
    assert (4, {"requestId": "r", "name": "s", "payload": b"hi"}) == (call.operation, call.body)
    assert (9, {"requestId": "r", "status": 0, "sequenceNumber": 0}) == opened(
        call.answer(0, sequenceNumber=0)
    )


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (4, {"requestId": "u" * 36, "name": "s", "payload": b"x"}),
        (5, {"requestId": "u" * 36, "streamName": "s", "readMessagesOptions": {}}),
        (13, {"requestId": "u" * 36, "name": "s"}),
        (5, {"requestId": "short", "streamName": "s"}),
    ],
)
def test_a_request_is_the_same_call_whole_and_in_pieces(operation, body):
    frame = encode_frame(operation, body)
    for at in range(len(frame)):
        opened_session = connected()
        events = [*opened_session.receive(frame[:at]), *opened_session.receive(frame[at:])]
        assert [(operation, body["requestId"], body)] == [
            (call.operation, call.request_id, call.body) for call in events
        ]
        assert [len(frame) - 5] == [call.size for call in events]


@given(st.text(min_size=1, max_size=255).filter(lambda text: len(text.encode()) < 2000))
def test_the_answer_to_an_append_is_what_the_encoder_would_write(request_id):
    call = Call(4, request_id, {})
    for number in (0, 23, 2**40):
        assert opened(call.answer(0, sequenceNumber=number)) == opened(call.answer_append(number))


def test_the_answer_to_a_read_can_become_that_of_another_request():
    answer = Call(5, "first", {}).answer_read("s", b"")
    assert not Call(5, "longer", {}).adopt(answer)
    assert Call(5, "other", {}).adopt(answer)
    assert (10, {"requestId": "other", "status": 0, "messages": []}) == opened(answer)


def test_an_answer_that_may_be_late_is_an_operation_that_no_client_knows():
    operation, body = opened(Call(4, "r", {}).fail_safely("late"))
    assert (0, "r", "late") == (operation, body["requestId"], body["errorMessage"])


@pytest.mark.parametrize(
    ("version", "operation"), [("1.1.0", 0), ("1.1.0", 18), ("1.1.0", 200), ("1.0.0", 15)]
)
def test_an_operation_that_is_not_there_is_answered(version, operation):
    (answer,) = connected(version=version).receive(encode_frame(operation, {"requestId": "r"}))
    number, body = opened(answer.data)
    # Where the client has a number for the answer it gets that one.
    assert (streams.RESPONSES.get(operation, 17), 18) == (number, body["status"])
    assert str(operation) in body["errorMessage"]


def test_a_second_handshake_is_answered_and_changes_nothing():
    server = connected()
    answer, call = server.receive(CONNECT[1:] + encode_frame(11, {"requestId": "l"}))
    assert (17, StreamStatus.UNEXPECTED_OPERATION) == (
        opened(answer.data)[0],
        opened(answer.data)[1]["status"],
    )
    assert 11 == call.operation


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame(4, {}),
        encode_frame(4, {"requestId": ""}),
        encode_frame(4, {"requestId": 5}),
        encode_frame(4, {"requestId": "x" * 256}),
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff\x01",
        b"\x7f\xff\xff\xff\x01",
        b"\x00\x00\x00\x02\x04\x80",
        b"\x00\x00\x00\x01\x04",
    ],
)
def test_what_cannot_be_answered_ends_the_connection(frame):
    server = connected()
    good = encode_frame(11, {"requestId": "l"})
    call, end = server.receive(good + frame + good)
    assert (11, Close) == (call.operation, type(end))
    assert [] == server.receive(good)


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
def test_a_request_that_is_too_large_is_answered_and_not_kept(step):
    server = connected(max_frame=1000)
    large = encode_frame(4, {"requestId": "big", "name": "s", "payload": bytes(20_000)})
    data = large + encode_frame(11, {"requestId": "l"})
    events = []
    for at in range(0, len(data), step):
        events += server.receive(data[at : at + step])
        assert server.pending <= 6000 or step > 6000
    answer, call = events
    operation, body = opened(answer.data)
    assert (9, "big", 4) == (operation, body["requestId"], body["status"])
    assert str(len(large) - 4) in body["errorMessage"]
    assert "1000" in body["errorMessage"]
    assert "l" == call.request_id
    assert not server.unfinished


def test_a_request_that_is_too_large_and_has_no_id_in_front_ends_the_connection():
    server = connected(max_frame=1000)
    large = encode_frame(4, {"payload": bytes(20_000), "requestId": "big"})
    (end,) = server.receive(large)
    assert isinstance(end, Close)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (b"\xa2\x69requestId\x63abc", "abc"),
        (b"\xbf\x69requestId\x78\x24" + b"u" * 36, "u" * 36),
        (b"\xa2\x69requestId", None),
        (b"\xa2\x69requestId\x78", None),
        (b"\xa2\x69requestId\x60", None),
        (b"\xa2\x69requestId\x41a", None),
        (b"\xa2\x64name\x61s\x69requestId\x63abc", "abc"),
        (b"", None),
    ],
)
def test_the_id_of_a_large_request_stands_in_front(prefix, found):
    assert found == Oversize(prefix, 1 << 20).request_id()


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=8),
    st.lists(st.integers(1, 60), max_size=40),
)
def test_frames_are_the_same_however_they_are_cut(frames, cuts):
    data = b"\x01" + b"".join(
        (len(payload) + 1).to_bytes(4, "big") + bytes([operation]) + payload
        for operation, payload in frames
    )
    decoder = FrameDecoder(1 << 20)
    got = []
    for cut in cuts:
        got += decoder.feed(data[:cut])
        data = data[cut:]
    got += decoder.feed(data)
    assert frames == got
    assert 0 == decoder.pending


@given(st.binary(max_size=300))
def test_any_bytes_of_a_connected_client_are_events_or_its_end(data):
    server = connected(max_frame=100)
    for event in server.receive(data):
        assert isinstance(event, Call | Send | Close)


def test_both_ends_understand_each_other():
    client, server = ClientSession(), session()
    (answer,) = server.receive(client.hello("h", "TOKEN123", "1.1.1"))
    ((operation, body),) = client.receive(answer.data)
    assert (Operation.CONNECT_RESPONSE, 0) == (operation, body["status"])
    (call,) = server.receive(encode_frame(Operation.LIST, {"requestId": "l"}))
    frame = call.answer(0, streams=["a"])
    assert [] == client.receive(frame[:9])
    assert [(12, {"requestId": "l", "status": 0, "streams": ["a"]})] == client.receive(frame[9:])


def test_a_client_without_a_token_sends_none():
    assert b"authToken" not in ClientSession().hello("h", None, "1.1.1")


def test_a_client_tells_what_is_no_stream_manager():
    with pytest.raises(RemoteProtocolError, match="version 72"):
        ClientSession().receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(RemoteProtocolError):
        ClientSession().receive(b"\x01\xff\xff\xff\xff\x06")

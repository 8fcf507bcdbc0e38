# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from greengrass_sdk.errors import RemoteProtocolError
from greengrass_sdk.runtime import protocol


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def open_descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_a_message_arrives_with_descriptors_that_programs_do_not_inherit(pair):
    ours, theirs = pair
    reader, writer = os.pipe()
    protocol.send(ours, {"op": "stop", "text": "\udc80é"}, [reader, writer])
    received = protocol.receive(theirs)
    assert received is not None
    message, fds = received
    assert message == {"op": "stop", "text": "\udc80é"}
    assert [False, False] == [os.get_inheritable(fd) for fd in fds]
    assert os.fstat(fds[0]).st_ino == os.fstat(reader).st_ino
    for fd in (reader, writer, *fds):
        os.close(fd)


def test_a_packet_is_passed_on_as_it_came(pair):
    ours, theirs = pair
    ours.sendall(b'{ "op":"stop"}')
    received = protocol.receive_packet(theirs)
    assert received is not None
    message, fds, packet = received
    assert (message, fds) == ({"op": "stop"}, [])
    protocol.pass_on(ours, packet, [0])
    data, fds, _, _ = socket.recv_fds(theirs, 100, 1)
    assert data == b'{ "op":"stop"}'
    assert os.fstat(fds[0]).st_ino == os.fstat(0).st_ino
    os.close(fds[0])


def test_the_end_of_the_stream_is_none(pair):
    ours, theirs = pair
    ours.close()
    assert protocol.receive(theirs) is None


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"17"])
def test_what_is_no_object_is_refused_and_its_descriptors_are_closed(pair, data):
    ours, theirs = pair
    before = open_descriptors()
    socket.send_fds(ours, [data], [0])
    with pytest.raises(RemoteProtocolError):
        protocol.receive(theirs)
    assert before == open_descriptors()


def test_more_descriptors_than_asked_for_are_refused(pair):
    ours, theirs = pair
    before = open_descriptors()
    socket.send_fds(ours, [json.dumps({}).encode()], [0, 0, 0])
    with pytest.raises(RemoteProtocolError, match="more than"):
        protocol.receive(theirs, 1)
    assert before == open_descriptors()


def test_a_packet_that_is_too_long_is_refused(pair, monkeypatch):
    ours, theirs = pair
    monkeypatch.setattr(protocol, "MESSAGE_BYTES", 10)
    ours.send(b'{"op": "much too long"}')
    with pytest.raises(RemoteProtocolError, match="more than 10 bytes"):
        protocol.receive(theirs)

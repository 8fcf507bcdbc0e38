# SPDX-License-Identifier: Apache-2.0
"""One socket, one thread; the peer is the other end of a socketpair."""

from __future__ import annotations

import os
import select
import socket

import pytest
from fake_core import encoded

from greengrass_sdk._native import MAX_FRAME, Frame, Kind
from greengrass_sdk._native._py.link import Link, Outgoing, Wake


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Link(theirs, MAX_FRAME), ours


def payloads(link):
    """Take every frame that is ready, as the exchange does."""
    frames = link.read()
    found = []
    while frames:
        found.append(frames.popleft().payload)
    return found


def message(payload):
    return encoded(Frame(Kind.MESSAGE, topic=b"t", payload=payload))


def test_what_is_left_of_a_frame_begins_where_the_socket_stopped():
    outgoing = Outgoing([b"head", b"body", b"tail"])
    assert [b"head", b"body", b"tail"] == outgoing.rest([])
    assert [b"dy", b"tail"] == [bytes(part) for part in outgoing.rest([3, 3])]
    assert [b"tail"] == outgoing.rest([8])
    assert [] == outgoing.rest([5, 7])


def test_a_frozen_frame_does_not_follow_its_caller():
    memory = bytearray(b"before")
    outgoing = Outgoing([memoryview(memory)])
    outgoing.freeze()
    memory[:] = b"after!"
    assert [b"before"] == outgoing.rest([])


def test_frames_come_out_as_they_arrive(pair):
    link, peer = pair
    assert [] == payloads(link)
    whole = message(b"1") + message(b"2")
    peer.sendall(whole[:-1])
    assert [b"1"] == payloads(link)
    peer.sendall(whole[-1:])
    assert [b"2"] == payloads(link)


def test_a_frame_that_was_not_taken_comes_again(pair):
    link, peer = pair
    peer.sendall(message(b"1"))
    assert [b"1"] == [frame.payload for frame in link.read()]
    assert [b"1"] == payloads(link)
    assert [] == payloads(link)


def test_a_decoder_that_was_interrupted_starts_again_from_the_last_boundary(pair):
    link, peer = pair
    whole = message(b"1" * 10) + message(b"2" * 10)
    peer.sendall(whole[:-15])
    assert [b"1" * 10] == payloads(link)
    link._inflow.decoder = None  # what an interruption in the middle of `feed` leaves
    peer.sendall(whole[-15:])
    assert [b"2" * 10] == payloads(link)


def test_nobody_looks_whether_something_has_come(pair):
    link, peer = pair
    peer.sendall(message(b"first"))
    assert not link.has_come()
    assert [b"first"] == payloads(link)


def test_the_end_is_noticed_after_the_last_frame(pair):
    link, peer = pair
    peer.sendall(message(b"last"))
    peer.close()
    assert [b"last"] == payloads(link)
    assert not link.eof
    assert [] == payloads(link)
    assert (True, None) == (link.eof, link.failure)
    assert [] == payloads(link)


def test_frames_before_a_broken_one_are_delivered(pair):
    link, peer = pair
    peer.sendall(message(b"good") + bytes(24))
    assert [b"good"] == payloads(link)
    assert link.eof
    assert "length 0 is less than the 24 bytes" in str(link.failure)


def test_a_connection_that_was_reset_has_ended(pair):
    link, peer = pair
    link.sock.send(b"unread")
    peer.close()
    payloads(link)
    assert link.eof
    assert isinstance(link.failure, ConnectionResetError)


def test_what_the_socket_does_not_take_stays_queued(pair):
    link, peer = pair
    link.outgoing.append(Outgoing([bytes(1_000_000)]))
    assert not link.flush()
    taken = 0
    while taken < 1_000_000:
        taken += len(peer.recv(1_000_000))
        link.flush()
    assert 0 == len(link.outgoing)
    assert link.flush()


def test_a_flush_to_a_peer_that_is_gone_raises_and_kills_nobody(pair):
    link, peer = pair
    peer.close()
    link.outgoing.append(Outgoing([b"x"]))
    with pytest.raises(BrokenPipeError):
        link.flush()


def test_shut_may_be_called_twice(pair):
    link, peer = pair
    peer.close()
    link.shut()
    link.shut()


def test_a_wake_is_readable_from_ring_to_clear():
    wake = Wake()
    try:

        def readable():
            return bool(select.select([wake.fd], [], [], 0)[0])

        seen = [readable()]
        for act in (wake.ring, wake.ring, wake.clear, wake.clear, wake.ring):
            act()
            seen.append(readable())
        assert [False, True, True, False, False, True] == seen
    finally:
        wake.close()
    wake.ring()
    wake.clear()


def test_a_wake_does_without_eventfd(monkeypatch):
    monkeypatch.delattr(os, "eventfd", raising=False)
    wake = Wake()
    wake.ring()
    assert [wake.fd] == select.select([wake.fd], [], [], 0)[0]
    wake.clear()
    assert [] == select.select([wake.fd], [], [], 0)[0]
    wake.close()


def test_a_wake_that_was_read_before_its_clear_was_interrupted_is_cleared():
    wake = Wake()
    wake.ring()
    os.read(wake.fd, 8)
    wake.clear()
    wake.ring()
    assert [wake.fd] == select.select([wake.fd], [], [], 0)[0]
    wake.close()


def test_a_wait_ends_when_somebody_rings(pair):
    link, _peer = pair
    wake = Wake()
    wake.ring()
    link.wait(select.POLLIN, wake, None, answer=False)
    link.wait(select.POLLIN, wake, 1e12, answer=False)
    wake.close()

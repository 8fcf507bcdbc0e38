# SPDX-License-Identifier: Apache-2.0
"""
ZeroMQ: PUB and SUB around an XSUB/XPUB proxy, REQ and REP around a ROUTER/DEALER one.

Over Unix sockets, without high-water marks (the window bounds what is on its way). The proxies are
libzmq's own, in C.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from window import ACK, Run, acknowledgement

from peers.kit import (
    ACKS,
    FAN,
    ONE,
    Child,
    answer_of,
    commands,
    drive,
    ready,
    reply,
    timed,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zmq

ROLES = ("pubsub", "calls")
JOIN_S = 0.3  # subscriptions of ZeroMQ take effect some time later, and nothing tells when


def version() -> str:
    """Return the versions of its parts."""
    found = versions("pyzmq")
    import zmq

    return f"{found}, libzmq {zmq.zmq_version()}"


@contextlib.contextmanager
def broker(_cache: Path, folder: Path) -> Iterator[str]:
    """Run both proxies."""
    address = f"ipc://{folder}/zmq"
    with (
        Child("zeromq", "proxy", "XSUB", "XPUB", f"{address}-pub", f"{address}-sub") as one,
        Child("zeromq", "proxy", "ROUTER", "DEALER", f"{address}-req", f"{address}-rep") as two,
    ):
        one.ready()
        two.ready()
        yield address


def proxy(front_type: str, back_type: str, front: str, back: str) -> None:
    """Forward between two sockets."""
    import zmq

    context = zmq.Context()
    sockets = []
    for kind, address in ((front_type, front), (back_type, back)):
        sock = context.socket(getattr(zmq, kind))
        _unbounded(sock)
        sock.bind(address)
        sockets.append(sock)
    ready()
    zmq.proxy(*sockets)


def source(address: str) -> None:
    """Publish as it is told."""
    out, acks = _ends(address, ACKS)
    ready()
    for command in commands():
        topic, payload = command["topic"].encode(), bytes(command["size"])
        parts = (topic, payload)
        run = Run(command["size"], command["seconds"], command["consumers"])

        def publish(parts: tuple[bytes, bytes] = parts) -> None:
            for _ in range(ACK):
                out.send_multipart(parts)

        reply(drive(run, publish, lambda: acks.recv_multipart()[1]))


def sink(address: str, number: str) -> None:
    """Take messages and acknowledge them."""
    consumer = int(number)
    out, messages = _ends(address, *((ONE, FAN) if consumer == 0 else (FAN,)))
    ready()
    seen = size = 0
    ack = ACKS.encode()
    while True:
        _topic, payload = messages.recv_multipart()
        size += len(payload)
        seen += 1
        if seen == ACK:
            out.send_multipart((ack, acknowledgement(consumer, size)))
            seen = size = 0


def server(address: str) -> None:
    """Answer requests."""
    import zmq

    sock = zmq.Context().socket(zmq.REP)
    sock.connect(f"{address}-rep")
    ready()
    while True:
        sock.send(answer_of(sock.recv()))


def caller(address: str) -> None:
    """Make requests as it is told."""
    import zmq

    sock = zmq.Context().socket(zmq.REQ)
    sock.connect(f"{address}-req")
    ready()

    def call(payload: bytes) -> bytes:
        sock.send(payload)
        answer: bytes = sock.recv()
        return answer

    for command in commands():
        reply({"ns": timed(call, command)})


def _ends(address: str, *topics: str) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    import zmq

    context = zmq.Context()
    out, back = context.socket(zmq.PUB), context.socket(zmq.SUB)
    for sock in (out, back):
        _unbounded(sock)
    out.connect(f"{address}-pub")
    back.connect(f"{address}-sub")
    for topic in topics:
        back.subscribe(topic.encode())
    time.sleep(JOIN_S)
    return out, back


def _unbounded(sock: zmq.Socket[bytes]) -> None:
    sock.rcvhwm = sock.sndhwm = 0

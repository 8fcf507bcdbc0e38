# SPDX-License-Identifier: Apache-2.0
"""
zenoh: clients of a router over TCP on loopback, reliable and blocking, no shared memory.

The router is zenoh itself in its mode `router`, in a process of its own; no Python runs on its
path. Acknowledgements and requests are `express`, data may be batched.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
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
    free_port,
    ready,
    reply,
    timed,
    versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zenoh

ROLES = ("pubsub", "calls")
CALLS = "sensor/call"
JOIN_S = 0.5  # declarations travel through the router, and nothing tells when they have


def version() -> str:
    """Return the versions of its parts."""
    return versions("eclipse-zenoh")


@contextlib.contextmanager
def broker(_cache: Path, _folder: Path) -> Iterator[str]:
    """Run a router."""
    address = f"tcp/127.0.0.1:{free_port()}"
    with Child("zenoh_router", "router", address) as child:
        child.ready()
        yield address


def router(address: str) -> None:
    """Route until the parent ends."""
    with _open("router", listen=address):
        ready()
        signal.pause()


def source(address: str) -> None:
    """Publish as it is told."""
    import zenoh

    acks = queue.SimpleQueue[bytes]()
    with _open("client", connect=address) as session:
        subscriber = session.declare_subscriber(ACKS, lambda one: acks.put(one.payload.to_bytes()))
        publishers = {
            topic: session.declare_publisher(
                topic, congestion_control=zenoh.CongestionControl.BLOCK
            )
            for topic in (ONE, FAN)
        }
        time.sleep(JOIN_S)
        ready()
        for command in commands():
            put, payload = publishers[command["topic"]].put, bytes(command["size"])
            run = Run(command["size"], command["seconds"], command["consumers"])

            def publish(put: object = put, payload: bytes = payload) -> None:
                assert callable(put)
                for _ in range(ACK):
                    put(payload)

            reply(drive(run, publish, acks.get))
        subscriber.undeclare()


def sink(address: str, number: str) -> None:
    """Take messages and acknowledge them."""
    import zenoh

    consumer = int(number)
    with _open("client", connect=address) as session:
        acks = session.declare_publisher(
            ACKS, congestion_control=zenoh.CongestionControl.BLOCK, express=True
        )
        seen = size = 0

        def take(sample: zenoh.Sample) -> None:
            nonlocal seen, size
            size += len(sample.payload.to_bytes())
            seen += 1
            if seen == ACK:
                acks.put(acknowledgement(consumer, size))
                seen = size = 0

        kept = [
            session.declare_subscriber(topic, take)
            for topic in ((ONE, FAN) if consumer == 0 else (FAN,))
        ]
        time.sleep(JOIN_S)
        ready()
        signal.pause()
        del kept


def server(address: str) -> None:
    """Answer requests."""

    def answer(query: zenoh.Query) -> None:
        assert query.payload is not None
        query.reply(CALLS, answer_of(query.payload.to_bytes()), express=True)

    with _open("client", connect=address) as session:
        queryable = session.declare_queryable(CALLS, answer)
        time.sleep(JOIN_S)
        ready()
        signal.pause()
        queryable.undeclare()


def caller(address: str) -> None:
    """Make requests as it is told."""
    import zenoh

    with _open("client", connect=address) as session:
        querier = session.declare_querier(
            CALLS, congestion_control=zenoh.CongestionControl.BLOCK, express=True
        )
        time.sleep(JOIN_S)
        ready()

        def call(payload: bytes) -> bytes:
            for answer in querier.get(payload=payload):
                assert answer.ok is not None
                found: bytes = answer.ok.payload.to_bytes()
                return found
            raise TimeoutError("no answer")

        for command in commands():
            reply({"ns": timed(call, command)})


def _open(mode: str, *, listen: str | None = None, connect: str | None = None) -> zenoh.Session:
    import zenoh

    config = zenoh.Config()
    for key, value in {
        "mode": mode,
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "listen/endpoints": [listen] if listen else [],
        "connect/endpoints": [connect] if connect else [],
        "transport/shared_memory/enabled": False,
    }.items():
        config.insert_json5(key, json.dumps(value))
    return zenoh.open(config)

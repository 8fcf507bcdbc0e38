# SPDX-License-Identifier: Apache-2.0
"""MQTT: mosquitto and paho over TCP on loopback, QoS 0, TCP_NODELAY, no persistence."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from typing import TYPE_CHECKING, Any

from window import ACK, Run, acknowledgement

from peers import brokers
from peers.kit import (
    ACKS,
    FAN,
    ONE,
    Child,
    SkippedError,
    answer_of,
    commands,
    drive,
    first_line,
    free_port,
    ready,
    reply,
    timed,
    versions,
    wait_for_port,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import paho.mqtt.client as paho

ROLES = ("pubsub", "calls")
REQUESTS, ANSWERS = "sensor/call", "sensor/answer"
CONNECT_S = 10.0


def version() -> str:
    """Return the versions of its parts."""
    return versions("paho-mqtt")


def broker_version(cache: Path) -> str:
    """Return what the broker says of itself."""
    program, env = brokers.find("mosquitto", cache)
    return first_line([program, "-h"], env)


@contextlib.contextmanager
def broker(cache: Path, folder: Path) -> Iterator[str]:
    """Run the broker."""
    program, env = brokers.find("mosquitto", cache)
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n"
        "set_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\nuser root\n"
    )
    with Child("exec", program, "-c", config, env=env) as child:
        wait_for_port(port, child)
        yield str(port)


def source(address: str) -> None:
    """Publish as it is told; paho's own thread does the rest, as its manual recommends."""
    acks = queue.SimpleQueue[bytes]()
    client = _connect(address, lambda message: acks.put(bytes(message.payload)), ACKS)
    ready()
    for command in commands():
        topic, payload = command["topic"], bytes(command["size"])
        run = Run(command["size"], command["seconds"], command["consumers"])

        def publish(topic: str = topic, payload: bytes = payload) -> None:
            for _ in range(ACK):
                client.publish(topic, payload)

        reply(drive(run, publish, acks.get))


def sink(address: str, number: str) -> None:
    """Take messages and acknowledge them."""
    consumer = int(number)
    seen = size = 0

    def take(message: paho.MQTTMessage) -> None:
        nonlocal seen, size
        size += len(message.payload)
        seen += 1
        if seen == ACK:
            client.publish(ACKS, acknowledgement(consumer, size))
            seen = size = 0

    client = _connect(address, take, *((ONE, FAN) if consumer == 0 else (FAN,)))
    ready()
    threading.Event().wait()


def server(address: str) -> None:
    """Answer requests."""
    client = _connect(
        address,
        lambda message: client.publish(ANSWERS, answer_of(bytes(message.payload))),
        REQUESTS,
    )
    ready()
    threading.Event().wait()


def caller(address: str) -> None:
    """Make requests as it is told."""
    answers = queue.SimpleQueue[bytes]()
    client = _connect(address, lambda message: answers.put(bytes(message.payload)), ANSWERS)
    ready()

    def call(payload: bytes) -> bytes:
        client.publish(REQUESTS, payload)
        return answers.get()

    for command in commands():
        reply({"ns": timed(call, command)})


def _connect(port: str, take: Callable[[paho.MQTTMessage], Any], *topics: str) -> paho.Client:
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    client = paho.Client(CallbackAPIVersion.VERSION2)
    subscribed = threading.Event()
    client.on_message = lambda _client, _data, message: take(message)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", int(port))
    sock = client.socket()
    assert isinstance(sock, socket.socket)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.loop_start()
    client.subscribe([(topic, 0) for topic in topics])
    if not subscribed.wait(CONNECT_S):
        raise SkippedError("did not subscribe")
    return client

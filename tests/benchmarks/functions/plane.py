# SPDX-License-Identifier: Apache-2.0
"""
The functions whose messages and calls are measured; `window` is copied beside them.

They publish, receive and invoke as the manual shows it. All but `documents` have binary encoding,
so that an event is bytes.
"""

from __future__ import annotations

import array
import asyncio
import itertools
import json
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from window import ACK, Run, acknowledgement

import greengrasssdk
from greengrass_sdk import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Callable

CONSUMER = int(os.environ.get("CONSUMER", "0"))

client = Client()


# --- throughput --------------------------------------------------------------------


class _Source:
    """What a source does at the moment."""

    run: Run | None = None
    publish: Callable[[], None]


def source(event: bytes, _context: Any) -> None:
    """Start a run, or take an acknowledgement; publish what the window allows."""
    if event.startswith(b"{"):
        command = json.loads(event)
        _Source.publish = _publisher(command)
        _Source.run = Run(command["size"], command["seconds"], command["consumers"])
    else:
        assert _Source.run is not None
        _Source.run.acknowledged(event)
    run = _Source.run
    while run.due():
        _Source.publish()
    if run.finished:
        client.publish("done", json.dumps(run.result()))


def _publisher(command: dict[str, Any]) -> Callable[[], None]:
    """Return what publishes `ACK` messages."""
    topic, payload = command["topic"], command.get("payload", "x" * command["size"]).encode()
    if command.get("topics"):
        return _over_topics(payload)
    if command.get("sdk"):
        v1 = greengrasssdk.client("iot-data")

        def publish() -> None:
            for _ in range(ACK):
                v1.publish(topic=topic, payload=payload)

    else:

        def publish() -> None:
            for _ in range(ACK):
                client.publish(topic, payload)

    return publish


def topics() -> list[str]:
    """Return ten thousand topics of eight levels."""
    return [
        f"plant/{one % 10}/line/{one // 10 % 10}/cell/{one // 100 % 10}/sensor/{one // 1000}"
        for one in range(10_000)
    ]


def _over_topics(payload: bytes) -> Callable[[], None]:
    order = topics()
    random.shuffle(order)
    endless = itertools.cycle(order)

    def publish() -> None:
        for topic in itertools.islice(endless, ACK):
            client.publish(topic, payload)

    return publish


class _Seen:
    """What a sink has seen since it last acknowledged."""

    messages = 0
    size = 0


def sink(event: bytes, _context: Any) -> None:
    """Read a payload; acknowledge every 256th."""
    seen = _Seen
    seen.size += len(event)
    seen.messages += 1
    if seen.messages == ACK:
        client.publish("ack", acknowledgement(CONSUMER, seen.size))
        seen.messages = seen.size = 0


def documents(event: dict[str, Any], _context: Any) -> None:
    """Read a JSON document, which says its own size; acknowledge every 256th."""
    seen = _Seen
    seen.size += event["size"]
    seen.messages += 1
    if seen.messages == ACK:
        client.publish("ack", acknowledgement(CONSUMER, seen.size))
        seen.messages = seen.size = 0


# --- calls -------------------------------------------------------------------------


def echo(event: bytes, _context: Any) -> bytes:
    """Return the payload."""
    return event


def take(event: bytes, _context: Any) -> bytes:
    """Return how long the payload is."""
    return b"%d" % len(event)


def caller(event: bytes, _context: Any) -> bytes:
    """Invoke another function as the command says; return nanoseconds, 8 bytes each."""
    command = json.loads(event)
    target, payload = command["target"], b"x" * command["size"]
    wanted = payload if target == "echo" else b"%d" % len(payload)
    pause_s = command["pause_s"]
    spans = array.array("q")
    for number in range(-command["warm"], command["calls"]):
        asked = time.perf_counter_ns()
        answer = client.invoke(target, payload)
        if number >= 0:
            spans.append(time.perf_counter_ns() - asked)
        if answer.payload != wanted:
            raise AssertionError("a wrong answer")
        if pause_s:
            time.sleep(pause_s)
    return spans.tobytes()


# --- one call of publish -------------------------------------------------------------


def publisher(event: bytes, _context: Any) -> bytes:
    """Publish bursts that fit a ring, with pauses that drain it; return their nanoseconds."""
    command = json.loads(event)
    spans = array.array("q")
    stop = threading.Event()
    if command["busy"]:
        threading.Thread(target=_spin, args=(stop,), daemon=True).start()
    try:
        for number in range(-1, command["bursts"]):
            taken = _burst(command)
            if number >= 0:
                spans.extend(taken)
            time.sleep(command["pause_s"])
    finally:
        stop.set()
    return spans.tobytes()


def _burst(command: dict[str, Any]) -> list[int]:
    """Return the time of a burst, or of each call beside a busy thread."""
    calls, payload = command["calls"], b"x" * command["size"]
    clock = time.perf_counter_ns
    if command["busy"]:
        spans = []
        for _ in range(calls):
            begun = clock()
            client.publish("free", payload)
            spans.append(clock() - begun)
        return spans
    if command["api"] == "AsyncClient":
        return asyncio.run(_async_burst(calls, payload))
    if command["api"] == "greengrasssdk":
        v1 = greengrasssdk.client("iot-data")
        begun = clock()
        for _ in range(calls):
            v1.publish(topic="free", payload=payload)
        return [clock() - begun]
    begun = clock()
    for _ in range(calls):
        client.publish("free", payload)
    return [clock() - begun]


async def _async_burst(calls: int, payload: bytes) -> list[int]:
    publish = AsyncClient().publish
    begun = time.perf_counter_ns()
    for _ in range(calls):
        await publish("free", payload)
    return [time.perf_counter_ns() - begun]


def _spin(stop: threading.Event) -> None:
    """Compute, as a function's own thread might."""
    number = 0
    while not stop.is_set():
        for _ in range(1000):
            number = (number * 31 + 7) % 1_000_003


def drain(_event: bytes, _context: Any) -> None:
    """Take what the bursts sent."""

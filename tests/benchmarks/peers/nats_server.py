# SPDX-License-Identifier: Apache-2.0
"""NATS: nats-server with its defaults and nats-py over TCP on loopback; core NATS, no JetStream."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from window import ACK, Run, acknowledgement

from peers import brokers
from peers.kit import (
    ACKS,
    FAN,
    LARGEST,
    ONE,
    Child,
    answer_of,
    commands,
    first_line,
    free_port,
    ready,
    reply,
    versions,
    wait_for_port,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nats.aio.client import Client
    from nats.aio.msg import Msg

ROLES = ("pubsub", "calls")
CALLS = "sensor.call"


def version() -> str:
    """Return the versions of its parts."""
    return versions("nats-py")


@contextlib.contextmanager
def broker(cache: Path, folder: Path) -> Iterator[str]:
    """Run the server; only the largest payload is not its default."""
    program, env = brokers.find("nats-server", cache)
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(f"host: 127.0.0.1\nport: {port}\nmax_payload: {LARGEST + 65536}\n")
    with Child("exec", program, "-c", config, env=env) as child:
        wait_for_port(port, child)
        yield f"nats://127.0.0.1:{port}"


def broker_version(cache: Path) -> str:
    """Return what the server says of itself."""
    program, env = brokers.find("nats-server", cache)
    return first_line([program, "--version"], env)


def source(address: str) -> None:
    """Publish as it is told."""
    asyncio.run(_source(address))


async def _source(address: str) -> None:
    client = await _connect(address)
    acks = asyncio.Queue[bytes]()

    async def take(message: Msg) -> None:
        acks.put_nowait(message.data)

    await client.subscribe(_subject(ACKS), cb=take)
    await client.flush()
    ready()
    for command in commands():
        subject, payload = _subject(command["topic"]), bytes(command["size"])
        run = Run(command["size"], command["seconds"], command["consumers"])
        while True:
            while run.due():
                for _ in range(ACK):
                    await client.publish(subject, payload)
            if run.finished:
                break
            run.acknowledged(await acks.get())
        reply(run.result())


def sink(address: str, number: str) -> None:
    """Take messages and acknowledge them."""
    asyncio.run(_sink(address, int(number)))


async def _sink(address: str, consumer: int) -> None:
    client = await _connect(address)
    subject = _subject(ACKS)
    seen = size = 0

    async def take(message: Msg) -> None:
        nonlocal seen, size
        size += len(message.data)
        seen += 1
        if seen == ACK:
            await client.publish(subject, acknowledgement(consumer, size))
            seen = size = 0

    for topic in (ONE, FAN) if consumer == 0 else (FAN,):
        await client.subscribe(_subject(topic), cb=take, pending_bytes_limit=1 << 30)
    await client.flush()
    ready()
    await asyncio.Event().wait()


def server(address: str) -> None:
    """Answer requests."""
    asyncio.run(_server(address))


async def _server(address: str) -> None:
    client = await _connect(address)

    async def answer(message: Msg) -> None:
        await message.respond(answer_of(message.data))

    await client.subscribe(CALLS, cb=answer)
    await client.flush()
    ready()
    await asyncio.Event().wait()


def caller(address: str) -> None:
    """Make requests as it is told."""
    asyncio.run(_caller(address))


async def _caller(address: str) -> None:
    client = await _connect(address)
    ready()
    for command in commands():
        reply({"ns": await _timed(client, command)})


async def _timed(client: Client, command: dict[str, Any]) -> list[int]:
    """Time requests as `kit.timed` does."""
    payload = bytes(command["size"])
    wanted = answer_of(payload)
    pause_s = command.get("pause_s", 0)
    spans = []
    for number in range(-command["warm"], command["calls"]):
        asked = time.perf_counter_ns()
        answer = await client.request(CALLS, payload, timeout=5)
        if number >= 0:
            spans.append(time.perf_counter_ns() - asked)
        if answer.data != wanted:
            raise AssertionError("a wrong answer")
        if pause_s:
            await asyncio.sleep(pause_s)
    return spans


def _subject(topic: str) -> str:
    return topic.replace("/", ".")


async def _connect(address: str) -> Client:
    import nats

    return await nats.connect(address)

# SPDX-License-Identifier: Apache-2.0
"""A function that asks for shadows as a program would; each command is one measurement."""

from __future__ import annotations

import array
import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from greengrass_sdk import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Callable

client = Client()

ONE = "bench-one"  # the thing that is asked for one call at a time


def asker(event: dict[str, Any], _context: Any) -> Any:
    """Do what the command says; return a rate, or the nanoseconds of each call."""
    measure = globals()[event.pop("measure")]
    return measure(**event)


def update_one(seconds: float) -> float:
    """Return how many updates a second one caller has answered, one after the other."""
    shadow = client.shadow(ONE)
    done = 0
    begun = time.perf_counter()
    while (taken := time.perf_counter() - begun) < seconds:
        shadow.update(reported={"celsius": done})
        done += 1
    return done / taken


def update_many(seconds: float, things: int) -> float:
    """Return how many updates a second are answered, one under way for each of the things."""

    async def run() -> float:
        async with AsyncClient() as asking:
            end = time.perf_counter() + seconds

            async def keep(number: int) -> int:
                shadow = asking.shadow(f"bench-{number}")
                done = 0
                while time.perf_counter() < end:
                    await shadow.update(reported={"celsius": done})
                    done += 1
                return done

            begun = time.perf_counter()
            counts = await asyncio.gather(*(keep(number) for number in range(things)))
            return sum(counts) / (time.perf_counter() - begun)

    return asyncio.run(run())


def get_many(seconds: float, in_flight: int) -> float:
    """Return how many gets a second are answered, so many of them under way."""
    client.shadow(ONE).update(reported={"celsius": 21})

    async def run() -> float:
        async with AsyncClient() as asking:
            shadow = asking.shadow(ONE)
            end = time.perf_counter() + seconds

            async def keep() -> int:
                done = 0
                while time.perf_counter() < end:
                    await shadow.get()
                    done += 1
                return done

            begun = time.perf_counter()
            counts = await asyncio.gather(*(keep() for _ in range(in_flight)))
            return sum(counts) / (time.perf_counter() - begun)

    return asyncio.run(run())


def get_spans(calls: int, warm: int) -> list[int]:
    """Return the nanoseconds of each of some gets, one after the other."""
    client.shadow(ONE).update(reported={"celsius": 21})
    return _spans(client.shadow(ONE).get, calls, warm)


def invoke_spans(calls: int, warm: int) -> list[int]:
    """Return the nanoseconds of each of some invocations of a function that does nothing."""
    return _spans(lambda: client.invoke("nothing", b""), calls, warm)


def _spans(call: Callable[[], object], calls: int, warm: int) -> list[int]:
    spans = array.array("q")
    for number in range(-warm, calls):
        asked = time.perf_counter_ns()
        call()
        if number >= 0:
            spans.append(time.perf_counter_ns() - asked)
    return spans.tolist()


def nothing(_event: bytes, _context: Any) -> bytes:
    """Return as many bytes as a small shadow has."""
    return json.dumps({"state": {}, "metadata": {}, "version": 1, "timestamp": 0}).encode()

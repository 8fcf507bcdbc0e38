# SPDX-License-Identifier: Apache-2.0
"""A function that appends to streams and reads them; each command is one measurement."""

from __future__ import annotations

import array
import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from greengrass_sdk import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

client = Client()
RECORD = b"x" * 1024


def streamer(event: dict[str, Any], _context: Any) -> Any:
    """Do what the command says; return a rate, or the nanoseconds of each call."""
    measure = globals()[event.pop("measure")]
    return measure(**event)


def create(stream: str, flush: bool) -> None:
    """Make a stream, empty, of a gibibyte."""
    from greengrass_sdk.errors import StreamNotFoundError
    from greengrass_sdk.model.stream import StrategyOnFull

    one = client.stream(stream)
    with contextlib.suppress(StreamNotFoundError):
        one.delete()
    one.create(
        max_size=1 << 30,
        strategy_on_full=StrategyOnFull.OverwriteOldestData,
        flush_on_write=flush,
    )


def append_batches(stream: str, seconds: float, batch: int) -> float:
    """Return the records a second of one caller, batch after batch."""
    one, records = client.stream(stream), [RECORD] * batch
    done, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < seconds:
        one.append_many(records)
        done += batch
    return done / taken


def append_batches_at_once(stream: str, seconds: float, batch: int, in_flight: int) -> float:
    """Return the records a second of batches that are under way at the same time."""
    records = [RECORD] * batch

    def call(client: AsyncClient) -> Awaitable[object]:
        return client.stream(stream).append_many(records)

    return batch * _at_once(call, seconds, in_flight)


def append_at_once(stream: str, seconds: float, in_flight: int) -> float:
    """Return the records a second of single appends that are under way at the same time."""

    def call(client: AsyncClient) -> Awaitable[object]:
        return client.stream(stream).append(RECORD)

    return _at_once(call, seconds, in_flight)


def _at_once(
    call: Callable[[AsyncClient], Awaitable[object]], seconds: float, in_flight: int
) -> float:
    async def run() -> float:
        async with AsyncClient() as asking:
            end = time.perf_counter() + seconds

            async def keep() -> int:
                done = 0
                while time.perf_counter() < end:
                    await call(asking)
                    done += 1
                return done

            begun = time.perf_counter()
            counts = await asyncio.gather(*(keep() for _ in range(in_flight)))
            return sum(counts) / (time.perf_counter() - begun)

    return asyncio.run(run())


def read(stream: str, batch_bytes: int) -> float:
    """Return the records a second of reading all of a stream."""
    done, begun = 0, time.perf_counter()
    for _ in client.stream(stream).iterate(batch_bytes=batch_bytes):
        done += 1
    return done / (time.perf_counter() - begun)


def append_spans(stream: str, calls: int, warm: int) -> list[int]:
    """Return the nanoseconds of single appends."""
    one = client.stream(stream)
    return _spans(lambda: one.append(RECORD), calls, warm)


def invoke_spans(calls: int, warm: int) -> list[int]:
    """Return the nanoseconds of invocations of a function that does nothing."""
    return _spans(lambda: client.invoke("nothing", RECORD), calls, warm)


def _spans(call: Callable[[], object], calls: int, warm: int) -> list[int]:
    spans = array.array("q")
    for _ in range(calls):
        begun = time.perf_counter_ns()
        call()
        spans.append(time.perf_counter_ns() - begun)
    return list(spans[warm:])


def nothing(_event: bytes, _context: Any) -> None:
    """Do nothing."""

# SPDX-License-Identifier: Apache-2.0
"""
What one call of publish costs the function that makes it.

In bursts that fit the ring, with pauses in which a subscriber takes them: nobody waits for room.
Beside: the same copy into a free ring, called from C, and from Python through the bare binding.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

from report import AIM, MUST, Row, aim, beside, row
from rounds import alternate
from service import Service, binary, write_plane_group

from greengrass_sdk import _native

if TYPE_CHECKING:
    from collections.abc import Callable

    from setting import Setting

BYTES = 64
CALLS = 500
TOPIC = b"free"
APIS = ("Client", "greengrasssdk", "AsyncClient")
RING_BYTES = 1 << 18


def measure(setting: Setting) -> list[Row]:
    """Return the rows of single calls."""
    functions = {"publisher": binary("publisher"), "drain": binary("drain")}
    rows = [("publisher", "free", "drain")]
    bursts = 3 if setting.quick else 25
    with Service(write_plane_group(setting.folder / "group", functions, rows)) as core:

        def burst_ns(api: str) -> float:
            spans = core.spans(
                "publisher",
                api=api,
                bursts=bursts,
                calls=CALLS,
                size=BYTES,
                pause_s=0.02,
                busy=False,
            )
            return statistics.median(spans) / CALLS

        def beside_busy_us() -> tuple[float, float, float]:
            spans = core.spans(
                "publisher",
                api="Client",
                bursts=1,
                calls=30 if setting.quick else 200,
                size=BYTES,
                pause_s=0.02,
                busy=True,
            )
            in_us = [span / 1e3 for span in spans]
            p99 = statistics.quantiles(in_us, n=100)[98]
            return statistics.median(in_us), p99, statistics.fmean(in_us)

        cases: dict[str, Callable[[], float]] = {api: partial(burst_ns, api) for api in APIS}
        cases |= setting.floors.values("publish/port", "publish/ring")
        if _native.impl == "c":
            cases["binding"] = binding_ns
        found = alternate(cases, setting.rounds)
        busy = alternate({"busy": beside_busy_us}, setting.rounds)["busy"]
    return [*_rows(found), *_busy_rows(busy)]


def _rows(found: dict[str, list[float]]) -> list[Row]:
    ours = found["Client"]
    port, ring = found.get("C publish/port"), found.get("C publish/ring")
    binding = found.get("binding")
    rows = [
        row(
            "publish call, 64 B, free ring",
            "ns",
            ours,
            beside(ours, binding, "the copy through the binding", MUST, at_most=3),
            beside(ours, ring, "the C ring call", AIM, at_most=350 / 30),
            beside(ours, port, "the C call that also wakes"),
        )
    ]
    rows += [
        row(f"publish call, {api}", "ns", found[api], beside(found[api], ours, "Client"))
        for api in APIS[1:]
    ]
    for name, samples in (
        ("floor: the copy, called from Python through the binding", binding),
        ("floor: the C call that copies and wakes", port),
        ("floor: the C ring call alone", ring),
    ):
        if samples is not None:
            rows.append(row(name, "ns", samples))
    return rows


def _busy_rows(found: list[tuple[float, float, float]]) -> list[Row]:
    p50, p99, mean = (list(column) for column in zip(*found, strict=True))
    what = "publish call beside a thread that computes"
    return [
        row(f"{what}, p50", "us", p50, aim(at_most=10)),
        row(f"{what}, p99", "us", p99),
        row(f"{what}, mean", "us", mean),
    ]


def binding_ns() -> float:
    """Return the time of the copy into a free ring that nobody reads meanwhile, from Python."""
    import os
    import socket

    from greengrass_sdk._native._lib import ffi, lib

    segment, descriptor = ffi.new("struct gg_segment *"), ffi.new("int *")
    theirs, event = ffi.new("struct gg_segment *"), ffi.new("int *")
    core, worker = ffi.new("struct gg_port *"), ffi.new("struct gg_port *")
    views = ffi.new("struct gg_port_view[]", 64)
    ours, other = socket.socketpair()
    with ours, other:
        assert lib.gg_segment_create(segment, RING_BYTES, RING_BYTES, descriptor) == lib.GG_OK
        assert lib.gg_event_create(event) == lib.GG_OK
        assert lib.gg_segment_attach(theirs, descriptor[0]) == lib.GG_OK
        assert lib.gg_port_init(core, segment, lib.GG_SIDE_CORE, -1, other.fileno(), 0) == lib.GG_OK
        sides = (theirs, lib.GG_SIDE_WORKER, event[0], ours.fileno(), 0)
        assert lib.gg_port_init(worker, *sides) == lib.GG_OK
        try:
            send, payload, size, spans = lib.gg_port_send, b"x" * BYTES, len(TOPIC), []
            for _ in range(21):
                begun = time.perf_counter_ns()
                for _ in range(CALLS):
                    send(worker, 1, 0, 0, 0, TOPIC, size, b"", 0, payload, BYTES, 0)
                spans.append(time.perf_counter_ns() - begun)
                while lib.gg_port_receive_batch(core, views, 64, RING_BYTES, 0, 0) > 0:
                    lib.gg_port_release(core)
        finally:
            lib.gg_port_free(worker)
            lib.gg_port_free(core)
            os.close(descriptor[0])
            os.close(event[0])
    return statistics.median(spans) / CALLS

# SPDX-License-Identifier: Apache-2.0
"""Routing by one of a thousand filters of eight levels, beside routing by the only one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from report import AIM, MUST, Row, beside, row
from rounds import alternate
from service import Service, binary, write_plane_group
from setting import void_if_lost

if TYPE_CHECKING:
    from pathlib import Path

    from setting import Setting

BYTES = 64


def measure(setting: Setting) -> list[Row]:
    """Return the cost of a message with many filters, and with one."""
    with Service(_group(setting.folder / "group")) as core:
        how: dict[str, Any] = {"topic": "", "topics": True, "size": BYTES}
        cases = {
            source: void_if_lost(
                source, partial(core.rate, source, 1, seconds=setting.seconds, **how)
            )
            for source in ("many", "single")
        }
        found = alternate(cases, setting.rounds)
    many, single = ([1e6 / rate for rate in found[source]] for source in ("many", "single"))
    return [
        row(
            "1 000 filters of 8 levels, 10 000 topics shuffled, a message",
            "us",
            many,
            beside(many, single, "one filter", MUST, at_most=1.5),
            beside(many, single, "one filter", AIM, at_most=1.2),
        ),
        row("one filter, the same topics, a message", "us", single),
    ]


def _group(folder: Path) -> Path:
    functions = {
        "many": binary("source"),
        "single": binary("source"),
        "sinkmany": binary("sink"),
        "sinksingle": binary("sink"),
    }
    rows = [("single", "plant/+/line/+/cell/+/sensor/+", "sinksingle")]
    rows += [
        ("many", f"plant/{one % 10}/line/{one // 10 % 10}/cell/{one // 100}/sensor/+", "sinkmany")
        for one in range(1000)
    ]
    for source in ("many", "single"):
        rows += [
            ("bench", f"go/{source}", source),
            (source, "done", "bench"),
            (f"sink{source}", "ack", source),
        ]
    return write_plane_group(folder, functions, rows)

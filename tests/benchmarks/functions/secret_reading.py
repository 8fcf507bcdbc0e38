# SPDX-License-Identifier: Apache-2.0
"""A function that reads a secret as a program would; each command is one measurement."""

from __future__ import annotations

import array
import time
from typing import TYPE_CHECKING, Any

import greengrasssdk
from greengrass_sdk import Client

if TYPE_CHECKING:
    from collections.abc import Callable

client = Client()
v1 = greengrasssdk.client("secretsmanager")


def asker(event: dict[str, Any], _context: Any) -> list[int]:
    """Return the nanoseconds of each call that the command asks for, one after the other."""
    calls: dict[str, Callable[[], object]] = {
        "read_spans": lambda: client.secret("bench"),
        "v1_spans": lambda: v1.get_secret_value(SecretId="bench"),
        "invoke_spans": lambda: client.invoke("nothing", b""),
    }
    return _spans(calls[event["measure"]], event["calls"], event["warm"])


def _spans(call: Callable[[], object], calls: int, warm: int) -> list[int]:
    spans = array.array("q")
    for number in range(-warm, calls):
        asked = time.perf_counter_ns()
        call()
        if number >= 0:
            spans.append(time.perf_counter_ns() - asked)
    return spans.tolist()


def nothing(_event: bytes, _context: Any) -> bytes:
    """Return as many bytes as a small secret has."""
    return bytes(256)

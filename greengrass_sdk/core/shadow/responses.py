# SPDX-License-Identifier: Apache-2.0
"""The documents that the shadow service sends, as bytes of JSON."""

from __future__ import annotations

import json
import json.encoder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "accepted",
    "delta",
    "documents",
    "encode",
    "finished",
    "names",
    "opened",
    "rejected",
    "state_bytes",
]

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _kept_encoder() -> Callable[[Any, int], Iterable[str]]:
    """Return what `_ENCODER` makes each time, without the memory that finds circles."""
    kept: Callable[[Any, int], Iterable[str]] = json.encoder.c_make_encoder(  # type: ignore[attr-defined]  # undocumented
        *(None, _ENCODER.default, json.encoder.encode_basestring),
        *(None, ":", ",", False, False, False),
    )
    return kept


try:
    _encode = _kept_encoder()
except (AttributeError, TypeError):  # another interpreter, or a newer one

    def _encode(value: Any, _indent: int) -> Iterable[str]:
        return _ENCODER.iterencode(value)


def encode(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return "".join(_encode(value, 0)).encode()


def state_bytes(state: dict[str, Any], encoded: bytes) -> int:
    """Return the size of a state as AWS counts it: its sections, without their names."""
    return len(encoded) - sum(len(name) + 4 for name in state) - (1 if state else 2)


def opened(state: bytes, metadata: bytes, version: int) -> bytes:
    """Return a document of parts that are JSON already, without the closing brace."""
    return b'{"state":%s,"metadata":%s,"version":%d' % (state, metadata, version)


def finished(opened: bytes, timestamp: int, client_token: str | None) -> bytes:
    """Return a document that lacks only the timestamp, the client token and the closing brace."""
    if client_token is None:
        return b'%s,"timestamp":%d}' % (opened, timestamp)
    return b'%s,"timestamp":%d,"clientToken":%s}' % (opened, timestamp, encode(client_token))


def accepted(
    state: dict[str, Any] | None,
    metadata: dict[str, Any],
    version: int,
    timestamp: int,
    client_token: str | None,
) -> bytes:
    """Return the answer to an update: what was asked, with its metadata."""
    begun = opened(encode(state), encode(metadata), version)
    return finished(begun, timestamp, client_token)


def delta(
    state: dict[str, Any],
    metadata: dict[str, Any],
    version: int,
    timestamp: int,
    client_token: str | None,
) -> bytes:
    """Return what tells a device what to change."""
    opened = encode({"version": version, "state": state, "metadata": metadata})
    return finished(opened[:-1], timestamp, client_token)


def documents(previous: bytes, current: bytes, timestamp: int, client_token: str | None) -> bytes:
    """Return what tells the whole shadow before and after an update."""
    opened = b'{"previous":%s,"current":%s' % (previous, current)
    return finished(opened, timestamp, client_token)


def rejected(code: int, message: str, timestamp: int, client_token: str | None) -> bytes:
    """Return the answer to a request that is refused."""
    return finished(encode({"code": code, "message": message})[:-1], timestamp, client_token)


def names(found: list[str], next_token: str, timestamp: int) -> bytes:
    """Return a page of the names of a thing's shadows; `next_token` is empty with the last."""
    answer: dict[str, Any] = {"results": found, "timestamp": timestamp}
    if next_token:
        answer["nextToken"] = next_token
    return encode(answer)

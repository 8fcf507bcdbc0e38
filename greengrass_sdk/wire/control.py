# SPDX-License-Identifier: Apache-2.0
"""
Control messages: a msgpack map as the payload of a CONTROL frame.

A connection to `ipc.sock` begins with one exchange, in frame number 1::

    -> {"op": "hello", "version": 1, "features": [], "role": "client" | "tool",
        "name": "probe" | nil, "token": "...", "pid": 4711}
    <- {"op": "welcome", "version": 1, "boot": 8 bytes, "endpoint": 12, "address": "arn:...",
        "limits": {"topic_payload_bytes": n, "invoke_payload_bytes": n}, "strict": false,
        "features": [], "spin_ns": 50000}
    or {"op": "refused", "code": "Authorization", "message": "..."}, then the end

A client that has the feature "ring" may be welcomed with it: then the descriptors of the shared
memory and of what wakes the core come with the welcome, the next frames go through the rings, and
the socket is for what it is for with a worker. `spin_ns` is how long its calls may spin.

A tool asks `{"op": "status" | "publish" | "invoke" | "stop", ...}` and gets, under the same frame
number, `{"ok": true, ...}` or `{"ok": false, "code": "...", "message": "..."}`. Codes are those of
:mod:`greengrass_sdk.errors`.

Unknown keys are ignored, so that a newer peer may say more; what is known must have its type and
size. A worker says no hello: it was born with its connection.
"""

from __future__ import annotations

from greengrass_sdk.errors import (
    GreengrassError,
    LocalProtocolError,
    RemoteProtocolError,
    error_from_code,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal

__all__ = [
    "RING",
    "VERSION",
    "Hello",
    "Welcome",
    "decode",
    "encode",
    "parse_answer",
    "parse_hello",
    "parse_welcome",
]

VERSION = 1

RING = "ring"
"""The feature of who can speak over shared memory."""

_DEPTH = 16  # of lists and maps in each other; `status` needs five
_NAME_CHARS = 256
_TOKEN_CHARS = 1024
_ADDRESS_CHARS = 1024
_TEXT_CHARS = 65_536
_FEATURES = 64
_BOOT_BYTES = 8
_UINT32 = 2**32 - 1
_INT64 = 2**63 - 1
_SCALARS = (str, bytes, bool, int, float)


class Hello:
    """The first words of a connection: who speaks, and what proves it."""

    __slots__ = ("features", "name", "pid", "role", "token", "version")

    def __init__(
        self,
        role: Literal["client", "tool"],
        token: str,
        *,
        name: str | None = None,
        pid: int = 0,
        version: int = VERSION,
        features: Sequence[str] = (),
    ) -> None:
        self.role = role
        self.token = token
        self.name = name
        self.pid = pid
        self.version = version
        self.features = tuple(features)

    def __repr__(self) -> str:
        """Leave out the token."""
        return f"Hello(role={self.role!r}, name={self.name!r}, pid={self.pid})"

    def to_wire(self) -> dict[str, Any]:
        """Return the map that `parse_hello` reads."""
        return {
            "op": "hello",
            "version": self.version,
            "features": list(self.features),
            "role": self.role,
            "name": self.name,
            "token": self.token,
            "pid": self.pid,
        }


class Welcome:
    """
    What the core tells a connection that it accepts.

    `boot` makes request ids of numbers, `endpoint` and `address` are those of the peer.
    """

    __slots__ = (
        "address",
        "boot",
        "endpoint",
        "features",
        "limits",
        "spin_ns",
        "strict",
        "version",
    )

    def __init__(
        self,
        boot: bytes,
        endpoint: int,
        address: str,
        *,
        limits: Mapping[str, int],
        strict: bool = False,
        version: int = VERSION,
        features: Sequence[str] = (),
        spin_ns: int = 0,
    ) -> None:
        self.boot = boot
        self.endpoint = endpoint
        self.address = address
        self.limits = dict(limits)
        self.strict = strict
        self.version = version
        self.features = tuple(features)
        self.spin_ns = spin_ns

    def __repr__(self) -> str:
        return f"Welcome(endpoint={self.endpoint}, address={self.address!r})"

    def to_wire(self) -> dict[str, Any]:
        """Return the map that `parse_welcome` reads."""
        return {
            "op": "welcome",
            "version": self.version,
            "boot": self.boot,
            "endpoint": self.endpoint,
            "address": self.address,
            "limits": self.limits,
            "strict": self.strict,
            "features": list(self.features),
            "spin_ns": self.spin_ns,
        }


def encode(message: Mapping[str, Any]) -> bytes:
    """
    Return a map as msgpack.

    Raises:
        LocalProtocolError: It holds something that `decode` would refuse.
    """
    import msgpack  # type: ignore[import-untyped]  # it ships no types

    fault = _fault(message, "", 0)
    if fault is None:
        try:
            encoded: bytes = msgpack.packb(message, use_bin_type=True)
        except (ValueError, OverflowError) as error:  # a lone surrogate; an int beyond 64 bits
            fault = str(error)
        else:
            return encoded
    raise LocalProtocolError(f"cannot encode a control message: {fault}")


def decode(payload: bytes) -> dict[str, Any]:
    """
    Return the map in the payload of a CONTROL frame.

    It holds only None, bool, int, float, str, bytes, and lists and maps of those; keys are str.

    Raises:
        RemoteProtocolError: It is no such map.
    """
    import msgpack

    try:
        message = msgpack.unpackb(payload, raw=False, strict_map_key=True)
    except Exception as error:  # msgpack raises ValueError, its own classes, and UnicodeDecodeError
        raise RemoteProtocolError(f"a control message is no msgpack: {error}") from error
    if not isinstance(message, dict):
        raise RemoteProtocolError(f"a control message is {_kind(message)}, it must be a map")
    fault = _fault(message, "", 0)
    if fault is not None:
        raise RemoteProtocolError(f"a control message holds what it must not: {fault}")
    return message


def parse_hello(message: Mapping[str, Any]) -> Hello:
    """
    Return the hello that a map is. Whether version, name and token are good is the core's business.

    Raises:
        RemoteProtocolError: It is none; the message names the key.
    """
    _expect_op(message, "hello")
    role = _text(message, "role", 16)
    if role not in ("client", "tool"):
        raise RemoteProtocolError(f"hello: 'role' is {role!r}, it must be 'client' or 'tool'")
    return Hello(
        "client" if role == "client" else "tool",
        _text(message, "token", _TOKEN_CHARS),
        name=None if message.get("name") is None else _text(message, "name", _NAME_CHARS),
        pid=_int(message, "pid", _INT64),
        version=_int(message, "version", _UINT32),
        features=_features(message),
    )


def parse_welcome(message: Mapping[str, Any]) -> Welcome:
    """
    Return the welcome that a map is.

    Raises:
        GreengrassError: The core refused; the class is that of the code it gave.
        RemoteProtocolError: It is neither a welcome nor a refusal.
    """
    if message.get("op") == "refused":
        raise _error(message)
    _expect_op(message, "welcome")
    boot = message.get("boot")
    if not isinstance(boot, bytes) or len(boot) != _BOOT_BYTES:
        raise RemoteProtocolError(f"welcome: 'boot' must be {_BOOT_BYTES} bytes")
    limits = message.get("limits")
    if not isinstance(limits, dict) or len(limits) > _FEATURES:
        raise RemoteProtocolError("welcome: 'limits' must be a map")
    strict = message.get("strict")
    if not isinstance(strict, bool):
        raise RemoteProtocolError(f"welcome: 'strict' is {_kind(strict)}, it must be a bool")
    return Welcome(
        boot,
        _int(message, "endpoint", _UINT32),
        _text(message, "address", _ADDRESS_CHARS),
        limits={name: _int(limits, name, _INT64) for name in limits},
        strict=strict,
        version=_int(message, "version", _UINT32),
        features=_features(message),
        spin_ns=_int(message, "spin_ns", _UINT32) if "spin_ns" in message else 0,
    )


def parse_answer(message: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what the core answered to a tool, without the `ok`.

    Raises:
        GreengrassError: The answer is an error; the class is that of its code.
        RemoteProtocolError: It is no answer.
    """
    ok = message.get("ok")
    if ok is True:
        return {key: value for key, value in message.items() if key != "ok"}
    if ok is False:
        raise _error(message)
    raise RemoteProtocolError(f"an answer's 'ok' is {_kind(ok)}, it must be a bool")


def _error(message: Mapping[str, Any]) -> GreengrassError:
    """Return the error that a map describes."""
    return error_from_code(
        _text(message, "code", _NAME_CHARS), _text(message, "message", _TEXT_CHARS)
    )


def _expect_op(message: Mapping[str, Any], expected: str) -> None:
    op = message.get("op")
    if op != expected:
        shown = repr(op[:_NAME_CHARS]) if isinstance(op, str) else _kind(op)
        raise RemoteProtocolError(f"expected {expected!r}, the peer sent {shown}")


def _text(message: Mapping[str, Any], key: str, limit: int) -> str:
    value = message.get(key)
    if not isinstance(value, str):
        raise RemoteProtocolError(f"{key!r} is {_kind(value)}, it must be text")
    if len(value) > limit:
        raise RemoteProtocolError(f"{key!r} has {len(value)} characters, {limit} are allowed")
    return value


def _int(message: Mapping[str, Any], key: str, limit: int) -> int:
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RemoteProtocolError(f"{key!r} is {_kind(value)}, it must be an integer")
    if not 0 <= value <= limit:
        raise RemoteProtocolError(f"{key!r} is {value}, it must be 0 to {limit}")
    return value


def _features(message: Mapping[str, Any]) -> list[str]:
    value = message.get("features")
    if not isinstance(value, list) or len(value) > _FEATURES:
        raise RemoteProtocolError(f"'features' must be a list of at most {_FEATURES} words")
    for word in value:
        if not isinstance(word, str) or len(word) > _NAME_CHARS:
            raise RemoteProtocolError(
                f"'features' must be words of at most {_NAME_CHARS} characters"
            )
    return value


def _fault(value: object, where: str, depth: int) -> str | None:
    """Return what in a value is no part of a control message, or None."""
    if value is None or isinstance(value, _SCALARS):
        return None
    if depth >= _DEPTH:
        return f"{where}: more than {_DEPTH} lists and maps in each other"
    if isinstance(value, list) or type(value) is tuple:  # msgpack.ExtType derives from tuple
        parts = ((f"{where}[{at}]", part) for at, part in enumerate(value))
        faults = (_fault(part, name, depth + 1) for name, part in parts)
        return next((fault for fault in faults if fault is not None), None)
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                return f"{where}: a key is {_kind(key)}, it must be text"
            fault = _fault(part, f"{where}.{key}" if where else key, depth + 1)
            if fault is not None:
                return fault
        return None
    return f"{where or 'the message'} is {_kind(value)}"


def _kind(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"

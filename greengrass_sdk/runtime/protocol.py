# SPDX-License-Identifier: Apache-2.0
"""
What the core and a zygote say to each other: one JSON document per packet of a SOCK_SEQPACKET pair.

To the zygote:

* `{"op": "spawn", "worker": n, ...}` (:class:`SpawnMessage`) with four descriptors: the channel,
  the log socket, and the write ends of the pipes that become standard output and standard error;
  or with six, where the zygote has the feature `ring`: also the shared memory of the channel, and
  the eventfd that wakes the core
* `{"op": "stop"}`: kill what is left and exit. The end of the stream means the same.

From the zygote:

* `{"event": "ready", "pid", "python", "version", "features": ["ring", ...]}`, first; a feature is
  what its workers can do beyond what every zygote of this version can
* `{"event": "spawned", "worker", "pid"}` with one descriptor, the worker's pidfd
* `{"event": "failed", "worker", "message"}`: there is no such worker
* `{"event": "exited", "worker", "pid", "status", "maxrss_kib", "survivors": [{"pid", "command"}]}`;
  `status` is the wait status, survivors are processes that the worker left behind

Signals have no message: the core sends them through the pidfd.
"""

from __future__ import annotations

import json
import os
import socket
from array import array

from greengrass_sdk.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, NotRequired, TypedDict

    class SpawnMessage(TypedDict):
        """
        Everything a worker needs to know; the whole of it is there from the first day.

        `cgroup`, `namespaces` and `mounts` belong to isolation: a zygote that does not know them
        refuses values, so that nobody believes in a container that is not there.
        """

        op: Literal["spawn"]
        worker: int
        name: str
        handler: str
        code: str
        encoding: Literal["json", "binary"]
        environment: dict[str, str]
        cwd: str
        sys_path: list[str]
        arn: str
        function_name: str
        version: str
        timeout_s: float
        memory_kib: int | None
        boot: str
        endpoint: int
        address: str
        limits: dict[str, int]
        strict: bool
        uid: int | None
        gid: int | None
        groups: list[int] | None
        cgroup: str | None
        namespaces: list[str]
        mounts: list[str]
        rlimits: dict[str, list[int]]
        log_level: str
        pinned: bool
        spin_ns: NotRequired[int]
        """How long a call may spin for its reply where there are rings; 0, the default, never."""


__all__ = [
    "FAULT",
    "FDS",
    "MESSAGE_BYTES",
    "RING",
    "VERSION",
    "pass_on",
    "receive",
    "receive_packet",
    "send",
]

VERSION = 1
"""Of this protocol. A core starts functions only through a zygote of its own version."""

MESSAGE_BYTES = 1024 * 1024
"""The largest packet; a function's environment is most of it."""

FAULT = 70
"""What a worker exits with if the runtime itself fails."""

FDS = 6
"""The most descriptors that come with a spawn request."""

RING = "ring"
"""The feature of zygotes whose interpreter has the C extension: workers on shared memory."""

_INT = array("i")
_PROBE = bytearray(1)
_CUT = socket.MSG_TRUNC | socket.MSG_CTRUNC


def send(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message; the descriptors stay the caller's."""
    socket.send_fds(sock, [json.dumps(message).encode()], fds)


def pass_on(sock: socket.socket, packet: bytes, fds: Sequence[int]) -> None:
    """Send a message as it was received, and its descriptors."""
    socket.send_fds(sock, [packet], fds)


def receive(sock: socket.socket, max_fds: int = FDS) -> tuple[dict[str, Any], list[int]] | None:
    """
    Receive one message and its descriptors, closed on exec; None at the end of the stream.

    Raises:
        RemoteProtocolError: The packet is no message of this protocol. Its descriptors are closed.
    """
    received = receive_packet(sock, max_fds)
    return None if received is None else (received[0], received[1])


def receive_packet(
    sock: socket.socket, max_fds: int = FDS
) -> tuple[dict[str, Any], list[int], bytes] | None:
    """Receive as `receive` does, and return the packet as well."""
    # A buffer of the greatest size costs more than a second call: it is mapped and unmapped.
    size = sock.recv_into(_PROBE, 1, socket.MSG_PEEK | socket.MSG_TRUNC)
    # Not socket.recv_fds, which loses the flag: programs that functions run would hold channels.
    data, ancillary, flags, _ = sock.recvmsg(
        min(size, MESSAGE_BYTES), socket.CMSG_LEN(max_fds * _INT.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    fds: list[int] = []
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(content) - len(content) % _INT.itemsize
            fds += array(_INT.typecode, content[:whole])
    if not data:
        return None
    try:
        if flags & _CUT:
            raise RemoteProtocolError(
                f"a packet has more than {MESSAGE_BYTES} bytes or {max_fds} fds"
            )
        message = json.loads(data)
        if not isinstance(message, dict):
            raise RemoteProtocolError(f"a packet holds no JSON object: {data[:80]!r}")
    except (ValueError, RemoteProtocolError) as error:
        for fd in fds:
            os.close(fd)
        if isinstance(error, RemoteProtocolError):
            raise
        raise RemoteProtocolError(f"a packet holds no JSON: {error}") from error
    return message, fds, data

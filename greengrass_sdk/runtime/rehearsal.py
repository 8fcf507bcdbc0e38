# SPDX-License-Identifier: Apache-2.0
"""
The part of a worker played once, before anybody waits for it.

A forked child shares all memory with its parent until it writes; each page that it writes first is
copied then, and in CPython using an object is writing to it. A worker's way to its first invocation
touches some seven hundred pages, most of the time that a cold start takes. The spare takes that way
in advance: with a request of its own, a channel to itself, and the handler in this module.

Nothing of it stays: no descriptor, no module, no log record.
"""

from __future__ import annotations

import os
import resource
import socket
import sys

from greengrass_sdk import _native
from greengrass_sdk._native import Kind, encode_frame
from greengrass_sdk._native._py.channel import StreamChannel
from greengrass_sdk.runtime import birth, protocol
from greengrass_sdk.runtime.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from greengrass_sdk._native._abc import Channel
    from greengrass_sdk._native._port import Port
    from greengrass_sdk.runtime.birth import Origins
    from greengrass_sdk.runtime.protocol import SpawnMessage
    from greengrass_sdk.runtime.worker import Output

__all__ = ["handler", "receive_request", "rehearse"]

_FOLDER = os.path.dirname(__file__)
_MODULE = "rehearsal"


def handler(event: Any, context: Any) -> Any:
    """Do what most handlers do."""
    print(event, context.client_context)  # noqa: T201 - goes where a function's output goes
    return event


def rehearse(output: Output, origins: Origins) -> None:
    """Import a handler and let it answer, through the code that a worker runs."""
    path = list(sys.path)
    message = receive_request()
    birth.limit(message["rlimits"])
    birth.take_on(message, origins)
    channel, end = _over_rings() if _native.impl == "c" else _over_a_stream()
    try:
        worker = Worker(message, channel, output)
        worker.load()
        frame = channel.receive(None)
        if frame is not None:
            worker.handle(frame)
    finally:
        channel.close()
        end.close()
        sys.path[:] = path
        sys.modules.pop(_MODULE, None)


def _over_rings() -> tuple[Channel, Port]:
    """Return a channel on which an invocation waits, and its other end."""
    from greengrass_sdk._native import _port, _ring

    end, channel = _ring.pair()
    end.send(_port.OutgoingFrame(Kind.INVOKE, 0, 0, 1, b"", b"", b"{}"))
    return channel, end


def _over_a_stream() -> tuple[Channel, socket.socket]:
    """Return the same over a socket."""
    end, theirs = socket.socketpair()
    end.sendall(encode_frame(Kind.INVOKE, id=1, payload=b"{}"))
    return StreamChannel(theirs), end


def receive_request() -> SpawnMessage:
    """
    Return a spawn request that came as it comes from the core.

    The zygote does so after each fork, too: until it writes, its pages are the child's as well.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * protocol.MESSAGE_BYTES)
        protocol.send(ours, _request())
        received = protocol.receive_packet(theirs)
    assert received is not None  # noqa: S101 - it was sent above
    message: Any = received[0]
    return message  # type: ignore[no-any-return] # JSON; `_request` says what is in it


def _request() -> SpawnMessage:
    return {
        "op": "spawn",
        "worker": 0,
        "name": "(spare)",  # what `ps` shows until there is a function
        "handler": f"{_MODULE}.handler",
        "code": _FOLDER,
        "encoding": "json",
        "environment": dict(os.environ),
        "cwd": "/",
        "sys_path": [],
        "arn": "",
        "function_name": _MODULE,
        "version": "1",
        "timeout_s": 3.0,
        "memory_kib": None,
        "boot": "0000000000000000",
        "endpoint": 0,
        "address": "",
        "limits": {},
        "strict": False,
        "uid": None,
        "gid": None,
        "groups": None,
        "cgroup": None,
        "namespaces": [],
        "mounts": [],
        "rlimits": {"RLIMIT_NOFILE": list(resource.getrlimit(resource.RLIMIT_NOFILE))},
        "log_level": "INFO",
        "pinned": False,
    }

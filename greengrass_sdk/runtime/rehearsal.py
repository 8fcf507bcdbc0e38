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

import json
import os
import socket
import sys

from greengrass_sdk._native import Kind, encode_frame
from greengrass_sdk._native._py.channel import StreamChannel
from greengrass_sdk.runtime import birth
from greengrass_sdk.runtime.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from greengrass_sdk.runtime.protocol import SpawnMessage
    from greengrass_sdk.runtime.worker import Output

__all__ = ["handler", "rehearse"]

_FOLDER = os.path.dirname(__file__)
_MODULE = "rehearsal"


def handler(event: Any, context: Any) -> Any:
    """Do what most handlers do."""
    print(event, context.client_context)  # noqa: T201 - goes where a function's output goes
    return event


def rehearse(output: Output) -> None:
    """Import a handler and let it answer, through the code that a worker runs."""
    path = list(sys.path)
    message = _request()
    birth.take_environment(message["environment"])
    sys.path[:] = birth.import_path(message, path)
    ours, theirs = socket.socketpair()
    channel = StreamChannel(theirs)
    try:
        worker = Worker(message, channel, output)
        worker.load()
        ours.sendall(encode_frame(Kind.INVOKE, id=1, payload=b"{}"))
        frame = channel.receive(None)
        if frame is not None:
            worker.handle(frame)
    finally:
        channel.close()
        ours.close()
        sys.path[:] = path
        sys.modules.pop(_MODULE, None)


def _request() -> SpawnMessage:
    """Return a spawn request as it comes from the core, through JSON."""
    message: SpawnMessage = json.loads(
        json.dumps(
            {
                "op": "spawn",
                "worker": 0,
                "name": _MODULE,
                "handler": f"{_MODULE}.handler",
                "code": _FOLDER,
                "encoding": "json",
                "environment": dict(os.environ),
                "cwd": _FOLDER,
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
                "rlimits": {},
                "log_level": "INFO",
                "pinned": False,
            }
        )
    )
    return message

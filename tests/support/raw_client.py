# SPDX-License-Identifier: Apache-2.0
"""
A connection to a core's socket without the client library: what arrives is seen as it is.

The library forgets an answer that nobody waits for; here a second answer would be found.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Self

from greengrass_sdk._native import Frame, FrameDecoder, Kind, encode_frame
from greengrass_sdk.wire import control

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 20.0


def connect(root: Path) -> socket.socket:
    """Connect to a core, and say nothing; the path may be longer than a socket address."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(root / "ggc", os.O_PATH)
    try:
        sock.connect(f"/proc/self/fd/{folder}/ipc.sock")
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(folder)
    sock.settimeout(WAIT_S)
    return sock


def hello(role: str, token: str, name: str | None = None) -> bytes:
    """Return the first frame of a connection."""
    assert role in ("client", "tool")
    words = control.Hello("client" if role == "client" else "tool", token, name=name)
    return encode_frame(Kind.CONTROL, id=1, payload=control.encode(words.to_wire()))


class RawClient:
    """A `[clients.NAME]` of the group, frame by frame."""

    def __init__(self, root: Path, name: str) -> None:
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []
        self.sock = connect(root)
        token = (root / "ggc" / "var" / "state" / "tokens" / name).read_text().strip()
        self.sock.sendall(hello("client", token, name))
        answer = control.decode(self.receive().payload)
        assert answer["op"] == "welcome", answer
        self.endpoint: int = answer["endpoint"]

    def send(self, kind: int, **fields: object) -> None:
        """Send a frame of this client's endpoint."""
        self.sock.sendall(encode_frame(kind, **{"endpoint": self.endpoint, **fields}))  # type: ignore[arg-type]

    def receive(self) -> Frame:
        """Return the next frame."""
        while not self._frames:
            data = self.sock.recv(262144)
            assert data, "the core hung up"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

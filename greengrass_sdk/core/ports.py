# SPDX-License-Identifier: Apache-2.0
"""
What the services of the core need from each other, as Protocols.

Services are siblings and do not import each other; `core/daemon.py` hands each what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.router.events import Send, Tapped

__all__ = ["Connection", "Directory", "FunctionLog", "Observer", "Router"]


class Connection(Protocol):
    """What the owner of a peer hears of it."""

    def control(self, frame: Frame) -> None:
        """Take a CONTROL frame."""

    def ended(self) -> None:
        """Hear that the peer closed its end; its frames were all received."""

    def cut(self, reason: str) -> None:
        """Hear that the peer broke the contract and was disconnected."""


class Router(Protocol):
    """The message plane, as the other services use it."""

    def connect(self, sock: socket.socket, connection: Connection) -> int:
        """Take over a connected socket and return its peer number."""

    def attach(self, peer: int, endpoint: int) -> None:
        """Let a connected client speak for `endpoint`."""

    def attach_worker(self, peer: int, endpoint: int) -> None:
        """Let a connected worker serve the function `endpoint`."""

    def worker_failed(self, endpoint: int, document: bytes) -> None:
        """Say that a worker that the router asked for could not be started."""

    def drain(self, peer: int) -> None:
        """Receive what a peer that has ended wrote before."""

    def disconnect(self, peer: int, document: bytes = b"") -> None:
        """Receive what the peer still wrote, then forget it; `document` ends its running item."""

    def is_busy(self, peer: int) -> bool:
        """Return whether a worker holds an item."""

    def reply(self, frame: Send) -> None:
        """Send a frame to a peer past the machine: control answers."""

    def traced(self, frame: Frame) -> list[Tapped]:
        """Publish for an in-core endpoint, and return what became of the message."""

    async def call(
        self, endpoint: int, function: bytes, context: bytes, payload: bytes, *, event: bool
    ) -> Send:
        """Invoke in the name of an in-core endpoint; the answer is a RESULT or a VERDICT."""


class FunctionLog(Protocol):
    """The log of one function."""

    def write(self, level: str, origin: str, message: str) -> None:
        """Write one record; `origin` is `file.py:line` or a word."""


class Observer(Protocol):
    """Who watches the functions: the live view."""

    def function(self, name: str, state: str, pid: int | None, reason: str | None) -> None:
        """Hear that a function or one of its workers changed its state."""


class Directory(Protocol):
    """Names and rows of the group."""

    def name(self, endpoint: int) -> str:
        """Return the short name of an endpoint."""

    def sender(self, name: str) -> int:
        """Return the endpoint that a tool may publish as: the cloud or a device."""

    def nearest_row(self, source: int, topic: str) -> dict[str, str] | None:
        """Return the row that almost routes `topic` from `source`, with the reason `why`."""

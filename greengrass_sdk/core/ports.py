# SPDX-License-Identifier: Apache-2.0
"""
What the services of the core need from each other, as Protocols.

Services are siblings and do not import each other; `core/daemon.py` hands each what it needs.
`Machine` and `Rings` are what the router's driver needs of the two implementations in `_native`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from greengrass_sdk._native import Frame, _abc
    from greengrass_sdk._native._py.lent import Result
    from greengrass_sdk._native._py.router.events import Output, Send, Tapped
    from greengrass_sdk._native._py.router.state import FunctionRules, Route, Target

__all__ = [
    "Connection",
    "Directory",
    "Found",
    "FunctionLog",
    "Machine",
    "Observer",
    "Rings",
    "Router",
    "Shadows",
]


class Machine(Protocol):
    """
    The router machine, in Python, in C, or in C with a thread of its own.

    :class:`greengrass_sdk._native._py.router.machine.Router` says what each method does.
    """

    tap: bool

    @property
    def work_items(self) -> tuple[int, int]:
        """Work items now, and their limit."""

    @property
    def unrouted(self) -> int:
        """Messages that no route matched, since the start."""

    def define_function(self, endpoint: int, rules: FunctionRules, names: Sequence[bytes]) -> None:
        """Add a function."""

    def define_peer_target(self, endpoint: int, *, queue_items: int, queue_bytes: int) -> None:
        """Add an endpoint whose messages go to the one peer that is attached to it."""

    def define_service(self, endpoint: int) -> None:
        """Add an in-core endpoint."""

    def install_routes(self, index: _abc.TopicIndex, routes: Sequence[Route]) -> None:
        """Replace the subscription table; rows that stay keep their counters."""

    def target_state(self, endpoint: int) -> Target:
        """Return the target's state, for reading only."""

    def is_busy(self, peer: int) -> bool:
        """Return whether a worker holds an item."""

    def stop(self) -> None:
        """Refuse new invocations and ask for no more workers."""

    def attach(self, peer: int, endpoint: int) -> None:
        """Let a connected client speak for `endpoint`."""

    def attach_worker(self, peer: int, endpoint: int, now: float) -> None:
        """Let a new process work for the function `endpoint`."""

    def worker_failed(self, endpoint: int, document: bytes, now: float) -> None:
        """Say that no worker could be started."""

    def close(self, peer: int) -> None:
        """Send nothing more to `peer`."""

    def detach(self, peer: int, document: bytes, now: float) -> None:
        """Forget a peer whose last frame was received."""

    def cut(self, peer: int, reason: str, now: float) -> None:
        """Cut off a peer whose transport found it breaking the contract."""

    def hold(self, peer: int, *, held: bool) -> None:
        """Tell whether the transport towards `peer` is full."""

    def receive(self, peer: int, frame: Frame, now: float) -> None:
        """Take one frame of `peer`."""

    def end(self, peer: int, endpoint: int, results: Sequence[Result], now: float) -> None:
        """Take the results of items of a worker, by their numbers, in order."""

    def step(self, now: float) -> list[Output]:
        """Fire the deadlines that have come, and return all outputs since the last step."""

    def next_deadline(self) -> float | None:
        """Return the time at which `step` must be called at the latest, None for never."""


class Found:
    """What ended a `wait` of `Rings`: bits of a number."""

    NEWS = 1  # `step` has something, though `fd` does not say so
    READY = 2  # the set that was waited for has something
    NOT_LED = 4  # nothing was waited for: the thread moves the frames


class Rings(Protocol):
    """
    The peers on shared memory, which a thread in C serves.

    :class:`greengrass_sdk._native._plane.Plane` says what each method does.
    """

    tap: bool

    @property
    def fd(self) -> int:
        """Readable when the machine's `step` has something."""

    def wait(self, epoll: int, timeout_ns: int) -> int:
        """Wait for `epoll` in place of the thread, and return what was found: see `Found`."""

    def start(self) -> None:
        """Start the thread."""

    def shut_down(self) -> None:
        """End the thread, and all connections with it."""

    def connect(self, peer: int, sock: socket.socket, ring_bytes: int) -> tuple[int, int]:
        """Take the socket over; return shared memory and eventfd for the other end."""

    def drain(self, peer: int) -> None:
        """Receive what the peer wrote before now."""

    def disconnect(self, peer: int) -> None:
        """Receive that, then close the connection."""

    def send(self, frame: Send) -> None:
        """Send a frame past the machine."""

    def stalled(self, peer: int) -> bool:
        """Return whether frames wait because the peer does not read."""

    def has_hung_up(self, peer: int) -> bool:
        """Return whether the peer closed its end, even if nobody was told yet."""


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

    def connect_worker(
        self, sock: socket.socket, connection: Connection, *, ring: bool
    ) -> tuple[int, list[int]]:
        """Do so for a worker, and return what it must be given beside the socket's other end."""

    def move_to_rings(self, peer: int, answer: Send) -> bool:
        """Move a peer to shared memory, if there is any; `answer` tells it with descriptors."""

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

    def is_stalled(self, peer: int) -> bool:
        """Return whether frames wait for a peer that does not read."""

    def has_hung_up(self, peer: int) -> bool:
        """Return whether a peer closed its end, even if its connection was not told yet."""

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


class Shadows(Protocol):
    """The shadows of the core, as its owner asks for them."""

    @property
    def everything(self) -> Callable[[], list[tuple[str, str, int]]]:
        """Thing, name and version of every shadow; raises OSError."""

    async def changed(
        self, thing: str, name: str, version: int | None, timeout_s: float
    ) -> int | None:
        """Wait until the version of a shadow is another one, and return it; raises OSError."""


class Directory(Protocol):
    """Names and rows of the group."""

    def name(self, endpoint: int) -> str:
        """Return the short name of an endpoint."""

    def sender(self, name: str) -> int:
        """Return the endpoint that a tool may publish as: the cloud or a device."""

    def nearest_row(self, source: int, topic: str) -> dict[str, str] | None:
        """Return the row that almost routes `topic` from `source`, with the reason `why`."""

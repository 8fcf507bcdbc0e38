# SPDX-License-Identifier: Apache-2.0
"""What the router hands out: frames to send, and events that need a decision or a log line."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from greengrass_sdk._native import Flag

if TYPE_CHECKING:
    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.router.state import Item, Route

__all__ = [
    "Control",
    "CutOff",
    "Ended",
    "Finished",
    "ImportFailed",
    "NeedWorkers",
    "Outcome",
    "Output",
    "RetireWorker",
    "Send",
    "Skipped",
    "Tapped",
    "Unrouted",
    "WorkerReady",
]


class Outcome(Enum):
    """How an item ended."""

    OK = "ok"
    HANDLED = "handled"
    UNHANDLED = "unhandled"
    TIMEOUT = "timeout"

    @property
    def flags(self) -> int:
        """Flags of the RESULT frame that tells the caller."""
        return _FLAGS[self]


_FLAGS = {
    Outcome.OK: 0,
    Outcome.HANDLED: Flag.HANDLED,
    Outcome.UNHANDLED: Flag.UNHANDLED,
    Outcome.TIMEOUT: Flag.UNHANDLED | Flag.TIMEOUT,
}


class Send(NamedTuple):
    """Send one frame to a peer."""

    peer: int
    kind: int
    flags: int
    endpoint: int
    id: int
    topic: bytes
    context: bytes
    payload: bytes


class NeedWorkers(NamedTuple):
    """Start workers for an on-demand function; answer each by attach_worker or worker_failed."""

    endpoint: int
    workers: int


class WorkerReady(NamedTuple):
    """A worker finished its import."""

    peer: int
    endpoint: int


class ImportFailed(NamedTuple):
    """A worker could not import its handler; it exits by itself."""

    peer: int
    endpoint: int
    document: bytes


class RetireWorker(NamedTuple):
    """End a worker that the router has already taken out: stop it when idle (OK), else kill it."""

    peer: int
    endpoint: int
    outcome: Outcome
    reason: str


class CutOff(NamedTuple):
    """End a peer that broke the contract; the router has forgotten it already."""

    peer: int
    reason: str


class Finished(NamedTuple):
    """An item got its outcome.  Always handed out for failures, otherwise when tapped."""

    endpoint: int
    item: Item
    outcome: Outcome
    document: bytes
    now: float


class Tapped(NamedTuple):
    """What became of one message at one target; `route` is None when no row matched."""

    source: int
    route: Route | None
    topic: bytes
    payload: bytes
    outcome: str
    reason: str


class Unrouted(NamedTuple):
    """First message of this source and topic that no row matched."""

    source: int
    topic: bytes


class Control(NamedTuple):
    """A CONTROL frame of a ring peer, for the core itself."""

    peer: int
    frame: Frame


class Ended(NamedTuple):
    """
    The connection of a ring peer ended; the router has closed it already.

    What the peer committed before can still be received.
    """

    peer: int


class Skipped(NamedTuple):
    """So many `Tapped`, `Unrouted` and `Finished` were left out here: nobody took them in time."""

    outputs: int


Output = (
    Send
    | NeedWorkers
    | WorkerReady
    | ImportFailed
    | RetireWorker
    | CutOff
    | Finished
    | Tapped
    | Unrouted
    | Control
    | Ended
    | Skipped
)

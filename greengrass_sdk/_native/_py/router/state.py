# SPDX-License-Identifier: Apache-2.0
"""State of the router: items, peers, workers, targets and their deadlines."""

from __future__ import annotations

import heapq
from collections import deque
from enum import Enum
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Outcome
from greengrass_sdk._native._py.router.texts import message_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CORE",
    "WAITS",
    "FunctionRules",
    "FunctionTarget",
    "Item",
    "Peer",
    "PeerTarget",
    "Route",
    "Target",
    "Timers",
    "Worker",
    "WorkerState",
]

CORE = 0
"""The peer number of the core itself."""

WAITS = 32
"""Buckets of the histogram of waiting times; the last one has everything above."""


_NO_OUTCOMES = dict.fromkeys(Outcome, 0)  # a copy hashes nothing, which takes long for an Enum
_FIRST_ENTRIES = 256  # of the timers' heap, and ...
_ENTRIES_EACH = 4  # ... for each owner, before dead ones are looked for


class FunctionRules(NamedTuple):
    """What the router must know of a function.  Durations in seconds."""

    pinned: bool
    timeout_s: float
    max_workers: int
    idle_s: float
    queue_items: int
    queue_bytes: int
    confidential: bool = False
    """
    Its results are for the callers alone: nobody is shown them, and they are wiped where they lay.

    It answers by who asks: what it is given has the endpoint of the caller, not its own.
    """
    credit: int = 0
    """
    How many items lie with a pinned worker at most, however long its last took, at 2 KiB each.

    0: what suits a process.
    """


class Route:
    """One row of the subscription table, as the router uses it, with its counters."""

    __slots__ = ("delivered", "dropped", "id", "target")

    def __init__(self, row_id: str, target: int) -> None:
        self.id = row_id
        self.target = target
        self.delivered = 0
        self.dropped: dict[str, int] = {}

    def resume(self, older: Route) -> None:
        """Go on counting where `older`, the same row of an older table, is."""
        self.delivered = older.delivered
        self.dropped = dict(older.dropped)

    def drop(self, reason: str) -> None:
        """Count one message that the target did not take."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


class Item:
    """A message or an invocation on its way to a function."""

    __slots__ = (
        "caller",
        "context",
        "ended",
        "event",
        "id",
        "kind",
        "number",
        "payload",
        "queued_at",
        "size",
        "source",
        "start_by",
        "started_at",
        "topic",
        "waiting",
    )

    def __init__(
        self, kind: int, source: int, topic: bytes, context: bytes, payload: bytes
    ) -> None:
        self.kind = kind
        self.source = source
        self.topic = topic
        self.context = context
        self.payload = payload
        self.size = len(context) + len(payload)
        """What counts in queues; topics are short."""
        self.event = False
        self.caller: Peer | None = None
        self.number = 0  # the caller's number for its call
        self.id = 0
        self.queued_at = 0.0
        self.start_by: float | None = None
        self.started_at: float | None = None
        self.waiting = False
        """Whether it lies in the queue of its function."""
        self.ended = False

    @property
    def is_call(self) -> bool:
        """Whether a caller waits for the result."""
        return self.kind == Kind.INVOKE and not self.event


class Peer:
    """A connection."""

    __slots__ = ("closed", "cut", "endpoints", "held", "number", "worker")

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Worker | None = None
        self.endpoints: set[int] = set()
        self.held = False
        self.closed = False
        self.cut = False

    @property
    def silent(self) -> bool:
        """Whether nothing may be sent to it any more."""
        return self.closed or self.cut


class WorkerState(Enum):
    """Life of a worker as the router sees it."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class Worker:
    """A process that works for one function."""

    __slots__ = (
        "armed_at",
        "deadline",
        "last_run_s",
        "peer",
        "sent",
        "sent_bytes",
        "state",
        "target",
    )

    def __init__(self, peer: Peer, target: FunctionTarget) -> None:
        self.peer = peer
        self.target = target
        self.state = WorkerState.STARTING
        self.sent: deque[Item] = deque()
        self.sent_bytes = 0
        self.last_run_s = float("inf")
        self.deadline: float | None = None
        self.armed_at: float | None = None

    def push(self, item: Item) -> None:
        """Note that `item` was sent."""
        self.sent.append(item)
        self.sent_bytes += item.size

    def pop(self) -> Item:
        """Take out the item that was answered."""
        item = self.sent.popleft()
        self.sent_bytes -= item.size
        return item


class PeerTarget:
    """A target whose messages go to one connected peer (a client, or the core for a service)."""

    __slots__ = ("endpoint", "peer", "queue_bytes", "queue_items", "waiting", "waiting_bytes")

    def __init__(self, endpoint: int, queue_items: int, queue_bytes: int) -> None:
        self.endpoint = endpoint
        self.queue_items = queue_items
        self.queue_bytes = queue_bytes
        self.peer: Peer | None = None
        self.waiting: deque[tuple[bytes, bytes]] = deque()
        self.waiting_bytes = 0

    def refusal(self, size: int) -> str:
        """Return why a message of `size` bytes cannot be taken, or an empty string."""
        if self.peer is None or self.peer.silent:
            return "not connected"
        if (self.peer.held or self.waiting) and (
            len(self.waiting) >= self.queue_items or self.waiting_bytes + size > self.queue_bytes
        ):
            return "queue full"
        return ""

    def put(self, topic: bytes, payload: bytes) -> None:
        """Keep a message until the peer reads on."""
        self.waiting.append((topic, payload))
        self.waiting_bytes += len(payload)

    def take(self) -> tuple[bytes, bytes]:
        """Return the oldest kept message."""
        topic, payload = self.waiting.popleft()
        self.waiting_bytes -= len(payload)
        return topic, payload

    def disconnect(self) -> None:
        """Forget the peer and what it did not read."""
        self.peer = None
        self.waiting.clear()
        self.waiting_bytes = 0


class FunctionTarget:
    """A function: the queue of its items and the workers that serve it."""

    __slots__ = (
        "armed_at",
        "calls",
        "endpoint",
        "idle",
        "items",
        "last_failure",
        "name",
        "outcomes",
        "refused",
        "rules",
        "starting",
        "waiting",
        "waiting_bytes",
        "waits",
        "workers",
    )

    def __init__(self, endpoint: int, rules: FunctionRules, name: bytes = b"") -> None:
        self.endpoint = endpoint
        self.rules = rules
        self.name = name
        """Its qualified ARN: the topic of every invocation that a worker gets."""
        self.items = 0
        """Waiting and running."""
        self.waiting: deque[Item] = deque()
        self.waiting_bytes = 0
        self.workers: dict[int, Worker] = {}
        self.idle: list[Worker] = []
        """On demand only; the last one used is the first one used again."""
        self.starting = 0
        """Workers asked for and not attached yet."""
        self.refused = 0
        self.last_failure = b""
        self.outcomes = _NO_OUTCOMES.copy()
        self.waits = [0] * WAITS
        """`waits[n]` items waited for their start less than 2**n us, and at least half of that."""
        self.calls: deque[Item] = deque()
        """Calls that have not started, waiting or sent ahead, in the order of their deadlines."""
        self.armed_at: float | None = None

    def refusal(self, size: int) -> str:
        """Return why an item of `size` bytes cannot wait here, or an empty string."""
        if (
            len(self.waiting) >= self.rules.queue_items
            or self.waiting_bytes + size > self.rules.queue_bytes
        ):
            return "queue full"
        return ""

    def put(self, item: Item) -> None:
        """Append a new item."""
        self.items += 1
        self.waiting.append(item)
        self._lies_here(item)
        if item.start_by is not None:
            self.calls.append(item)

    def put_back(self, item: Item) -> None:
        """Return an item that was sent but never started to the front."""
        self.waiting.appendleft(item)
        self._lies_here(item)

    def take(self) -> Item:
        """Return the oldest waiting item: it is about to be sent."""
        item = self.waiting.popleft()
        self._lies_elsewhere(item)
        return item

    def begin(self, item: Item, now: float) -> None:
        """Note that `item`, which was sent, starts to run."""
        item.started_at = now
        waited_us = int((now - item.queued_at) * 1e6)
        self.waits[min(waited_us.bit_length(), WAITS - 1)] += 1
        if item.start_by is not None and not item.ended:
            self.calls.remove(item)  # the first one, nearly always

    def end(self, item: Item) -> None:
        """Let go of `item`: it got its outcome, wherever it lies."""
        item.ended = True
        self.items -= 1
        if item.start_by is not None and item.started_at is None:
            self.calls.remove(item)
        if item.waiting:
            self.waiting.remove(item)
            self._lies_elsewhere(item)

    def overdue(self, now: float) -> Item | None:
        """Return a call whose deadline for the start has come, None if there is none."""
        deadline = self.deadline
        return self.calls[0] if deadline is not None and deadline <= now else None

    @property
    def deadline(self) -> float | None:
        """When the oldest call that has not started must have."""
        return self.calls[0].start_by if self.calls else None

    def why_not_started(self, waited_s: float) -> str:
        """Return the text for a call that found no worker in time."""
        text = f"the invocation has not started after {waited_s:.0f} s: "
        if self.last_failure and not any(
            w.state is WorkerState.READY for w in self.workers.values()
        ):
            return text + "the function does not start: " + message_of(self.last_failure)
        if not self.workers:
            return text + "no worker could be started"
        importing = sum(w.state is WorkerState.STARTING for w in self.workers.values())
        if importing == len(self.workers):
            return text + "the function is still importing"
        return text + f"{len(self.workers)} worker(s) busy, {len(self.waiting)} item(s) waiting"

    def _lies_here(self, item: Item) -> None:
        item.waiting = True
        self.waiting_bytes += item.size

    def _lies_elsewhere(self, item: Item) -> None:
        item.waiting = False
        self.waiting_bytes -= item.size


Target = FunctionTarget | PeerTarget


class Timers:
    """
    Deadlines of workers and functions.

    An owner has one entry that counts, at `armed_at`, never later than its deadline: one that moves
    later costs nothing, one that moves earlier leaves a dead entry behind, and so does one that is
    retired; they go when their time comes or when there are too many.
    """

    __slots__ = ("_count", "_heap", "_owners")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Worker | FunctionTarget]] = []
        self._count = 0
        self._owners = 0

    def __len__(self) -> int:
        return len(self._heap)

    def admit(self) -> None:
        """Make room for one more owner."""
        self._owners += 1

    def retire(self, owner: Worker | FunctionTarget) -> None:
        """Forget an owner: it does not come up any more."""
        owner.armed_at = None
        self._owners -= 1
        self._tidy()

    def _tidy(self) -> None:
        """Drop the entries that cannot count, once they could be most of them."""
        if len(self._heap) < _FIRST_ENTRIES + _ENTRIES_EACH * self._owners:
            return
        counting: dict[int, tuple[float, int, Worker | FunctionTarget]] = {}
        for entry in sorted(self._heap, key=itemgetter(1)):
            if entry[2].armed_at == entry[0]:
                counting.setdefault(id(entry[2]), entry)
        self._heap = list(counting.values())
        heapq.heapify(self._heap)

    def arm(self, owner: Worker | FunctionTarget) -> None:
        """Make sure that `owner` comes up at its deadline, or earlier."""
        deadline = owner.deadline
        if deadline is None or (owner.armed_at is not None and owner.armed_at <= deadline):
            return
        self._tidy()
        self._count += 1
        owner.armed_at = deadline
        heapq.heappush(self._heap, (deadline, self._count, owner))

    def due(self, now: float) -> Iterator[Worker | FunctionTarget]:
        """Yield the owners whose deadline has come."""
        while self._heap and self._heap[0][0] <= now:
            armed_at, _, owner = heapq.heappop(self._heap)
            if owner.armed_at != armed_at:
                continue  # a shorter deadline came up before
            owner.armed_at = None
            deadline = owner.deadline
            if deadline is not None and deadline <= now:
                yield owner
            else:
                self.arm(owner)

    def next(self) -> float | None:
        """Return when `due` should be asked again; it may be early."""
        return self._heap[0][0] if self._heap else None

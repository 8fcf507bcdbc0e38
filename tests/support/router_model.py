# SPDX-License-Identifier: Apache-2.0
"""
A slower and simpler router, to compare the real one with.

The model holds every item in plain lists and decides only what the interfaces promise: who takes a
message, when something is overdue, and how what ends must end.  What is left open (which worker
gets the next item) it reads from the machine's outputs, and checks that the machine was allowed to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from greengrass_sdk._native import Flag, Kind, Status
from greengrass_sdk._native._py.router.events import (
    CutOff,
    Finished,
    ImportFailed,
    NeedWorkers,
    Outcome,
    Output,
    RetireWorker,
    Send,
    Tapped,
    Unrouted,
    WorkerReady,
)
from greengrass_sdk.model.topic import matches

CORE = 0
START_S, IMPORT_S, EXIT_S, QUICK_S = 60.0, 10.0, 5.0, 0.05
CREDIT_ITEMS, CREDIT_BYTES = 32, 204800


@dataclass(eq=False)
class Item:
    number: int
    kind: int
    source: int
    payload: bytes
    context: bytes = b""
    topic: bytes = b""
    event: bool = False
    caller: int = CORE
    call: int = 0
    queued_at: float = 0.0
    started_at: float | None = None
    outcome: Outcome | None = None
    answered: bool = False

    @property
    def size(self) -> int:
        return len(self.context) + len(self.payload)

    @property
    def is_call(self) -> bool:
        return self.kind == Kind.INVOKE and not self.event


@dataclass(eq=False)
class Worker:
    peer: int
    since: float
    state: str = "importing"
    sent: list[Item] = field(default_factory=list)
    closed: bool = False
    last_run_s: float = float("inf")


@dataclass(eq=False)
class Function:
    endpoint: int
    pinned: bool
    timeout_s: float
    max_workers: int
    idle_s: float
    queue_items: int
    queue_bytes: int
    waiting: list[Item] = field(default_factory=list)
    workers: dict[int, Worker] = field(default_factory=dict)
    asked: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))

    @property
    def sent(self) -> list[Item]:
        return [item for worker in self.workers.values() for item in worker.sent]

    @property
    def items(self) -> list[Item]:
        """Waiting and running ones."""
        return [item for item in self.waiting + self.sent if item.outcome is None]

    def refusal(self, size: int) -> str:
        waiting_bytes = sum(item.size for item in self.waiting)
        if len(self.waiting) >= self.queue_items or waiting_bytes + size > self.queue_bytes:
            return "queue full"
        return ""

    def deadline(self, worker: Worker) -> float | None:
        if worker.state == "importing":
            return None if self.pinned else worker.since + IMPORT_S
        if worker.state == "failed":
            return worker.since + EXIT_S
        if worker.sent:
            assert worker.sent[0].started_at is not None
            return worker.sent[0].started_at + self.timeout_s
        return None if self.pinned or worker.closed else worker.since + self.idle_s


@dataclass(eq=False)
class Client:
    endpoint: int
    queue_items: int
    queue_bytes: int
    peer: int | None = None
    held: bool = False
    closed: bool = False
    kept: list[tuple[bytes, bytes]] = field(default_factory=list)

    def refusal(self, size: int) -> str:
        if self.peer is None or self.closed:
            return "not connected"
        kept_bytes = sum(len(payload) for _, payload in self.kept)
        if self.held and (
            len(self.kept) >= self.queue_items or kept_bytes + size > self.queue_bytes
        ):
            return "queue full"
        return ""


@dataclass(eq=False)
class Row:
    id: str
    source: int
    subject: str
    target: int
    delivered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


class Model:
    """The whole router; `take` compares what the machine handed out."""

    def __init__(self, limit: int, functions: list[Function], clients: list[Client]) -> None:
        self.limit = limit
        self.functions = {function.endpoint: function for function in functions}
        self.clients = {client.endpoint: client for client in clients}
        self.rows: list[Row] = []
        self.now = 0.0
        self.strict = False
        self.stopping = False
        self.items: list[Item] = []
        self.alive: dict[int, int] = {}
        """Endpoint of each peer that may still send."""
        self.silent: set[int] = set()
        """Peers that must get nothing more."""
        self.unrouted: set[tuple[int, bytes]] = set()
        self._forget_step()

    # What a step did.

    def _forget_step(self) -> None:
        self.ended: dict[Item, Outcome] = {}
        self.verdicts: list[Send] = []
        self.retired: dict[int, Outcome] = {}
        self.cut: list[int] = []
        self.tapped: list[tuple[str | None, str, str]] = []
        self.told: list[object] = []

    def worker(self, peer: int) -> tuple[Function, Worker]:
        function = self.functions[self.alive[peer]]
        return function, function.workers[peer]

    def accept(self, function: Function, item: Item) -> None:
        item.queued_at = self.now
        self.items.append(item)
        function.waiting.append(item)

    def refusal(self, endpoint: int, size: int) -> str:
        if endpoint in self.clients:
            return self.clients[endpoint].refusal(size)
        if endpoint not in self.functions:
            return ""  # a service of the core takes everything
        function = self.functions[endpoint]
        if refusal := function.refusal(size):
            return refusal
        held = {f.endpoint: len(f.items) for f in self.functions.values() if f.items}
        if sum(held.values()) < self.limit:
            return ""
        share = max(1, self.limit // len(held.keys() | {endpoint}))
        return "work items of the core used up" if held.get(endpoint, 0) >= share else ""

    # Publish.

    def publish(
        self, source: int, topic: bytes, payload: bytes, *, all_or_none: bool
    ) -> tuple[int, list[tuple[str | None, str, str]]]:
        """Return the verdict and what the tap must show; who takes the message has it."""
        first: dict[int, Row] = {}
        for row in self.rows:
            if row.source == source and matches(row.subject, topic.decode()):
                first.setdefault(row.target, row)
        if not first:
            self.unrouted.add((source, topic))
            status = Status.NO_ROUTE if self.strict else Status.OK
            return status, [(None, "dropped", "no subscription matches")]
        refusals = {target: self.refusal(target, len(payload)) for target in first}
        nobody = all_or_none and any(refusals.values())
        shown: list[tuple[str | None, str, str]] = []
        for target, row in first.items():
            if refusal := refusals[target]:
                row.dropped[refusal] = row.dropped.get(refusal, 0) + 1
                shown.append((row.id, "dropped", refusal))
            elif not nobody:
                row.delivered += 1
                shown.append((row.id, "delivered", ""))
                if target in self.functions:
                    item = Item(len(self.items) + 1, Kind.MESSAGE, source, payload, b"", topic)
                    self.accept(self.functions[target], item)
                elif target in self.clients:
                    self.clients[target].kept.append((topic, payload))
        return (Status.QUEUE_FULL if nobody else Status.OK), shown

    # Ends of workers and peers.

    def leave(self, peer: int) -> Item | None:
        """Forget a peer that can send nothing more; return the item that ran."""
        endpoint = self.alive.pop(peer)
        self.silent.add(peer)
        client = self.clients.get(endpoint)
        if client is not None and client.peer == peer:
            client.peer = None
            client.held = client.closed = False
            client.kept.clear()
        function = self.functions.get(endpoint)
        worker = None if function is None else function.workers.pop(peer, None)
        if function is None or worker is None or not worker.sent:
            return None
        running, *ahead = worker.sent
        function.waiting[:0] = [item for item in ahead if item.outcome is None]
        return running if running.outcome is None else None

    def import_failed(self, function: Function) -> list[Item]:
        """Return what must end because a worker of `function` did not start."""
        if function.pinned:
            return [item for item in function.waiting if item.is_call]
        return function.waiting[:1]

    # Time.

    def deadlines(self) -> list[float]:
        found = [
            function.deadline(worker)
            for function in self.functions.values()
            for worker in function.workers.values()
        ]
        return [at for at in found if at is not None] + [
            item.queued_at + START_S for item in self._not_started()
        ]

    def _not_started(self) -> list[Item]:
        return [
            item
            for function in self.functions.values()
            for item in function.items
            if item.is_call and item.started_at is None
        ]

    def due(self) -> tuple[dict[Item, Outcome], dict[int, Outcome]]:
        """Return which items and which workers must end now, and how."""
        items = {
            item: Outcome.UNHANDLED
            for item in self._not_started()
            if item.queued_at + START_S <= self.now
        }
        workers = {}
        for function in self.functions.values():
            for worker in function.workers.values():
                at = function.deadline(worker)
                if at is None or at > self.now:
                    continue
                workers[worker.peer] = Outcome.UNHANDLED
                if worker.state == "ready":
                    workers[worker.peer] = Outcome.TIMEOUT if worker.sent else Outcome.OK
                    if worker.sent and worker.sent[0].outcome is None:
                        items[worker.sent[0]] = Outcome.TIMEOUT
        return items, workers

    # What the machine handed out.

    def take(self, outputs: list[Output]) -> None:
        """Follow the outputs of one step and check that each of them was allowed."""
        self._forget_step()
        for output in outputs:
            if isinstance(output, Send):
                self._sent(output)
            elif isinstance(output, Finished):
                self._finished(output)
            elif isinstance(output, NeedWorkers):
                function = self.functions[output.endpoint]
                function.asked += output.workers
                assert not function.pinned
                assert not self.stopping
            elif isinstance(output, RetireWorker):
                self.retired[output.peer] = output.outcome
                self.leave(output.peer)
            elif isinstance(output, CutOff):
                self.cut.append(output.peer)
                self.leave(output.peer)
            elif isinstance(output, Tapped):
                row = None if output.route is None else output.route.id
                self.tapped.append((row, output.outcome, output.reason))
            else:
                assert isinstance(output, WorkerReady | ImportFailed | Unrouted)
                self.told.append(output)

    def _sent(self, send: Send) -> None:
        assert send.peer not in self.silent
        if send.kind == Kind.VERDICT:
            self.verdicts.append(send)
        elif send.kind == Kind.RESULT:
            self._answered(send)
        elif send.id:
            self._given(send)
        elif send.endpoint in self.clients:
            client = self.clients[send.endpoint]
            assert (client.peer, client.held, client.closed) == (send.peer, False, False)
            assert client.kept.pop(0) == (send.topic, send.payload)
        else:
            assert (send.peer, send.kind) == (CORE, Kind.MESSAGE)

    def _given(self, send: Send) -> None:
        """A worker got an item: the oldest one of its function, against credit."""
        function, worker = self.worker(send.peer)
        item = function.waiting.pop(0)
        flags = Flag.EVENT if item.event else 0
        fields = (item.kind, flags, function.endpoint, item.number)
        assert fields == (send.kind, send.flags, send.endpoint, send.id)
        assert (item.topic, item.context, item.payload) == (send.topic, send.context, send.payload)
        assert (worker.state, worker.closed) == ("ready", False)
        if worker.sent:
            assert function.pinned
            assert worker.last_run_s <= QUICK_S
            assert len(worker.sent) < CREDIT_ITEMS
            assert sum(i.size for i in [*worker.sent, item]) <= CREDIT_BYTES
        else:
            item.started_at = self.now
        worker.sent.append(item)

    def _answered(self, send: Send) -> None:
        item = self.items[int.from_bytes(send.context, "little") - 1]
        assert item.is_call
        assert not item.answered
        assert (item.caller, item.call, item.source) == (send.peer, send.id, send.endpoint)
        item.answered = True

    def _finished(self, event: Finished) -> None:
        item = self.items[event.item.id - 1]
        function = self.functions[event.endpoint]
        assert item.outcome is None
        item.outcome = event.outcome
        function.outcomes[event.outcome] += 1
        self.ended[item] = event.outcome
        assert item.answered == (item.is_call and item.caller not in self.silent)
        if item in function.waiting:
            function.waiting.remove(item)

# SPDX-License-Identifier: Apache-2.0
"""
The router: one step machine that decides where every message goes and how every invocation ends.

It is sans-IO.  Frames of peers come in by `receive`, the core's decisions by the methods below
"Topology" and "Peers", time is an argument, and `step` hands out what must happen next: frames to
send, and events that need a decision.  The driver in `greengrass_sdk.core.router` moves the bytes.

Words used here:

peer
    A connection.  Peer 0 is the core itself, which may speak for every endpoint.
endpoint
    An address of the subscription table, as a number: a function, a client, `cloud`, a service.
item
    A message or an invocation on its way to a function; it counts as a work item until its end.
worker
    A peer that works for a function.  Items are sent to it against credits, and its answers come
    in the order of the items, so the first unanswered item is the one that runs.

Rules that live here and in `work`, and nowhere else:

- A source is an endpoint that the peer owns, never just what a frame says.
- Every invocation gets exactly one outcome; the first decision wins.
- A full target drops (`BestEffort`) or refuses all (`AllOrException`); it never blocks a source.
- When the core's work items are used up, only targets holding more than their equal share refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk._native import Flag, Frame, Kind, Status, TopicIndex
from greengrass_sdk._native._py.router.events import (
    CutOff,
    Outcome,
    Send,
    Tapped,
    Unrouted,
)
from greengrass_sdk._native._py.router.state import (
    CORE,
    FunctionRules,
    FunctionTarget,
    Item,
    Peer,
    PeerTarget,
    Route,
    Target,
    Worker,
    WorkerState,
)
from greengrass_sdk._native._py.router.texts import error_document, too_large
from greengrass_sdk._native._py.router.work import Work
from greengrass_sdk.errors import InvalidInputError, LocalProtocolError
from greengrass_sdk.model.limits import CONTEXT_BYTES
from greengrass_sdk.model.topic import check_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk._native import _abc
    from greengrass_sdk._native._py.lent import Result
    from greengrass_sdk._native._py.router.events import Output

__all__ = ["Router"]

_REMEMBERED_UNROUTED = 1024  # (source, topic) pairs reported once each


class Router:
    """
    The step machine in readable Python: reference, fallback and test double.

    Not thread-safe: one thread drives it.

    Args:
        work_items: Waiting and running items of the whole core.
        topic_payload_bytes: Largest payload of a published message.
        invoke_payload_bytes: Largest payload of an invocation and of its result.
        strict: A publish that no route matches is refused instead of dropped.
        boot: Eight random bytes of this start of the core, part of every request id.
        epoch: Wall-clock seconds at monotonic time 0, for texts that name a time.
    """

    def __init__(
        self,
        *,
        work_items: int,
        topic_payload_bytes: int,
        invoke_payload_bytes: int,
        strict: bool = False,
        boot: bytes = bytes(8),
        epoch: float = 0.0,
    ) -> None:
        self.topic_payload_bytes = topic_payload_bytes
        self.invoke_payload_bytes = invoke_payload_bytes
        self.strict = strict
        self.unrouted = 0
        """Messages that no route matched, since the start."""
        self._peers: dict[int, Peer] = {CORE: Peer(CORE)}
        self._targets: dict[int, Target] = {}
        self._names: dict[bytes, int] = {}
        self._index: _abc.TopicIndex = TopicIndex()
        self._routes: Sequence[Route] = ()
        self._reported: dict[tuple[int, bytes], None] = {}
        self._outputs: list[Output] = []
        self._work = Work(
            self._outputs,
            limit=work_items,
            payload_bytes=invoke_payload_bytes,
            boot=boot,
            epoch=epoch,
        )

    @property
    def work_items(self) -> tuple[int, int]:
        """Work items now, and their limit."""
        return self._work.items, self._work.limit

    @property
    def tap(self) -> bool:
        """Whether `Tapped` and every `Finished` are handed out; off unless somebody watches."""
        return self._work.tap

    @tap.setter
    def tap(self, on: bool) -> None:
        self._work.tap = on

    # Topology: what exists and where messages go.

    def define_function(self, endpoint: int, rules: FunctionRules, names: Sequence[bytes]) -> None:
        """Add a function, known to callers by each of `names`, to its workers by the first."""
        self._work.admit()
        self._define(endpoint, FunctionTarget(endpoint, rules, names[0]))
        for name in names:
            self._names[name] = endpoint

    def define_peer_target(self, endpoint: int, *, queue_items: int, queue_bytes: int) -> None:
        """Add an endpoint whose messages go to the one peer that is attached to it."""
        self._define(endpoint, PeerTarget(endpoint, queue_items, queue_bytes))

    def _define(self, endpoint: int, target: Target) -> None:
        older = self._targets.get(endpoint)
        self._targets[endpoint] = target
        if isinstance(older, FunctionTarget):
            self._work.retire(older)

    def define_service(self, endpoint: int) -> None:
        """Add an in-core endpoint: its messages are sent to peer 0."""
        self.define_peer_target(endpoint, queue_items=0, queue_bytes=0)
        self.attach(CORE, endpoint)

    def install_routes(self, index: _abc.TopicIndex, routes: Sequence[Route]) -> None:
        """
        Replace the subscription table: `index` answers row numbers of `routes`.

        A route with the id of an older one goes on with its counters.
        """
        older = {route.id: route for route in self._routes}
        for route in routes:
            route.resume(older.get(route.id, route))
        self._index = index
        self._routes = routes
        self._reported.clear()

    def target_state(self, endpoint: int) -> Target:
        """Return the target's live state, for reading only (status, tests)."""
        return self._targets[endpoint]

    def is_busy(self, peer: int) -> bool:
        """Return whether a worker holds an item."""
        connection = self._peers.get(peer)
        worker = None if connection is None else connection.worker
        return worker is not None and bool(worker.sent)

    def stop(self) -> None:
        """Refuse new invocations and ask for no more workers; what runs may still end."""
        self._work.stopping = True

    # Peers: who is connected.

    def attach(self, peer: int, endpoint: int) -> None:
        """Let a connected client speak for `endpoint`."""
        connection = self._peers.setdefault(peer, Peer(peer))
        connection.endpoints.add(endpoint)
        target = self._targets[endpoint]
        if isinstance(target, PeerTarget):
            if target.peer is not connection:
                target.disconnect()
            target.peer = connection

    def attach_worker(self, peer: int, endpoint: int, now: float) -> None:
        """Let a new process work for the function `endpoint`; it gets items once it is ready."""
        connection = self._peers[peer] = Peer(peer)
        connection.endpoints.add(endpoint)
        connection.worker = Worker(connection, self._function(endpoint))
        self._work.attach(connection.worker, now)

    def worker_failed(self, endpoint: int, document: bytes, now: float) -> None:
        """Say that no worker could be started: the item it was meant for ends Unhandled."""
        self._work.failed_to_start(self._function(endpoint), document, now)

    def close(self, peer: int) -> None:
        """Send nothing more to `peer`: its connection ended, how it ended is not known yet."""
        connection = self._peers.get(peer)
        if connection is None:
            return
        connection.closed = True
        if connection.worker is not None:
            self._work.leave_idle(connection.worker)

    def detach(self, peer: int, document: bytes, now: float) -> None:
        """
        Forget a peer whose last frame was received.

        Args:
            peer: A peer that was attached; unknown peers are ignored.
            document: Error document for the item that ran, or for the import that never ended.
            now: Monotonic seconds.
        """
        connection = self._peers.pop(peer, None)
        if connection is None:
            return
        connection.closed = True
        for target in self._fed_by(connection):
            target.disconnect()
        if connection.worker is not None:
            self._work.bury(connection.worker, Outcome.UNHANDLED, document, now)
            self._work.retire(connection.worker)

    def cut(self, peer: int, reason: str, now: float) -> None:
        """Cut off a peer whose transport found it breaking the contract: it `reason`."""
        connection = self._peers.get(peer)
        if connection is None:
            self._outputs.append(CutOff(peer, reason))
        else:
            self._cut(connection, reason, now)

    def hold(self, peer: int, *, held: bool) -> None:
        """Tell whether the transport towards `peer` is full; messages wait in bounds meanwhile."""
        connection = self._peers.get(peer)
        if connection is None:
            return
        connection.held = held
        if held or connection.silent:
            return
        for target in self._fed_by(connection):
            while target.waiting:
                self._message(connection, target.endpoint, *target.take())

    # Frames in, outputs out.

    def receive(self, peer: int, frame: Frame, now: float) -> None:
        """
        Take one frame of `peer`.  A frame that breaks the contract cuts the peer off.

        Raises:
            LocalProtocolError: The core itself broke the contract.
        """
        connection = self._peers.get(peer)
        if connection is None or connection.cut:
            return
        if frame.endpoint not in connection.endpoints and peer != CORE:
            reason = f"spoke for endpoint {frame.endpoint}, which is not its own"
            self._cut(connection, reason, now)
        elif frame.kind == Kind.PUBLISH:
            self._publish(connection, frame, now)
        elif frame.kind == Kind.INVOKE:
            self._invoke(connection, frame, now)
        elif frame.kind == Kind.RESULT:
            self._result(connection, frame, now)
        elif frame.kind == Kind.READY:
            self._ready(connection, frame, now)
        else:
            reason = f"sent a frame of kind {frame.kind}, which only the core sends"
            self._cut(connection, reason, now)

    def end(self, peer: int, endpoint: int, results: Sequence[Result], now: float) -> None:
        """Take the results of items of a worker, by their numbers, in order."""
        for number, payload in results:
            frame = Frame(Kind.RESULT, 0, endpoint, number, b"", b"", bytes(payload))
            self.receive(peer, frame, now)

    def step(self, now: float) -> list[Output]:
        """Fire the deadlines that have come, and return all outputs since the last step."""
        self._work.fire(now)
        outputs = self._outputs.copy()
        self._outputs.clear()
        return outputs

    def next_deadline(self) -> float | None:
        """Return the time at which `step` must be called at the latest, None for never."""
        return self._work.next_deadline()

    # Publish.

    def _publish(self, peer: Peer, frame: Frame, now: float) -> None:
        status, text = self._checked(peer, frame)
        if status == Status.OK:
            rows = self._index.match(frame.endpoint, frame.topic)
            status, text = self._fan_out(frame, rows, now) if rows else self._no_route(frame)
        elif not frame.flags & Flag.ANSWER:
            self._cut(peer, f"published what its own side must refuse: {text}", now)
        if frame.flags & Flag.ANSWER:
            self._verdict(peer, frame, status, text)

    def _checked(self, peer: Peer, frame: Frame) -> tuple[int, str]:
        if len(frame.payload) > self.topic_payload_bytes:
            return Status.TOO_LARGE, too_large("message", frame.payload, self.topic_payload_bytes)
        if peer.number == CORE:
            return Status.OK, ""  # a topic of the cloud may hold wildcard characters
        try:
            check_topic(frame.topic.decode())
        except (InvalidInputError, UnicodeDecodeError) as error:
            return Status.INVALID, str(error)
        return Status.OK, ""

    def _fan_out(self, frame: Frame, rows: list[int], now: float) -> tuple[int, str]:
        chosen: dict[int, Route] = {}
        for row in rows:
            route = self._routes[row]
            chosen.setdefault(route.target, route)  # one delivery per target, by its first row
        size = len(frame.payload)
        refusals = {target: self._refusal(self._targets[target], size) for target in chosen}
        none_at_all = bool(frame.flags & Flag.ALL_OR_EXCEPTION) and any(refusals.values())
        if none_at_all:
            chosen = {target: route for target, route in chosen.items() if refusals[target]}
        for target, route in chosen.items():
            refusal = refusals[target]
            if refusal:
                route.drop(refusal)
                self._tapped(frame, route, "dropped", refusal)
            else:
                route.delivered += 1
                self._tapped(frame, route, "delivered", "")
                self._deliver(self._targets[target], frame, now)
        if none_at_all:
            told = ", ".join(f"{refusals[target]} ({route.id})" for target, route in chosen.items())
            return Status.QUEUE_FULL, f"nothing was delivered: {told}"
        return Status.OK, ""

    def _refusal(self, target: Target, size: int) -> str:
        """Return why `target` takes nothing of `size` bytes, or an empty string."""
        refusal = target.refusal(size)
        if not refusal and isinstance(target, FunctionTarget):
            return self._work.share_refusal(target)
        return refusal

    def _deliver(self, target: Target, frame: Frame, now: float) -> None:
        if isinstance(target, FunctionTarget):
            item = Item(Kind.MESSAGE, frame.endpoint, frame.topic, b"", frame.payload)
            self._work.enqueue(target, item, now)
        elif target.peer is None or target.peer.held:
            target.put(frame.topic, frame.payload)
        else:
            self._message(target.peer, target.endpoint, frame.topic, frame.payload)

    def _message(self, peer: Peer, endpoint: int, topic: bytes, payload: bytes) -> None:
        self._outputs.append(Send(peer.number, Kind.MESSAGE, 0, endpoint, 0, topic, b"", payload))

    def _no_route(self, frame: Frame) -> tuple[int, str]:
        self.unrouted += 1
        pair = (frame.endpoint, frame.topic)
        if pair not in self._reported:
            if len(self._reported) >= _REMEMBERED_UNROUTED:
                del self._reported[next(iter(self._reported))]
            self._reported[pair] = None
            self._outputs.append(Unrouted(frame.endpoint, frame.topic))
        self._tapped(frame, None, "dropped", "no subscription matches")
        if self.strict:
            topic = frame.topic.decode("utf-8", "replace")
            return Status.NO_ROUTE, f"no subscription matches topic {topic!r} from this source"
        return Status.OK, ""

    def _tapped(self, frame: Frame, route: Route | None, outcome: str, reason: str) -> None:
        if self.tap:
            self._outputs.append(
                Tapped(frame.endpoint, route, frame.topic, frame.payload, outcome, reason)
            )

    # Invoke.

    def _invoke(self, peer: Peer, frame: Frame, now: float) -> None:
        endpoint = self._names.get(frame.topic)
        target = None if endpoint is None else self._targets.get(endpoint)
        if self._work.stopping:
            self._verdict(peer, frame, Status.STOPPING, "the core is stopping")
        elif not isinstance(target, FunctionTarget):
            name = frame.topic.decode("utf-8", "replace")
            self._verdict(peer, frame, Status.NOT_FOUND, f"no function {name!r} in this group")
        elif len(frame.payload) > self.invoke_payload_bytes:
            text = too_large("invocation", frame.payload, self.invoke_payload_bytes)
            self._verdict(peer, frame, Status.TOO_LARGE, text)
        elif len(frame.context) > CONTEXT_BYTES:
            text = too_large("client context", frame.context, CONTEXT_BYTES)
            self._verdict(peer, frame, Status.TOO_LARGE, text)
        elif refusal := self._refusal(target, len(frame.context) + len(frame.payload)):
            target.refused += 1
            self._verdict(peer, frame, Status.QUEUE_FULL, f"{refusal} at the function")
        else:
            item = Item(Kind.INVOKE, frame.endpoint, target.name, frame.context, frame.payload)
            item.event = bool(frame.flags & Flag.EVENT)
            item.caller = peer
            item.number = frame.id
            self._work.enqueue(target, item, now)
            if item.event:
                self._verdict(peer, frame, Status.OK, "", item.id)

    def _verdict(self, peer: Peer, frame: Frame, status: int, text: str, work_id: int = 0) -> None:
        if peer.silent:
            return
        context = work_id.to_bytes(8, "little") if work_id else b""
        answer = (frame.endpoint, frame.id, b"", context, text.encode())
        self._outputs.append(Send(peer.number, Kind.VERDICT, status, *answer))

    # Workers' answers, and peers that break the contract.

    def _ready(self, peer: Peer, frame: Frame, now: float) -> None:
        worker = peer.worker
        if worker is None or worker.state is not WorkerState.STARTING:
            self._cut(peer, "reported the end of an import that nobody waits for", now)
        else:
            self._work.ready(worker, frame, now)

    def _result(self, peer: Peer, frame: Frame, now: float) -> None:
        worker = peer.worker
        if worker is None or not worker.sent or worker.sent[0].id != frame.id:
            self._cut(peer, f"answered item {frame.id}, which it was not asked", now)
        else:
            self._work.result(worker, frame, now)

    def _cut(self, peer: Peer, reason: str, now: float) -> None:
        """End and forget a peer that broke the contract; nobody else notices."""
        if peer.cut:
            return  # retired already
        if peer.number == CORE:
            raise LocalProtocolError(f"the core {reason}")
        peer.cut = True
        self._outputs.append(CutOff(peer.number, reason))
        text = f"the worker was cut off: it {reason}"
        self.detach(peer.number, error_document(text, "ProtocolError"), now)

    def _fed_by(self, peer: Peer) -> list[PeerTarget]:
        """Return the targets whose messages go to `peer`."""
        targets = (self._targets[endpoint] for endpoint in peer.endpoints)
        return [t for t in targets if isinstance(t, PeerTarget) and t.peer is peer]

    def _function(self, endpoint: int) -> FunctionTarget:
        target = self._targets[endpoint]
        if not isinstance(target, FunctionTarget):
            raise InvalidInputError(f"endpoint {endpoint} is not a function")
        return target

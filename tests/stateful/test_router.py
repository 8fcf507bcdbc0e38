# SPDX-License-Identifier: Apache-2.0
"""
The router machine against a model: whatever peers do, in whatever order, the promises hold.

Publishers, callers, workers and clients come and go, answer, lie, hang and die while time passes.
After every rule the machine must have done what the model in `router_model` expects of it.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from router_model import (
    CORE,
    Client,
    Function,
    Item,
    Model,
    Row,
    Worker,
)

from greengrass_sdk._native import Flag, Frame, Kind, Status, TopicIndex
from greengrass_sdk._native._py.router.events import ImportFailed, Outcome, WorkerReady
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import (
    FunctionRules,
    FunctionTarget,
    PeerTarget,
    Route,
)

PINNED, DEMAND, SECOND, CLIENT, OTHER, CLOUD = range(1, 7)
FUNCTIONS = {b"pinned": PINNED, b"demand": DEMAND, b"second": SECOND, b"second:1": SECOND}
TOPICS = [b"a", b"a/b", b"b", b"/a"]
SUBJECTS = ["a", "a/b", "a/#", "#", "+/a", "b"]
TOPIC_BYTES, INVOKE_BYTES = 50_000, 70_000
SIZES = st.sampled_from([0, 1, 100, 20_000, 40_000])
NAMES = st.sampled_from([b"pinned", b"pinned", *FUNCTIONS, *FUNCTIONS, b"nobody"])
ROWS = st.lists(
    st.tuples(
        st.sampled_from([CLOUD, PINNED, DEMAND, CLIENT]),
        st.sampled_from(SUBJECTS),
        st.sampled_from([PINNED, DEMAND, SECOND, CLIENT, OTHER, CLOUD]),
    ),
    max_size=6,
)
ALWAYS = [
    *((source, "#", PINNED) for source in range(1, 7)),
    (CLOUD, "a/#", DEMAND),
    (CLOUD, "#", CLIENT),
    (PINNED, "a/#", DEMAND),
    (DEMAND, "a", CLIENT),
]
BAD = ["result", "endpoint", "kind", "ready", "wildcard", "size", "utf-8"]


ENDS = ["close", "close", "close", "detach", "detach", "transport", *BAD]


class RouterMachine(RuleBasedStateMachine):
    """Drives the machine as a driver would: frames, decisions and time."""

    @initialize(
        limit=st.sampled_from([3, 8, 100]),
        queue_items=st.sampled_from([2, 5, 80]),
        max_workers=st.integers(1, 3),
        timeout_s=st.sampled_from([3.0, 90.0]),
        strict=st.booleans(),
        rows=ROWS,
    )
    def begin(self, limit, queue_items, max_workers, timeout_s, strict, rows):
        functions = [
            Function(PINNED, True, timeout_s, 1, 0.0, queue_items, 300_000),
            Function(DEMAND, False, 3.0, max_workers, 20.0, queue_items, 100_000),
            Function(SECOND, False, 90.0, 2, 1.0, queue_items, 100_000),
        ]
        clients = [Client(endpoint, 2, 60_000) for endpoint in (CLIENT, OTHER)]
        self.model = Model(limit, functions, clients)
        self.model.strict = strict
        self.machine = Router(
            work_items=limit,
            topic_payload_bytes=TOPIC_BYTES,
            invoke_payload_bytes=INVOKE_BYTES,
            strict=strict,
        )
        self.machine.tap = True
        for function in functions:
            rules = FunctionRules(
                function.pinned,
                function.timeout_s,
                function.max_workers,
                function.idle_s,
                function.queue_items,
                function.queue_bytes,
            )
            names = [name for name, endpoint in FUNCTIONS.items() if endpoint == function.endpoint]
            self.machine.define_function(function.endpoint, rules, names)
        for client in clients:
            self.machine.define_peer_target(client.endpoint, queue_items=2, queue_bytes=60_000)
        self.machine.define_service(CLOUD)
        self.last_peer = 10
        self.last_call = 0
        self.install(rows)

    @rule(rows=ROWS)
    def install(self, rows):
        """Replace the table: what waits keeps its decision, and rows that stay their counters."""
        index = TopicIndex()
        self.routes = []
        older = self.model.rows
        self.model.rows = []
        for number, (source, subject, target) in enumerate([*rows, *ALWAYS]):
            index.add(source, subject.encode(), number)
            self.routes.append(Route(f"row-{number}", target))
            self.model.rows.append(Row(f"row-{number}", source, subject, target))
        for row, before in zip(self.model.rows, older, strict=False):  # their ids are alike
            row.delivered, row.dropped = before.delivered, dict(before.dropped)
        self.machine.install_routes(index, self.routes)
        self.expect({})

    # What helps the rules.

    def expect(self, ended, *, retired=None, cut=()):
        """Step the machine; exactly these items and peers must end."""
        self.model.take(self.machine.step(self.model.now))
        assert ended == self.model.ended
        assert (retired or {}) == self.model.retired
        assert list(cut) == self.model.cut

    def send(self, peer, kind, *, flags=0, number=0, topic=b"", context=b"", payload=b""):
        endpoint = self.model.alive.get(peer, CLOUD)
        frame = Frame(kind, flags, endpoint, number, topic, context, payload)
        self.machine.receive(peer, frame, self.model.now)

    def verdict(self, peer, status):
        """Exactly one verdict went to `peer`, or none if it can get nothing."""
        expected = [] if peer in self.model.silent else [(peer, self.last_call, status)]
        assert expected == [(v.peer, v.id, v.flags) for v in self.model.verdicts]

    def workers(self, *states, busy=None):
        return [
            worker.peer
            for function in self.model.functions.values()
            for worker in function.workers.values()
            if worker.state in states and busy in (None, bool(worker.sent))
        ]

    def some(self, data, values):
        return data.draw(st.sampled_from(sorted(values)))

    def asked(self):
        return [f.endpoint for f in self.model.functions.values() if f.asked]

    def wanted(self):
        pinned = self.model.functions[PINNED]
        return self.asked() + ([] if pinned.workers else [PINNED])

    def sender(self, data):
        """A peer that may speak: a client, a worker that is up, or the core for the cloud."""
        clients = [
            peer for peer, endpoint in self.model.alive.items() if endpoint in (CLIENT, OTHER)
        ]
        return self.some(data, [CORE, *clients, *self.workers("importing", "ready")])

    # Messages and invocations.

    @rule(
        data=st.data(),
        topic=st.sampled_from(TOPICS),
        size=SIZES,
        flags=st.sampled_from([0, Flag.ANSWER, Flag.ANSWER | Flag.ALL_OR_EXCEPTION]),
        times=st.sampled_from([1, 2, 2, 2, 2, 2, 45]),
    )
    def publish(self, data, topic, size, flags, times):
        peer = self.sender(data)
        source = self.model.alive.get(peer, CLOUD)
        for _ in range(times):
            self.last_call += 1
            payload = self.last_call.to_bytes(4, "big") + bytes(size)
            all_or_none = bool(flags & Flag.ALL_OR_EXCEPTION)
            status, shown = self.model.publish(source, topic, payload, all_or_none=all_or_none)
            self.send(
                peer,
                Kind.PUBLISH,
                flags=flags,
                number=self.last_call,
                topic=topic,
                payload=payload,
            )
            self.expect({})
            assert shown == self.model.tapped
            if flags:
                self.verdict(peer, status)
            else:
                assert self.model.verdicts == []

    @rule(
        data=st.data(),
        name=NAMES,
        size=SIZES | st.just(INVOKE_BYTES + 1),
        context=st.sampled_from([0, 10, 30_000]),
        event=st.sampled_from([False, False, True]),
        times=st.sampled_from([1, 1, 2, 8]),
    )
    def invoke(self, data, name, size, context, event, times):
        peer = self.sender(data)
        for _ in range(times):
            self.last_call += 1
            payload, extra = bytes(size), bytes(context)
            self.check_invoke(peer, name, payload, extra, event=event)

    def check_invoke(self, peer, name, payload, context, *, event):
        source = self.model.alive.get(peer, CLOUD)
        endpoint = FUNCTIONS.get(name)
        status = Status.OK
        if self.model.stopping:
            status = Status.STOPPING
        elif endpoint is None:
            status = Status.NOT_FOUND
        elif len(payload) > INVOKE_BYTES:
            status = Status.TOO_LARGE
        elif self.model.refusal(endpoint, len(payload) + len(context)):
            status = Status.QUEUE_FULL
        if status == Status.OK and endpoint is not None:
            known_as = next(each for each, number in FUNCTIONS.items() if number == endpoint)
            number = len(self.model.items) + 1
            item = Item(number, Kind.INVOKE, source, payload, context, known_as)
            item.event, item.caller, item.call = event, peer, self.last_call
            self.model.accept(self.model.functions[endpoint], item)
        self.send(
            peer,
            Kind.INVOKE,
            flags=Flag.EVENT if event else 0,
            number=self.last_call,
            topic=name,
            context=context,
            payload=payload,
        )
        self.expect({})
        if status != Status.OK or event:
            self.verdict(peer, status)
        else:
            assert self.model.verdicts == []

    # Workers.

    @precondition(lambda self: self.wanted())
    @rule(data=st.data())
    def attach_worker(self, data):
        """Answer a request for a worker, or start the pinned one."""
        self.start_worker(self.some(data, self.wanted()))

    def start_worker(self, endpoint):
        function = self.model.functions[endpoint]
        function.asked = max(0, function.asked - 1)
        self.last_peer += 1
        function.workers[self.last_peer] = Worker(self.last_peer, self.model.now)
        self.model.alive[self.last_peer] = endpoint
        self.machine.attach_worker(self.last_peer, endpoint, self.model.now)
        self.expect({})
        return self.last_peer

    @precondition(lambda self: self.asked())
    @rule(data=st.data())
    def worker_failed(self, data):
        function = self.model.functions[self.some(data, self.asked())]
        function.asked -= 1
        ended = dict.fromkeys(self.model.import_failed(function), Outcome.UNHANDLED)
        self.machine.worker_failed(function.endpoint, b"{}", self.model.now)
        self.expect(ended)

    @precondition(lambda self: self.workers("importing"))
    @rule(data=st.data(), well=st.sampled_from([True, True, True, False]))
    def import_ends(self, data, well):
        self.end_import(self.some(data, self.workers("importing")), well=well)

    def end_import(self, peer, *, well):
        function, worker = self.model.worker(peer)
        worker.since = self.model.now
        if well:
            worker.state = "ready"
            self.send(peer, Kind.READY)
            self.expect({})
            assert [WorkerReady(peer, function.endpoint)] == self.model.told
        else:
            worker.state = "failed"
            ended = dict.fromkeys(self.model.import_failed(function), Outcome.UNHANDLED)
            self.send(peer, Kind.READY, flags=Flag.FAILED, payload=b"no")
            self.expect(ended)
            assert [ImportFailed(peer, function.endpoint, b"no")] == self.model.told

    @precondition(lambda self: self.workers("ready", busy=True))
    @rule(
        data=st.data(),
        flags=st.sampled_from([0, 0, Flag.HANDLED]),
        size=st.sampled_from([0, 1, INVOKE_BYTES + 1]),
        times=st.sampled_from([1, 1, 5, 40]),
    )
    def answer(self, data, flags, size, times):
        peer = self.some(data, self.workers("ready", busy=True))
        for _ in range(times):
            if self.model.worker(peer)[1].sent:
                self.answer_one(peer, flags, size)

    def answer_one(self, peer, flags=0, size=0):
        _, worker = self.model.worker(peer)
        item = worker.sent.pop(0)
        assert item.started_at is not None
        worker.last_run_s = self.model.now - item.started_at
        worker.since = self.model.now
        if worker.sent:
            worker.sent[0].started_at = self.model.now
        outcome = Outcome.HANDLED if flags else Outcome.OK
        if size > INVOKE_BYTES:
            outcome = Outcome.UNHANDLED
        # A call that was given up while it lay with its worker has its outcome already.
        ended = {item: outcome} if item.outcome is None else {}
        self.send(peer, Kind.RESULT, flags=flags, number=item.number, payload=bytes(size))
        self.expect(ended)

    def leave(self, peer):
        """Let the model forget `peer`, and return what must end for it."""
        function = self.model.functions.get(self.model.alive[peer])
        importing = function is not None and function.workers[peer].state == "importing"
        running = self.model.leave(peer)
        if running is not None:
            return {running: Outcome.UNHANDLED}
        if function is not None and importing:
            return dict.fromkeys(self.model.import_failed(function), Outcome.UNHANDLED)
        return {}

    @precondition(lambda self: self.model.alive)
    @rule(data=st.data(), how=st.sampled_from(ENDS))
    def end_a_peer(self, data, how):
        peer = self.some(data, self.model.alive)
        if how == "close":
            self.close(peer)
        elif how == "detach":
            self.detach(peer)
        elif how == "transport":
            self.machine.cut(peer, "wrote nonsense", self.model.now)
            self.expect_cut(peer)
        else:
            self.break_the_contract(peer, how)

    def close(self, peer):
        """A connection ends; what was written before may still arrive."""
        self.machine.close(peer)
        self.model.silent.add(peer)
        endpoint = self.model.alive[peer]
        if endpoint in self.model.functions:
            self.model.worker(peer)[1].closed = True
        elif self.model.clients[endpoint].peer == peer:
            self.model.clients[endpoint].closed = True
        self.expect({})

    def detach(self, peer):
        """A peer is gone: the exit of a worker was reported, or a client left."""
        ended = self.leave(peer)
        self.machine.detach(peer, b"died", self.model.now)
        self.expect(ended)

    # Clients.

    @rule(endpoint=st.sampled_from([CLIENT, OTHER]), held=st.booleans(), anew=st.booleans())
    def client(self, endpoint, held, anew):
        """A client connects, maybe while its older connection seems alive, or stops reading."""
        client = self.model.clients[endpoint]
        if client.peer is None or anew:
            self.last_peer += 1
            client.peer, client.held, client.closed = self.last_peer, False, False
            client.kept.clear()
            self.model.alive[self.last_peer] = endpoint
            self.machine.attach(self.last_peer, endpoint)
        else:
            client.held = held
            self.machine.hold(client.peer, held=held)
        self.expect({})

    # Peers that break the contract.

    def break_the_contract(self, peer, bad):
        endpoint = self.model.alive[peer]
        if bad == "ready" and peer in self.workers("importing"):
            bad = "kind"  # READY is what is expected of it
        fields = {
            "result": (Kind.RESULT, endpoint, 10**9, b"", b""),
            "endpoint": (Kind.PUBLISH, endpoint % 6 + 1, 0, b"a", b""),
            "kind": (Kind.MESSAGE, endpoint, 0, b"a", b""),
            "ready": (Kind.READY, endpoint, 0, b"", b""),
            "wildcard": (Kind.PUBLISH, endpoint, 0, b"a/#", b""),
            "size": (Kind.PUBLISH, endpoint, 0, b"a", bytes(TOPIC_BYTES + 1)),
            "utf-8": (Kind.PUBLISH, endpoint, 0, b"\xff", b""),
        }
        kind, spoken_for, number, topic, payload = fields[bad]
        frame = Frame(kind, 0, spoken_for, number, topic, b"", payload)
        self.machine.receive(peer, frame, self.model.now)
        self.expect_cut(peer)

    def expect_cut(self, peer):
        outputs = self.machine.step(self.model.now)
        ended = self.leave(peer)
        self.model.alive[peer] = 0  # `take` forgets it again when it sees that it was cut off
        self.model.take(outputs)
        assert [peer] == self.model.cut
        assert ended == self.model.ended

    @precondition(lambda self: self.model.silent - self.model.alive.keys())
    @rule(
        data=st.data(), kind=st.sampled_from([Kind.PUBLISH, Kind.INVOKE, Kind.RESULT, Kind.READY])
    )
    def speak_after_the_end(self, data, kind):
        """What a peer writes after it was cut off, retired or forgotten has no effect."""
        peer = self.some(data, self.model.silent - self.model.alive.keys())
        for endpoint in self.model.functions:
            frame = Frame(kind, 0, endpoint, len(self.model.items), b"a", b"", b"x")
            self.machine.receive(peer, frame, self.model.now)
        self.machine.close(peer)
        self.machine.hold(peer, held=False)
        assert self.machine.step(self.model.now) == []
        if not self.machine.is_busy(peer):
            self.machine.detach(peer, b"late", self.model.now)
        assert self.machine.step(self.model.now) == []

    # Time.

    @rule(
        seconds=st.sampled_from([0.01, 0.04, 0.3, 1.0, 3.0, 10.0, 25.0, 61.0]),
        late=st.sampled_from([0.0, 0.0, 0.3]),
    )
    def wait(self, seconds, late):
        """Let time pass as the driver does: from deadline to deadline, never early."""
        self.let_pass(seconds, late)

    @precondition(lambda self: self.model.functions[PINNED].sent)
    @rule(seconds=st.sampled_from([59.0, 61.0, 100.0]))
    def hang(self, seconds):
        """The pinned worker hangs, and calls pile up behind it or lie with it."""
        for _ in range(3):
            self.last_call += 1
            self.check_invoke(CORE, b"pinned", b"", b"", event=False)
        self.let_pass(seconds)

    def let_pass(self, seconds, late=0.0):
        end = self.model.now + seconds
        while any(at <= end for at in self.model.deadlines()):
            self.pass_to(max(min(self.model.deadlines()), self.model.now) + late)
        self.pass_to(max(end, self.model.now))

    def pass_to(self, now):
        model = self.model
        model.now = now
        items, workers = model.due()
        importing = dict.fromkeys(model.functions, 0)
        for peer in workers:
            function, worker = model.worker(peer)
            importing[function.endpoint] += worker.state == "importing"
        waiting = {f.endpoint: list(f.waiting) for f in model.functions.values()}
        model.take(self.machine.step(now))
        assert workers == model.retired
        assert items.items() <= model.ended.items()
        assert model.cut == []
        # An import that took too long ends the first item that waits.
        for endpoint, failed in importing.items():
            ended = [item for item in waiting[endpoint] if item.outcome is not None]
            due = [item for item in ended if item in items]
            assert min(failed, len(waiting[endpoint])) <= len(ended) <= len(due) + failed
        for item in model.ended.keys() - items.keys():
            assert any(item in waiting[endpoint] for endpoint in importing if importing[endpoint])
            assert item.outcome is Outcome.UNHANDLED

    @precondition(lambda self: len(self.model.items) > 40)
    @rule()
    def stop(self):
        self.machine.stop()
        self.model.stopping = True
        self.expect({})

    # What holds after every rule.

    @invariant()
    def functions_agree(self):
        for function in self.model.functions.values():
            state = self.machine.target_state(function.endpoint)
            assert isinstance(state, FunctionTarget)
            assert [item.number for item in function.waiting] == [i.id for i in state.waiting]
            assert state.waiting_bytes == sum(item.size for item in function.waiting)
            assert state.items == len(function.items)
            assert state.starting == function.asked
            assert state.workers.keys() == function.workers.keys()
            assert state.outcomes == function.outcomes
            if not function.pinned:
                assert len(function.workers) + function.asked <= function.max_workers
            ahead = sum(max(0, len(w.sent) - 1) for w in function.workers.values())
            assert len(function.waiting) <= function.queue_items + 31 - ahead
            for peer, worker in function.workers.items():
                assert self.machine.is_busy(peer) == bool(worker.sent)
        used = sum(len(function.items) for function in self.model.functions.values())
        assert (used, self.model.limit) == self.machine.work_items

    @invariant()
    def nothing_waits_without_need(self):
        for function in self.model.functions.values():
            free = [
                worker
                for worker in function.workers.values()
                if worker.state == "ready" and not worker.closed and not worker.sent
            ]
            if not function.waiting:
                continue
            assert free == []
            if not function.pinned and not self.model.stopping:
                importing = [w for w in function.workers.values() if w.state == "importing"]
                coming = function.asked + len(importing)
                room = function.max_workers - len(function.workers) - function.asked
                assert room == 0 or coming >= len(function.waiting)

    @invariant()
    def clients_agree(self):
        for client in self.model.clients.values():
            state = self.machine.target_state(client.endpoint)
            assert isinstance(state, PeerTarget)
            assert client.kept == list(state.waiting)
            assert state.waiting_bytes == sum(len(payload) for _, payload in client.kept)
            assert len(client.kept) <= client.queue_items
            assert state.waiting_bytes <= client.queue_bytes
            assert client.held or client.closed or not client.kept

    @invariant()
    def counters_agree(self):
        for row, route in zip(self.model.rows, self.routes, strict=True):
            assert (row.delivered, row.dropped) == (route.delivered, route.dropped)

    @invariant()
    def no_deadline_is_missed(self):
        deadlines = self.model.deadlines()
        if deadlines:
            at = self.machine.next_deadline()
            assert at is not None
            assert at <= min(deadlines)

    @rule(times=st.sampled_from([1, 3, 20]))
    def work(self, times):
        """Everybody does what is expected of them for a while."""
        for _ in range(times):
            if not self.work_on():
                return

    def teardown(self):
        """Let everything that is left run: each item must come to its end."""
        if not hasattr(self, "routes"):
            return
        while self.work_on():
            pass
        for function in self.model.functions.values():
            if function.pinned or not self.model.stopping:
                assert function.items == []
        for item in self.model.items:
            if item.outcome is not None and item.is_call and item.caller not in self.model.silent:
                assert item.answered

    def work_on(self):
        """Do one thing that gets items done; return whether there was one."""
        for function in self.model.functions.values():
            for worker in list(function.workers.values()):
                if worker.sent and worker.state == "ready":
                    self.answer_one(worker.peer)
                    return True
                if worker.state == "importing":
                    self.end_import(worker.peer, well=True)
                    return True
                if worker.state == "failed" or worker.closed:
                    ended = self.leave(worker.peer)
                    self.machine.detach(worker.peer, b"", self.model.now)
                    self.expect(ended)
                    return True
            if function.asked or (function.pinned and function.waiting and not function.workers):
                self.start_worker(function.endpoint)
                return True
        return False


RouterMachine.TestCase.settings = settings(
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRouter = pytest.mark.timeout(600)(RouterMachine.TestCase)

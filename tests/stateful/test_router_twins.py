# SPDX-License-Identifier: Apache-2.0
"""
The two router machines, stepped side by side: whatever comes in, the same comes out of both.

Unlike the model in test_router.py, this one knows no rule of routing.  It draws what peers, the
core and time do, likely or absurd, and compares every output, error, counter and deadline.
"""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._py.index import TopicIndex
from greengrass_sdk._native._py.router.events import Finished, Tapped
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import (
    CORE,
    FunctionRules,
    FunctionTarget,
    PeerTarget,
    Route,
    WorkerState,
)
from greengrass_sdk.errors import GreengrassError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk._native._py.router.events import Output

_c_router = pytest.importorskip(
    "greengrass_sdk._native._c_router", reason="the C extension is not built"
)
_c = pytest.importorskip("greengrass_sdk._native._c")

# Below eight endpoints, a set of them is read in ascending order, as C always does.
PINNED, DEMAND, SECOND, CLIENT, OTHER, CLOUD = range(1, 7)
FUNCTIONS = (PINNED, DEMAND, SECOND)
NAMES = {PINNED: [b"pinned", b"pinned:1"], DEMAND: [b"demand"], SECOND: [b"\xc3\xa9", b"s"]}
TOPIC_BYTES, INVOKE_BYTES = 50_000, 70_000


def assigned(raw: bytes) -> bool:
    """Whether C and Python agree on what repr() escapes; C escapes no unassigned character."""
    return all(
        unicodedata.category(character) != "Cn" for character in raw.decode(errors="replace")
    )


CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cn", "Cs"])
WORDS = st.one_of(
    st.sampled_from(["a", "a/b", "b", "/a", "$a/b", "a/+", "a'b", "a\"'b", "é"]),
    st.sampled_from("xé").map(lambda letter: letter * 200),
    st.text(CHARACTERS, max_size=100),
)
BYTES = st.binary(max_size=40)
TOPICS = st.one_of(
    st.sampled_from([b"a", b"a", b"a/b", b"b"]), WORDS.map(lambda w: w.encode()[:512]), BYTES
).filter(assigned)
SUBJECTS = st.sampled_from([b"a", b"a", b"a/b", b"a/#", b"#", b"+/a", b"$a/#", b"b"])
SIZES = st.sampled_from([0, 1, 1, 1, 100, 20_000, 40_000, TOPIC_BYTES + 1, INVOKE_BYTES + 1])
ENDPOINTS = st.integers(1, 6)
ROWS = st.lists(st.tuples(ENDPOINTS, SUBJECTS, ENDPOINTS), max_size=12)
MESSAGES = st.one_of(
    st.text(CHARACTERS | st.just("\ud800"), max_size=60),
    st.sampled_from([("x", 4096), ("é", 4097), ("😀", 5000)]).map(lambda of: of[0] * of[1]),
    st.sampled_from(["\ud800\udc00", None, 7, True]),
    st.integers(),
)
DOCUMENTS = st.one_of(
    BYTES,
    st.binary(max_size=40).map(lambda b: b'{"errorMessage": "' + b + b'"}'),
    st.tuples(MESSAGES, st.booleans()).map(
        lambda pair: json.dumps(
            {"errorMessage": pair[0], "errorType": "E"}, ensure_ascii=pair[1]
        ).encode("utf-8", "surrogatepass")
    ),
    st.sampled_from(
        [
            b"",
            b"{}",
            b"[1]",
            b'{"errorMessage": "a", "errorMessage": "b", "x": {"errorMessage": "c"}}',
            b'\xef\xbb\xbf {"\\u0065rrorMessage" : "bom", "n": [1, -2.5e3, {}, [], NaN, null]} ',
            b'{"errorMessage": "open"',
            b'{"errorMessage": "no",}',
            b'{"errorMessage": "\\ud83d\\ude00 \\ud83d \\udE00 \\/ \\b"}',
            b'{"errorMessage": "\\x"}',
            b'{"errorMessage": 01}',
            b'{"errorMessage": -0, "other": 1e5}',
            b'{"errorMessage": -Infinity}',
        ]
    ),
    st.just("[").map(lambda bracket: bracket.encode() * 100_000),
)
SECONDS = st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0, 2.7, 3.0, 10.0, 20.0, 61.0])
RULES = st.tuples(
    st.sampled_from([0.1, 3.0, 12.345678, 90.0, 2147483647.0]),
    st.integers(1, 3),
    st.sampled_from([1.0, 20.0, 0.25]),
    st.sampled_from([1, 3, 50, 50]),
    st.sampled_from([1000, 300_000, 300_000]),
    st.booleans(),
    st.sampled_from([0, 2, 100]),
)
ALWAYS = [
    (CLOUD, b"a", PINNED),
    (CLOUD, b"a/#", DEMAND),
    (PINNED, b"a", SECOND),
    (DEMAND, b"a", CLIENT),
    (CLOUD, b"b", OTHER),
]


class Twins(RuleBasedStateMachine):
    """Does everything twice."""

    @initialize(
        limit=st.sampled_from([1, 3, 8, 100, 100]),
        strict=st.booleans(),
        tap=st.booleans(),
        epoch=st.sampled_from([0.0, 1_700_000_000.123, 951_782_399.9996]),
        boot=st.binary(min_size=8, max_size=8),
        rules=st.tuples(RULES, RULES, RULES),
        rows=ROWS,
    )
    def begin(self, limit, strict, tap, epoch, boot, rules, rows):
        self.now = 0.0
        self.last_peer = 10
        self.rows: tuple[list[Route], list[Route]] = ([], [])
        self.peers: list[int] = [CORE]
        options = {
            "work_items": limit,
            "topic_payload_bytes": TOPIC_BYTES,
            "invoke_payload_bytes": INVOKE_BYTES,
            "strict": strict,
            "boot": boot,
            "epoch": epoch,
        }
        self.python = Router(**options)
        # So much that none of what is only shown is skipped, which Python's machine never does.
        self.c = _c_router.Router(**options, inbox_bytes=1 << 30)
        for machine in (self.python, self.c):
            machine.tap = tap
            for endpoint, (timeout_s, *others) in zip(FUNCTIONS, rules, strict=True):
                pinned = endpoint == PINNED
                made = FunctionRules(pinned, timeout_s, *others)
                machine.define_function(endpoint, made, NAMES[endpoint])
            machine.define_peer_target(CLIENT, queue_items=2, queue_bytes=60_000)
            machine.define_peer_target(OTHER, queue_items=5, queue_bytes=100)
            machine.define_service(CLOUD)
        self.install(rows, again=False)

    # Doing it twice.

    def both(self, do: Callable[[Any], object]) -> None:
        assert self.outcome(do, self.python) == self.outcome(do, self.c)

    def outcome(self, do: Callable[[Any], object], machine: object) -> object:
        try:
            return do(machine)
        except GreengrassError as error:
            return type(error), str(error)

    def step(self) -> None:
        expected = [self.plain(output) for output in self.python.step(self.now)]
        assert expected == [self.plain(output) for output in self.c.step(self.now)]

    def plain(self, output: Output) -> object:
        if isinstance(output, Tapped):
            route = None if output.route is None else output.route.id
            return ("tapped", *output._replace(route=route))  # type: ignore[arg-type]
        if isinstance(output, Finished):
            item = output.item
            names = ("kind", "source", "topic", "context", "payload", "size", "event", "id")
            fields = [getattr(item, name) for name in (*names, "number", "queued_at")]
            caller = None if item.caller is None else item.caller.number
            return (*fields, item.started_at, caller, *output[2:], output.endpoint)
        return (type(output), *output)

    def send(self, peer, kind, endpoint, flags=0, number=0, topic=b"", context=b"", payload=b""):
        frame = Frame(kind, flags, endpoint, number, topic, context, payload)
        self.both(lambda machine: machine.receive(peer, frame, self.now))

    def own(self, data, peer):
        """An endpoint that the peer may speak for, most of the time."""
        connection = self.python._peers.get(peer)
        known = sorted(connection.endpoints) if connection is not None else []
        return data.draw(st.sampled_from(known * 40 or [CLOUD]) | ENDPOINTS)

    def workers(self, endpoint):
        target = self.python.target_state(endpoint)
        assert isinstance(target, FunctionTarget)
        return list(target.workers.values())

    # What may happen.

    @rule(rows=ROWS, again=st.booleans())
    def install(self, rows, again):
        """Replace the table; rows that stay keep their counters."""
        old = self.rows
        self.rows = ([], [])
        for machine, index, kept, routes in (
            (self.python, TopicIndex(), old[0], self.rows[0]),
            (self.c, _c.TopicIndex(), old[1], self.rows[1]),
        ):
            for number, (source, subject, target) in enumerate([*rows, *ALWAYS]):
                index.add(source, subject, number)
                route = Route(f"row-é{number}", target)
                if again and number < len(kept):
                    kept[number].target = target
                    route = kept[number]
                routes.append(route)
            machine.install_routes(index, routes)

    @rule(
        data=st.data(),
        topic=TOPICS,
        size=SIZES,
        flags=st.integers(0, 3),
        times=st.sampled_from([1, 1, 2, 40]),
    )
    def publish(self, data, topic, size, flags, times):
        peer = data.draw(st.sampled_from(self.peers))
        endpoint = self.own(data, peer)
        for number in range(times):
            self.send(peer, Kind.PUBLISH, endpoint, flags, number, topic, payload=bytes(size))
            if times < 40:
                self.step()
        self.step()

    @rule(
        data=st.data(),
        name=st.sampled_from([name for names in NAMES.values() for name in names]) | TOPICS,
        size=SIZES,
        context=st.sampled_from([0, 0, 10, 30_000, 65_537]),
        flags=st.integers(0, 1),
        number=st.integers(0, 2**64 - 1),
        times=st.sampled_from([1, 1, 3]),
    )
    def invoke(self, data, name, size, context, flags, number, times):
        peer = data.draw(st.sampled_from(self.peers))
        endpoint = self.own(data, peer)
        for _ in range(times):
            extra, payload = bytes(context), bytes(size)
            self.send(peer, Kind.INVOKE, endpoint, flags, number, name, extra, payload)
            self.step()

    @rule(
        data=st.data(),
        endpoint=st.sampled_from(FUNCTIONS),
        event=st.sampled_from([0, 0, 0, Flag.EVENT]),
        times=st.sampled_from([1, 2, 5]),
    )
    def call(self, data, endpoint, event, times):
        """Invoke a function that exists."""
        peer = data.draw(st.sampled_from([CORE, *self.peers]))
        source = self.own(data, peer)
        for number in range(times):
            self.send(peer, Kind.INVOKE, source, event, number, NAMES[endpoint][0], b"c", b"{}")
        self.step()

    @rule(endpoint=st.sampled_from(FUNCTIONS))
    def attach_worker(self, endpoint):
        self.last_peer += 1
        self.peers.append(self.last_peer)
        self.both(lambda machine: machine.attach_worker(self.last_peer, endpoint, self.now))
        self.step()

    @rule(endpoint=st.sampled_from(FUNCTIONS), document=DOCUMENTS)
    def worker_failed(self, endpoint, document):
        self.both(lambda machine: machine.worker_failed(endpoint, document, self.now))
        self.step()

    @rule(endpoint=st.sampled_from(FUNCTIONS), data=st.data())
    def import_ends(self, endpoint, data):
        for worker in self.workers(endpoint):
            if worker.state is WorkerState.STARTING:
                failed = data.draw(st.sampled_from([0, 0, Flag.FAILED]))
                document = data.draw(DOCUMENTS) if failed else b""
                number = worker.peer.number
                self.send(number, Kind.READY, endpoint, failed, payload=document)
                self.step()

    @rule(
        endpoint=st.sampled_from(FUNCTIONS),
        flags=st.integers(0, 7),
        size=SIZES,
        times=st.sampled_from([1, 1, 3, 40]),
        each=st.booleans(),
    )
    def answer(self, endpoint, flags, size, times, each):
        for _ in range(times):
            busy = [worker for worker in self.workers(endpoint) if worker.sent]
            for worker in busy:
                if worker.sent:  # the answer of another one may have ended it
                    number, peer = worker.sent[0].id, worker.peer.number
                    self.send(peer, Kind.RESULT, endpoint, flags, number, payload=bytes(size))
                    self.step()
            if not busy or not each:
                return

    @rule(
        times=st.sampled_from([1, 3, 40]),
        size=st.sampled_from([1, 1, 2040, 20_000]),
        run_s=st.sampled_from([0.0, 0.01, 0.05, 0.06]),
        topic=st.sampled_from([b"a", b"a/b"]),
    )
    def work_hard(self, times, size, run_s, topic):
        """Messages for a function that runs, and answers while they come."""
        endpoint = PINNED if topic == b"a" else DEMAND
        if not self.workers(endpoint):
            self.attach_worker(endpoint)
        for worker in self.workers(endpoint):
            if worker.state is WorkerState.STARTING:
                self.send(worker.peer.number, Kind.READY, endpoint)
        for number in range(times):
            self.send(CORE, Kind.PUBLISH, CLOUD, 0, 0, topic, payload=bytes(size))
            if number == 0:
                self.now += run_s
                self.answer(endpoint, 0, 0, 1, each=False)
        self.step()

    @rule(endpoint=ENDPOINTS, data=st.data(), anew=st.booleans())
    def attach(self, endpoint, data, anew):
        """A client connects, or one that is there speaks for one endpoint more."""
        peer = data.draw(st.sampled_from(self.peers))
        if anew:
            self.last_peer += 1
            peer = self.last_peer
            self.peers.append(peer)
        self.both(lambda machine: machine.attach(peer, endpoint))

    @rule(data=st.data(), held=st.booleans())
    def hold(self, data, held):
        peer = data.draw(st.sampled_from(self.peers))
        self.both(lambda machine: machine.hold(peer, held=held))
        self.step()

    @precondition(lambda self: len(self.peers) > 1)
    @rule(data=st.data(), how=st.sampled_from(["close", "detach", "cut"]), text=WORDS)
    def end(self, data, how, text):
        peer = data.draw(st.sampled_from(self.peers[1:]))
        if how == "close":
            self.both(lambda machine: machine.close(peer))
        elif how == "detach":
            self.both(lambda machine: machine.detach(peer, text.encode(), self.now))
        else:
            self.both(lambda machine: machine.cut(peer, text, self.now))
        self.step()

    @rule(data=st.data(), kind=st.integers(0, 9), endpoint=st.integers(0, 9), topic=TOPICS)
    def lie(self, data, kind, endpoint, topic):
        """Send what nobody asked for."""
        peer = data.draw(st.sampled_from([*self.peers, 9999]))
        self.send(peer, kind, endpoint, data.draw(st.integers(0, 7)), 1, topic)
        self.step()

    @rule(seconds=SECONDS, exact=st.booleans())
    def wait(self, seconds, exact):
        """Let time pass, as the driver does from deadline to deadline, or in one leap."""
        end = self.now + seconds
        while exact and (at := self.python.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.step()
            self.deadlines_agree()
        self.now = end
        self.step()

    @rule(tap=st.booleans())
    def watch(self, tap):
        self.python.tap = self.c.tap = tap

    @precondition(lambda self: self.python.work_items[0] > 5)
    @rule()
    def stop(self):
        self.both(lambda machine: machine.stop())

    # What is compared after every rule.

    @invariant()
    def deadlines_agree(self):
        assert self.python.next_deadline() == self.c.next_deadline()

    @invariant()
    def counters_agree(self):
        assert self.python.work_items == self.c.work_items
        assert self.python.unrouted == self.c.unrouted
        assert len(self.python._peers) == self.c._count()[3]
        for one, other in zip(*self.rows, strict=True):
            assert (one.delivered, one.dropped) == (other.delivered, other.dropped)

    @invariant()
    def functions_agree(self):
        for endpoint in FUNCTIONS:
            one, other = (machine.target_state(endpoint) for machine in (self.python, self.c))
            assert isinstance(one, FunctionTarget)
            assert isinstance(other, FunctionTarget)
            for name in ("items", "waiting_bytes", "refused", "starting", "outcomes", "waits"):
                assert getattr(one, name) == getattr(other, name)
            assert one.last_failure == other.last_failure
            assert [item.id for item in one.waiting] == [item.id for item in other.waiting]
            assert self.fleet(one) == self.fleet(other)
            for peer in one.workers:
                assert self.python.is_busy(peer) == self.c.is_busy(peer)

    def fleet(self, target):
        return [
            (
                number,
                worker.state,
                worker.deadline,
                worker.last_run_s,
                worker.sent_bytes,
                len(worker.sent),
                worker.sent[0].id if worker.sent else 0,
            )
            for number, worker in target.workers.items()
        ]

    @invariant()
    def clients_agree(self):
        for endpoint in (CLIENT, OTHER, CLOUD):
            one, other = (machine.target_state(endpoint) for machine in (self.python, self.c))
            assert isinstance(one, PeerTarget)
            assert isinstance(other, PeerTarget)
            assert (one.waiting, one.waiting_bytes) == (other.waiting, other.waiting_bytes)
            numbers = [t.peer and t.peer.number for t in (one, other)]
            assert numbers[0] == numbers[1]


Twins.TestCase.settings = settings(
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTwins = pytest.mark.timeout(120)(Twins.TestCase)

# SPDX-License-Identifier: Apache-2.0
"""
Fuzz the router machines: `nox -s fuzz -- router tests/fuzz/corpus/router -max_total_time=60`.

The input is commands of a few bytes each, as native/fuzz/fuzz_router.c reads them. Oracle: the same
outputs, errors, counters and deadlines from both implementations.
"""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from typing import Any

from greengrass_sdk._native import Frame, Kind, _c
from greengrass_sdk._native._c_router import Router as CRouter
from greengrass_sdk._native._py.index import TopicIndex
from greengrass_sdk._native._py.router.events import Finished, Send, Tapped
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import CORE, FunctionRules, Route
from greengrass_sdk.errors import GreengrassError

ENDPOINTS, FIRST_PEER, PEERS, ROWS = 6, 10, 60, 8
TOPICS = [
    *(b"a", b"a/b", b"b", b"$a", b"a/+", b"f1", b"f2", b"f3", b""),
    *(b"\xff\"'", "é\x01".encode(), b"n"),
]
FILTERS = [b"a", b"a/b", b"a/#", b"#", b"+", b"b", b"+/b", b"$a"]


class Play:
    """One input, played on both machines."""

    def __init__(self, data: bytes) -> None:
        self.left = deque(data)
        self.now = 0.0
        self.peers = 0
        self.sent: defaultdict[int, deque[int]] = defaultdict(deque)
        self.routes: list[list[Route]] = [[], []]
        strict = bool(self.next() % 2)
        bounds: dict[str, Any] = {
            "work_items": 20,
            "topic_payload_bytes": 1200,
            "invoke_payload_bytes": 1000,
        }
        self.machines: list[Any] = [
            Router(**bounds, strict=strict),
            CRouter(**bounds, strict=strict),
        ]
        for machine in self.machines:
            for endpoint in (1, 2, 3):
                rules = FunctionRules(endpoint == 1, 3.0, 2, 5.0, 40, 10000)
                machine.define_function(endpoint, rules, [TOPICS[4 + endpoint]])
            for endpoint in (4, 5, 6):
                machine.define_peer_target(endpoint, queue_items=3, queue_bytes=1000)
            machine.attach(CORE, ENDPOINTS)

    def next(self) -> int:
        return self.left.popleft() if self.left else 0

    def next_peer(self) -> int:
        chosen = self.next() % (self.peers + 2)
        return CORE if chosen == 0 else FIRST_PEER + chosen - 1

    def new_peer(self) -> int:
        self.peers = min(self.peers + 1, PEERS)
        return FIRST_PEER + self.peers - 1

    def next_endpoint(self) -> int:
        return 1 + self.next() % ENDPOINTS

    def both(self, method, *arguments, **named):
        answers = []
        for machine in self.machines:
            try:
                answers.append(getattr(machine, method)(*arguments, **named))
            except GreengrassError as error:
                answers.append((type(error), str(error)))
        if answers[0] != answers[1]:
            raise AssertionError(f"{method}{arguments}: {answers}")

    def speak(self, kind):
        peer, endpoint = self.next_peer(), self.next_endpoint()
        flags, topic, number = self.next() % 8, TOPICS[self.next() % len(TOPICS)], self.next()
        if kind == Kind.RESULT and number < 200 and self.sent[peer]:
            number = self.sent[peer].popleft()
        context = b"xxx" if kind == Kind.INVOKE else b""
        frame = Frame(kind, flags, endpoint, number, topic, context, b"x" * (self.next() * 5))
        self.both("receive", peer, frame, self.now)

    def install(self):
        rows = [
            (self.next_endpoint(), FILTERS[self.next() % 8], self.next_endpoint())
            for _ in range(self.next() % (ROWS + 1))
        ]
        self.routes = [[], []]
        indexes: list[Any] = [TopicIndex(), _c.TopicIndex()]
        for machine, routes, index in zip(self.machines, self.routes, indexes, strict=True):
            for row, (source, topic_filter, target) in enumerate(rows):
                index.add(source, topic_filter, row)
                routes.append(Route(topic_filter.decode(), target))
            machine.install_routes(index, routes)

    def attach_worker(self):
        peer, endpoint = self.new_peer(), 1 + self.next() % 3
        if peer not in self.machines[0]._peers:  # only C refuses that
            self.both("attach_worker", peer, endpoint, self.now)

    def leave(self):
        peer, how = self.next_peer(), self.next() % 4
        text = '{"errorMessage": "left"}'
        if peer == CORE:
            return
        if how == 0:
            self.both("close", peer)
        elif how < 3:
            self.both("detach", peer, text.encode(), self.now)
        else:
            self.both("cut", peer, text, self.now)

    def command(self):
        code = self.next() % 13
        if code < 4:
            self.speak((Kind.PUBLISH, Kind.INVOKE, Kind.RESULT, Kind.READY)[code])
        elif code == 4:
            self.attach_worker()
        elif code == 5:
            self.both("worker_failed", 1 + self.next() % 3, b"no", self.now)
        elif code == 6:
            peer = self.new_peer() if self.next() % 2 else self.next_peer()
            self.both("attach", peer, self.next_endpoint())
        elif code == 7:
            self.both("hold", self.next_peer(), held=bool(self.next() % 2))
        elif code == 8:
            self.leave()
        elif code == 9:
            self.now += self.next() * 0.25
        elif code == 10:
            self.install()
        elif code == 11:
            on = bool(self.next() % 2)
            for machine in self.machines:
                machine.tap = on
        else:
            self.next()  # in C, memory runs out

    def plain(self, output):
        if isinstance(output, Tapped):
            return (output.route and output.route.id, *output[2:], output.source)
        if isinstance(output, Finished):
            item = output.item
            contents = item.kind, item.id, item.topic, item.context, item.payload, item.event
            times = item.queued_at, item.started_at
            return (*contents, item.number, *times, *output[2:], output.endpoint)
        return output

    def compare(self):
        outputs = [[self.plain(o) for o in m.step(self.now)] for m in self.machines]
        for output in outputs[0]:
            if isinstance(output, Send) and output.id and output.kind in (2, 3):
                self.sent[output.peer].append(output.id)
        rows = [[(r.delivered, r.dropped) for r in routes] for routes in self.routes]
        states = [(m.work_items, m.unrouted, m.next_deadline()) for m in self.machines]
        for one, other in (outputs, rows, states):
            if one != other:
                raise AssertionError(f"Python: {one}\nC: {other}")


def one_input(data: bytes) -> None:
    play = Play(data)
    while play.left:
        play.command()
        play.compare()


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing Python needs atheris: pip install atheris")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

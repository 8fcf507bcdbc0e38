# SPDX-License-Identifier: Apache-2.0
"""
Exactly one outcome for each invocation, and order, where two things happen at once.

Answers are read frame by frame (support/raw_client.py): the library would forget a second answer.
The moments are drawn from a seed, which a failed test shows.

Ref: docs/explanation/message-plane.md; docs/reference/errors.md, "Invocations"
"""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from leftovers import eventually
from projects import write_project
from raw_client import RawClient
from running_core import RunningCore

from greengrass_sdk._native import Flag, Frame, Kind, Status

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(120)]

CODE = """
    import json, os, signal, threading, time
    from greengrass_sdk import Client
    from greengrass_sdk.errors import GreengrassError

    client = Client()


    def nap(event, context):
        time.sleep(event["s"])
        return event["n"]


    def die(event, context):
        '''Return while another thread ends the process.'''
        end = {
            "exit": lambda: os._exit(3),
            "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "close": lambda: os.closerange(3, 100),
        }[event["how"]]
        threading.Timer(event["s"], end).start()
        time.sleep(event["s"])
        return event["n"]


    def publish_and_exit(event, context):
        for number in range(event["count"]):
            client.publish("race/number", [event["life"], number])
        os._exit(0)


    def ask(event, context):
        '''Wait for a reply in the middle of queued work.'''
        answer = client.invoke("echo", event).json()
        client.publish("race/answer", answer)


    def echo(event, context):
        return event


    def again(event, context):
        '''Invoke the function that the event names, which may be the one that runs.'''
        if not event["path"]:
            return "the end"
        name, *path = event["path"]
        try:
            return client.invoke(name, {"path": path}).json()
        except GreengrassError as error:
            return type(error).__name__


    def relay(event, context):
        for copy in range(4):
            client.publish(f"race/relayed/{event[0]}", [context.function_name, *event, copy])
"""


def handler(name, **keys):
    return {"handler": f"races.{name}", **keys}


FUNCTIONS = {
    "nap": handler("nap", timeout_s=0.1, max_workers=8),
    "pinned_nap": handler("nap", timeout_s=0.1, pinned=True),
    "die": handler("die", timeout_s=5, max_workers=4),
    "publisher": handler("publish_and_exit", timeout_s=20, max_workers=4),
    "ask": handler("ask", timeout_s=20, pinned=True),
    "echo": handler("echo", timeout_s=20, pinned=True),
    "self": handler("again", timeout_s=0.5, pinned=True),
    "there": handler("again", timeout_s=0.5, pinned=True),
    "back": handler("again", timeout_s=0.7, pinned=True),
    "demand": handler("again", timeout_s=10),
    "relay": handler("relay", timeout_s=20, pinned=True),
    "second_relay": handler("relay", timeout_s=20, pinned=True),
}


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    project = write_project(
        tmp_path_factory.mktemp("races"),
        {"races": CODE},
        FUNCTIONS,
        clients=["tester", "other"],
        rows=[
            ("publisher", "race/number", "tester"),
            ("ask", "race/answer", "tester"),
            ("tester", "race/ask", "ask"),
            ("tester", "race/relay/+", "relay"),
            ("tester", "race/relay/+", "second_relay"),
            ("other", "race/relay/+", "relay"),
            ("relay", "race/relayed/#", "tester"),
            ("relay", "race/relayed/#", "other"),
            ("second_relay", "race/relayed/#", "tester"),
        ],
        limits={"work_items": 100_000},
    )
    with RunningCore(project, restart_at_once=True) as running:
        running.wait(lambda event: event.get("state") == "running", count=7)
        yield running
        assert 0 == running.status()["work_items"]["used"]


@pytest.fixture
def tester(core):
    with RawClient(core.root, "tester") as tester:
        yield tester


@pytest.fixture
def chance():
    seed = random.randrange(1 << 32)
    print(f"random seed {seed}")  # noqa: T201 - to repeat it
    return random.Random(seed)


def invoke(tester, name, number, event):
    payload = json.dumps(event).encode()
    tester.send(Kind.INVOKE, id=number, topic=name.encode(), payload=payload)


def outcomes(tester, core, count):
    """Return the one answer to each of `count` calls, by number; others must not come."""
    answers: dict[int, Frame] = {}
    while len(answers) < count:
        frame = tester.receive()
        assert frame.kind == Kind.RESULT, frame
        assert frame.id not in answers, "a second answer"
        answers[frame.id] = frame
    eventually(lambda: core.status()["work_items"]["used"] == 0, "nothing is left to be done")
    # What else was sent to this connection comes in front of the answer to one more call.
    invoke(tester, "echo", 1 << 40, "last")
    assert 1 << 40 == tester.receive().id
    return answers


def kind(answer):
    if answer.flags & Flag.TIMEOUT:
        return "timeout"
    return "unhandled" if answer.flags & Flag.UNHANDLED else "ok"


def many(count):
    return [count, pytest.param(50 * count, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]


@pytest.mark.parametrize("calls", many(100))
@pytest.mark.parametrize("name", ["nap", "pinned_nap"])
def test_a_result_against_its_deadline(core, tester, chance, name, calls):
    """Handlers that take about as long as they may; on demand, and one after the other."""
    calls = calls if name == "nap" else calls // 10
    before = counted(core, name)
    for number in range(1, calls + 1):
        s = 0.1 + chance.gauss(0, 0.004) if name == "nap" or number % 3 == 0 else 0
        invoke(tester, name, number, {"s": max(0, s), "n": number})
    answers = outcomes(tester, core, calls)
    kinds = Counter(map(kind, answers.values()))
    assert {"ok", "timeout"} >= set(kinds), kinds
    assert all(int(a.payload) == a.id for a in answers.values() if kind(a) == "ok")
    after = counted(core, name)
    assert kinds["ok"] == after["ok"] - before["ok"]
    assert kinds["timeout"] == after["timeouts"] - before["timeouts"]


def counted(core, name):
    (function,) = [f for f in core.status()["functions"] if f["name"] == name]
    return function


@pytest.mark.parametrize("calls", many(60))
@pytest.mark.parametrize("how", ["exit", "kill", "close"])
def test_a_result_against_death(core, tester, chance, how, calls):
    for number in range(1, calls + 1):
        invoke(tester, "die", number, {"how": how, "s": chance.uniform(0, 0.004), "n": number})
    answers = outcomes(tester, core, calls)
    kinds = Counter(map(kind, answers.values()))
    assert {"ok", "unhandled"} >= set(kinds), kinds
    assert all(int(a.payload) == a.id for a in answers.values() if kind(a) == "ok")


@pytest.mark.parametrize("lives", many(40))
def test_what_was_published_before_the_end_arrives(core, tester, chance, lives):
    """Committed frames are read first, in order, whatever the moment of the exit."""
    counts = {life: chance.choice([0, 1, 2, 30, 31, 32, 33, 300]) for life in range(1, lives + 1)}
    for life, count in counts.items():
        invoke(tester, "publisher", life, {"life": life, "count": count})
    ended: dict[int, str] = {}
    numbers: dict[int, list[int]] = {life: [] for life in counts}
    while len(ended) < lives or any(len(numbers[life]) < counts[life] for life in counts):
        frame = tester.receive()
        if frame.kind == Kind.RESULT:
            assert frame.id not in ended
            ended[frame.id] = kind(frame)
        else:
            life, number = json.loads(frame.payload)
            numbers[life].append(number)
    assert {"unhandled"} == set(ended.values())
    assert {life: list(range(count)) for life, count in counts.items()} == numbers


@pytest.mark.parametrize("count", many(600))
def test_a_reply_behind_queued_work(core, tester, count):
    """While a pinned handler waits for its reply, more work lies in front of that reply."""
    sent = 0
    received: list[int] = []
    while len(received) < count:
        while sent < count and sent - len(received) < 200:
            tester.send(Kind.PUBLISH, topic=b"race/ask", payload=str(sent).encode())
            sent += 1
        received.append(int(tester.receive().payload))
    assert list(range(count)) == received


@pytest.mark.parametrize("path", [["self"], ["self"] * 3, ["back", "there"], ["demand", "there"]])
def test_a_pinned_function_that_waits_for_itself(core, tester, path):
    """The call that cannot start waits until the one in front of it runs into its timeout."""
    start = "there" if path[-1] == "there" else "self"
    before = {name: counted(core, name) for name in FUNCTIONS}
    for number in (1, 2, 3):
        invoke(tester, start, number, {"path": path})
    answers = outcomes(tester, core, 3)
    assert "timeout" in map(kind, answers.values())
    after = {name: counted(core, name) for name in FUNCTIONS}
    ends = ("ok", "handled", "unhandled", "timeouts")
    for name in (start, *path):
        assert 0 == after[name]["waiting"] + after[name]["running"]
        assert sum(after[name][end] - before[name][end] for end in ends) >= 1
    core.wait(
        lambda event: (event.get("function"), event.get("state")) == (start, "running"),
        count=1 + after[start]["restarts"],
        timeout_s=40,
    )


def test_a_function_on_demand_may_call_itself(core, tester):
    invoke(tester, "demand", 1, {"path": ["demand"] * 5})
    assert b'"the end"' == outcomes(tester, core, 1)[1].payload


@pytest.mark.parametrize("count", many(400))
def test_order_and_no_loss_between_each_two(core, tester, count):
    """Two sources, two relays that make four of each message, two targets; below all bounds."""
    with RawClient(core.root, "other") as other:
        targets = {"tester": tester, "other": other}
        each = {"tester": 12, "other": 8}  # messages of each number
        seen = Counter(dict.fromkeys(targets, 0))
        orders: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        sent = 0
        while any(seen[name] < each[name] * count for name in targets):
            if sent < count and all(each[name] * sent - seen[name] < 200 for name in targets):
                for name, source in targets.items():
                    payload = json.dumps([name, sent]).encode()
                    source.send(Kind.PUBLISH, topic=b"race/relay/x", payload=payload)
                sent += 1
                continue
            for name, target in targets.items():
                if seen[name] < each[name] * sent:
                    relay, origin, number, copy = json.loads(target.receive().payload)
                    orders.setdefault((origin, relay, name), []).append((number, copy))
                    seen[name] += 1
    everything = [(number, copy) for number in range(count) for copy in range(4)]
    assert 5 == len(orders)
    for between, order in orders.items():
        assert everything == order, between


def test_an_event_is_accepted_before_it_ends(core, tester):
    """The verdict of an event, and nothing more, however fast its end is."""
    for number in range(1, 201):
        tester.send(Kind.INVOKE, flags=Flag.EVENT, id=number, topic=b"echo", payload=b"1")
    verdicts = [tester.receive() for _ in range(200)]
    assert {(Kind.VERDICT, Status.OK)} == {(v.kind, v.flags) for v in verdicts}
    assert list(range(1, 201)) == [v.id for v in verdicts]
    assert {} == outcomes(tester, core, 0)

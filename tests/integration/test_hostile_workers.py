# SPDX-License-Identifier: Apache-2.0
"""
Functions of another user that attack their core: they are cut off, and nobody else notices.

A worker was born with a socket, perhaps with shared memory and an eventfd; support/villain.py
misuses them. Beside it, healthy functions exchange messages all the time (support/bystanders.py).

Ref: docs/explanation/message-plane.md; docs/explanation/processes.md
"""

from __future__ import annotations

import os
import random
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bystanders
import psutil
import pytest
import villain
from bystanders import Bystanders
from leftovers import Footprint, eventually, has_ended
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk.errors import FunctionError, FunctionUnhandledError, RequestTimeoutError

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

CUT = "the worker was cut off: it "


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    code = {"villain": Path(villain.__file__).read_text(), "bystanders": bystanders.CODE}
    one = {"handler": "villain.handler"}
    project = write_project(
        tmp_path_factory.mktemp("hostile"),
        code,
        {
            "villain": {**one, "timeout_s": 20, "idle_s": 0.1},
            "sleeper": {**one, "timeout_s": 80, "pinned": True},
            **bystanders.functions(),
        },
        clients=["tester", bystanders.CLIENT],
        rows=[
            *bystanders.ROWS,
            ("villain", "villain/#", "tester"),
            ("villain", "villain/flood", "sleeper"),
            ("tester", "to/sleeper", "sleeper"),
        ],
    )
    # Debuggable: only its owner may look into /proc/<pid>/fd; root may anyway.
    env = {} if os.geteuid() == 0 else {"GREENGRASS_DEBUGGABLE": "1"}
    with RunningCore(project, env=env) as running:
        running.wait(lambda event: event.get("state") == "running", count=3)
        yield running


@pytest.fixture(scope="module")
def client(core):
    with Client(root=core.root, name="tester") as client:
        yield client


@pytest.fixture(scope="module")
def healthy(core):
    healthy = Bystanders(core.root)
    yield healthy
    healthy.stop()


@pytest.fixture(scope="module")
def footprint(core, client, healthy):
    """What the core holds when only the healthy ones run."""
    client.invoke("villain", {"do": "nothing"})
    core.wait(lambda event: (event.get("function"), event.get("state")) == ("villain", "stopped"))
    return Footprint.settled(core.process.pid)


@pytest.fixture(autouse=True)
def nobody_else_notices(core, client, healthy, footprint):
    yield
    healthy.check()
    with pytest.raises(RequestTimeoutError):  # every test takes what it caused
        client.receive(timeout_s=0)
    footprint.check(core.process.pid)


@pytest.fixture(scope="module")
def transport(client):
    told = client.invoke("villain", {"do": "tell"}).json()
    assert (villain.UID if os.geteuid() == 0 else os.geteuid()) == told["uid"]
    return told["transport"]


@pytest.fixture
def rings(transport):
    if transport != "rings":
        pytest.skip("workers of this core speak over sockets, not rings")


def attack(core, client, reason, **event):
    """Let the villain act; it ends as `reason` (a pattern) says, and its log tells the same."""
    with pytest.raises(FunctionUnhandledError) as failed:
        client.invoke("villain", event)
    told = failed.value.json()["errorMessage"]
    assert re.match(reason, told), told
    core.log("villain", told)
    return told


# --- frames ---------------------------------------------------------------------------------------

BAD_FRAMES = {
    "zeros": bytes(24),
    "ones": b"\xff" * 4096,
    "http": b"GET / HTTP/1.1\r\nHost: core\r\n\r\n".ljust(64),
    "shorter than its header": villain.frame(1, length=23),
    "too long": villain.frame(1, length=2**31),
    "unknown kind": villain.frame(9),
    "reserved flags": villain.frame(1, flags=0x80),
    "topic beyond its length": villain.HEADER.pack(24, 1, 0, 500, 0, 0, 0),
    "topic too long": villain.frame(1, topic=b"x" * 513),
    "context too long": villain.HEADER.pack(70000, 3, 0, 0, 65537, 0, 0).ljust(70000),
    "context beyond its length": villain.HEADER.pack(24, 3, 0, 0, 2**32 - 1, 0, 0),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bytes_that_are_no_frame(core, client, case):
    attack(core, client, re.escape(CUT), do="inject", data=BAD_FRAMES[case].hex())


@pytest.mark.parametrize("size", [24, 1000, 100_000])
@pytest.mark.parametrize("seed", range(3))
def test_noise(core, client, seed, size):
    attack(core, client, re.escape(CUT), do="noise", seed=seed, size=size)


def test_a_frame_that_stops_in_the_middle(core, client, transport):
    reason = "the worker closed its channel" if transport == "stream" else re.escape(CUT)
    attack(core, client, reason, do="cut_frame")


KINDS: dict[str, dict[str, Any]] = {
    "a message": {"kind": villain.MESSAGE},
    "a verdict": {"kind": villain.VERDICT},
    "a second ready": {"kind": villain.READY},
    "a failed ready": {"kind": villain.READY, "flags": 1},
    "a wildcard": {"kind": villain.PUBLISH, "topic": "villain/#"},
    "no topic": {"kind": villain.PUBLISH},
    "a topic that is no text": {"kind": villain.PUBLISH, "topic": "villain/ÿ"},
    "a topic beyond the limit": {"kind": villain.PUBLISH, "topic": "x" * 257},
    "a payload beyond the limit": {
        "kind": villain.PUBLISH,
        "topic": "villain/x",
        "payload": "x" * 131073,
    },
}


@pytest.fixture(scope="module")
def endpoint(core, client):
    """The villain's own number, as only the runtime should know it."""
    return client.invoke("villain", {"do": "endpoint"}).json()


@pytest.mark.parametrize("case", KINDS)
def test_what_a_worker_must_not_say(core, client, endpoint, case, transport):
    if transport == "rings" and len(KINDS[case].get("payload", "")) > 100_000:
        pytest.skip("a frame that is longer than half a ring is another attack")
    attack(core, client, re.escape(CUT), do="speak", endpoint=endpoint, **KINDS[case])


@pytest.mark.parametrize("first", [0, 1, 2, 3, 4, 5, 6])
def test_a_frame_in_the_name_of_somebody_else(core, client, first):
    """Subscriptions of others do not open for it: their targets hear nothing."""
    told = attack(
        core,
        client,
        re.escape(CUT) + r"spoke for endpoint \d+, which is not its own",
        do="all_endpoints",
        topic="bystander/out",
        first=first,
    )
    assert told


@pytest.mark.parametrize("kind", [villain.INVOKE, villain.RESULT, villain.PUBLISH])
def test_a_frame_in_the_name_of_nobody(core, client, kind):
    reason = re.escape(CUT) + "spoke for endpoint 4294967295, which is not its own"
    attack(core, client, reason, do="speak", kind=kind, endpoint=2**32 - 1, topic="a/b")


@pytest.mark.parametrize("off", [1, -1, -2, -3, -20, 2, 5, 2**32, 2**63])
def test_a_forged_reply(core, client, off):
    """Numbers of items count up over all functions, so these are those of the others."""
    reason = re.escape(CUT) + r"answered item \d+, which it was not asked"
    attack(core, client, reason, do="forge", off=off)


def test_a_second_reply_to_the_same_item_counts_for_nothing(core, client):
    assert "first" == client.invoke("villain", {"do": "answer_twice"}).json()
    core.log("villain", f"{CUT}answered item ")


def test_invocations_in_another_ones_number_are_its_own_affair(core, client):
    """Numbers of callers are theirs to choose; answers go to who asked."""
    assert "went on" == client.invoke("villain", {"do": "ask_in_any_number"}).json()


# --- more than anybody takes ----------------------------------------------------------------------


def test_control_frames_that_mean_nothing_are_ignored(core, client, transport):
    if transport == "rings":
        pytest.skip("behind the library's back in its ring, this is another attack")
    assert "went on" == client.invoke("villain", {"do": "chatter", "count": 2000}).json()


def test_descriptors_that_nobody_asked_for_are_closed(core, client, transport):
    event = {"do": "descriptors", "count": 300, "number": 0}
    if transport == "rings":
        attack(core, client, re.escape(CUT), **event)
    else:
        assert "went on" == client.invoke("villain", event).json()


def test_a_flood_fills_the_queues_of_its_targets_only(core, client):
    """The stopped sleeper's queue fills and drops; topics without a route are told now and then."""
    before = delivered(core, "villain/#")
    with stopped(core, "sleeper"):
        assert "went on" == client.invoke("villain", {"do": "flood", "count": 6000}).json()
        (row,) = [
            row
            for row in core.status()["subscriptions"]
            if (row["subject"], row["target"]) == ("villain/flood", "sleeper")
        ]
        assert row["dropped"]
        assert row["delivered"] + sum(row["dropped"].values()) == 3000
    received = 0
    while received < delivered(core, "villain/#") - before:
        received += len(client.receive_many(timeout_s=20))
    eventually(lambda: not waiting(core, "sleeper"), "the sleeper takes what was kept")


def waiting(core, name):
    (function,) = [f for f in core.status()["functions"] if f["name"] == name]
    return function["waiting"] + function["running"]


def stalled(core, name):
    (function,) = [f for f in core.status()["functions"] if f["name"] == name]
    return [worker["stalled"] for worker in function["workers"]]


class stopped:  # noqa: N801 - reads as a statement
    """Stop the worker of a pinned function meanwhile."""

    def __init__(self, core, name):
        (function,) = [f for f in core.status()["functions"] if f["name"] == name]
        self.pid = function["workers"][0]["pid"]

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        stopped = psutil.STATUS_STOPPED
        eventually(lambda: stopped == psutil.Process(self.pid).status(), "the stop")
        return self

    def __exit__(self, *failure):
        os.kill(self.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
def test_a_stopped_function_delays_nobody_and_goes_on(core, client, healthy, rounds):
    """SIGSTOP: what it has not read fills its own bounded queue."""
    with stopped(core, "sleeper") as sleeper:
        for number in range(rounds):
            for _ in range(200):
                client.publish("to/sleeper", {"do": "nothing"})
            healthy.check()
            if rounds > 1:
                with pytest.raises(RequestTimeoutError):  # a minute in all
                    client.receive(timeout_s=1)
            assert waiting(core, "sleeper") >= min(200 * (number + 1), 1024)
            assert [True] == stalled(core, "sleeper")
    eventually(lambda: not waiting(core, "sleeper"), "the sleeper takes what was kept")
    assert not has_ended(sleeper.pid)
    eventually(lambda: stalled(core, "sleeper") == [False], "the sleeper is awake")


@pytest.mark.parametrize("lives", [5, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("size", "burst"), [(20, 20), (5000, 5), (100_000, 1)])
def test_kill_9_in_mid_write_leaves_whole_messages_in_order(core, client, size, burst, lives):
    seed = random.randrange(1 << 32)
    print(f"random seed {seed}")  # noqa: T201 - to repeat it
    chance = random.Random(seed)
    numbers: list[int] = []
    pids: list[int] = []

    def take():
        for message in client.receive_many(timeout_s=20):
            assert size == len(message.payload)
            pid, number = map(int, message.payload.rstrip(b"x").split())
            numbers.append(number)
            pids.append(pid)

    before = delivered(core, "villain/#")
    with ThreadPoolExecutor(1) as pool:
        for _ in range(lives):
            numbers.clear()
            call = pool.submit(
                client.invoke, "villain", {"do": "pour", "size": size, "burst": burst}
            )
            for _ in range(chance.randrange(1, 30)):
                take()
            os.kill(pids[-1], signal.SIGKILL)
            assert isinstance(call.exception(), FunctionUnhandledError)
            everything = delivered(core, "villain/#") - before
            while len(pids) < everything:
                take()
            assert list(range(len(numbers))) == numbers
            assert {pids[-1]} == set(pids[-len(numbers) :])


def delivered(core, subject):
    return sum(
        row["delivered"] for row in core.status()["subscriptions"] if row["subject"] == subject
    )


# --- shared memory --------------------------------------------------------------------------------

INDICES = {
    "tail back": (villain.UP_TAIL, -1),
    "tail far back": (villain.UP_TAIL, -(2**31)),
    "tail beyond the ring": (villain.UP_TAIL, 262_145),
    "tail into what nobody wrote": (villain.UP_TAIL, 1000),
    "head far back": (villain.DOWN_HEAD, -(2**30)),
    "head far beyond": (villain.DOWN_HEAD, 2**30),
}


@pytest.mark.parametrize("case", INDICES)
def test_a_wrong_index(core, client, rings, case):
    at, change = INDICES[case]
    attack(core, client, re.escape(CUT), do="index", at=at, change=change)


@pytest.mark.parametrize("seeds", [range(12), pytest.param(range(12, 500), marks=pytest.mark.slow)])
def test_random_bytes_over_the_whole_segment(core, client, rings, seeds):
    """It may hurt itself first; whatever it is, it ends, and alone."""
    for seed in seeds:
        attack(
            core,
            client,
            f"{re.escape(CUT)}|the worker ",
            do="scribble",
            seed=seed,
            rounds=20 * seed,
        )


@pytest.mark.parametrize(
    "how",
    [
        "no seals",
        "not a memfd",
        "another size",
        "told too large",
        "another number",
        "no descriptor",
    ],
)
def test_a_large_message_whose_descriptor_is_wrong(core, client, rings, how):
    attack(core, client, re.escape(CUT), do="large", how=how)


def test_a_storm_of_wake_ups(core, client, rings):
    attack(core, client, re.escape(CUT) + "woke the core", do="storm", count=2_000_000)


def test_an_attack_again_and_again_leaves_nothing(core, client):
    """Each time another worker; calls in between are served."""
    for number in range(20):
        with pytest.raises(FunctionError):
            client.invoke("villain", {"do": "noise", "seed": number, "size": 5000})
        assert isinstance(client.invoke("villain", {"do": "nothing"}).json(), int)

# SPDX-License-Identifier: Apache-2.0
"""
Nothing grows: processes, descriptors and memory of a core after many lives, messages and starts.

Each test warms up, measures, does the same many times, and compares. Warming up fills caches and
free lists. The long versions are marked slow.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from leftovers import Footprint, descriptors, eventually, has_ended, tree
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk.core.daemon import Core
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.errors import FunctionUnhandledError
from greengrass_sdk.model.group import load_group

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(120)]

# What many rounds may leave in the allocator's pools; a leak of one object a round is more.
NOISE_KIB = 1024

CODE = """
    import os
    from greengrass_sdk import Client

    client = Client()


    def handler(event, context):
        if event == "exit":
            os._exit(1)
        client.publish("out", event)
        return event
"""


def long(number):
    return pytest.param(number, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])


@pytest.fixture
def core(tmp_path):
    project = write_project(
        tmp_path,
        {"f": CODE},
        {
            "brief": {"handler": "f.handler", "idle_s": 0.01},
            "mortal": {"handler": "f.handler"},
            "echo": {"handler": "f.handler", "pinned": True},
        },
        clients=["tester"],
        rows=[("tester", "in", "echo"), ("echo", "out", "tester")],
    )
    # Debuggable: only its owner may look into /proc/<pid>/fd, and root need not run this.
    with RunningCore(project, env={"GREENGRASS_DEBUGGABLE": "1"}) as running:
        running.wait(lambda event: event.get("state") == "running")
        yield running


@pytest.fixture
def client(core):
    with Client(root=core.root, name="tester") as client:
        yield client


def held_kib(pid):
    """
    Return what a process wrote and has for itself.

    What it only reads of a library is its own, too, while no other process has that mapped.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("Private_Dirty:")[2].split()[0])


class Memory:
    """What the core and its long-lived processes hold, now and later."""

    def __init__(self, core, *others):
        (zygote,) = [p.pid for p in tree(core) if p.ppid() == core]
        self._held = {pid: held_kib(pid) for pid in (core, zygote, *others)}

    def check(self, most_kib):
        grown = {pid: held_kib(pid) - held for pid, held in self._held.items()}
        assert max(grown.values()) <= most_kib, f"KiB more by pid: {grown}, held {self._held}"


@pytest.mark.parametrize("lives", [300, long(20_000)])
def test_workers_on_demand_leave_nothing(core, client, lives):
    """Half of them end by themselves when idle, half by an exit in the middle of a call."""

    def live(number):
        if number % 2:
            assert number == client.invoke("brief", number).json()
        else:
            with pytest.raises(FunctionUnhandledError):
                client.invoke("mortal", '"exit"')

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(max(100, lives // 4))))
        eventually(lambda: not workers(core), "the end of idle workers")
        before = Footprint.settled(core.process.pid)
        memory = Memory(core.process.pid)
        list(pool.map(live, range(lives)))
    before.check(core.process.pid)
    # The router remembers dead workers until their deadlines have come, seconds later: how much
    # that is depends on how fast they died. A worker that leaked weighs several KiB.
    memory.check(NOISE_KIB + lives // 2)


def workers(core):
    return [
        worker
        for function in core.status()["functions"]
        if function["name"] != "echo"
        for worker in function["workers"]
    ]


PEER = """
    import sys
    from greengrass_sdk import Client

    with Client(root=sys.argv[1], name="tester") as client:
        for line in sys.stdin:
            for begin in range(0, int(line), 100):
                for number in range(begin, begin + 100):
                    client.publish("in", number)
                received = 0
                while received < 100:
                    received += len(client.receive_many(timeout_s=20))
                assert begin == client.invoke("echo", begin).json()
                client.receive(timeout_s=20)
            print("done", flush=True)
"""


@pytest.mark.parametrize("messages", [20_000, long(10_000_000)])
def test_messages_leave_nothing(core, messages):
    """From a client in a process of its own to a pinned function and back, and as calls."""
    (echo,) = [f["workers"][0]["pid"] for f in core.status()["functions"] if f["name"] == "echo"]
    command = [sys.executable, "-P", "-c", textwrap.dedent(PEER), core.root]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as peer:
        asks, answers = peer.stdin, peer.stdout
        assert asks is not None
        assert answers is not None

        def exchange(count):
            print(count, file=asks, flush=True)
            assert "done\n" == answers.readline()

        exchange(max(3000, messages // 20))
        before = Footprint.settled(core.process.pid)
        memory = Memory(core.process.pid, echo, peer.pid)
        exchange(messages // 2)  # each comes back
        before.check(core.process.pid)
        # What the core's live view holds goes up and down; a leak would be bytes for each message.
        memory.check(NOISE_KIB + messages // 5000)
        asks.close()
        assert 0 == peer.wait(20)


@pytest.mark.parametrize("connections", [300, long(20_000)])
def test_connections_leave_nothing(core, connections):
    """Clients that come and go, some in the middle of a call, some that never say hello."""

    def connect(count):
        for number in range(count):
            with Client(root=core.root, name="tester") as client:
                client.publish("in", number)
                client.invoke_async("echo", number)
                if number % 3 == 0:
                    continue
                while number != client.receive(timeout_s=20).json():
                    pass  # the echo of a connection that is gone

    connect(max(100, connections // 10))
    before = Footprint.settled(core.process.pid)
    memory = Memory(core.process.pid)
    connect(connections)
    before.check(core.process.pid)
    memory.check(NOISE_KIB)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("starts", [50, long(1000)])
def test_cores_in_one_process_leave_nothing(tmp_path, monkeypatch, starts):
    """As a test suite of a user does it: start, call, stop, again and again."""
    monkeypatch.setenv("GREENGRASS_DEBUGGABLE", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest keeps all records
    project = write_project(
        tmp_path / "project",
        {"f": CODE},
        {"demand": {"handler": "f.handler"}, "pinned": {"handler": "f.handler", "pinned": True}},
        clients=["tester"],
    )

    async def life():
        core = Core(load_group(project), Layout(tmp_path / "root"), on_event=lambda event: None)
        await core.start()
        try:
            assert "1" == await asyncio.to_thread(call)
        finally:
            await core.stop()

    def call():
        with Client(root=tmp_path / "root", name="tester") as client:
            client.invoke("demand", 1)
            return client.invoke("pinned", 1).payload.decode()

    def lives(count):
        for _ in range(count):
            asyncio.run(life())
        gc.collect()

    lives(10)
    before = holdings()
    grown = []
    for _ in range(4):  # each thread may take another arena of malloc's once; a leak goes on
        held = held_kib(os.getpid())
        lives(starts)
        assert before == holdings()
        grown.append(held_kib(os.getpid()) - held)
        if grown[-1] <= NOISE_KIB:
            break
    assert grown[-1] <= NOISE_KIB, grown


def holdings():
    """What this process holds that a core could have left in it."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    return {
        "descriptors": descriptors(os.getpid()),
        "children": [p.pid for p in psutil.Process().children() if not has_ended(p.pid)],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "log handlers": sum(len(logger.handlers) for logger in loggers),
        "tasks": sum(isinstance(thing, asyncio.Task) for thing in gc.get_objects()),
    }

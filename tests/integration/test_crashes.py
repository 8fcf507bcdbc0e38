# SPDX-License-Identifier: Apache-2.0
"""
Sudden ends: of the core, of a zygote, at any moment; and what a killed core leaves on its root.

Ref: docs/explanation/processes.md
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from leftovers import Footprint, eventually, has_ended, tree
from projects import write_project
from running_core import GREENGRASS, GREENGRASSD, RunningCore, environment

from greengrass_sdk import Client
from greengrass_sdk.errors import CoreUnavailableError, FunctionUnhandledError

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(120)]

AT_ONCE_S = 1.0  # "within a second"
KILLED_WITH_ITS_ZYGOTE = "the worker was killed because its zygote died"

CODE = """
    import os, signal, subprocess, time
    from greengrass_sdk import Client

    client = Client()


    def handler(event, context):
        if event.get("hang"):
            client.publish("hangs", os.getpid())
            time.sleep(60)
        if event.get("spawn"):
            quiet = subprocess.DEVNULL
            child = subprocess.Popen(["sleep", "300"], stdout=quiet, stderr=quiet)
            return [os.getpid(), child.pid]
        return os.getpid()
"""
DEAF = """
    import signal, time

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    print("deaf from now on")
    while True:  # never returns from its import, and hears no signal but SIGKILL
        time.sleep(60)
"""


@pytest.fixture
def project(tmp_path):
    return write_project(
        tmp_path / "project",
        {"pinned": CODE},
        {
            "pinned": {"pinned": True, "timeout_s": 60},
            "demand": {"handler": "pinned.handler", "timeout_s": 60},
        },
        clients=["tester"],
        rows=[("demand", "#", "tester"), ("pinned", "#", "tester")],
    )


@pytest.fixture
def command(tmp_path):
    """Run a command that is not about a running core."""
    env = environment(tmp_path / "run")

    def call(*arguments, program=GREENGRASS):
        return subprocess.run(
            [*program, *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


def is_running(name):
    return lambda event: (event.get("function"), event.get("state")) == (name, "running")


def pinned_pid(core):
    (function,) = [f for f in core.status()["functions"] if f["name"] == "pinned"]
    return function["workers"][0]["pid"]


def zygote_pid(core):
    (zygote,) = core.status()["zygotes"]
    return zygote["pid"]


def end_together(processes):
    """Check that all of them are gone within a second."""
    eventually(
        lambda: all(has_ended(process.pid) for process in processes),
        f"the end of {processes}",
        AT_ONCE_S,
    )


# --- the core -------------------------------------------------------------------------------------


def test_kill_9_of_the_core_ends_all_its_processes_and_the_next_start_is_clean(project):
    with RunningCore(project, status=-signal.SIGKILL) as core:
        core.wait(is_running("pinned"))
        with Client(root=core.root, name="tester") as client:
            _, child = client.invoke("demand", {"spawn": True}).json()
            client.invoke_async("demand", {"hang": True})
            client.receive(timeout_s=10)
            below = tree(core.process.pid)
            names = sorted(process.name() for process in below)
            assert {"demand", "pinned", "sleep"} <= set(names), names
            assert child in [process.pid for process in below]
            core.process.kill()
            end_together(below)
            with pytest.raises(CoreUnavailableError):
                client.receive(timeout_s=10)

    assert (core.root / "ggc" / "ipc.sock").exists()  # a killed core cannot tidy up
    with RunningCore(project) as core:
        core.wait(is_running("pinned"))
        with Client(root=core.root, name="tester") as client:
            assert pinned_pid(core) == client.invoke("pinned").json()
        assert [] == [e for e in core.events if e["event"] == "log" and e["level"] != "INFO"]


def test_a_stopped_core_loses_nothing_when_it_goes_on(project):
    """SIGSTOP, as by a debugger or a suspended machine: calls wait, and are answered."""
    with RunningCore(project) as core, Client(root=core.root, name="tester") as client:
        pid = client.invoke("demand").json()
        core.process.send_signal(signal.SIGSTOP)
        eventually(
            lambda: psutil.Process(core.process.pid).status() == psutil.STATUS_STOPPED, "the stop"
        )
        with ThreadPoolExecutor() as pool:
            call = pool.submit(client.invoke, "demand")
            try:
                with pytest.raises(TimeoutError):
                    call.result(timeout=0.3)
            finally:
                core.process.send_signal(signal.SIGCONT)
            assert pid == call.result(timeout=20).json()


def test_a_stop_ends_workers_that_hear_no_signal(tmp_path):
    project = write_project(tmp_path, {"deaf": DEAF}, {"deaf": {"pinned": True}})
    with RunningCore(project) as core:
        core.log("deaf", "deaf from now on")
        below = tree(core.process.pid)
        core.process.send_signal(signal.SIGTERM)
        assert 0 == core.process.wait(20)
        assert [] == [process for process in below if not has_ended(process.pid)]
        assert not (core.root / "ggc" / "ipc.sock").exists()


def test_a_stop_while_functions_still_start_is_clean(project):
    """Both signals, at once after the first event."""
    with RunningCore(project) as core:
        core.process.send_signal(signal.SIGTERM)
        assert 0 == core.process.wait(20)


def test_kill_9_at_random_moments_of_the_start_leaves_a_root_that_starts(project, tmp_path):
    """Thirty starts on one root, each killed somewhere between exec and ready."""
    env = environment(tmp_path / "run")
    begin = time.monotonic()
    with RunningCore(project) as core:
        took_s = time.monotonic() - begin
        root = core.root
    seed = random.randrange(1 << 32)
    print(f"random seed {seed}")  # noqa: T201 - to repeat it
    moments = random.Random(seed)
    marker = os.fsencode(str(root))
    for _ in range(30):
        process = subprocess.Popen(
            [*GREENGRASS, "run", str(project), "--json"],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0, took_s))  # the moment is the point of this test
        below = tree(process.pid)
        process.kill()
        process.wait()
        end_together(below)
    assert [] == left_from(marker)
    with RunningCore(project) as core:
        core.wait(is_running("pinned"))
        with Client(root=core.root, name="tester") as client:
            assert isinstance(client.invoke("demand").json(), int)
        state = core.root / "ggc" / "var" / "state"
        assert [] == [path.name for path in state.iterdir() if path.name.startswith(".")]


def left_from(marker):
    """Return processes of ours that mention the root in their environment or arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if any(marker in os.fsencode(text) for text in told):
            found.append(process)
    return found


def test_what_a_killed_core_left_on_its_root_does_not_disturb_the_next(project):
    """A socket that nobody listens on, a pid file and a lock file of a process that is gone."""
    with RunningCore(project) as core:
        root = core.root
    dead = subprocess.Popen(["true"])
    dead.wait()
    with socket.socket(socket.AF_UNIX) as stale:
        os.chdir(root / "ggc")
        try:
            stale.bind("ipc.sock")
        finally:
            os.chdir("/")
    (root / "ggc" / "var" / "state" / "core.lock").write_text(f"{dead.pid}\n")
    (root / "ggc" / "var" / "state" / "greengrassd.pid").write_text(f"{dead.pid}\n")
    (root / "ggc" / "var" / "state" / "tool.token").write_text("")
    (root / "ggc" / "var" / "state" / "tokens" / "tester").write_text("")
    with RunningCore(project) as core:
        assert core.process.pid == core.status()["pid"]
        with Client(root=root, name="tester") as client:
            assert isinstance(client.invoke("demand").json(), int)


def test_commands_for_a_core_that_was_killed_say_so(project, command):
    with RunningCore(project, status=-signal.SIGKILL) as core:
        core.process.kill()
        core.process.wait()
        done = command("status", "--root", core.root)
    assert done.returncode != 0
    assert "no core is running at" in done.stderr
    assert "Traceback" not in done.stderr


# --- zygotes --------------------------------------------------------------------------------------


def test_kill_9_of_a_zygote_ends_its_workers_and_functions_come_back(project):
    with (
        RunningCore(project, env={"GREENGRASS_DEBUGGABLE": "1"}) as core,
        Client(root=core.root, name="tester") as client,
    ):
        core.wait(is_running("pinned"))
        first = client.invoke("demand").json(), client.invoke("pinned").json()
        before = Footprint.settled(core.process.pid)
        below = tree(core.process.pid)
        os.kill(zygote_pid(core), signal.SIGKILL)
        end_together(below)
        second = client.invoke("demand").json(), client.invoke("pinned").json()
        assert not set(first) & set(second)
        before.check(core.process.pid)
        core.wait(is_running("pinned"), count=2)


def test_what_ran_when_the_zygote_died_is_unhandled_and_what_waited_is_done(project):
    with (
        RunningCore(project) as core,
        Client(root=core.root, name="tester") as client,
        ThreadPoolExecutor() as pool,
    ):
        core.wait(is_running("pinned"))
        running = pool.submit(client.invoke, "pinned", {"hang": True})
        client.receive(timeout_s=10)
        request_ids = [client.invoke_async("pinned", {"n": n}) for n in range(3)]
        os.kill(zygote_pid(core), signal.SIGKILL)
        error = running.exception(timeout=20)
        assert isinstance(error, FunctionUnhandledError)
        assert KILLED_WITH_ITS_ZYGOTE == error.json()["errorMessage"]
        core.wait(lambda event: event.get("request_id") in request_ids, count=3)
        outcomes = {
            event["request_id"]: event["outcome"] for event in core.events if "request_id" in event
        }
        assert ["ok"] * 3 == [outcomes[request_id] for request_id in request_ids]
        core.log(None, "zygote of this interpreter (pid ")


def test_kill_9_of_zygotes_again_and_again(project):
    """Each time another one takes its place; calls in between end one way or the other."""
    with RunningCore(project) as core, Client(root=core.root, name="tester") as client:
        killed = []

        def another():
            return [z["pid"] for z in core.status()["zygotes"] if z["pid"] not in killed]

        def answered():
            """Not so a call that was given to a worker which is about to be killed."""
            try:
                return isinstance(client.invoke("demand").json(), int)
            except FunctionUnhandledError as error:
                if error.json()["errorMessage"] != KILLED_WITH_ITS_ZYGOTE:
                    raise
                return False

        for _ in range(10):
            eventually(answered, "an answer")
            eventually(another, "another zygote")
            zygote = psutil.Process(*another())
            killed.append(zygote.pid)
            zygote.kill()
            end_together([zygote])


@pytest.mark.slow
def test_a_stopped_zygote_keeps_no_core_from_stopping(project):
    with RunningCore(project) as core:
        core.wait(is_running("pinned"))
        below = tree(core.process.pid)
        os.kill(zygote_pid(core), signal.SIGSTOP)
        core.process.send_signal(signal.SIGTERM)
        assert 0 == core.process.wait(30)
        eventually(lambda: all(has_ended(process.pid) for process in below), "the end of all")


# --- the service ----------------------------------------------------------------------------------


@pytest.mark.needs_root
def test_a_killed_service_is_started_again_on_its_root(tmp_path, command):
    root = tmp_path / "greengrass"
    write_project(
        root / "ggc" / "deployment" / "group",
        {"pinned": "def handler(event, context): pass"},
        {"pinned": {"pinned": True, "run_as": {"uid": 1234, "gid": 1234}}},
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)  # pytest's folders are for one user

    def greengrassd(*arguments):
        return command(*arguments, "--root", root, program=GREENGRASSD)

    pids = []
    try:
        for _ in range(2):
            done = greengrassd("start")
            assert 0 == done.returncode, done.stdout + done.stderr
            pids.append(int(done.stdout.split("PID: ")[1]))
            eventually(
                lambda: "pinned" in [process.name() for process in tree(pids[-1])], "the worker"
            )
            processes = tree(pids[-1])
            if len(pids) == 1:
                os.kill(pids[-1], signal.SIGKILL)
                end_together(processes)
        status = json.loads(command("status", "--root", root, "--json").stdout)
        assert pids[-1] == status["pid"]
    finally:
        stopped = greengrassd("stop")
    assert 0 == stopped.returncode
    assert has_ended(pids[-1])

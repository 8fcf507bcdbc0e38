# SPDX-License-Identifier: Apache-2.0
"""The pool with real zygotes and workers."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from greengrass_sdk import _native
from greengrass_sdk._native import Flag
from greengrass_sdk.core.functions.backoff import Backoff
from greengrass_sdk.core.functions.pool import Pool
from greengrass_sdk.core.functions.worker import Channels
from greengrass_sdk.core.functions.zygote import Zygote

CODE = """
    import os, signal, sys, time
    calls = 0
    def handler(event, context):
        global calls
        calls += 1
        if event.get("raise"):
            raise ValueError("no")
        if "exit" in event:
            os._exit(event["exit"])
        if event.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if event.get("hang"):
            time.sleep(60)
        if event.get("hold"):
            held = bytearray(event["hold"])
            held[::4096] = b"x" * len(held[::4096])
            time.sleep(60)
        if event.get("close"):
            os.closerange(3, 100)
            time.sleep(60)
        return [os.getpid(), calls]
"""
PINNED = '[functions.f]\ncode = "code"\nhandler = "f.handler"\npinned = true\n'
DEMAND = '[functions.f]\ncode = "code"\nhandler = "f.handler"\n'


def has_ended(pid):
    """Return whether a process is gone, or a zombie that init has not taken yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_pinned_function_starts_by_itself_and_keeps_its_state(run):
    async def play(bench):
        bench.start()
        results = [(await bench.invoke("f"))[1] for _ in range(3)]
        assert [1, 2, 3] == [calls for _, calls in results]
        assert 1 == len({pid for pid, _ in results})
        assert [("f", "starting", None), ("f", "running", None)] == bench.states

    run(play, code=CODE, group=PINNED)


def on_rings(bench, name):
    """Return whether the one worker of a function is on shared memory."""
    [peer] = bench.managed(name).workers
    return _native.impl == "c" and bench.machine.is_connected(peer)


def test_a_worker_is_on_rings_where_core_and_interpreter_have_the_extension(run):
    async def play(bench):
        bench.start()
        await bench.invoke("f")
        assert (_native.impl == "c") == on_rings(bench, "f")

    run(play, code=CODE, group=PINNED)


def test_a_worker_without_the_extension_is_on_a_stream(run, monkeypatch):
    monkeypatch.setenv("GREENGRASS_SDK_NATIVE", "python")  # the zygote's: the core has chosen

    async def play(bench):
        bench.start()
        assert 1 == (await bench.invoke("f"))[1][1]
        assert not on_rings(bench, "f")

    run(play, code=CODE, group=PINNED)


def test_a_function_whose_zygote_does_not_start_says_so_and_tries_again(run):
    async def play(bench):
        bench.start()
        managed = bench.managed("f")
        assert "starting" == managed.state
        await bench.until(lambda: managed.state == "waiting")
        assert "/bin/false cannot run functions" in managed.last_error
        flags, document = await bench.invoke("d")
        assert Flag.UNHANDLED == flags
        assert "/bin/false cannot run functions" in document["errorMessage"]

    python = 'python = "/bin/false"\n'
    demand = DEMAND.replace("functions.f", "functions.d") + python
    run(play, code=CODE, group=PINNED + python + demand, backoff=Backoff(first_s=60))


def test_an_on_demand_function_starts_with_work_and_its_idle_worker_is_used_again(run):
    async def play(bench):
        bench.start()
        assert [] == bench.states
        first, second = [(await bench.invoke("f"))[1] for _ in range(2)]
        assert (1, 2) == (first[1], second[1])
        assert first[0] == second[0]

    run(play, code=CODE, group=DEMAND)


def test_parallel_work_on_demand_runs_in_parallel_workers(run):
    async def play(bench):
        bench.start()
        hang = asyncio.create_task(bench.invoke("f", {"hang": 1}))
        await bench.until(lambda: bench.managed("f").state == "running")
        [_, calls] = (await bench.invoke("f"))[1]
        assert 1 == calls
        assert 2 == len(bench.managed("f").workers)
        hang.cancel()

    run(play, code=CODE, group=DEMAND)


def test_an_idle_worker_is_stopped_after_its_time(run):
    async def play(bench):
        bench.start()
        await bench.invoke("f")
        await bench.until(lambda: not bench.managed("f").workers)
        assert ("f", "stopped", "idle for 0.01 s") == bench.states[-1]
        assert bench.managed("f").last_error is None

    run(play, code=CODE, group=DEMAND + "idle_s = 0.01\n")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"exit": 3}, "the worker exited with code 3"),
        ({"kill": 1}, "the worker was ended by signal 9 (SIGKILL)"),
    ],
)
def test_the_death_of_a_worker_ends_its_item_and_a_pinned_function_starts_again(run, event, reason):
    async def play(bench):
        bench.start()
        flags, document = await bench.invoke("f", event)
        assert (Flag.UNHANDLED, reason) == (flags, document["errorMessage"])
        assert 1 == (await bench.invoke("f"))[1][1]
        assert ("f", "failed", reason) in bench.states
        assert 1 == bench.managed("f").restarts
        assert reason == bench.managed("f").last_error

    run(play, code=CODE, group=PINNED)


def test_a_handler_that_raises_restarts_nothing(run):
    async def play(bench):
        bench.start()
        flags, document = await bench.invoke("f", {"raise": 1})
        assert (Flag.HANDLED, "no") == (flags, document["errorMessage"])
        assert 2 == (await bench.invoke("f"))[1][1]
        assert 0 == bench.managed("f").restarts

    run(play, code=CODE, group=PINNED)


def test_the_death_of_an_idle_worker_is_logged(run):
    async def play(bench):
        bench.start()
        [pid, _] = (await bench.invoke("f"))[1]
        os.kill(pid, signal.SIGKILL)
        await bench.until(lambda: bench.managed("f").state == "waiting")
        assert ("f", "ERROR", "the worker was ended by signal 9 (SIGKILL)") in bench.records

    run(play, code=CODE, group=PINNED, backoff=Backoff(first_s=60))


def test_a_timeout_kills_the_worker(run):
    async def play(bench):
        bench.start()
        flags, document = await bench.invoke("f", {"hang": 1})
        assert Flag.UNHANDLED | Flag.TIMEOUT == flags
        assert document["errorMessage"].endswith("Task timed out after 0.20 seconds")
        await bench.until(lambda: not bench.managed("f").workers)
        assert "timed out after 0.2 s" == bench.managed("f").last_error

    run(play, code=CODE, group=DEMAND + "timeout_s = 0.2\n")


def test_a_breach_of_the_memory_bound_kills_the_worker_and_says_so(run):
    async def play(bench):
        bench.start()
        flags, document = await bench.invoke("f", {"hold": 80_000_000})
        assert Flag.UNHANDLED == flags
        assert document["errorMessage"].startswith("memory limit exceeded: ")
        assert "memory_kib = 40000" in document["errorMessage"]

    run(play, code=CODE, group=DEMAND + "memory_kib = 40000\ntimeout_s = 10\n")


def test_a_worker_that_closes_its_channel_and_lives_on_is_killed(run):
    async def play(bench):
        bench.start()
        flags, document = await bench.invoke("f", {"close": 1})
        assert Flag.UNHANDLED == flags
        assert "closed its channel and went on running" in document["errorMessage"]

    run(play, code=CODE, group=DEMAND)


def test_a_failed_import_is_told_by_name(run):
    async def play(bench):
        bench.start()
        flags, document = await bench.invoke("f")
        assert Flag.UNHANDLED == flags
        assert "No module named 'missing'" in document["errorMessage"]
        await bench.until(lambda: bench.managed("f").last_error)
        assert "the function does not start: " in bench.managed("f").last_error

    run(play, code="import missing\ndef handler(e, c): pass\n", group=DEMAND)


def test_a_pinned_function_whose_import_fails_is_tried_again_and_again(run):
    async def play(bench):
        bench.start()
        await bench.until(lambda: bench.managed("f").restarts >= 5)
        assert "No module named 'missing'" in bench.managed("f").last_error
        assert len(bench.managed("f").workers) <= 1

    run(play, code="import missing\n", group=PINNED)


def test_waiting_items_of_a_pinned_function_survive_its_restarts(run):
    async def play(bench):
        bench.start()
        doomed = asyncio.create_task(bench.invoke("f", {"exit": 1}))
        later = [asyncio.create_task(bench.invoke("f")) for _ in range(3)]
        assert Flag.UNHANDLED == (await doomed)[0]
        assert [1, 2, 3] == [(await task)[1][1] for task in later]

    run(play, code=CODE, group=PINNED)


def test_a_dead_zygote_takes_its_workers_along_and_is_replaced(run):
    async def play(bench):
        bench.start()
        [pid, _] = (await bench.invoke("f"))[1]
        zygote = await bench.zygotes.get(None)
        os.kill(zygote.pid, signal.SIGKILL)
        await bench.until(lambda: bench.managed("f").restarts)
        [other, calls] = (await bench.invoke("f"))[1]
        assert pid != other
        assert 1 == calls
        assert "the worker was killed because its zygote died" in str(bench.states)
        await bench.until(lambda: has_ended(pid))

    run(play, code=CODE, group=PINNED)


def test_a_worker_that_cannot_be_started_ends_its_item(run, monkeypatch):
    async def play(bench):
        bench.start()

        async def broken(_):
            raise OSError("no processes left")

        bench.managed("f").zygote = lambda: broken(None)
        flags, document = await bench.invoke("f")
        assert Flag.UNHANDLED == flags
        assert "the worker could not be started: no processes left" in document["errorMessage"]

    run(play, code=CODE, group=DEMAND)


def test_a_worker_that_was_born_and_died_in_one_turn_of_the_loop_leaves_no_descriptors(
    run, monkeypatch
):
    async def play(bench):
        attend, spawn, born = Pool._attend, Zygote.spawn, []
        monkeypatch.setattr(Pool, "_attend", lambda *arguments: born.append(arguments))

        async def tell_when_it_is_dead(zygote, request, fds):
            spawned = await spawn(zygote, request, fds)
            await bench.until(lambda: request.worker not in bench.managed("f").workers)
            return spawned

        monkeypatch.setattr(Zygote, "spawn", tell_when_it_is_dead)
        bench.start()
        assert Flag.UNHANDLED == (await bench.invoke("f", {"exit": 3}))[0]
        [(pool, function, worker)] = born
        attend(pool, function, worker)
        await bench.until(lambda: not worker.has_outputs)

    run(play, code=CODE, group=DEMAND)


def test_without_descriptors_an_item_on_demand_ends_and_a_pinned_function_tries_again(
    run, monkeypatch
):
    reason = "no channel for a new worker: [Errno 24] Too many open files"

    async def play(bench):
        bench.start()
        await bench.invoke("p")
        with monkeypatch.context() as patch:

            def none_left():
                raise OSError(24, "Too many open files")

            patch.setattr(Channels, "open", none_left)
            assert reason == (await bench.invoke("f"))[1]["errorMessage"]
            next(iter(bench.managed("p").workers.values())).kill()
            await bench.until(lambda: bench.managed("p").restarts > 1)
            assert reason == bench.managed("p").last_error
        assert 0 == (await bench.invoke("f"))[0]
        assert 0 == (await bench.invoke("p"))[0]

    run(play, code=CODE, group=DEMAND + PINNED.replace("functions.f", "functions.p"))


def test_the_pause_between_starts_doubles_up_to_the_longest():
    backoff = Backoff(first_s=1, longest_s=60)
    assert [1, 2, 4, 8, 16, 32, 60, 60] == [backoff.pause(n) for n in range(1, 9)]
    assert 60 == backoff.pause(10_000)


def test_health_forgets_the_failures(run):
    async def play(bench):
        bench.start()
        for _ in range(3):
            await bench.invoke("f", {"exit": 1})
            await bench.invoke("f")
        assert 1 == bench.managed("f").failures
        assert 3 == bench.managed("f").restarts

    run(play, code=CODE, group=PINNED, backoff=Backoff(first_s=0.01, longest_s=9, healthy_s=0))


def test_processes_that_outlive_a_worker_are_logged(run):
    code = """
        import os, subprocess
        def handler(event, context):
            child = subprocess.Popen(["sleep", "60"], start_new_session=True,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # The kernel starts a program before it shows its command line.
            while not open(f"/proc/{child.pid}/cmdline").read():
                pass
            with open(event["file"], "w") as file:
                file.write(str(child.pid))
            os._exit(0)
    """

    async def play(bench):
        bench.start()
        file = bench.layout.root / "pid"
        await bench.invoke("f", {"file": str(file)})
        os.kill(int(file.read_text()), signal.SIGKILL)
        [left] = [text for _, level, text in bench.records if level == "WARN"]
        assert "processes that outlive the worker: " in left
        assert "sleep 60" in left

    run(play, code=code, group=DEMAND)

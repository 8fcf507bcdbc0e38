# SPDX-License-Identifier: Apache-2.0
import asyncio
import os
import subprocess
import sys

import pytest

from greengrass_sdk.core.functions import memory
from greengrass_sdk.core.functions.memory import MemoryGuard, tree_anonymous_kib

HOLD = "import sys; held = bytearray(%d); print('x', flush=True); sys.stdin.read()"
CHILD = (
    "import subprocess, sys\n"
    f"command = [sys.executable, '-c', {HOLD % 30_000_000!r}]\n"
    "child = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
    "sys.stdin.read()\n"
)


def start(code):
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process):
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def holder():
    process = start(HOLD % 20_000_000)
    yield process.pid
    end(process)


def test_the_memory_that_a_process_wrote_to_counts(holder):
    assert 19_000 < tree_anonymous_kib(holder) < 60_000


def test_the_memory_of_descendants_counts_too():
    process = start(CHILD)
    try:
        assert 29_000 < tree_anonymous_kib(process.pid) < 80_000
    finally:
        end(process)


def test_a_process_that_is_gone_holds_nothing():
    process = subprocess.Popen(["true"])
    process.wait(10)
    assert 0 == tree_anonymous_kib(process.pid)


def test_a_breach_is_told_once_with_what_is_held(holder, monkeypatch):
    monkeypatch.setattr(memory, "_BUSY_S", 0.001)

    async def scenario():
        guard = MemoryGuard(asyncio.get_running_loop(), lambda _: True)
        held: list[int] = []
        guard.watch(1, holder, 0, 10_000, held.append)
        async with asyncio.timeout(10):
            while not held:
                await asyncio.sleep(0)
        guard.close()
        [kib] = held
        assert 19_000 < kib < 60_000

    asyncio.run(scenario())


def test_what_the_zygote_held_does_not_count(holder, monkeypatch):
    monkeypatch.setattr(memory, "_BUSY_S", 0.001)
    monkeypatch.setattr(memory, "_IDLE_S", 0.001)

    async def scenario():
        looks: list[int] = []

        def is_busy(peer):
            looks.append(peer)
            return False

        guard = MemoryGuard(asyncio.get_running_loop(), is_busy)
        held: list[int] = []
        guard.watch(1, holder, holder, 1_000, held.append)
        async with asyncio.timeout(10):
            while len(looks) < 3:
                await asyncio.sleep(0)
        guard.forget(1)
        guard.close()
        assert [] == held

    asyncio.run(scenario())


def test_a_kernel_that_hides_children_is_read_without_them(monkeypatch):
    def hidden(_):
        raise PermissionError

    monkeypatch.setattr("greengrass_sdk.core.functions.memory.Path.iterdir", hidden)
    assert 0 < tree_anonymous_kib(os.getpid())

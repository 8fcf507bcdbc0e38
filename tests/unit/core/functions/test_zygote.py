# SPDX-License-Identifier: Apache-2.0
"""Real zygotes, from the core's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import greengrass_sdk
from greengrass_sdk._native import Frame, FrameDecoder, Kind, encode_frame
from greengrass_sdk.core.functions.zygote import SpawnRequest, WorkerExit, Zygote
from greengrass_sdk.errors import ConfigError, FunctionError
from greengrass_sdk.runtime import protocol

ARN = "arn:aws:lambda:us-east-1:000000000000:function:tested:1"
DEADLINE_S = 10


def request(code, worker=1, **changes):
    values = {
        "worker": worker,
        "name": "tested",
        "handler": "lambda_function.handler",
        "code": str(code),
        "arn": ARN,
        "function_name": "tested",
        "boot": "00" * 8,
        "endpoint": 3,
        "address": ARN,
        "environment": {"PATH": os.environ["PATH"]},
        **changes,
    }
    return SpawnRequest(**values)


async def readable(fd, timeout_s=1):
    """Wait until a descriptor can be read: a pidfd, until its process has ended."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    finally:
        loop.remove_reader(fd)


class Born:
    """The core's ends of a worker."""

    def __init__(self):
        self.channel, self.their_channel = socket.socketpair()
        self.log, self.their_log = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.null = os.open(os.devnull, os.O_RDWR)
        self.fds = [self.their_channel.fileno(), self.their_log.fileno(), self.null, self.null]
        self.channel.setblocking(False)
        self.pidfd = -1
        self.pid = 0

    def close_theirs(self):
        self.their_channel.close()
        self.their_log.close()

    async def frames(self, count):
        loop = asyncio.get_running_loop()
        decoder = FrameDecoder()
        frames: list[Frame] = []
        while len(frames) < count:
            data = await asyncio.wait_for(loop.sock_recv(self.channel, 65536), DEADLINE_S)
            assert data, "the worker ended"
            frames += decoder.feed(data)
        return frames

    def close(self):
        self.close_theirs()
        self.channel.close()
        self.log.close()
        os.close(self.null)
        if self.pidfd >= 0:
            os.close(self.pidfd)


class Bench:
    """One zygote, what it reported, and its workers."""

    def __init__(self, code):
        self.code = code
        self.exits: asyncio.Queue[WorkerExit] = asyncio.Queue()
        self.gone: asyncio.Queue[Zygote] = asyncio.Queue()
        self.born: list[Born] = []
        self.zygote: Zygote | None = None

    async def start(self, python=None, **options):
        self.zygote = await Zygote.start(
            python, on_exited=self.exits.put_nowait, on_gone=self.gone.put_nowait, **options
        )
        return self.zygote

    async def spawn(self, **changes):
        assert self.zygote is not None
        born = Born()
        self.born.append(born)
        spawned = await self.zygote.spawn(request(self.code, len(self.born), **changes), born.fds)
        born.close_theirs()
        born.pid, born.pidfd = spawned.pid, spawned.pidfd
        return born

    async def exit(self):
        return await asyncio.wait_for(self.exits.get(), DEADLINE_S)

    async def close(self):
        for born in self.born:
            born.close()
        if self.zygote is not None:
            await self.zygote.stop()


@pytest.fixture
def run(tmp_path):
    """Run a coroutine function with a bench."""
    (tmp_path / "lambda_function.py").write_text("def handler(event, context): return event")

    def run(play):
        async def main():
            bench = Bench(tmp_path)
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(bench.close)
                await asyncio.wait_for(play(bench), 2 * DEADLINE_S)

        asyncio.run(main())

    return run


def test_a_worker_is_spawned_serves_and_its_end_is_reported(run):
    async def play(bench):
        zygote = await bench.start()
        born = await bench.spawn()
        assert {1: born.pid} == zygote.workers
        born.channel.send(encode_frame(Kind.INVOKE, id=4, topic=b"f", payload=b"[5]"))
        ready, result = await born.frames(2)
        assert (Kind.READY, Kind.RESULT, b"[5]") == (ready.kind, result.kind, result.payload)
        signal.pidfd_send_signal(born.pidfd, signal.SIGTERM)
        report = await bench.exit()
        assert (1, born.pid, 0, ()) == (
            report.worker,
            report.pid,
            report.status,
            report.survivors,
        )
        assert report.maxrss_kib > 0
        assert zygote.workers == {}

    run(play)


def test_many_spawns_at_once_get_their_own_workers(run):
    async def play(bench):
        await bench.start()
        workers = await asyncio.gather(*(bench.spawn() for _ in range(10)))
        assert len({worker.pid for worker in workers}) == 10
        for worker in workers:
            assert (await worker.frames(1))[0].kind == Kind.READY

    run(play)


def test_survivors_are_reported(run, tmp_path):
    (tmp_path / "lambda_function.py").write_text(
        "import subprocess\n"
        "def handler(event, context):\n"
        "    return subprocess.Popen(['sleep', '600'], start_new_session=True).pid\n"
    )

    async def play(bench):
        await bench.start()
        born = await bench.spawn()
        born.channel.send(encode_frame(Kind.INVOKE, id=4, topic=b"f", payload=b"[5]"))
        pid = int((await born.frames(2))[1].payload)
        born.channel.close()
        (survivor,) = (await bench.exit()).survivors
        os.kill(pid, signal.SIGKILL)
        assert (pid, "sleep 600") == (survivor.pid, survivor.command)

    run(play)


def test_stop_kills_the_workers_and_says_nothing_is_gone(run):
    async def play(bench):
        zygote = await bench.start()
        await bench.spawn()
        await zygote.stop()
        assert os.WTERMSIG((await bench.exit()).status) == signal.SIGKILL
        assert bench.gone.empty()
        await zygote.stop()
        with pytest.raises(FunctionError, match=r"zygote of .* is gone"):
            await bench.spawn()

    run(play)


def test_a_zygote_that_somebody_stopped_hears_that_it_is_to_end(run):
    async def play(bench):
        zygote = await bench.start()
        os.kill(zygote.pid, signal.SIGSTOP)
        await zygote.stop(timeout_s=600)  # the bench's own deadline is far shorter

    run(play)


def test_the_core_knows_whether_workers_can_have_rings(run):
    async def play(bench):
        for wanted in ("python", "c"):
            environment = {**os.environ, "GREENGRASS_SDK_NATIVE": wanted}
            try:
                zygote = await bench.start(environment=environment)
            except ConfigError:
                continue  # no extension here
            assert (wanted == "c") == zygote.rings
            await zygote.stop()

    run(play)


def test_a_zygote_that_dies_takes_its_workers_along_and_is_told_once(run):
    async def play(bench):
        zygote = await bench.start()
        born = await bench.spawn()
        os.kill(zygote.pid, signal.SIGKILL)
        assert await asyncio.wait_for(bench.gone.get(), DEADLINE_S) is zygote
        await readable(born.pidfd)
        assert bench.exits.empty()
        assert bench.gone.empty()

    run(play)


def test_children_of_the_workers_of_a_dead_zygote_end_too(run, tmp_path):
    (tmp_path / "lambda_function.py").write_text(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "def handler(event, context): return child.pid\n"
    )

    async def play(bench):
        zygote = await bench.start()
        born = await bench.spawn()
        born.channel.send(encode_frame(Kind.INVOKE, id=4, topic=b"f", payload=b"[5]"))
        pidfd = os.pidfd_open(int((await born.frames(2))[1].payload))
        os.kill(zygote.pid, signal.SIGKILL)
        await readable(pidfd)
        os.close(pidfd)

    run(play)


def test_a_spawn_that_waits_for_a_dying_zygote_fails(run):
    async def play(bench):
        zygote = await bench.start()
        os.kill(zygote.pid, signal.SIGSTOP)
        spawning = asyncio.ensure_future(bench.spawn())
        await asyncio.sleep(0)
        os.kill(zygote.pid, signal.SIGKILL)
        with pytest.raises(FunctionError, match=r"zygote of .* is gone"):
            await spawning

    run(play)


def test_a_spawn_that_nobody_waits_for_any_more_leaves_no_worker(run):
    async def play(bench):
        zygote = await bench.start()
        os.kill(zygote.pid, signal.SIGSTOP)
        spawning = asyncio.ensure_future(bench.spawn())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        os.kill(zygote.pid, signal.SIGCONT)
        assert os.WTERMSIG((await bench.exit()).status) == signal.SIGKILL

    run(play)


def test_an_environment_that_is_too_large_is_an_error_of_its_function(run):
    async def play(bench):
        await bench.start()
        with pytest.raises(FunctionError, match="very large environment"):
            await bench.spawn(environment={"BIG": "x" * 20_000_000})
        assert (await (await bench.spawn()).frames(1))[0].kind == Kind.READY

    run(play)


def test_more_requests_than_the_socket_holds_wait_for_it(run):
    async def play(bench):
        zygote = await bench.start()
        os.kill(zygote.pid, signal.SIGSTOP)
        big = {"PATH": os.environ["PATH"], "BIG": "x" * 300_000}
        spawning = [asyncio.ensure_future(bench.spawn(environment=big)) for _ in range(20)]
        await asyncio.sleep(0)
        os.kill(zygote.pid, signal.SIGCONT)
        assert len({worker.pid for worker in await asyncio.gather(*spawning)}) == 20

    run(play)


def test_a_zygote_leaves_no_descriptor_behind(run):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    async def play(bench):
        before = descriptors()
        zygote = await bench.start()
        born = await bench.spawn()
        await zygote.stop()
        born.close()
        bench.born.clear()
        assert before == descriptors()

    run(play)


def test_the_working_folder_is_the_code_folder_unless_said_otherwise():
    assert request("/code").to_message()["cwd"] == "/code"
    assert request("/code", cwd="/else").to_message()["cwd"] == "/else"


def test_a_request_has_all_that_the_protocol_names():
    names = set(request("/code").to_message())
    source = Path(protocol.__file__).read_text()
    fields = source[source.index("op: Literal") : source.index("__all__")].splitlines()
    assert {line.partition(":")[0].strip() for line in fields if ":" in line} == names


# --- other interpreters -----------------------------------------------------------------


def installed_pythons():
    """Return the newer interpreters of this machine."""
    found: dict[int, Path] = {}
    folders = [*os.environ["PATH"].split(os.pathsep)]
    folders += sorted(str(path) for path in Path("~/.pyenv/versions").expanduser().glob("3.*/bin"))
    for minor in range(11, 16):
        for folder in folders:
            python = Path(folder, f"python3.{minor}")
            if os.access(python, os.X_OK) and "shims" not in folder:
                found.setdefault(minor, python)
    return found


@pytest.mark.parametrize("minor", range(11, 16))
def test_a_function_runs_in_a_virtual_environment_of_another_python(run, tmp_path, minor):
    """Nothing but this package is in it: workers need no other, not even to do without C."""
    python = installed_pythons().get(minor)
    if python is None:
        pytest.skip(f"needs Python 3.{minor}")
    folder = tmp_path / "venv"
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    package = Path(next(iter(greengrass_sdk.__path__)))
    (packages / "ours.pth").write_text(f"{package.parent}\n")
    (tmp_path / "lambda_function.py").write_text(
        "import sys, greengrasssdk\n"
        "greengrasssdk.client('iot-data').publish(topic='t', payload='at import')\n"
        "def handler(event, context):\n"
        "    print('hello', event)\n"
        "    return [sys.prefix, sys.version_info[1]]\n"
    )

    async def play(bench):
        await bench.start(str(folder))
        born = await bench.spawn(sys_path=[str(package / "dropin"), str(tmp_path)])
        born.channel.send(encode_frame(Kind.INVOKE, id=4, topic=b"f", payload=b"[5]"))
        published, _, result = await born.frames(3)
        assert (published.topic, published.payload) == (b"t", b"at import")
        assert json.loads(result.payload) == [str(folder), minor]
        assert born.log.recv(1000) == b"Ilambda_function.py:4\0hello [5]"
        signal.pidfd_send_signal(born.pidfd, signal.SIGTERM)
        assert (await bench.exit()).status == 0

    run(play)


# --- interpreters that do not work -------------------------------------------------------


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_without_this_package_is_named_with_the_command(run, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty"],
        check=True,
    )

    async def play(bench):
        with pytest.raises(ConfigError) as caught:
            await bench.start(str(tmp_path / "empty"))
        text = str(caught.value)
        python = tmp_path / "empty" / "bin" / "python"
        assert "No module named 'greengrass_sdk'" in text
        assert text.endswith(f"{python} -m pip install --upgrade greengrass-core")

    run(play)


def test_an_interpreter_that_is_too_old_is_named_with_its_version(run, tmp_path):
    old = script(
        tmp_path / "old", 'if [ "$1" = -c ]; then echo 3.8; else echo nope >&2; exit 2; fi'
    )

    async def play(bench):
        with pytest.raises(
            ConfigError, match=r"nope; it is Python 3\.8, functions need CPython 3\.11"
        ):
            await bench.start(old)

    run(play)


@pytest.mark.parametrize("text", ["exit 3", "echo hello", "kill -9 $$"])
def test_a_program_that_is_no_python_is_said_to_be_none(run, tmp_path, text):
    async def play(bench):
        with pytest.raises(ConfigError, match=r"cannot run functions: it ended .*is it a Python"):
            await bench.start(script(tmp_path / "odd", text))

    run(play)


def test_a_file_that_cannot_be_run_is_named(run, tmp_path):
    (tmp_path / "plain").write_text("text")

    async def play(bench):
        with pytest.raises(ConfigError, match=r"cannot run the interpreter .*plain"):
            await bench.start(str(tmp_path / "plain"))

    run(play)


def test_an_interpreter_that_never_gets_ready_is_killed(run, tmp_path):
    async def play(bench):
        with pytest.raises(ConfigError, match=r"was not ready after 0\.2 s"):
            await bench.start(script(tmp_path / "slow", "exec sleep 600"), timeout_s=0.2)

    run(play)


def test_a_zygote_of_another_version_is_refused(run, monkeypatch):
    monkeypatch.setattr(protocol, "VERSION", 99)

    async def play(bench):
        with pytest.raises(ConfigError, match=r"another version of this package \(protocol 1\)"):
            await bench.start()

    run(play)


def test_a_start_that_is_cancelled_leaves_no_process(run, tmp_path):
    async def play(bench):
        starting = asyncio.ensure_future(bench.start(script(tmp_path / "slow", "exec sleep 600")))
        for _ in range(5):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    run(play)

# SPDX-License-Identifier: Apache-2.0
"""Real zygotes and workers on socket pairs: the test is the core."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import greengrass_sdk
from greengrass_sdk._native import (
    MAX_FRAME,
    Flag,
    Frame,
    FrameDecoder,
    Kind,
    encode_frame,
    impl,
)
from greengrass_sdk.runtime import protocol
from greengrass_sdk.runtime.logs import RecordAssembler

DROPIN = Path(next(iter(greengrass_sdk.__path__))) / "dropin"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:tested:1"
BOOT = "00112233445566aa"
DEADLINE_S = 10.0
RING_BYTES = 262144


def wait_readable(*files, timeout_s=DEADLINE_S):
    ready = select.select(files, [], [], timeout_s)[0]
    if not ready:
        pytest.fail(f"nothing to read within {timeout_s} s")
    return ready


class Worker:
    """One worker and the core's ends of what it was born with."""

    def __init__(self, rig, number) -> None:
        self.rig = rig
        self.number = number
        self.channel, self.their_channel = socket.socketpair()
        self.log, self.their_log = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stdout, self.their_stdout = os.pipe()
        self.stderr, self.their_stderr = os.pipe()
        self.channel.settimeout(DEADLINE_S)
        self.log.settimeout(DEADLINE_S)
        self.decoder = FrameDecoder()
        self.frames: list[Frame] = []
        self.taken: list[tuple[str, str, str]] = []
        self.pid = 0
        self.pidfd = -1

    def fds(self):
        return [
            self.their_channel.fileno(),
            self.their_log.fileno(),
            self.their_stdout,
            self.their_stderr,
        ]

    def close_theirs(self):
        self.their_channel.close()
        self.their_log.close()
        os.close(self.their_stdout)
        os.close(self.their_stderr)

    # The channel.

    def send(self, kind, **fields):
        self.channel.sendall(encode_frame(kind, **fields))

    def frame(self):
        """Return the next frame, None at the end of the channel."""
        while not self.frames:
            try:
                data = self.channel.recv(1 << 20)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self.frames += self.decoder.feed(data)
        return self.frames.pop(0)

    def ready(self):
        """Wait for the import to end; return the error document if it failed."""
        frame = self.frame()
        assert frame is not None, "the worker ended before it was ready"
        assert frame.kind == Kind.READY
        return json.loads(frame.payload) if frame.flags & Flag.FAILED else None

    def invoke(self, payload=b"", *, context=b"", event=False, number=7):
        """Return flags and payload of the result, None if the worker ended instead."""
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        flags = Flag.EVENT if event else 0
        self.send(
            Kind.INVOKE,
            flags=flags,
            id=number,
            topic=ARN.encode(),
            context=context,
            payload=payload,
        )
        return self.result(number)

    def message(self, topic, payload=b"", *, number=7):
        self.send(Kind.MESSAGE, id=number, topic=topic.encode(), payload=payload)
        return self.result(number)

    def result(self, number):
        frame = self.frame()
        if frame is None:
            return None
        assert (Kind.RESULT, number) == (frame.kind, frame.id)
        return frame.flags, frame.payload

    def answer(self, payload=b"", **options):
        """Invoke and return the JSON result."""
        flags, result = self.invoke(payload, **options)
        assert flags == 0, result
        return json.loads(result)

    def failure(self, payload=b"", **options):
        """Invoke and return the error document."""
        flags, result = self.invoke(payload, **options)
        assert flags == Flag.HANDLED, result
        return json.loads(result)

    # The log.

    def record(self):
        """Return the next record as level, origin, message; None at the end."""
        data = self.log.recv(1 << 17)
        if not data:
            return None
        origin, _, message = data[1:].partition(b"\0")
        return data[:1].decode(), origin.decode(), message.decode()

    def records(self):
        """Return all records up to the end of the worker."""
        found = []
        while (record := self.record()) is not None:
            found.append(record)
        return found

    def messages(self):
        return [(level, message) for level, _, message in self.records()]

    def pipe(self, which):
        """Return what came through descriptor 1 or 2 until everybody closed it."""
        data = b""
        fd = self.stdout if which == 1 else self.stderr
        while True:
            wait_readable(fd)
            part = os.read(fd, 65536)
            if not part:
                return data
            data += part

    # The process.

    def kill(self, number=signal.SIGKILL):
        signal.pidfd_send_signal(self.pidfd, number)

    def wait_gone(self, timeout_s=DEADLINE_S):
        wait_readable(self.pidfd, timeout_s=timeout_s)

    def exited(self):
        """Wait for the zygote's report."""
        return self.rig.event("exited", self.number)

    def exit_code(self):
        return os.waitstatus_to_exitcode(self.exited()["status"])

    def descriptors(self):
        return {
            int(entry.name): str(entry.readlink())
            for entry in Path(f"/proc/{self.pid}/fd").iterdir()
        }

    def close(self):
        self.channel.close()
        self.log.close()
        for fd in (self.stdout, self.stderr, self.pidfd):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = self.pidfd = -1


class RingWorker(Worker):
    """A worker whose frames lie in shared memory."""

    def __init__(self, rig, number) -> None:
        from greengrass_sdk._native import _port
        from greengrass_sdk._native._lib import lib

        super().__init__(rig, number)
        self.event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        segment, self.their_memory = _port.create(RING_BYTES, RING_BYTES)
        self.channel.settimeout(0)
        side = lib.GG_SIDE_CORE
        self.port = _port.Port(self.channel, segment, side=side, event=-1, max_frame=MAX_FRAME)
        self.outgoing = _port.OutgoingFrame
        self.park = lambda: lib.gg_port_park(self.port.handle, lib.GG_WANT_DATA, 0) == lib.GG_AGAIN
        self.tell = lambda: lib.gg_port_tell(self.port.handle)

    def fds(self):
        return [*super().fds(), self.their_memory, self.event]

    def close_theirs(self):
        super().close_theirs()
        os.close(self.their_memory)

    def send(self, kind, **fields):
        whole = Frame(kind, **fields).as_tuple()
        self.port.send(self.outgoing(*whole))

    def frame(self):
        while True:
            frames, ended = self.port.receive(read_socket=True)
            if frames:
                return frames.popleft()
            if ended:
                return None
            if self.park():
                wait_readable(self.event, self.channel)

    def close(self):
        if self.event >= 0:
            with contextlib.suppress(OSError):
                self.channel.shutdown(socket.SHUT_RDWR)
            self.tell()
        super().close()
        self.port.close()
        if self.event >= 0:
            os.close(self.event)
        self.event = -1


class Rig:
    """A zygote, spoken with in its own protocol."""

    dropin = DROPIN

    def __init__(self, folder, *, python=sys.executable, environment=None, rings=False) -> None:
        self.kind = RingWorker if rings else Worker
        self.folder = folder
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(DEADLINE_S)
        inherited = {
            k: v for k, v in os.environ.items() if k.startswith(("COVERAGE_", "GREENGRASS_"))
        }
        with theirs:
            self.process = subprocess.Popen(
                [python, "-I", "-m", "greengrass_sdk.runtime.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"LANG": "C.UTF-8", **inherited, **(environment or {})},
                cwd="/",
            )
        self.events: list[tuple[dict[str, Any], list[int]]] = []
        self.workers: list[Worker] = []
        self.hello = self.event("ready")

    def event(self, name, worker=None):
        """Return the next event of that name, of that worker."""
        while True:
            for index, (message, _) in enumerate(self.events):
                if message["event"] == name and worker in {None, message.get("worker")}:
                    return self._take(index)
            received = protocol.receive(self.control, 1)
            assert received is not None, "the zygote is gone"
            self.events.append(received)

    def _take(self, index):
        message, fds = self.events.pop(index)
        return {**message, "fds": fds} if fds else message

    def code(self, source, name="lambda_function.py"):
        """Write a module into a code folder of its own; return the folder."""
        folder = self.folder / f"code{len(list(self.folder.iterdir()))}"
        folder.mkdir(parents=True)
        (folder / name).write_text(textwrap.dedent(source))
        return folder

    def request(self, code, **changes):
        return {
            "op": "spawn",
            "worker": len(self.workers) + 1,
            "name": "tested",
            "handler": "lambda_function.handler",
            "code": str(code),
            "encoding": "json",
            "environment": {"PATH": os.environ["PATH"], "MY_FUNCTION_ARN": ARN, "COLOUR": "green"},
            "cwd": str(code),
            "sys_path": [str(DROPIN), str(code)],
            "arn": ARN,
            "function_name": "tested",
            "version": "1",
            "timeout_s": 3.0,
            "memory_kib": None,
            "boot": BOOT,
            "endpoint": 5,
            "address": ARN,
            "limits": {"topic_payload_bytes": 131072, "invoke_payload_bytes": 6291456},
            "strict": False,
            "uid": None,
            "gid": None,
            "groups": None,
            "cgroup": None,
            "namespaces": [],
            "mounts": [],
            "rlimits": {},
            "log_level": "INFO",
            "pinned": False,
            **changes,
        }

    def spawn(self, source, **changes):
        """Start a worker that runs `source`, a module's text or a code folder."""
        code = self.code(source) if isinstance(source, str) else source
        worker = self.kind(self, len(self.workers) + 1)
        protocol.send(self.control, self.request(code, **changes), worker.fds())
        self.workers.append(worker)
        born = self.event("spawned", worker.number)
        worker.pid = born["pid"]
        (worker.pidfd,) = born["fds"]
        worker.close_theirs()
        return worker

    def start(self, source, **changes):
        """Start a worker whose import succeeds."""
        worker = self.spawn(source, **changes)
        assert worker.ready() is None
        return worker

    def children(self):
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def close(self):
        self.control.close()
        self.process.wait(DEADLINE_S)
        for worker in self.workers:
            worker.close()
        for _, fds in self.events:
            for fd in fds:
                os.close(fd)


@pytest.fixture(params=["stream", "rings"])
def rig(tmp_path, request):
    rings = request.param == "rings"
    if rings and impl == "python":
        pytest.skip("the Python implementation has no rings")
    inside = request.node.get_closest_marker("looks_inside") and os.geteuid() != 0
    environment = {"GREENGRASS_DEBUGGABLE": "1"} if inside else {}
    rig = Rig(tmp_path / "codes", rings=rings, environment=environment)
    (tmp_path / "codes").mkdir(exist_ok=True)
    yield rig
    rig.close()


@pytest.fixture
def make_rig(tmp_path):
    rigs: list[Rig] = []

    def make(**options):
        folder = tmp_path / f"rig{len(rigs)}"
        folder.mkdir()
        rigs.append(Rig(folder, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def eventually():
    """Wait until something that has no descriptor to wait for is true: state of other processes."""

    def wait(condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"never happened: {what}")
            select.select([], [], [], 0.002)

    return wait


@pytest.fixture
def assembler():
    return RecordAssembler()

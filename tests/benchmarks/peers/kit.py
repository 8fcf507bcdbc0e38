# SPDX-License-Identifier: Apache-2.0
"""Processes of a peer, and what both sides of their pipes share."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from window import Run

ONE, FAN, ACKS = "sensor/one", "sensor/fan", "sensor/ack"
CONSUMERS = 4
READY_S = 20.0
LARGEST = 6 * 1024 * 1024
ECHOED = 64 * 1024

_CHILD = Path(__file__).with_name("child.py")


class SkippedError(Exception):
    """Raised where a system cannot be measured here; the text says why."""


class LostError(Exception):
    """Raised when a run lost or damaged a message: it is void."""


class Peer(Protocol):
    """
    A module of this package.

    Attributes:
        ROLES: "pubsub", "calls".
    """

    ROLES: tuple[str, ...]

    def version(self) -> str:
        """Return the versions of its parts; raises ImportError or SkippedError."""

    def broker(self, cache: Path, folder: Path) -> AbstractContextManager[str]:
        """Start its broker and give its address."""


class Child:
    """
    A process of a peer: `python child.py PEER ROLE ARGUMENTS...`, or another program.

    It dies with us: the kernel sees to that. A child says "ready", then answers each line of JSON.
    """

    def __init__(self, *arguments: str | int | Path, env: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_CHILD), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            bufsize=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def ready(self) -> Self:
        """Wait until it is."""
        if self._line(READY_S) != b"ready\n":
            raise SkippedError(f"did not start: {self._errors()}")
        return self

    def ask(self, command: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return its answer; raises LostError where none comes."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        line = self._line(seconds)
        if not line:
            raise LostError(f"no answer within {seconds:g} s{self._errors()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def _line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], seconds)[0]:
            return self._process.stdout.readline()
        return b""

    def _errors(self) -> str:
        if self.alive() or self._process.stderr is None:
            return ""
        return ": " + self._process.stderr.read().decode(errors="replace").strip()[-300:]


def free_port() -> int:
    """Return a port of loopback that was free just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for_port(port: int, child: Child) -> None:
    """Wait until a broker listens."""
    deadline = time.monotonic() + READY_S
    while child.alive() and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SkippedError("its broker did not start")


# --- in the children --------------------------------------------------------------


def ready() -> None:
    """Say that this process can be measured."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def commands() -> Iterator[dict[str, Any]]:
    """Give what the parent asks for, until it is gone."""
    for line in sys.stdin:
        yield json.loads(line)


def reply(result: dict[str, Any]) -> None:
    """Answer the parent."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def drive(run: Run, publish: Callable[[], None], wait: Callable[[], bytes]) -> dict[str, int]:
    """Send while the window has room, else wait for an acknowledgement; return the result."""
    while True:
        while run.due():
            publish()
        if run.finished:
            return run.result()
        run.acknowledged(wait())


def answer_of(payload: bytes) -> bytes:
    """Return what servers answer: small payloads themselves, nothing to large ones."""
    return payload if len(payload) <= ECHOED else b""


def timed(call: Callable[[bytes], bytes], command: dict[str, Any]) -> list[int]:
    """Return the nanoseconds of calls, with pauses if asked for, behind some that warm."""
    payload = bytes(command["size"])
    wanted = answer_of(payload)
    pause_s = command.get("pause_s", 0)
    spans = []
    for number in range(-command["warm"], command["calls"]):
        asked = time.perf_counter_ns()
        answer = call(payload)
        if number >= 0:
            spans.append(time.perf_counter_ns() - asked)
        if answer != wanted:
            raise AssertionError("a wrong answer")
        if pause_s:
            time.sleep(pause_s)
    return spans


def versions(*distributions: str) -> str:
    """Return the versions of Python packages; raises SkippedError."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return ", ".join(f"{name} {version(name)}" for name in distributions)
    except PackageNotFoundError as error:
        raise SkippedError(f"{error.name} is not installed") from None


def first_line(command: Sequence[str], env: dict[str, str] | None = None) -> str:
    """Return the first line that a program prints."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.stdout.partition("\n")[0].strip()

# SPDX-License-Identifier: Apache-2.0
"""What the machine itself takes: forks, new interpreters, and plain Unix sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

# A process that has imported what the zygote has, and forks for every byte that it reads.
_WARM = """
import gc, os, signal, time
import greengrass_sdk.runtime.zygote, base64, datetime, random
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
gc.collect()
gc.freeze()
os.write(1, b"ready\\n")
while os.read(0, 1):
    if not os.fork():
        os.write(1, b"%d\\n" % time.monotonic_ns())
        os._exit(0)
"""
_FRESH = "import os, time; os.write(1, b'%d' % time.monotonic_ns())"


class WarmInterpreter:
    """A warm interpreter that forks when it is asked to: the least that a cold start can be."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _WARM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._ask = self._process.stdin
        self._answers = self._process.stdout
        assert self._answers.readline() == b"ready\n"
        return self

    def __exit__(self, *failure: object) -> None:
        self._ask.close()
        self._answers.close()
        self._process.wait()

    def fork_ms(self) -> float:
        """Return the time from asking to the first line in the child."""
        asked = time.monotonic_ns()
        self._ask.write(b".")
        return (int(self._answers.readline()) - asked) / 1e6


def exec_ms() -> float:
    """Return the time from asking to the first line in a new interpreter that imports nothing."""
    asked = time.monotonic_ns()
    done = subprocess.run([sys.executable, "-I", "-c", _FRESH], stdout=subprocess.PIPE, check=True)
    return (int(done.stdout) - asked) / 1e6


@contextlib.contextmanager
def unix_echo(size: int) -> Iterator[socket.socket]:
    """
    Give a stream socket to a process that sends back every `size` bytes.

    It stays on the last CPU; whoever measures stays on the first one, see `on_first_cpu`. Left
    alone, the two sometimes share a CPU and sometimes do not: that makes it five times faster.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, _child(_echo, theirs, size, max(os.sched_getaffinity(0))):
        theirs.close()
        yield ours


@contextlib.contextmanager
def unix_source(size: int, window: int, ack: int) -> Iterator[socket.socket]:
    """
    Give a stream socket from a process that sends: for every 4 bytes read, that many messages.

    A message is one write of `size` bytes. At most `window` are on their way; the reader sends back
    a byte for every `ack`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, _child(_source, theirs, size, window, ack):
        theirs.close()
        yield ours


@contextlib.contextmanager
def _child(serve: object, sock: socket.socket, *arguments: int) -> Iterator[None]:
    """Run one of the functions below on a socket, in an interpreter of its own."""
    name = getattr(serve, "__name__", "")
    numbers = ", ".join(str(argument) for argument in arguments)
    code = (
        f"import socket, sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import floors;"  # noqa: PTH120
        f" floors.{name}(socket.socket(fileno={sock.fileno()}), {numbers})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[sock.fileno()])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def on_first_cpu() -> Iterator[None]:
    """Keep this thread on one CPU."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _echo(sock: socket.socket, size: int, cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    while data := read(sock, size):
        sock.sendall(data)


def _source(sock: socket.socket, size: int, window: int, ack: int) -> None:
    message = b"x" * size
    while request := read(sock, 4):
        unacknowledged = 0
        for _ in range(int.from_bytes(request, "little")):
            if unacknowledged == window:
                unacknowledged -= ack * len(sock.recv(unacknowledged // ack))
            sock.sendall(message)
            unacknowledged += 1
        while unacknowledged >= ack:
            # No more than what is due: behind it the next request may have come already.
            unacknowledged -= ack * len(sock.recv(unacknowledged // ack))


def read(sock: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes, or none at the end of the stream."""
    data = sock.recv(size)
    while data and len(data) < size:
        data += sock.recv(size - len(data))
    return data

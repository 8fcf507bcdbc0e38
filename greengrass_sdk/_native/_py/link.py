# SPDX-License-Identifier: Apache-2.0
"""
One socket: bytes that arrived become frames, frames become bytes, each exactly once.

The hard part is not the bytes but the signals. A Python signal handler runs in the main thread
between any two calls, and it may raise (Ctrl-C, a SIGALRM used as a timeout) or use the connection
itself (a SIGTERM handler that publishes a last message). Both must leave the stream intact, so:

1. What a system call reports is stored by the same C call that made it:
   `list.extend(map(sock.sendmsg, ...))`. The interpreter looks for signals only after that call, so
   no byte count and no received byte is ever lost.
2. Everything after that can be done again from what was stored. A step that was interrupted is
   repeated by whoever comes next; the result is published by one assignment.
3. Before a system call and before that assignment, the step checks that a handler has not done its
   work in the meantime. There is no call, hence no handler, between the check and the act.

`tests/unit/_native/_py/test_channel.py` interrupts every step wherever the interpreter may run
a handler. A link is used by one thread at a time: its owner, the exchange, holds a lock.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque

from greengrass_sdk._native import FrameDecoder, FrameError, encode_header
from greengrass_sdk._native._py.frames import flat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from greengrass_sdk._native import Frame, _abc

    Buffer: TypeAlias = bytes | bytearray | memoryview

__all__ = ["LONGEST_WAIT_S", "Link", "Outgoing", "Wake"]

# Larger reads would leave the allocator's fast pools for mmap on every message.
_READ_BYTES = (65536,)
_NO_ANCILLARY: tuple[tuple[()], ...] = ((),)
# A function may have restored SIGPIPE's default, which would kill it when the core is gone.
_SEND_FLAGS = (getattr(socket, "MSG_NOSIGNAL", 0),)
# One wait never lasts longer, whatever the caller's deadline: the system calls count milliseconds
# in 32 bits. Waiters look at the clock and wait again.
LONGEST_WAIT_S = 86400.0


class Outgoing:
    """A frame on its way out: its parts, and how much of them each `sendmsg` took."""

    __slots__ = ("parts", "sent", "size")

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self.parts = parts
        self.size = sum(map(len, parts))
        self.sent: list[int] = []

    @property
    def done(self) -> bool:
        return sum(self.sent) >= self.size

    @property
    def begun(self) -> bool:
        return bool(self.sent)

    def rest(self, sent: list[int]) -> Sequence[bytes | memoryview]:
        """Return what is still to be written when these amounts are; empty when nothing is."""
        if not sent:
            return self.parts
        skip = sum(sent)
        rest: list[bytes | memoryview] = []
        for part in self.parts:
            if skip < len(part):
                rest.append(memoryview(part)[skip:] if skip else part)
                skip = 0
            else:
                skip -= len(part)
        return rest

    def freeze(self) -> None:
        """Stop referring to memory of the caller, who no longer waits until it is written."""
        self.parts = [bytes(part) for part in self.parts]


class _Inflow:
    """What arrived and was not handed out yet. A step that decodes publishes a new one."""

    __slots__ = ("decoder", "fed", "ready", "received")

    def __init__(
        self,
        decoder: _abc.FrameDecoder | None,
        received: deque[bytes],
        fed: int,
        ready: deque[Frame],
    ) -> None:
        self.decoder = decoder  # None while it is being fed
        self.received = received  # from the beginning of the first incomplete frame on
        self.fed = fed  # how many of `received` the decoder has had
        self.ready = ready


class Wake:
    """Ends the wait of a thread that sleeps in `poll`. Its owner holds a lock."""

    __slots__ = ("_fds", "_rung")

    def __init__(self) -> None:
        self._rung = False
        if hasattr(os, "eventfd"):
            self._fds: tuple[int, ...] = (os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK),)
        else:
            self._fds = os.pipe()
            for descriptor in self._fds:
                os.set_blocking(descriptor, False)

    @property
    def fd(self) -> int:
        """What becomes readable."""
        return self._fds[0]

    def ring(self) -> None:
        if self._fds and not self._rung:
            os.write(self._fds[-1], b"\1\0\0\0\0\0\0\0")
            self._rung = True

    def clear(self) -> None:
        if self._fds and self._rung:
            try:  # noqa: SIM105 - contextlib is not worth its import here
                os.read(self._fds[0], 64)
            except BlockingIOError:
                pass  # interrupted the last time, after it had been read
            self._rung = False

    def close(self) -> None:
        while self._fds:
            descriptor, *rest = self._fds
            self._fds = tuple(rest)
            os.close(descriptor)


class Link:
    """
    A connected stream socket, not blocking, as frames in and frames out.

    `waiting` holds those who wait for the socket. While there are any it is only shut, which wakes
    them, and not closed: another file could take over the number that they wait for.
    """

    __slots__ = ("_inflow", "_max_frame", "eof", "failure", "fd", "outgoing", "sock", "waiting")

    def __init__(self, sock: socket.socket, max_frame: int) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.eof = False
        self.failure: Exception | None = None
        self.outgoing: deque[Outgoing] = deque()
        self.waiting: set[object] = set()
        self._max_frame = max_frame
        self._inflow = _Inflow(None, deque(), 0, deque())

    def wake(self) -> Wake:
        """Return what ends a `wait`."""
        return Wake()

    def frame(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: Buffer,
        payload: Buffer,
    ) -> Outgoing:
        """Return a frame as the buffers it is made of; large ones are not copied."""
        context = flat(context)
        payload = flat(payload)
        header = encode_header(kind, flags, endpoint, id, len(topic), len(context), len(payload))
        return Outgoing([part for part in (header, topic, context, payload) if part])

    def wait(self, events: int, wake: Wake, timeout_s: float | None, *, answer: bool) -> None:  # noqa: ARG002 - a stream never spins
        poller = select.poll()
        poller.register(self.fd, events)
        poller.register(wake.fd, select.POLLIN)
        if timeout_s is None:
            poller.poll()
        else:
            poller.poll(int(min(max(timeout_s, 0.0), LONGEST_WAIT_S) * 1000 + 0.999))

    def flush(self) -> bool:
        outgoing = self.outgoing
        while (head := self._first_outgoing()) is not None:
            sent = [*head.sent]
            rest = head.rest(sent)
            if rest:
                attempt = map(self.sock.sendmsg, (rest,), _NO_ANCILLARY, _SEND_FLAGS)
                try:
                    if head.sent == sent:
                        head.sent.extend(attempt)
                except BlockingIOError:
                    return False
            elif outgoing and outgoing[0] is head:
                outgoing.popleft()
        return True

    def _first_outgoing(self) -> Outgoing | None:
        try:
            return self.outgoing[0]
        except IndexError:  # asked instead of looked: a signal handler may empty it in between
            return None

    def read(self) -> deque[Frame]:
        inflow = self._inflow
        if inflow.ready or self.eof:
            return inflow.ready
        received = inflow.received
        attempt = map(self.sock.recv, _READ_BYTES)
        try:
            if self._inflow is inflow:
                received.extend(attempt)
        except BlockingIOError:
            if inflow.fed == len(received) and inflow.decoder is not None:
                return inflow.ready
        except OSError as error:
            self._decode(inflow)
            self.failure = error
            self.eof = True
            return self._inflow.ready
        self._decode(inflow)
        return self._inflow.ready

    def has_come(self) -> bool:
        return False  # a look would cost as much as reading

    def take_work(self, _batch: list[Frame], _max_bytes: int) -> bool:
        return False  # what is read here may be anything

    def _decode(self, inflow: _Inflow) -> None:
        """Feed what was received to the decoder and publish the frames."""
        decoder, fed = inflow.decoder, inflow.fed
        if decoder is None:  # new, or interrupted: the bytes since the last boundary are all here
            decoder, fed = FrameDecoder(self._max_frame), 0
        inflow.decoder = None
        received = inflow.received
        frames: list[Frame] = []
        failure: Exception | None = None
        try:
            while fed < len(received):
                frames += decoder.feed(received[fed])
                fed += 1
        except FrameError as error:
            frames += error.frames
            failure = error
        eof = failure is not None or (bool(received) and not received[-1])
        if frames:
            received = _last(list(received), decoder.pending)
            fed = len(received)
        published = _Inflow(decoder, received, fed, deque(frames))
        if self._inflow is inflow:
            self._inflow = published
            if eof:
                self.failure = failure
                self.eof = True

    def shut(self) -> None:
        """End the connection in both directions; every thread that waits for it wakes up."""
        try:  # noqa: SIM105 - contextlib is not worth its import here
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster

    def dispose(self) -> None:
        """Close the socket; nobody waits any more."""
        self.sock.close()


def _last(chunks: list[bytes], size: int) -> deque[bytes]:
    """Return the last `size` bytes of the chunks."""
    last: deque[bytes] = deque()
    for chunk in reversed(chunks):
        if size <= 0:
            break
        last.appendleft(chunk[-size:])
        size -= len(chunk)
    return last

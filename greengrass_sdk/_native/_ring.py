# SPDX-License-Identifier: Apache-2.0
"""
Frames over rings in shared memory, for any number of threads and event loops.

The same channel as :mod:`greengrass_sdk._native._py.channel`, over another link: who reads, who
writes and who wakes whom does not depend on the transport. What differs is here: a frame leaves by
one call of C and no system call, sleepers sleep on a futex instead of in `poll`, and the socket
carries only control frames and the descriptors of large messages.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from time import monotonic_ns, sleep

from greengrass_sdk._native import MAX_FRAME, Kind
from greengrass_sdk._native._lane import lane_of
from greengrass_sdk._native._lib import lib
from greengrass_sdk._native._port import BATCH_BYTES, FOREVER, OutgoingFrame, Port, create
from greengrass_sdk._native._py.channel import LinkChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.exchange import Buffer
    from greengrass_sdk._native._py.pump import WrittenCallback

__all__ = ["SPIN_NS", "RingChannel", "may_spin", "pair"]

SPIN_NS = 50_000
"""How long a caller that waits for a reply spins before it sleeps, where that is allowed."""

_AGAIN = lib.GG_AGAIN
_DATA = lib.GG_WANT_DATA
_ROOM = lib.GG_WANT_ROOM
_SOCKET = lib.GG_WANT_SOCKET
_LEAST = 65536  # GG_RING_LEAST
_MOMENT_S = 50e-6


class RingWake:
    """Ends the wait of a thread that sleeps on the futex."""

    __slots__ = ("_link", "seen")

    def __init__(self, link: RingLink) -> None:
        self._link = link
        self.seen = 0

    def ring(self) -> None:
        self._link.interrupt()

    def clear(self) -> None:
        self.seen = self._link.alarms

    def close(self) -> None:
        """Nothing to close: it is a word in the port."""


class RingLink:
    """What :class:`greengrass_sdk._native._py.link.Link` is for a stream."""

    __slots__ = (
        "_look",
        "_news",
        "_poller",
        "_process",
        "alarms",
        "eof",
        "failure",
        "lane",
        "outgoing",
        "port",
        "waiting",
    )

    frame = OutgoingFrame

    def __init__(self, port: Port) -> None:
        self.port = port
        self.alarms = 0
        self.eof = False
        self.failure: Exception | None = None
        self.outgoing: deque[OutgoingFrame] = deque()
        self.waiting: set[object] = set()
        self.lane = lane_of(port, self.outgoing)
        self._look = False  # at the socket
        self._poller: select.epoll | None = None
        self._news = -1
        self._process = os.getpid()

    @property
    def fd(self) -> int:
        """
        A descriptor that becomes readable when something arrives.

        From now on the core also makes the socket readable when it wakes us.
        """
        if self._poller is None:
            self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            poller = select.epoll()
            poller.register(self.port.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
            poller.register(self._news, select.EPOLLIN)
            self._poller = poller
            self._park()
        return self._poller.fileno()

    def _park(self) -> None:
        """Have the core make the socket readable, or tell what is there already."""
        if lib.gg_port_park(self.port.handle, _DATA | _SOCKET, 0) != _AGAIN:
            os.eventfd_write(self._news, 1)
            return
        try:  # noqa: SIM105 - contextlib is not worth its import here
            os.eventfd_read(self._news)
        except BlockingIOError:
            pass  # nothing was there

    def wake(self) -> RingWake:
        return RingWake(self)

    def interrupt(self) -> None:
        """End the waits under way. Counts as C does, so that nobody has to ask it."""
        self.alarms = (self.alarms + 1) & 0xFFFFFFFF
        lib.gg_port_interrupt(self.port.handle)

    def wait(self, events: int, wake: RingWake, timeout_s: float | None, *, answer: bool) -> None:
        if self.port.ended:
            return
        want, need = _DATA, 0
        if events & select.POLLOUT:
            want |= _ROOM
            head = self._first_outgoing()
            need = 0 if head is None else head.size
        deadline = FOREVER
        if timeout_s is not None:
            deadline = min(monotonic_ns() + int(max(timeout_s, 0.0) * 1e9), FOREVER)
        status = lib.gg_port_wait(self.port.handle, want, need, wake.seen, deadline, answer)
        if status > 0 and status & _SOCKET:
            self._look = True

    def flush(self) -> bool:
        outgoing = self.outgoing
        while (head := self._first_outgoing()) is not None:
            if not head.done and self.port.send(head) == _AGAIN:
                return False
            if head.done and outgoing and outgoing[0] is head:
                outgoing.popleft()
        return True

    def _first_outgoing(self) -> OutgoingFrame | None:
        try:
            return self.outgoing[0]
        except IndexError:  # asked instead of looked: a signal handler may empty it in between
            return None

    def read(self) -> deque[Frame]:
        if self.eof:
            return self.port.receive()[0] if self.failure is None else deque()
        look = self._look or self._poller is not None
        try:
            frames, ended = self.port.receive(self.lane, read_socket=look)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the connection
            self.failure = error
            self.eof = True
            return deque()
        if frames:
            return frames
        self._look = False
        if ended:
            self.eof = True
        elif self._poller is not None:
            self._park()
        return frames

    def has_come(self) -> bool:
        return not self.eof and not self._look and self.port.has_come(self.lane)

    def take_work(self, batch: list[Frame], max_bytes: int) -> bool:
        if self.eof or self._look or max_bytes < BATCH_BYTES:
            return False
        return self.port.take_work(self.lane, batch)

    def shut(self) -> None:
        self.lane.close()
        try:  # noqa: SIM105 - contextlib is not worth its import here
            self.port.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster
        self.interrupt()

    def dispose(self) -> None:
        self.lane.close()
        while not self.lane.idle() and os.getpid() == self._process:  # a fork has no other threads
            sleep(_MOMENT_S)
        self.port.close()
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.close()
            os.close(self._news)


class RingChannel(LinkChannel):
    """
    A channel over shared memory.

    Args:
        sock: Connected to the core.
        segment_fd: Of the shared memory; closed here.
        event_fd: What wakes the core; closed with the channel.
        max_frame: Of control frames on the socket.
        spin_ns: How long a thread that waits for a reply may spin; 0 never.

    Attributes:
        publish: The short way of a publish; see :class:`greengrass_sdk._native._abc.Lane`.
    """

    __slots__ = ("_lane", "publish")

    def __init__(
        self,
        sock: socket.socket,
        segment_fd: int,
        event_fd: int,
        *,
        max_frame: int = MAX_FRAME,
        spin_ns: int = 0,
    ) -> None:
        sock.setblocking(False)
        port = Port(
            sock,
            segment_fd,
            side=lib.GG_SIDE_WORKER,
            event=event_fd,
            max_frame=max_frame,
            spin_ns=spin_ns,
        )
        link = RingLink(port)
        super().__init__(link)
        self._lane = link.lane
        self.publish = link.lane.publish

    def send(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        id: int = 0,
        topic: bytes = b"",
        context: Buffer = b"",
        payload: Buffer = b"",
        *,
        timeout_s: float | None = None,
    ) -> None:
        # Nobody is before us: one call of C. What is wrong with it is found out on the long way.
        wait = timeout_s is None
        if not self._lane.send(kind, flags, endpoint, id, topic, context, payload, wait):
            self._send(kind, flags, endpoint, id, topic, context, payload, timeout_s)

    def post(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: Buffer,
        payload: Buffer,
        callback: WrittenCallback,
    ) -> bool:
        return self._lane.send(kind, flags, endpoint, id, topic, context, payload) or super().post(
            kind, flags, endpoint, id, topic, context, payload, callback
        )

    def answer(self, flags: int, endpoint: int, id: int, payload: Buffer, *, more: bool) -> None:
        if not self._lane.answer(flags, endpoint, id, payload, more):
            self._send(Kind.RESULT, flags, endpoint, id, b"", b"", payload, None)


def pair(ring_bytes: int = _LEAST) -> tuple[Port, RingChannel]:
    """Return a core's end and its worker's, both in this process."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    segment, fd = create(ring_bytes, ring_bytes)
    core = Port(ours, segment, side=lib.GG_SIDE_CORE, event=-1, max_frame=MAX_FRAME)
    return core, RingChannel(theirs, fd, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))


def may_spin(path: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> bool:
    """
    Whether spinning makes sense here: more than one processor, and no quota on their time.

    A spinning thread of a group with a quota spends the time that its peer would need to answer.
    """
    if (os.cpu_count() or 1) < 2:
        return False
    try:
        with open(path, encoding="utf-8") as file:
            group = next((line[3:].strip() for line in file if line.startswith("0::")), "/")
        while True:
            quota = f"{root}{group.rstrip('/')}/cpu.max"
            if os.path.exists(quota):
                with open(quota, encoding="utf-8") as file:
                    if not file.read().startswith("max"):
                        return False
            if group in {"/", ""}:
                return True
            group = os.path.dirname(group)
    except OSError:
        return True

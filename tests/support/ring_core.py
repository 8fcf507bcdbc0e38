# SPDX-License-Identifier: Apache-2.0
"""The other end of a channel in shared memory: what `fake_core` is, over rings."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from threading import Event
from typing import TYPE_CHECKING

from fake_core import FakeCore, encoded

from greengrass_sdk._native import MAX_FRAME, Frame, FrameDecoder, FrameError
from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._port import OutgoingFrame, Port, create
from greengrass_sdk._native._ring import RingChannel

if TYPE_CHECKING:
    from threading import Thread  # noqa: F401 - of the attributes below

    from fake_core import Script

RING_BYTES = 262144


class RingCore(FakeCore):
    """A core that gives its peer rings. Raw bytes go over the socket, frames through the ring."""

    def __init__(
        self, script: Script | None = None, *, reading: bool = True, spin_ns: int = 0
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        event = ffi.new("int *")
        assert lib.GG_OK == lib.gg_event_create(event)
        segment, fd = create(RING_BYTES, RING_BYTES)
        ours.setblocking(False)
        self._port = Port(ours, segment, side=lib.GG_SIDE_CORE, event=-1, max_frame=MAX_FRAME)
        self._event = os.dup(event[0])
        self._over = Event()
        self._raw = FrameDecoder()
        self.theirs = theirs
        self.channel = RingChannel(theirs, fd, event[0], spin_ns=spin_ns)  # type: ignore[assignment]  # the same methods
        self._start(ours, script, reading=reading)

    def _run(self) -> None:
        watcher = select.epoll()
        try:
            watcher.register(self._event, select.EPOLLIN | select.EPOLLET)
            watcher.register(self.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
            self._serve(watcher)
        except BaseException as error:  # noqa: BLE001 - raised by `wait` and at the end
            self.failure = error
        watcher.close()
        with self._news:
            self.ended = True
            self._news.notify_all()

    def _serve(self, watcher: select.epoll) -> None:
        at_end = False
        while not self._over.is_set():
            self._may_read.wait()
            frames, ended = self._port.receive(read_socket=True)
            while frames:
                frame = frames.popleft()
                with self._news:
                    self.frames.append(frame)
                    self._news.notify_all()
                for answer in self.script(frame) or ():
                    self.send(answer)
            if ended and not at_end:
                at_end = True
                return
            if lib.gg_port_park(self._port.handle, lib.GG_WANT_DATA, 0) == lib.GG_AGAIN:
                watcher.poll(10)

    def send(self, frame: Frame) -> None:
        outgoing = OutgoingFrame(*frame.as_tuple())
        while self._port.send(outgoing) == lib.GG_AGAIN and not self.ended:
            if self._over.wait(0.001):
                return

    def send_bytes(self, data: bytes) -> None:
        """Send the frames in these bytes; what is no frame goes over the socket."""
        try:
            frames = self._raw.feed(data)
        except FrameError as error:
            frames = error.frames
            with contextlib.suppress(OSError):
                self.sock.send(data)
            lib.gg_port_tell(self._port.handle)
        for frame in frames:
            self.send(frame)

    def send_on_the_socket(self, frame: Frame) -> None:
        self.sock.sendall(encoded(frame))
        lib.gg_port_tell(self._port.handle)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        lib.gg_port_tell(self._port.handle)

    def close(self) -> None:
        self._over.set()
        super().close()
        self._port.close()
        os.close(self._event)

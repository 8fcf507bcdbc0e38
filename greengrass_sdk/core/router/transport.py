# SPDX-License-Identifier: Apache-2.0
"""The bytes of one connected peer: a non-blocking Unix stream socket in the core's event loop."""

from __future__ import annotations

import fcntl
import logging
import select
import socket
import sys
import termios
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from greengrass_sdk._native import MAX_FRAME, FrameDecoder, FrameError, encode_header
from greengrass_sdk.model import limits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.router.events import Send

__all__ = ["Transport"]

log = logging.getLogger(__name__)

_READ_BYTES = 262144  # per turn of the loop, so that one peer cannot starve the others
_HOLD_BYTES = 262144  # unsent bytes above which the router keeps messages back, until half is left
_LIMIT_BYTES = 4 * limits.QUEUE_BYTES  # at which a peer that does not read is cut off
_BUFFERS = 512  # per sendmsg; IOV_MAX is 1024 on Linux
_COPY_BYTES = 4096  # smaller payloads are joined into one buffer with their header


class Transport:
    """
    Reads frames from a peer and writes frames to it, in order, never blocking.

    Writes are collected by `put` and leave by `flush`, so that one step of the router costs one
    system call for each peer.
    """

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        *,
        on_frames: Callable[[Transport, list[Frame]], None],
        on_broken: Callable[[Transport, str], None],
        on_eof: Callable[[Transport], None],
        on_held: Callable[[Transport, bool], None],
    ) -> None:
        sock.setblocking(False)
        self.number = number
        self._sock = sock
        self._loop = loop
        self._decoder = FrameDecoder(MAX_FRAME)
        self._on_frames = on_frames
        self._on_broken = on_broken
        self._on_eof = on_eof
        self._on_held = on_held
        self._unsent: deque[memoryview | bytes] = deque()
        self._unsent_bytes = 0
        self._writing = False
        self._held = False
        self._closed = False
        self._at_end = False
        self._left = 0
        loop.add_reader(sock.fileno(), self._readable)

    @property
    def closed(self) -> bool:
        """Whether the socket is closed."""
        return self._closed

    @property
    def held(self) -> bool:
        """Whether so much waits for the peer that the router keeps messages back."""
        return self._held

    def has_hung_up(self) -> bool:
        """Return whether the peer closed its end, even if what it wrote was not read yet."""
        if self._closed:
            return True
        look = select.poll()
        look.register(self._sock, select.POLLRDHUP)
        return bool(look.poll(0))

    def put(self, send: Send) -> None:
        """Take one frame to be sent by the next `flush`."""
        payload = send.payload
        head = encode_header(
            send.kind,
            send.flags,
            send.endpoint,
            send.id,
            len(send.topic),
            len(send.context),
            len(payload),
        )
        if len(payload) <= _COPY_BYTES:
            self._unsent.append(head + send.topic + send.context + payload)
        else:
            self._unsent.append(head + send.topic + send.context)
            self._unsent.append(payload)
        self._unsent_bytes += len(head) + len(send.topic) + len(send.context) + len(payload)

    def flush(self) -> None:
        """Write what the socket takes; the rest leaves when the peer reads on."""
        if self._closed:
            self._unsent.clear()
            return
        try:
            while self._unsent:
                self._consume(self._sock.sendmsg(islice(self._unsent, _BUFFERS)))
        except (BlockingIOError, InterruptedError):
            pass  # the rest leaves by the writer below
        except OSError as error:
            log.debug("peer %d: write failed: %s", self.number, error)
            self._unsent.clear()  # its end is told by the reader
            self._unsent_bytes = 0
        self._watch_writable()
        if self._unsent_bytes > _LIMIT_BYTES:
            self._on_broken(self, f"did not read: {self._unsent_bytes} bytes wait for it")
        elif self._unsent_bytes > _HOLD_BYTES or (
            self._held and self._unsent_bytes > _HOLD_BYTES // 2
        ):
            self._set_held(True)
        else:
            self._set_held(False)

    def copy_socket(self) -> socket.socket:
        """Return another descriptor of the connection, which is not closed by `close`."""
        return self._sock.dup()

    def send_last(self, send: Send, descriptors: Sequence[int]) -> None:
        """Send a frame with descriptors, as the first one and the last, and close this end."""
        self.put(send)
        try:
            socket.send_fds(self._sock, list(self._unsent), descriptors)
        except OSError as error:
            log.debug("peer %d: write failed: %s", self.number, error)  # its end is told, too
        self.close()

    def read_all(self) -> None:
        """
        Take what the peer wrote before its end.

        No more than what is there now: a child that it left behind may go on writing.
        """
        if self._closed:
            return
        answer = fcntl.ioctl(self._sock.fileno(), termios.FIONREAD, bytes(4))
        self._left = int.from_bytes(answer, sys.byteorder)
        while self._left > 0 and self._read_once():
            pass

    def close(self) -> None:
        """Close the socket; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        if self._writing:
            self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._unsent.clear()

    def _set_held(self, held: bool) -> None:  # noqa: FBT001  # the new state
        if self._held != held:
            self._held = held
            self._on_held(self, held)

    def _readable(self) -> None:
        self._read_once()

    def _read_once(self) -> bool:
        """Read one chunk; return whether there may be more."""
        if self._at_end or self._closed:
            return False
        try:
            data = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            log.debug("peer %d: read failed: %s", self.number, error)
            data = b""
        self._left -= len(data)
        if not data:
            self._at_end = True
            self._loop.remove_reader(self._sock.fileno())
            self._on_eof(self)
            return False
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            self._on_frames(self, error.frames)
            if not self._closed:
                self._on_broken(self, f"sent bytes that are no frame: {error.reason}")
            return False
        if frames:
            self._on_frames(self, frames)
        return True

    def _consume(self, sent: int) -> None:
        self._unsent_bytes -= sent
        while sent:
            first = self._unsent[0]
            if len(first) > sent:
                self._unsent[0] = memoryview(first)[sent:]
                return
            sent -= len(first)
            self._unsent.popleft()

    def _watch_writable(self) -> None:
        wanted = bool(self._unsent)
        if wanted == self._writing:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._sock.fileno(), self.flush)
        else:
            self._loop.remove_writer(self._sock.fileno())

# SPDX-License-Identifier: Apache-2.0
"""
The message plane of the core: the router in C, the rings of the workers, and the thread between.

`Plane` is a :class:`greengrass_sdk._native._c_router.Router` that also moves the frames of its ring
peers, in a thread that never waits for Python.  `step` hands out what is left for Python: events,
frames for peers whose transport is in Python, and the control frames and the end of ring peers.
"""

from __future__ import annotations

import signal
from threading import Thread
from typing import TYPE_CHECKING, Any

from greengrass_sdk._native._c_router import Router
from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._port import failure
from greengrass_sdk.errors import InvalidInputError

if TYPE_CHECKING:
    import socket

    from greengrass_sdk._native._py.router.events import Output, Send

__all__ = ["Plane"]

_MOST_OUTPUTS = 512  # of one step: the thread may add them faster than Python reads them


class Plane(Router):
    """
    The router machine with ring peers and a thread of its own; takes what `Router` takes.

    For one thread of Python, beside which the plane's own thread runs between `start` and
    `shut_down`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._thread: Thread | None = None
        self._closed = False
        status = lib.gg_plane_open(self._plane)
        if status != lib.GG_OK:
            raise failure("opening the message plane", status)
        self._waits = lib.gg_plane_waits(self._plane)

    @property
    def fd(self) -> int:
        """A descriptor that is readable while `step` has something to hand out."""
        return lib.gg_plane_fd(self._plane)

    def start(self) -> None:
        """Start the thread. Without it, rings are read by `drain` and `disconnect` alone."""
        if self._thread is None and not self._closed:
            self._most_outputs = _MOST_OUTPUTS
            self._thread = Thread(target=self._run, name="greengrass-plane")
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self._thread.start()  # which inherits the mask
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _run(self) -> None:
        lib.gg_plane_run(self._plane)

    def wait(self, epoll: int, timeout_ns: int) -> int:
        """
        Wait for `epoll`, which has `fd` in it, and move frames meanwhile in place of the thread.

        Args:
            epoll: A descriptor as `epoll_create` makes it.
            timeout_ns: Nanoseconds, or -1 for no limit.

        Returns:
            Bits, see `enum gg_found`: 1, `step` has something though `fd` does not say so; 2, the
            set has something; 4, nothing was waited for, because the thread moves the frames.
            0 after the timeout, and for a signal.
        """
        return lib.gg_plane_wait(self._plane, epoll, timeout_ns)

    def shut_down(self) -> None:
        """
        End the thread, and close all ring peers and `fd`.

        After it no other method may be called.  Calling it again does nothing.
        """
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            lib.gg_plane_stop(self._plane)
            self._thread.join()
        ffi.release(self._plane)

    def step(self, now: float) -> list[Output]:
        """Return what `Router` returns; beside the thread, which fires the deadlines, a look."""
        if self._thread is not None and not self._waits[0]:
            return []
        return super().step(now)

    def next_deadline(self) -> float | None:
        """Return None while the thread fires the deadlines, else what `Router` returns."""
        return None if self._thread is not None else super().next_deadline()

    # Ring peers.

    def connect(self, peer: int, sock: socket.socket, ring_bytes: int) -> tuple[int, int]:
        """
        Give a new peer rings of `ring_bytes` each way; `sock` is the plane's from then on.

        Returns the descriptors of the worker's ends, its segment and its event, which are the
        caller's to pass on and to close.  The ring is read once the peer is attached.

        Raises:
            InvalidInputError: No ring has this size, or the peer is connected.
            OSError: The system has no memory or descriptors left.
        """
        segment, event = ffi.new("int *"), ffi.new("int *")
        status = lib.gg_plane_connect(self._plane, peer, sock.fileno(), ring_bytes, segment, event)
        if status == lib.GG_EINVAL:
            raise InvalidInputError(
                f"peer {peer} is connected already, or no ring has {ring_bytes} bytes"
            )
        if status == lib.GG_ENOMEM:
            raise MemoryError("gg_plane_connect")
        if status != lib.GG_OK:
            raise failure("connecting a worker", status)
        sock.detach()
        return segment[0], event[0]

    def drain(self, peer: int) -> None:
        """Receive what a ring peer has committed; nothing for other peers."""
        lib.gg_plane_drain(self._plane, peer)

    def disconnect(self, peer: int) -> None:
        """Drain a ring peer and close its connection; the router knows it until `detach`."""
        lib.gg_plane_disconnect(self._plane, peer)

    def send(self, frame: Send) -> None:
        """Send a frame to a ring peer past the router; nothing for other peers."""
        topic, context, payload = frame.topic, frame.context, frame.payload
        data = topic + context + payload
        fields = {
            "id": frame.id,
            "context": len(topic),
            "payload": len(topic) + len(context),
            "end": len(data),
            "endpoint": frame.endpoint,
            "kind": frame.kind,
            "flags": frame.flags,
        }
        view = ffi.new("struct gg_frame *", fields)
        self._check("gg_plane_send", lib.gg_plane_send(self._plane, frame.peer, data, view))

    def is_connected(self, peer: int) -> bool:
        """Return whether `peer` is a ring peer."""
        return bool(lib.gg_plane_peer_state(self._plane, peer) & lib.GG_IS_CONNECTED)

    def has_hung_up(self, peer: int) -> bool:
        """Return whether a ring peer closed its end, be that told by `Ended` yet or not."""
        return bool(lib.gg_plane_peer_state(self._plane, peer) & lib.GG_HAS_HUNG_UP)

    def stalled(self, peer: int) -> bool:
        """Return whether frames wait for a ring peer because it does not read."""
        return bool(lib.gg_plane_peer_state(self._plane, peer) & lib.GG_IS_STALLED)

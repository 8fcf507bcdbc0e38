# SPDX-License-Identifier: Apache-2.0
"""
AWS's stream manager protocol on a port of loopback, for clients of any language.

The protocol itself is :mod:`greengrass_sdk.wire.streams`, what a request does is
:mod:`greengrass_sdk.core.streams.operations`; here are connections, bounds and deadlines.

An answer is sent while its client surely waits: within `PROMPT_S`, or the timeout of a read, and
not when this process itself was stopped or starved meanwhile. Later ones go out in the form that
fails the request and harms no client that gave it up (`Call.fail_safely`): AWS's clients never
recover from an answer that they no longer expect.

Ref: Greengrass V1 guide, "Configure stream manager": port, client authentication
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import itertools
import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, cast

from attrs import define, field, frozen

import greengrass_sdk
from greengrass_sdk.core.streams import operations
from greengrass_sdk.core.streams.readahead import ReadAhead
from greengrass_sdk.errors import ConfigError, StreamError
from greengrass_sdk.wire.streams import Call, Operation, Send, ServerSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from greengrass_sdk.core.streams.operations import Manager
    from greengrass_sdk.core.streams.service import Appended
    from greengrass_sdk.wire.blocks import Buffer

__all__ = ["ServerLimits", "StreamServer"]

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PROMPT_S = 5.0  # a client waits so long, whatever its timeout
STARVED_S = 0.9  # how long this process may lose sight of its sockets
GIVEN_UP_S = 55.0  # clients wait for 60 seconds, unless told otherwise
_BEAT_S = 0.25
_HEAD = 5  # bytes of a frame
_STOP_S = 5.0  # for requests that run when the server stops


@frozen(kw_only=True)
class ServerLimits:
    """
    What strangers may take.

    Attributes:
        clients: Connections at once; the next one is closed.
        calls: Requests of one connection at once; the next ones wait in its socket.
        frame_bytes: The largest request.
        response_bytes: The largest answer, and what one connection may leave unread.
        held_bytes: Requests of all connections in memory, unfinished and running; beyond it, all
            but one wait.
        frame_s: How long a request may be on its way.
    """

    clients: int = 256
    calls: int = 64
    frame_bytes: int = 64 << 20
    response_bytes: int = 96 << 20
    held_bytes: int = 128 << 20
    frame_s: float = 60.0


@define(eq=False)
class StreamServer:
    """
    The server.

    Args:
        tokens: Returns the tokens that clients may show; None: nobody has to.
        clock: Seconds, monotonic.
    """

    manager: Manager
    loop: asyncio.AbstractEventLoop
    tokens: Callable[[], Iterable[str]] | None = None
    limits: ServerLimits = field(factory=ServerLimits)
    clock: Callable[[], float] = field()
    port: int = field(default=0, init=False)
    held: int = field(default=0, init=False)
    connections: set[_Connection] = field(factory=set, init=False)
    running: set[_Running] = field(factory=set, init=False)
    _idle: asyncio.Future[None] | None = field(default=None, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)
    _numbers: itertools.count[int] = field(factory=lambda: itertools.count(1), init=False)
    _beat: asyncio.TimerHandle | None = field(default=None, init=False)
    _seen: float = field(default=0.0, init=False)
    _first: _Connection | None = field(default=None, init=False)
    _waiting: set[_Connection] = field(factory=set, init=False)

    @clock.default
    def _clock(self) -> Callable[[], float]:
        return self.loop.time

    async def open(self, port: int) -> None:
        """
        Listen on `port` of loopback; 0 is any that is free.

        Raises:
            ConfigError: The port is taken.
        """
        try:
            self._server = await self.loop.create_server(
                lambda: _Connection(self), HOST, port, family=socket.AF_INET, backlog=128
            )
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"fails: {error.strerror}"
            raise ConfigError(
                f"the stream manager cannot listen: port {port} of {HOST} {why}; "
                "set another `port` in [streams]"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("the stream manager listens on %s:%d", HOST, self.port)

    async def close(self) -> None:
        """Take no more requests, finish those that run, and close all connections."""
        if self._server is None:
            return
        self._server.close()
        for connection in self.connections:
            connection.stop()
        if self.running:
            self._idle = self.loop.create_future()
            await asyncio.wait([self._idle], timeout=_STOP_S)
        for connection in list(self.connections):
            connection.end()
        self._server = None
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def authenticate(self, token: str | None) -> bool:
        """Return whether a client may use the streams."""
        if self.tokens is None:
            return True
        shown = (token or "").encode()
        # Each is compared, in constant time.
        found = [hmac.compare_digest(shown, known.encode()) for known in self.tokens()]
        return token is not None and any(found)

    # --- what connections tell ----------------------------------------------

    def joined(self, connection: _Connection) -> str | None:
        """Count a connection and return its name; None: there are too many."""
        if len(self.connections) >= self.limits.clients or self._server is None:
            return None
        self.connections.add(connection)
        if self._beat is None:
            self._seen = self.clock()
            self._beat = self.loop.call_later(_BEAT_S, self._tick)
        return f"client-{next(self._numbers)}"

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        self._waiting.discard(connection)
        if self._first is connection:
            self._first = None
        self.make_room()

    def now(self) -> float:
        """Return the time; notice when this process did not run for long before."""
        now = self.clock()
        if now - self._seen > STARVED_S:
            log.warning("this process did not run for %.1f s", now - self._seen)
            for connection in self.connections:
                connection.doubt(now)
            # What waits in sockets now is read in this turn of the loop.
            self.loop.call_soon(self.loop.call_soon, self._trust)
        self._seen = now
        return now

    def _trust(self) -> None:
        for connection in self.connections:
            connection.trust()

    def finished(self, running: _Running) -> None:
        """Hear that a request was done."""
        self.running.discard(running)
        self.held -= running.call.size
        if self._idle is not None and not self.running and not self._idle.done():
            self._idle.set_result(None)
        if self._waiting:
            self.make_room()

    def admits(self, connection: _Connection) -> bool:
        """
        Return whether a connection may read on; if not, `make_room` tells it later.

        While too many bytes are held one connection alone finishes its request.
        """
        if self.held > self.limits.held_bytes:
            if self._first is None and connection.session.unfinished:
                self._first = connection
            if self._first is not connection:
                self._waiting.add(connection)
                return False
        self._waiting.discard(connection)
        return True

    def make_room(self) -> None:
        """Have connections read again where bytes were given back."""
        if self._first is not None and not self._first.session.unfinished:
            self._first = None
        for connection in list(self._waiting):
            connection.resume_reading()

    def _tick(self) -> None:
        now = self.now()
        for connection in list(self.connections):
            connection.look(now)
        self._beat = self.loop.call_later(_BEAT_S, self._tick) if self.connections else None


@define(eq=False)
class _Running:
    """
    A call that has not been answered, since when, and how long its client says that it waits.

    It is doubtful if the client may have given it up unseen.
    """

    call: Call
    since: float
    surely_s: float
    doubtful: bool
    answered: bool = False
    task: asyncio.Task[None] | None = None

    def is_late(self, now: float) -> bool:
        return self.doubtful or now - self.since > max(PROMPT_S, self.surely_s)


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._limits = server.limits
        self._transport: asyncio.Transport | None = None
        self._name = ""
        self._calls: set[_Running] = set()
        self._pending = 0  # bytes of an unfinished frame that the server counts
        self._unfinished_since: float | None = None
        self._reading = True
        self._writing = True
        self._stopped = False
        self._doubtful = False
        self._least = 1
        self._ahead = ReadAhead(server.manager, server.loop)
        self.session: ServerSession

    # --- called by the loop -------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = self._server.joined(self)
        if name is None:
            log.warning("a client was refused: %d are connected", len(self._server.connections))
            self._transport.abort()
            self._stopped = True
            return
        self._name = name
        self._transport.set_write_buffer_limits(high=1 << 20)
        self.session = ServerSession(
            self._server.authenticate,
            identifier=name,
            version=greengrass_sdk.__version__,
            max_frame=self._limits.frame_bytes,
        )

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            return
        now = self._server.now()
        known = self.session.protocol is not None
        for event in self.session.receive(data):
            if isinstance(event, Call):
                self._start(event, now)
            elif isinstance(event, Send):
                self._write(event.data)
            else:
                log.warning("%s was disconnected: %s", self._name, event.reason)
                self._stopped = True
                self.end()
        if self._least > 1 and not self._pending and not self.session.unfinished:
            self._doubtful = False  # the usual case: whole requests came
            if self._calls:
                self.resume_reading()
            return
        if not known and self.session.protocol is not None:
            log.info(
                "%s connected: SDK %s, protocol %s",
                *(self._name, self.session.sdk, self.session.protocol),
            )
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Count what is held of an unfinished request, and say what to wait for."""
        if self._least != self._wanted():
            self._read_from()
        pending = self.session.pending
        self._count(pending - self._pending)
        self._pending = pending
        if not self.session.unfinished:
            self._unfinished_since = None
            self._doubtful = False
        elif self._unfinished_since is None:
            self._unfinished_since = now
        self.resume_reading()

    def _wanted(self) -> int:
        """
        Return how many bytes are worth a look.

        AWS's clients send the head of a frame by itself; it says nothing without what follows.
        """
        return _HEAD + 1 if self.session.protocol and not self.session.unfinished else 1

    def _read_from(self) -> None:
        self._least = self._wanted()
        if self._transport is not None and not self._transport.is_closing():
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._least)

    def pause_writing(self) -> None:
        self._writing = False
        self.resume_reading()

    def resume_writing(self) -> None:
        self._writing = True
        self.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._name:
            return
        self.stop()
        self._ahead.close()
        self._count(-self._pending)
        self._pending = 0
        self._server.left(self)
        if self.session.protocol is not None:
            log.info("%s is gone%s", self._name, f": {error}" if error else "")

    # --- called by the server -----------------------------------------------

    def stop(self) -> None:
        """Take no more requests, and end the reads that wait."""
        self._stopped = True
        for running in self._calls:
            if running.call.operation == Operation.READ and running.task is not None:
                running.task.cancel()

    def end(self) -> None:
        """Close the connection when what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def look(self, now: float) -> None:
        """See to what takes too long."""
        self._ahead.age(now)
        for running in self._calls:
            given_up_s = max(GIVEN_UP_S, running.surely_s)
            if not running.answered and now - running.since > given_up_s:
                self._answer_late(running, now)
        since = self._unfinished_since
        if since is not None and now - since > self._limits.frame_s and self._reading:
            log.warning("%s was disconnected: its request did not arrive", self._name)
            self._abort()

    def doubt(self, now: float) -> None:
        """Hear that nothing ran for a while: clients may have given up meanwhile."""
        self._doubtful = True
        for running in self._calls:
            running.doubtful = running.doubtful or now - running.since > running.surely_s

    def trust(self) -> None:
        """Hear that what arrives now is new, but for the rest of a request."""
        self._doubtful = self.session.unfinished

    def resume_reading(self) -> None:
        """Read, or do not, as things stand."""
        reading = (
            self._writing and len(self._calls) < self._limits.calls and self._server.admits(self)
        )
        if reading == self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
            if self._unfinished_since is not None:
                self._unfinished_since = self._server.clock()
        else:
            self._transport.pause_reading()

    # --- requests -------------------------------------------------------------

    def _start(self, call: Call, now: float) -> None:
        surely = operations.wait_s(call.body) if call.operation == Operation.READ else 0.0
        running = _Running(call, now, surely, self._doubtful)
        self._count(call.size)
        self._calls.add(running)
        self._server.running.add(running)
        if call.operation == Operation.APPEND:
            self._append(running)
        elif call.operation != Operation.READ or not self._read(running):
            running.task = self._server.loop.create_task(self._serve(running))
            running.task.add_done_callback(partial(self._served, running))

    def _append(self, running: _Running) -> None:
        """Append without a task: most requests are this one."""

        def told(result: Appended | StreamError) -> None:
            if isinstance(result, Exception):
                self._reply(running, running.call.answer(*operations.refusal(result)))
            else:
                self._reply(running, running.call.answer_append(result.first))
            self._finish(running)

        try:
            self._server.manager.append(operations.append_of(running.call.body), told)
        except StreamError as error:
            told(error)

    def _read(self, running: _Running) -> bool:
        """Answer a read without a task, and return whether that could be done."""
        call = running.call
        frame: Buffer | None
        try:
            frame = self._ahead.answer(call)
        except Exception as error:  # noqa: BLE001 - told to the client, and logged if ours
            frame = self._refusal(call, error)
        if frame is None:
            return False
        self._reply_bounded(running, frame)
        self._ahead.go_on()
        self._finish(running)
        return True

    async def _serve(self, running: _Running) -> None:
        call = running.call
        try:
            frame = await self._perform(call)
        except Exception as error:  # noqa: BLE001 - told to the client, and logged if ours
            frame = self._refusal(call, error)
        self._reply_bounded(running, frame)

    def _refusal(self, call: Call, error: Exception) -> bytes:
        status, text = operations.refusal(error)
        log.debug("%s: operation %d: %s", self._name, call.operation, text)
        return call.answer(status, text)

    def _reply_bounded(self, running: _Running, frame: Buffer) -> None:
        refused = operations.check_response(len(frame), self._limits.response_bytes)
        self._reply(running, frame if refused is None else running.call.answer(*refused))

    async def _perform(self, call: Call) -> Buffer:
        manager = self._server.manager
        if call.operation == Operation.READ:
            return await operations.read(manager, call)
        return call.answer(0, **await operations.perform(manager, call.operation, call.body))

    def _reply(self, running: _Running, frame: Buffer) -> None:
        if running.answered or self._transport is None or self._transport.is_closing():
            return
        now = self._server.now()
        if running.is_late(now):
            self._answer_late(running, now)
            return
        running.answered = True
        self._write(frame)

    def _served(self, running: _Running, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a bug of ours: %s could not be answered", self._name, exc_info=error)
            self._abort()
        self._finish(running)

    def _finish(self, running: _Running) -> None:
        self._calls.discard(running)
        self._server.finished(running)
        if not self._reading:
            self.resume_reading()

    def _answer_late(self, running: _Running, now: float) -> None:
        running.answered = True
        took = now - running.since
        text = (
            "the request may have waited too long before it was read"
            if running.doubtful and took < PROMPT_S
            else f"the request took {took:.1f} s"
        )
        log.warning("%s: operation %d: %s", self._name, running.call.operation, text)
        self._write(running.call.fail_safely(text))

    def _write(self, data: Buffer) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self._limits.response_bytes + len(data):
            log.warning("%s was disconnected: it does not read its answers", self._name)
            self._abort()

    def _abort(self) -> None:
        self._stopped = True
        if self._transport is not None:
            self._transport.abort()

    def _count(self, change: int) -> None:
        self._server.held += change

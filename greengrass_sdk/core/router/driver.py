# SPDX-License-Identifier: Apache-2.0
"""
Drives the router machine: moves frames between sockets and the machine, and fires its deadlines.

`RouterDriver` is the only owner of the machine.  Other parts of the core connect peers, send frames
in the name of in-core endpoints (`send`, `call`), and hear events by the handlers they set.

With rings, a thread in C works on the same machine beside the event loop: it moves the frames of
workers and fires deadlines, and this driver only takes what needs Python.  Each call of the machine
locks it for itself, so nothing here knows of that thread, but that what a call made of the machine
may have changed by the next one.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, TypeVar

from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._py.router.events import (
    Control,
    CutOff,
    Ended,
    Send,
    Tapped,
)
from greengrass_sdk._native._py.router.state import CORE
from greengrass_sdk.core.loop import CoreLoop
from greengrass_sdk.core.router.incore import InCoreWorker
from greengrass_sdk.core.router.transport import Transport
from greengrass_sdk.errors import LocalProtocolError
from greengrass_sdk.model import limits

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from greengrass_sdk._native._py.lent import Result
    from greengrass_sdk._native._py.router.events import Output
    from greengrass_sdk.core.ports import Connection, Machine, Rings

__all__ = ["RouterDriver"]

log = logging.getLogger(__name__)

_E = TypeVar("_E")

_ROUNDS = 4  # steps in one turn of the loop: a busy thread must not keep the others waiting


class RouterDriver:
    """
    The router machine in the core's event loop.

    Args:
        rings: The same machine, where workers are on shared memory; None: all are on sockets.
        ring_bytes: Of shared memory for one worker, each way.
    """

    def __init__(
        self,
        machine: Machine,
        loop: asyncio.AbstractEventLoop,
        *,
        rings: Rings | None = None,
        ring_bytes: int = limits.RING_BYTES,
    ) -> None:
        self.machine = machine
        self._loop = loop
        self._rings = rings
        self._ring_bytes = ring_bytes
        self._transports: dict[int, Transport | InCoreWorker] = {}
        self._connections: dict[int, Connection] = {}
        self._services: dict[int, Callable[[Send], None]] = {}
        self._unsettled: list[InCoreWorker] = []
        self._calls: dict[int, asyncio.Future[Send]] = {}
        self._handlers: dict[type, Callable[[Output], None]] = {}
        self._taps: list[Callable[[Tapped], None]] = []
        self._last_peer = CORE
        self._last_call = 0
        self._running = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        if rings is not None:
            loop.add_reader(rings.fd, self.run)

    # Wiring.

    def on(self, event: type[_E], handler: Callable[[_E], None]) -> None:
        """Send outputs of the type `event` to `handler`; each type has one handler."""
        self._handlers[event] = handler  # type: ignore[assignment]  # keyed by its own type

    def serve(self, endpoint: int, receive: Callable[[Send], None]) -> None:
        """Hand the messages for an in-core endpoint to `receive`."""
        self.machine.define_service(endpoint)
        self._services[endpoint] = receive

    def employ(self, endpoint: int, name: str, take: Callable[[list[Send]], None]) -> InCoreWorker:
        """
        Let the service `name` of the core work for the function `endpoint`, as its one worker.

        Comes before the handlers of events are set: nobody else is to hear of this worker.

        Args:
            take: Gets items, MESSAGE and INVOKE, and ends each, in their order, by `answer` of what
                is returned here. Answers and messages of the service are on their way by the
                next `run`, which follows when `take` returns.
        """

        def end(results: list[Result]) -> None:
            self.machine.end(number, endpoint, results, self._loop.time())

        worker = InCoreWorker(name, take, end, self._unsettled)
        number = self._admit(worker)
        self._transports[number] = worker
        self.machine.attach_worker(number, endpoint, self._loop.time())
        self.machine.receive(number, Frame(Kind.READY, 0, endpoint), self._loop.time())
        self.run()
        return worker

    def post(self, frame: Frame) -> None:
        """Publish in the name of an in-core endpoint; it is on its way by the next `run`."""
        self.machine.receive(CORE, frame, self._loop.time())

    def start(self) -> None:
        """Let the frames of workers flow: all endpoints, routes and handlers are there."""
        if self._rings is not None:
            self._rings.start()
            if isinstance(self._loop, CoreLoop):
                self._loop.lend(self._rings, self.run)

    def watch(self, watcher: Callable[[Tapped], None]) -> Callable[[], None]:
        """Turn the tap on for `watcher`; the returned call ends it."""
        self._taps.append(watcher)
        self.machine.tap = True

        def unwatch() -> None:
            self._taps.remove(watcher)
            self.machine.tap = bool(self._taps)

        return unwatch

    # Peers.

    def connect(self, sock: socket.socket, connection: Connection) -> int:
        """Take over a connected socket and return its peer number."""
        number = self._admit(connection)
        self._transports[number] = Transport(
            number,
            sock,
            self._loop,
            on_frames=self._frames,
            on_broken=self._broken,
            on_eof=self._eof,
            on_held=self._held,
        )
        return number

    def connect_worker(
        self, sock: socket.socket, connection: Connection, *, ring: bool
    ) -> tuple[int, list[int]]:
        """
        Take over the socket of a worker to be born; return its peer number, and descriptors.

        Args:
            ring: Whether the worker could use shared memory.

        Returns:
            The descriptors are for the worker, beside the other end of the socket, and the caller's
            to close: shared memory and eventfd, or none over a stream.

        Raises:
            OSError: There is no memory or no descriptor left; the socket stays the caller's.
        """
        if self._rings is None or not ring:
            return self.connect(sock, connection), []
        number = self._admit(connection)
        sock.setblocking(False)
        try:
            return number, [*self._rings.connect(number, sock, self._ring_bytes)]
        except BaseException:
            del self._connections[number]
            raise

    def move_to_rings(self, peer: int, answer: Send) -> bool:
        """
        Move a connected peer from its socket to shared memory, if there are rings.

        Args:
            answer: Tells the peer, on the socket, with the descriptors; nothing follows it there.

        Returns:
            Whether it was done; else nothing was, nor was anything sent.
        """
        transport = self._transports.get(peer)
        if self._rings is None or not isinstance(transport, Transport):
            return False
        try:
            with transport.copy_socket() as copy:  # which the plane detaches when it takes it
                descriptors = self._rings.connect(peer, copy, self._ring_bytes)
        except (OSError, MemoryError) as error:
            log.warning("no shared memory for a connection, it stays on its socket: %s", error)
            return False
        try:
            transport.send_last(answer, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        del self._transports[peer]
        return True

    def _admit(self, connection: Connection) -> int:
        self._last_peer += 1
        self._connections[self._last_peer] = connection
        return self._last_peer

    def attach(self, peer: int, endpoint: int) -> None:
        """Let a connected client speak for `endpoint`."""
        self.machine.attach(peer, endpoint)

    def attach_worker(self, peer: int, endpoint: int) -> None:
        """Let a connected worker serve the function `endpoint`."""
        self.machine.attach_worker(peer, endpoint, self._loop.time())
        self.run()

    def worker_failed(self, endpoint: int, document: bytes) -> None:
        """Say that a worker that the router asked for could not be started."""
        self.machine.worker_failed(endpoint, document, self._loop.time())
        self.run()

    def drain(self, peer: int) -> None:
        """Receive what a peer that has ended wrote before."""
        transport = self._transports.get(peer)
        if transport is not None:
            transport.read_all()
        elif self._rings is not None:
            self._rings.drain(peer)
            self.run()

    def disconnect(self, peer: int, document: bytes = b"") -> None:
        """Receive what the peer still wrote, then forget it; `document` ends its running item."""
        self.drain(peer)
        transport = self._transports.pop(peer, None)
        if transport is not None:
            transport.close()
        elif self._rings is not None:
            self._rings.disconnect(peer)
        self._connections.pop(peer, None)
        self.machine.detach(peer, document, self._loop.time())
        self.run()

    def is_busy(self, peer: int) -> bool:
        """Return whether a worker holds an item."""
        return self.machine.is_busy(peer)

    def is_stalled(self, peer: int) -> bool:
        """Return whether frames wait for a peer that does not read."""
        transport = self._transports.get(peer)
        if transport is not None:
            return transport.held
        return self._rings is not None and self._rings.stalled(peer)

    def has_hung_up(self, peer: int) -> bool:
        """Return whether a peer closed its end, even if its connection was not told yet."""
        transport = self._transports.get(peer)
        if transport is not None:
            return transport.has_hung_up()
        return self._rings is not None and self._rings.has_hung_up(peer)

    def reply(self, frame: Send) -> None:
        """Send a frame to a peer past the machine: control answers."""
        transport = self._transports.get(frame.peer)
        if transport is not None:
            transport.put(frame)
            transport.flush()
        elif self._rings is not None:
            self._rings.send(frame)

    # In-core senders.

    def send(self, frame: Frame) -> None:
        """Publish in the name of an in-core endpoint."""
        self.machine.receive(CORE, frame, self._loop.time())
        self.run()

    def traced(self, frame: Frame) -> list[Tapped]:
        """Publish as `send` does, and return what became of the message at each target."""
        if self._running:
            raise LocalProtocolError("a traced publish from within a step of the router")
        self.run()  # what others left would take the room for what is looked for
        seen: list[Tapped] = []
        unwatch = self.watch(seen.append)
        try:
            self.send(frame)
        finally:
            unwatch()
        return [
            tapped
            for tapped in seen
            if tapped.source == frame.endpoint and tapped.topic == frame.topic
        ]

    async def call(
        self, endpoint: int, function: bytes, context: bytes, payload: bytes, *, event: bool
    ) -> Send:
        """Invoke in the name of an in-core endpoint; the answer is a RESULT or a VERDICT."""
        self._last_call += 1
        number = self._last_call
        answer: asyncio.Future[Send] = self._loop.create_future()
        self._calls[number] = answer
        flags = Flag.EVENT if event else 0
        try:
            self.send(Frame(Kind.INVOKE, flags, endpoint, number, function, context, payload))
            return await answer
        finally:
            del self._calls[number]

    # The machine's turn.

    def run(self) -> None:
        """Have results leave, then step the machine until it has nothing more to say."""
        if self._closed:
            return
        while self._unsettled:
            self._unsettled.pop().settle()
        if self._running:
            return  # the loop below will see what was added
        self._running = True
        try:
            for _ in range(_ROUNDS):
                if not (outputs := self.machine.step(self._loop.time())):
                    return
                for output in self._send(outputs):
                    self._tell_safely(output)
            self._loop.call_soon(self.run)
        finally:
            self._running = False
            self._arm()

    def close(self) -> None:
        """Close all transports, and end the thread if there is one; may be called again."""
        if self._rings is not None and not self._closed:
            if isinstance(self._loop, CoreLoop):
                self._loop.keep()
            self._loop.remove_reader(self._rings.fd)
            self._rings.shut_down()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()
        for answer in self._calls.values():
            answer.cancel()

    def _send(self, outputs: list[Output]) -> list[Output]:
        """Send frames to peers, which wait for them; return the rest: who watches can wait."""
        touched: dict[int, Transport | InCoreWorker] = {}
        rest: list[Output] = []
        for output in outputs:
            if not isinstance(output, Send) or output.peer == CORE:
                rest.append(output)
            elif (transport := self._transports.get(output.peer)) is not None:
                transport.put(output)
                touched[output.peer] = transport
        for transport in touched.values():
            transport.flush()
        return rest

    def _to_core(self, output: Send) -> None:
        if output.kind == Kind.MESSAGE:
            self._services[output.endpoint](output)
            return
        answer = self._calls.get(output.id)
        if answer is not None and not answer.done():
            answer.set_result(output)

    def _tell_safely(self, output: Output) -> None:
        """Tell one output; what goes wrong with it must not take the others along."""
        try:
            self._tell(output)
        except Exception:
            log.exception("a bug of ours: %s could not be handled", type(output).__name__)

    def _tell(self, output: Output) -> None:
        if isinstance(output, Send):
            self._to_core(output)
            return
        if isinstance(output, Tapped):
            for watcher in list(self._taps):
                watcher(output)
            return
        if isinstance(output, CutOff):
            self._disconnect_cut(output)
            return
        if isinstance(output, Control | Ended):
            self._tell_connection(output)
            return
        handler = self._handlers.get(type(output))
        if handler is not None:
            handler(output)

    def _tell_connection(self, output: Control | Ended) -> None:
        connection = self._connections.get(output.peer)
        if connection is None:
            return  # disconnected since
        if isinstance(output, Control):
            connection.control(output.frame)
        else:
            connection.ended()

    def _disconnect_cut(self, output: CutOff) -> None:
        transport = self._transports.pop(output.peer, None)
        connection = self._connections.pop(output.peer, None)
        if transport is not None:
            transport.close()
        if connection is not None:
            connection.cut(output.reason)  # which reports it, with the name of the peer

    def _frames(self, transport: Transport, frames: list[Frame]) -> None:
        now = self._loop.time()
        connection = self._connections[transport.number]
        for frame in frames:
            if frame.kind != Kind.CONTROL:
                self.machine.receive(transport.number, frame, now)
                continue
            self.run()
            if transport.closed:
                return  # cut off for a frame before
            connection.control(frame)
        self.run()

    def _broken(self, transport: Transport, reason: str) -> None:
        self.machine.cut(transport.number, reason, self._loop.time())
        self.run()

    def _eof(self, transport: Transport) -> None:
        self.machine.close(transport.number)
        self._connections[transport.number].ended()

    def _held(self, transport: Transport, held: bool) -> None:  # noqa: FBT001  # a callback
        self.machine.hold(transport.number, held=held)
        self._loop.call_soon(self.run)

    def _arm(self) -> None:
        deadline = self.machine.next_deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self.run()

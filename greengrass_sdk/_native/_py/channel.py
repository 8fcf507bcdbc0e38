# SPDX-License-Identifier: Apache-2.0
"""
Frames over a connection to the core, for any number of threads and event loops.

This is what a function's worker, a client and a tool hold of their connection to the core. How the
threads share it is told in :mod:`greengrass_sdk._native._py.exchange`, how bytes survive signal
handlers in :mod:`greengrass_sdk._native._py.link`, the callbacks for event loops are in
:mod:`greengrass_sdk._native._py.pump`.
"""

from __future__ import annotations

from collections import deque
from itertools import islice, repeat
from time import monotonic

from greengrass_sdk._native import MAX_FRAME, Kind
from greengrass_sdk._native._py.exchange import Call, Exchange, Waiter
from greengrass_sdk._native._py.link import Link
from greengrass_sdk.errors import RequestTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from greengrass_sdk._native import Frame, _abc
    from greengrass_sdk._native._py.exchange import AnswerCallback, Buffer
    from greengrass_sdk._native._py.pump import Pump, WrittenCallback

__all__ = ["LinkChannel", "StreamChannel"]


class LinkChannel:
    """A channel over a link of any kind; see :class:`greengrass_sdk._native._abc.Channel`."""

    __slots__ = ("_exchange", "_frame", "_pump")

    def __init__(self, link: _abc.Link) -> None:
        self._exchange = Exchange(link)
        self._frame = link.frame
        self._pump: Pump | None = None

    # Sending

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
        self._send(kind, flags, endpoint, id, topic, context, payload, timeout_s)

    def _send(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: Buffer,
        payload: Buffer,
        timeout_s: float | None,
    ) -> None:
        """Send a frame, waiting for what is in the way."""
        exchange = self._exchange
        exchange.check()
        outgoing = self._frame(kind, flags, endpoint, id, topic, context, payload)
        try:
            if exchange.write(outgoing):
                return
            deadline = None if timeout_s is None else monotonic() + timeout_s
            if not exchange.wait(exchange.writing, Waiter(), lambda: outgoing.done, deadline):
                raise RequestTimeoutError(
                    f"the core did not read within {timeout_s:g} s", timeout_s=timeout_s
                )
        except BaseException:
            exchange.retract(outgoing)
            raise

    def answer(self, flags: int, endpoint: int, id: int, payload: Buffer, *, more: bool) -> None:  # noqa: ARG002 - each is written at once
        self.send(Kind.RESULT, flags, endpoint, id, b"", b"", payload)

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
        exchange = self._exchange
        exchange.check()
        outgoing = self._frame(kind, flags, endpoint, id, topic, context, payload)
        try:
            if exchange.write(outgoing):
                return True
            outgoing.freeze()
            self._callbacks().finish(outgoing, callback)
        except BaseException:
            exchange.retract(outgoing)
            raise
        return False

    # Calling

    def call(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        topic: bytes = b"",
        context: Buffer = b"",
        payload: Buffer = b"",
        timeout_s: float | None = None,
    ) -> Frame:
        exchange = self._exchange
        deadline = None if timeout_s is None else monotonic() + timeout_s
        number = exchange.next_number()
        try:
            exchange.calls[number] = call = Call(kind)
            self.send(kind, flags, endpoint, number, topic, context, payload, timeout_s=timeout_s)
            answer = self._answer(call, deadline, timeout_s)
        finally:
            exchange.give_up(number, exchange.calls.pop(number, None))
        return answer

    def begin(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        topic: bytes = b"",
        context: Buffer = b"",
        payload: Buffer = b"",
    ) -> int:
        exchange = self._exchange
        number = exchange.next_number()
        try:
            exchange.calls[number] = Call(kind)
            self.send(kind, flags, endpoint, number, topic, context, payload)
        except BaseException:
            exchange.give_up(number, exchange.calls.pop(number, None))
            raise
        return number

    def finish(self, number: int, timeout_s: float | None = None) -> Frame:
        exchange = self._exchange
        exchange.check()
        deadline = None if timeout_s is None else monotonic() + timeout_s
        try:
            answer = self._answer(exchange.calls[number], deadline, timeout_s)
        finally:
            exchange.give_up(number, exchange.calls.pop(number, None))
        return answer

    def submit(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        topic: bytes,
        context: Buffer,
        payload: Buffer,
        callback: AnswerCallback,
    ) -> int:
        exchange = self._exchange
        exchange.check()
        number = exchange.next_number()
        try:
            self._callbacks().expect(number, kind, callback)
            self.post(kind, flags, endpoint, number, topic, context, payload, _ignore)
        except BaseException:
            self.cancel(number)
            raise
        return number

    def cancel(self, number: int) -> None:
        exchange = self._exchange
        exchange.give_up(number, exchange.calls.pop(number, None))
        if self._pump is not None:
            self._pump.cancel(number)

    def _answer(self, call: Call, deadline: float | None, timeout_s: float | None) -> Frame:
        """Wait for the answer of a call."""
        exchange = self._exchange
        call.waiter = waiter = Waiter()
        exchange.wait(exchange.reading, waiter, lambda: call.answer is not None, deadline)
        if call.answer is None:
            raise RequestTimeoutError(
                f"the core gave no answer within {timeout_s:g} s", timeout_s=timeout_s
            )
        return call.answer

    # Receiving

    def receive(self, timeout_s: float | None = None) -> Frame | None:
        frames = self.receive_batch(-1, timeout_s)
        return frames[0] if frames else None

    def receive_batch(self, max_bytes: int, timeout_s: float | None = None) -> list[Frame]:
        exchange = self._exchange
        exchange.check()
        inbox = exchange.inbox
        deadline = None if timeout_s is None else monotonic() + timeout_s
        waiter: Waiter | None = None
        batch: list[Frame] = []

        def take(link: _abc.Link) -> bool:
            return not inbox and link.take_work(batch, max_bytes)

        try:
            if not inbox:
                with exchange.lock:
                    if exchange.link().take_work(batch, max_bytes):
                        return batch
                if timeout_s is not None:  # else waiting finds out
                    exchange.look()
            while not self._unload(batch, max_bytes):
                if waiter is None:
                    waiter = Waiter()
                    exchange.receivers[waiter] = None
                if not exchange.wait(exchange.reading, waiter, lambda: bool(inbox), deadline, take):
                    break
                if batch:
                    break
            if waiter is not None:
                exchange.receivers.pop(waiter, None)
            return batch
        except BaseException:
            if waiter is not None:
                exchange.receivers.pop(waiter, None)
            inbox.extendleft(reversed(batch))
            raise

    def _unload(self, batch: list[Frame], max_bytes: int) -> bool:
        """Move frames from the inbox; return whether there were any."""
        inbox = self._exchange.inbox
        with self._exchange.lock:
            count = 0
            for frame in tuple(islice(inbox, min(max(max_bytes + 1, 1), len(inbox)))):
                max_bytes -= len(frame.payload)
                if count and max_bytes < 0:
                    break
                count += 1
            try:  # noqa: SIM105 - contextlib is not worth its import here
                # One C call, so that an interruption finds each frame either here or there.
                batch.extend(map(deque.popleft, repeat(inbox, count)))
            except IndexError:
                pass  # a signal handler has taken some
        return bool(batch)

    def take(self, callback: AnswerCallback) -> int:
        self._exchange.check()
        return self._callbacks().take(callback)

    def untake(self, frame: Frame) -> None:
        self._exchange.check()
        with self._exchange.lock:
            self._exchange.inbox.appendleft(frame)
            self._exchange.announce()

    # The connection

    @property
    def closed(self) -> bool:
        return self._exchange.closed

    @property
    def dropped(self) -> int:
        return self._exchange.dropped

    def fileno(self) -> int:
        self._exchange.check()
        with self._exchange.lock:
            return self._exchange.link().fd

    def close(self) -> None:
        self._exchange.close()

    def _callbacks(self) -> Pump:
        if self._pump is not None:
            return self._pump
        with self._exchange.lock:
            if self._pump is None:
                from greengrass_sdk._native._py.pump import Pump

                self._pump = Pump(self._exchange)
            return self._pump


class StreamChannel(LinkChannel):
    """A channel over a connected Unix stream socket."""

    __slots__ = ()

    def __init__(self, sock: socket.socket, *, max_frame: int = MAX_FRAME) -> None:
        super().__init__(Link(sock, max_frame))


def _ignore(_failure: BaseException | None) -> None:
    """Do nothing: the callback for the answer is told when the connection is gone."""

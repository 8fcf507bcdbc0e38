# SPDX-License-Identifier: Apache-2.0
"""
For event loops, which must not wait: frames by callback.

The pump is a daemon thread that reads when no other thread does and makes all callbacks, so they
never run in a thread that a signal handler can interrupt. It is started by the first caller and
sleeps, without reading, while nothing is under way.
"""

from __future__ import annotations

import sys
import threading

from greengrass_sdk._native._py.exchange import Call, Exchange, Waiter
from greengrass_sdk.errors import CoreUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._abc import Outgoing
    from greengrass_sdk._native._py.exchange import AnswerCallback

    WrittenCallback: TypeAlias = Callable[[BaseException | None], object]

__all__ = ["Pump"]


class Pump:
    """The callbacks of one exchange."""

    __slots__ = ("_asleep", "_exchange", "_waiter")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._waiter: Waiter | None = None
        self._asleep = False  # or about to be: nothing was expected

    def expect(self, number: int, kind: int, callback: AnswerCallback) -> None:
        """Have `callback` called with the answer to `number`, or with the error instead of one."""
        exchange = self._exchange
        with exchange.lock:
            exchange.link()
            exchange.calls[number] = Call(kind, callback)
            if self._waiter is None or self._asleep:
                self._asleep = False
                self._wake()  # else it reads: the answer will tell it

    def take(self, callback: AnswerCallback) -> int:
        """Have `callback` called with the next frame that is no answer, or with the error."""
        with self._exchange.lock:
            self._exchange.link()
            number = self._exchange.next_number()
            self._exchange.takers[number] = callback
            self._wake()
        return number

    def cancel(self, number: int) -> None:
        self._exchange.takers.pop(number, None)
        self._exchange.due.pop(number, None)

    def finish(self, outgoing: Outgoing, callback: WrittenCallback) -> None:
        """Write the rest of a frame on a thread of its own, then call `callback`."""
        _start(self._write, outgoing, callback)

    def _write(self, outgoing: Outgoing, callback: WrittenCallback) -> None:
        exchange = self._exchange
        failure: BaseException | None = None
        try:
            exchange.wait(exchange.writing, Waiter(), lambda: outgoing.done, None)
        except CoreUnavailableError as error:
            exchange.retract(outgoing)
            failure = error
        _make(callback, failure)

    def _wake(self) -> None:
        """Start the thread, or tell it that there is something new. Holds the lock."""
        if self._waiter is None:
            self._waiter = self._exchange.pump = Waiter()
            _start(self._run, self._waiter)
        else:
            self._waiter.notify()

    def _run(self, waiter: Waiter) -> None:
        waiter.thread = threading.get_ident()
        exchange = self._exchange
        failure: CoreUnavailableError | None = None
        while failure is None:
            try:
                if self._wanted():
                    exchange.wait(exchange.reading, waiter, self._ready, None)
                else:
                    waiter.bell.acquire()
                    with exchange.lock:
                        exchange.link()
            except CoreUnavailableError as error:
                failure = error
            self._make_due()
        with exchange.lock:
            left = [call.callback for call in exchange.calls.values() if call.callback is not None]
            left += exchange.takers.values()
            exchange.takers.clear()
        for callback in left:
            _make(callback, failure)

    def _wanted(self) -> bool:
        """Whether anybody expects a callback."""
        with self._exchange.lock:
            exchange = self._exchange
            wanted = (
                bool(exchange.takers)
                or bool(exchange.due)
                or any(call.callback is not None for call in exchange.calls.values())
            )
            self._asleep = not wanted  # under the lock: who expects something now wakes us
            return wanted

    def _ready(self) -> bool:
        """Whether to stop reading: callbacks can be made, or none is expected any more."""
        exchange = self._exchange
        arrived = exchange.due or (exchange.takers and exchange.inbox)
        return bool(arrived) or not self._wanted()

    def _make_due(self) -> None:
        """Make the callbacks of what has arrived."""
        exchange = self._exchange
        due: list[tuple[AnswerCallback, Frame]] = []
        with exchange.lock:
            due.extend(
                (call.callback, call.answer)
                for call in exchange.due.values()
                if call.callback is not None and call.answer is not None
            )
            exchange.due.clear()
            while exchange.takers and exchange.inbox:
                callback = exchange.takers.pop(next(iter(exchange.takers)))
                due.append((callback, exchange.inbox.popleft()))
        for callback, frame in due:
            _make(callback, frame)


def _start(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, name="greengrass-pump", daemon=True).start()


def _make(callback: Callable[..., object], *arguments: object) -> None:
    """Call. An exception is shown, like one in a thread; the others still get their callbacks."""
    try:
        callback(*arguments)
    except Exception:  # noqa: BLE001 - whatever it is, it must not end the pump
        thread = threading.current_thread()
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))

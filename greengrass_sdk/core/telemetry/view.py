# SPDX-License-Identifier: Apache-2.0
"""
What happens in a core, as the events of `greengrass run --json`.

Each event is a dict that JSON can take, given to a sink that must not block. Messages and
invocations above 1000 a second each are sampled: a token bucket decides, so a steady flood is shown
evenly thinned, and a `skipped` event says how many are missing. Log records are never skipped.

`docs/reference/events.md` lists the events and their keys.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Event = dict[str, Any]

__all__ = ["EVENTS_PER_S", "SCHEMA", "View"]

SCHEMA = 1
EVENTS_PER_S = 1000


class View:
    """
    Turns happenings into events.

    Args:
        sink: Takes each event; it must not block. None: nobody watches, and nothing is done.
        clock: Monotonic seconds, for the sampling.
        now_ms: Epoch milliseconds, for `at_ms`.
    """

    def __init__(
        self,
        sink: Callable[[Event], None] | None,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        events_per_s: int = EVENTS_PER_S,
    ) -> None:
        self._sink = sink
        self._now_ms = now_ms
        self._held: list[Event] | None = []  # what happened before `started`, which is to be first
        self._messages = _Bucket(clock, events_per_s)
        self._invocations = _Bucket(clock, events_per_s)

    @property
    def wanted(self) -> bool:
        """Whether anybody watches."""
        return self._sink is not None

    def started(self, root: str, pid: int) -> None:
        """Say that the core is ready: the first event, then what happened before it."""
        held, self._held = self._held or [], None
        self._emit({"event": "started", "schema": SCHEMA, "root": root, "pid": pid})
        if self._sink is not None:
            for event in held:
                self._sink(event)

    def message(
        self,
        source: str,
        subject: str,
        target: str | None,
        payload: bytes,
        outcome: str,
        reason: str | None = None,
    ) -> None:
        """Show a message at one target; no target means that no row matched."""
        if self._sink is None or not self._messages.take():
            return
        self._tell_skipped()
        text, encoding = _text(payload)
        self._emit(
            {
                "event": "message",
                "source": source,
                "subject": subject,
                "target": target,
                "payload": text,
                "encoding": encoding,
                "outcome": outcome,
                "reason": reason,
            }
        )

    def invocation(
        self,
        caller: str,
        function: str,
        request_id: str,
        outcome: str,
        duration_ms: float | None,
        subject: str | None = None,
        *,
        type: str = "call",
        error: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Show a run of a handler that got its outcome.

        Args:
            subject: The topic of the message that triggered it.
            type: `message`, `event`, or `call`: of these alone somebody hears the outcome.
            error: `errorType`, `errorMessage` and `stackTrace` of a run that failed.
        """
        if self._sink is None or not self._invocations.take():
            return
        self._tell_skipped()
        self._emit(
            {
                "event": "invocation",
                "caller": caller,
                "function": function,
                "request_id": request_id,
                "outcome": outcome,
                "duration_ms": duration_ms,
                "subject": subject,
                "type": type,
                "error": error,
            }
        )

    def function(self, name: str, state: str, pid: int | None, reason: str | None) -> None:
        """Show that a function or one of its workers changed its state."""
        self._emit(
            {"event": "function", "function": name, "state": state, "pid": pid, "reason": reason}
        )

    def log(
        self, function: str | None, level: str, message: str, origin: str = "greengrass"
    ) -> None:
        """Show a log record; without a function it is the system's."""
        self._emit(
            {
                "event": "log",
                "function": function,
                "level": level,
                "message": message,
                "origin": origin,
            }
        )

    def skip(self, count: int) -> None:
        """Count messages that were never handed to `message`."""
        self._messages.skipped += count

    def flush(self) -> None:
        """Tell how many events were skipped and not yet told: now and then, and at the end."""
        self._tell_skipped()

    def _tell_skipped(self) -> None:
        count = self._messages.skipped + self._invocations.skipped
        if count:
            self._messages.skipped = self._invocations.skipped = 0
            self._emit({"event": "skipped", "count": count})

    def _emit(self, event: Event) -> None:
        if self._sink is None:
            return
        # Keys in the order of the documentation: what, when, then the rest.
        event = {"event": event["event"], "at_ms": self._now_ms(), **event}
        if self._held is not None:
            self._held.append(event)
        else:
            self._sink(event)


class _Bucket:
    """Lets `rate` events a second pass, and that many at once; counts the others."""

    __slots__ = ("_clock", "_filled_at", "_left", "_rate", "skipped")

    def __init__(self, clock: Callable[[], float], rate: int) -> None:
        self._clock = clock
        self._rate = rate
        self._left = float(rate)
        self._filled_at = clock()
        self.skipped = 0

    def take(self) -> bool:
        now = self._clock()
        self._left = min(self._left + (now - self._filled_at) * self._rate, float(self._rate))
        self._filled_at = now
        if self._left < 1:
            self.skipped += 1
            return False
        self._left -= 1
        return True


def _text(payload: bytes) -> tuple[str, str]:
    try:
        return payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(payload).decode("ascii"), "base64"

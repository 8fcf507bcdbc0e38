# SPDX-License-Identifier: Apache-2.0
"""
What happens in a core, as the events of `greengrass run --json`.

Each event is a dict that JSON can take, given to a sink that must not block. Messages and
invocations above 1000 a second each are sampled: a token bucket decides, so a steady flood is shown
evenly thinned, and a `skipped` event says how many are missing. Log records are never skipped.

A tape gets the same events unsampled, with what a replay needs beside them and without the values
that are to be hidden.

`docs/reference/events.md` lists the events and their keys, `docs/reference/tapes.md` what tapes
add.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Event = dict[str, Any]

__all__ = ["EVENTS_PER_S", "HIDDEN", "SCHEMA", "Request", "View"]

SCHEMA = 1
EVENTS_PER_S = 1000
HIDDEN = "[hidden]"
"""What stands on a tape where a secret was."""
_HIDDEN_CHARS = 4
_NOTHING: Event = {}


class Request(NamedTuple):
    """An invocation from outside, for a tape; `queued_at` is in seconds of the view's clock."""

    queued_at: float
    payload: bytes
    client_context: bytes
    result: bytes | None


class View:
    """
    Turns happenings into events.

    Args:
        sink: Takes each event; it must not block. None: nobody watches.
        tape: Takes each event of a recording; it must not block. None: nothing is recorded.
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
        tape: Callable[[Event], None] | None = None,
    ) -> None:
        self._sink = sink
        self._tape = tape
        self._now_ms = now_ms
        self._clock = clock
        self._hidden: dict[str, None] = {}
        # What happened before `started`, which is to be first.
        self._held: list[Callable[[], None]] | None = []
        self._messages = _Bucket(clock, events_per_s)
        self._invocations = _Bucket(clock, events_per_s)

    @property
    def wanted(self) -> bool:
        """Whether anybody watches or records."""
        return self._sink is not None or self._tape is not None

    @property
    def recording(self) -> bool:
        """Whether there is a tape."""
        return self._tape is not None

    def hide(self, values: Iterable[str]) -> None:
        """
        Keep secrets off the tape, as they are and as JSON writes them.

        Shorter ones than four characters stay: without them a tape would say nothing.
        """
        for value in values:
            if len(value) >= _HIDDEN_CHARS:
                self._hidden |= dict.fromkeys((value, json.dumps(value)[1:-1]))

    def hide_secret(self, value: bytes) -> None:
        """Keep the value of a secret off the tape; if it is JSON, also each text in it."""
        forms = [base64.b64encode(value).decode()]
        with suppress(UnicodeDecodeError, RecursionError):
            text = value.decode()
            forms.append(text)
            with suppress(ValueError):
                forms += _texts(json.loads(text))
        self.hide(forms)

    def started(self, root: str, pid: int) -> None:
        """Say that the core is ready: the first event, then what happened before it."""
        held, self._held = self._held or [], None
        self._emit({"event": "started", "schema": SCHEMA, "root": root, "pid": pid})
        for hand_out in held:
            hand_out()

    def message(
        self,
        source: str,
        subject: str,
        target: str | None,
        payload: bytes,
        outcome: str,
        reason: str | None = None,
        row: str | None = None,
    ) -> None:
        """Show a message at one target; no target means that no row matched."""
        shown = self._sink is not None and self._messages.take()
        if not shown and self._tape is None:
            return
        if shown:
            self._tell_skipped()
        event = {
            "event": "message",
            "source": source,
            "subject": subject,
            "target": target,
            **_payload_fields(payload),
            "outcome": outcome,
            "reason": reason,
        }
        recorded = {} if self._tape is None else {**self._visible(payload), "subscription": row}
        self._emit(event, recorded, shown=shown)

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
        request: Request | None = None,
    ) -> None:
        """
        Show a run of a handler that got its outcome.

        Args:
            subject: The topic of the message that triggered it.
            type: `message`, `event`, or `call`: of these alone somebody hears the outcome.
            error: `errorType`, `errorMessage` and `stackTrace` of a run that failed.
            request: For the tape, where the caller is no function of the group: what it asked.
        """
        shown = self._sink is not None and self._invocations.take()
        if not shown and self._tape is None:
            return
        if shown:
            self._tell_skipped()
        event = {
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
        recorded = {"request": None if request is None else self._request(request)}
        self._emit(event, recorded, shown=shown)

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
        if self._tape is not None:
            self._emit({"event": "skipped", "count": count}, shown=False)

    def flush(self) -> None:
        """Tell how many events were skipped and not yet told: now and then, and at the end."""
        self._tell_skipped()

    def _tell_skipped(self) -> None:
        count = self._messages.skipped + self._invocations.skipped
        if count:
            self._messages.skipped = self._invocations.skipped = 0
            if self._sink is not None:
                self._emit({"event": "skipped", "count": count}, recorded=None)

    def _emit(self, event: Event, recorded: Event | None = _NOTHING, *, shown: bool = True) -> None:
        """Hand out an event; `recorded` is what the tape has beside it, None: not on the tape."""
        if not self.wanted:
            return
        # Keys in the order of the documentation: what, when, then the rest.
        event = {"event": event["event"], "at_ms": self._now_ms(), **event}

        def hand_out() -> None:
            if shown and self._sink is not None:
                self._sink(event)
            if recorded is not None and self._tape is not None:
                self._tape(self._masked({**event, **recorded}))

        if self._held is not None:
            self._held.append(hand_out)
        else:
            hand_out()

    def _request(self, request: Request) -> Event:
        since_ms = round((self._clock() - request.queued_at) * 1000)
        return {
            "at_ms": self._now_ms() - max(since_ms, 0),
            **self._visible(request.payload),
            "client_context": request.client_context.decode("utf-8", "replace") or None,
            "result": None if request.result is None else self._visible(request.result),
        }

    def _visible(self, payload: bytes) -> Event:
        """Return the keys of a payload without what is hidden, also where it is no text."""
        for secret in self._hidden:
            payload = payload.replace(secret.encode(), HIDDEN.encode())
        return _payload_fields(payload)

    def _masked(self, value: Any) -> Any:
        """Return a part of an event without what is hidden."""
        if isinstance(value, str):
            for secret in self._hidden:
                value = value.replace(secret, HIDDEN)
        elif isinstance(value, dict):
            return {key: self._masked(each) for key, each in value.items()}
        elif isinstance(value, list):
            return [self._masked(each) for each in value]
        return value


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


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for each in value for text in _texts(each)] if isinstance(value, list) else []


def _payload_fields(payload: bytes) -> Event:
    """Return `payload` and `encoding`: text if it is UTF-8, else base64."""
    try:
        return {"payload": payload.decode("utf-8"), "encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"payload": base64.b64encode(payload).decode("ascii"), "encoding": "base64"}

# SPDX-License-Identifier: Apache-2.0
"""
The view of `greengrass run`: events as lines of text or of JSON.

The core hands over events from its event loop and must never wait for a terminal or a pipe, so a
thread writes and a bounded queue lies between. If the reader of our output stalls, events are
counted instead of kept and reported as one `skipped` event; log records have a far larger bound,
because they are what a person looks for. A reader that goes away ends the run cleanly.
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO

from greengrass_sdk.cli._output import Paint, is_unicode, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    Event = dict[str, Any]

__all__ = ["EventWriter", "JsonLines", "LiveText"]

QUEUED_EVENTS = 10_000
QUEUED_LOGS = 200_000
PIPE_PAYLOAD_CHARACTERS = 4096
ROUTE_COLUMNS = (16, 36)
LEVEL_STYLES = {
    "DEBUG": "dim",
    "WARNING": "yellow",
    "WARN": "yellow",
    "ERROR": "red",
    "FATAL": "red",
}
NOT_STARTED = "the function does not start: "  # what the pool puts before an import error
ENDED = " ended unhandled: "  # what the reporter says of an item that it ended
QUIET_SYSTEM_LEVELS = ("TRACE", "DEBUG", "INFO")


class JsonLines:
    """Renders each event as one line of JSON."""

    def __init__(self, *, unicode: bool = True) -> None:
        import json

        self._dumps = json.JSONEncoder(ensure_ascii=not unicode, separators=(",", ":")).encode

    def render(self, event: Event) -> str:
        """Return the line, without its end."""
        return self._dumps(event)


class LiveText:
    """Renders each event as a line for people; an empty string means: not worth a line."""

    def __init__(self, *, paint: Paint, columns: int | None, unicode: bool, verbose: bool) -> None:
        self._paint = paint
        self._columns = columns
        self._arrow = "→" if unicode else "->"
        self._ellipsis = "…" if unicode else "..."
        self._verbose = verbose
        self._width = ROUTE_COLUMNS[0]
        self._told: dict[str | None, str] = {}  # the last record of each function, None: the core
        self._kinds: dict[str, Callable[[Event], tuple[str, str]]] = {
            "message": self._message,
            "invocation": self._invocation,
            "function": self._function,
            "log": self._log,
            "skipped": self._skipped,
        }

    @classmethod
    def for_stream(cls, stream: TextIO, *, verbose: bool) -> LiveText:
        """Fit the lines to `stream`: cut and coloured on a terminal, whole and plain elsewhere."""
        columns = None
        if stream.isatty():
            try:
                columns = os.get_terminal_size(stream.fileno()).columns or None
            except OSError:
                columns = None
        paint, unicode = Paint.for_stream(stream), is_unicode(stream)
        return cls(paint=paint, columns=columns, unicode=unicode, verbose=verbose)

    def render(self, event: Event) -> str:
        """Return the line or lines, without the last end."""
        kind = self._kinds.get(event["event"])
        if kind is None or not self._wanted(event):
            return ""
        if event["event"] == "log":
            self._told[event.get("function")] = str(event["message"])
        who, what = kind(event)
        self._width = min(max(self._width, len(who)), ROUTE_COLUMNS[1])
        stamp = self._paint(_clock(event["at_ms"]), "dim")
        return f"{stamp} {self._paint(who.ljust(self._width), 'cyan')}  {what}".rstrip()

    def _wanted(self, event: Event) -> bool:
        if self._verbose:
            return True
        if event["event"] == "invocation":  # a message and its log lines say enough if all is well
            return event.get("subject") is None or event["outcome"] != "ok"
        if self._just_told(event):
            return False
        system = event["event"] == "log" and event.get("function") is None
        return not (system and event["level"] in QUIET_SYSTEM_LEVELS)

    def _just_told(self, event: Event) -> bool:
        """Return whether the record before, which says more, told the same."""
        if event["event"] == "message" and event["target"] is None:
            what = f"topic {event['subject']!r} from {event['source']!r}; dropped"
            return what in self._told.pop(None, "")
        if event["event"] == "function" and event["state"] == "failed":
            reason = str(event.get("reason") or "").removeprefix(NOT_STARTED)
            return bool(reason) and reason in self._told.pop(event["function"], "")
        if event["event"] == "log" and event.get("function") is not None:
            _, ended, reason = str(event["message"]).partition(ENDED)
            return bool(ended) and reason in self._told.get(event["function"], "")
        return False

    def _message(self, event: Event) -> tuple[str, str]:
        who = f"{event['source']} {self._arrow} {event['target'] or '?'}"
        subject = printable(event["subject"])
        payload = self._payload(event["payload"], event["encoding"], len(subject))
        what = f"{self._paint(subject, 'bold')}  {payload}"
        if event["outcome"] == "dropped":
            reason = printable(str(event.get("reason") or "no row of the group matches"))
            what = f"{self._paint('dropped', 'red', 'bold')} ({reason})  {what}"
        return who, what

    def _invocation(self, event: Event) -> tuple[str, str]:
        outcome = str(event["outcome"])
        if outcome == "ok":
            ended = self._paint(outcome, "green")
        else:  # "handled" alone reads like a success
            ended = self._paint(f"failed ({outcome})", "red")
        who = f"{event['caller']} {self._arrow} {event['function']}"
        duration = event.get("duration_ms")
        took = "" if duration is None else f" in {duration:.1f} ms"
        subject = event.get("subject")
        what = "invoked" if subject is None else f"ran for {printable(subject)}"
        return who, f"{what}: {ended}{took}"

    def _function(self, event: Event) -> tuple[str, str]:
        state = str(event["state"])
        pid = f", pid {event['pid']}" if event.get("pid") else ""
        reason = str(event.get("reason") or "")
        if state == "waiting":  # the line before said why; what is new is when it goes on
            reason = reason.rpartition("; ")[2]
        why = f": {printable(reason)}" if reason else ""
        return str(event["function"]), f"{self._paint(state, 'magenta')}{pid}{why}"

    def _log(self, event: Event) -> tuple[str, str]:
        level = str(event["level"])
        lines = [printable(line) for line in str(event["message"]).splitlines()] or [""]
        indent = " " * (len(_clock(0)) + 3 + self._width)
        text = ("\n" + indent).join(lines)
        label = self._paint(f"{level:<5}", LEVEL_STYLES.get(level, "blue"))
        return str(event.get("function") or "greengrass"), f"{label} {text}"

    def _skipped(self, event: Event) -> tuple[str, str]:
        return self._ellipsis, self._paint(f"{event['count']} messages not shown", "dim")

    def _payload(self, payload: str, encoding: str, subject_characters: int) -> str:
        if encoding == "base64":
            payload = _bytes_text(payload)
        text = printable(payload)
        room = PIPE_PAYLOAD_CHARACTERS
        if self._columns is not None:
            used = len(_clock(0)) + self._width + subject_characters + 6
            room = max(self._columns - used, 20)
        if len(text) <= room:
            return text
        return text[: room - len(self._ellipsis)] + self._ellipsis


class EventWriter:
    """Writes events from a thread of its own; `put` never blocks, and any thread may call it."""

    def __init__(
        self,
        stream: TextIO,
        render: Callable[[Event], str],
        *,
        on_closed: Callable[[], None] | None = None,
        queued_events: int = QUEUED_EVENTS,
        queued_logs: int = QUEUED_LOGS,
    ) -> None:
        self._stream = stream
        self._render = render
        self._on_closed = on_closed
        self._bounds = {True: queued_logs, False: queued_events}
        self._queue: deque[Event] = deque()
        self._queued = {True: 0, False: 0}
        self._skipped = 0
        self._ended = False
        self._broken = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="greengrass-view", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Return whether the reader of the stream is gone."""
        return self._broken

    def put(self, event: Event) -> None:
        """Queue one event; beyond the bound it is only counted."""
        is_log = event["event"] == "log"
        with self._wake:
            if self._broken or self._ended:
                return
            if self._queued[is_log] >= self._bounds[is_log]:
                self._skipped += 1
                return
            self._queued[is_log] += 1
            self._queue.append(event)
            self._wake.notify()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued and end the thread; a reader that stalls longer loses the rest."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _write(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                for event in batch:
                    if line := self._render(event):
                        self._stream.write(line + "\n")
                        self._stream.flush()
        except (OSError, ValueError):  # the reader went away, or the stream was closed under us
            with self._wake:
                self._broken = True
                self._queue.clear()
            if self._on_closed is not None:
                self._on_closed()

    def _next_batch(self) -> list[Event] | None:
        with self._wake:
            while not self._queue and not self._ended:
                self._wake.wait()
            if not self._queue and not self._skipped:
                return None
            batch = list(self._queue)
            self._queue.clear()
            self._queued = {True: 0, False: 0}
            if self._skipped:
                at_ms = time.time_ns() // 1_000_000
                batch.append({"event": "skipped", "at_ms": at_ms, "count": self._skipped})
                self._skipped = 0
            return batch


def _clock(at_ms: int) -> str:
    """Return the local time of day with milliseconds."""
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000)) + f".{at_ms % 1000:03d}"


def _bytes_text(payload: str) -> str:
    try:
        data = base64.b64decode(payload)
    except (binascii.Error, ValueError):
        return payload
    return f"<{len(data)} bytes> {data[:64].hex(' ')}"

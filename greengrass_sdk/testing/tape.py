# SPDX-License-Identifier: Apache-2.0
"""
Tapes: what `greengrass run --record` wrote, read as stimuli and outputs.

A stimulus came from outside of the functions: a message of the cloud, a device or a client, or an
invocation by a command or a client. An output is what the functions did: a message, the result of
such an invocation, an error that no caller was told. What functions ask of each other follows from
the stimuli, and so does what services of the core publish.

`docs/reference/tapes.md` describes the lines.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from greengrass_sdk.errors import GreengrassError
from greengrass_sdk.model.arn import CLOUD, SHADOW_SERVICE

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    Event = dict[str, Any]

__all__ = ["Output", "Stimulus", "Tape", "TapeError", "failure_text", "read_tape"]

VERSION = 1
_SHOWN_CHARS = 500  # of an error's message: more is cut here and there


class TapeError(GreengrassError, ValueError):
    """
    Raised when a tape cannot be read or replayed.

    Attributes:
        file: The tape.
        line: Number of the line that is wrong, from 1; 0 if it is none.
    """

    code = "Tape"

    def __init__(self, message: str, *, file: str = "", line: int = 0) -> None:
        where = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(where + message)
        self.file = file
        self.line = line


class Stimulus(NamedTuple):
    """
    Something that came from outside.

    Attributes:
        at_s: Seconds since the start of the tape.
        line: Where it stands on the tape.
        kind: `message`; `call`, an invocation whose caller waited; `event`, one that did not.
        source: Who published or invoked.
        target: The topic, or the function.
        client_context: Of an invocation, JSON.
    """

    at_s: float
    line: int
    kind: str
    source: str
    target: str
    payload: bytes
    client_context: str | None = None


class Output(NamedTuple):
    """
    Something that functions did.

    Attributes:
        kind: `message`; `result` or `failure` of an invocation from outside; `error` that no caller
            was told.
        function: Who did it.
        about: The topic of a message; what a failed run was for: a topic, or `invocation`.
        payload: Of the message or result; else what went wrong, as text.
        targets: Which functions and services got the message, and whether the cloud did.
        at_s: Seconds since the start; not compared.
    """

    kind: str
    function: str
    about: str
    payload: bytes
    targets: tuple[str, ...]
    at_s: float

    def describe(self) -> str:
        """Return it as one line for people."""
        text = self.payload.decode("utf-8", "backslashreplace")
        if self.kind != "message":
            return text
        return f"{text} -> {', '.join(self.targets) or 'nobody'}"


class Tape:
    """
    A whole tape.

    Attributes:
        path: The file.
        group: What its first line says of the group.
        began_at: Epoch seconds of second 0: when the pinned functions ran.
        length_s: How long it is.
        stimuli: In the order of their times.
        outputs: In the order of the tape.
    """

    def __init__(self, path: Path, group: Event, began_at: float, length_s: float) -> None:
        self.path = path
        self.group = group
        self.began_at = began_at
        self.length_s = length_s
        self.stimuli: list[Stimulus] = []
        self.outputs: list[Output] = []

    @property
    def functions(self) -> dict[str, Event]:
        """The functions of the group: `code`, `handler`, `pinned`, `encoding` of each."""
        functions: dict[str, Event] = self.group["functions"]
        return functions

    @property
    def group_file(self) -> Path | None:
        """The group file, None if there was none, as for a zip."""
        file = self.group["file"]
        return None if file is None else self.near(file)

    def near(self, path: str) -> Path:
        """Return a path that the tape names relative to itself."""
        return (self.path.absolute().parent / path).resolve()

    def counted_targets(self, targets: Iterable[str]) -> tuple[str, ...]:
        """Return those whom a message reaches whoever is connected: no devices, no clients."""
        known = {*self.functions, CLOUD, SHADOW_SERVICE}
        return tuple(target for target in targets if target in known)


def failure_text(outcome: str, error_type: str, message: str) -> bytes:
    """Return how a run failed, in words that do not differ from run to run."""
    if outcome != "handled":
        return outcome.encode()  # a reason holds times, numbers of processes and requests
    return f"{error_type}: {message}"[:_SHOWN_CHARS].encode("utf-8", "replace")


def read_tape(path: str | os.PathLike[str]) -> Tape:
    """
    Read a tape.

    Raises:
        TapeError: It is none, of another version, cut off, or something is missing on it.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TapeError(f"cannot be read: {error.strerror}", file=str(file)) from error
    events = list(_events(data, str(file)))
    head = _check_head(events, str(file))
    if events[-1][1]["event"] != "ended":
        raise TapeError(
            "the tape ends before the recording did: its core was killed, or the file is only a"
            " part of it; record it again, and stop it with Ctrl-C",
            file=str(file),
            line=events[-1][0],
        )
    began_ms = _began_ms(events, head)
    ended_ms = events[-1][1]["at_ms"]
    tape = Tape(file, head["group"], began_ms / 1000, max(ended_ms - began_ms, 0) / 1000)
    reader = _Reader(tape, str(file), began_ms)
    for number, event in events[1:]:
        reader.take(number, event)
    # One that was called is on the tape when it ended, later than what it caused.
    tape.stimuli.sort(key=lambda stimulus: stimulus.at_s)
    return tape


def _events(data: bytes, file: str) -> Iterator[tuple[int, Event]]:
    """Yield the events with the numbers of their lines."""
    if not data.strip():
        raise TapeError("the file is empty", file=file)
    lines = data.split(b"\n")
    is_cut = bool(lines.pop())
    if is_cut:
        raise TapeError(
            "the line is cut off in the middle: the tape ends before the recording did",
            file=file,
            line=len(lines) + 1,
        )
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TapeError(f"the line is not JSON: {error}", file=file, line=number) from error
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise TapeError("the line is no event of a tape", file=file, line=number)
        if not isinstance(event.get("at_ms"), int):
            raise TapeError("the event has no time `at_ms`", file=file, line=number)
        yield number, event


def _check_head(events: list[tuple[int, Event]], file: str) -> Event:
    number, head = events[0]
    if head["event"] != "started":
        raise TapeError(
            "a tape begins with the event 'started'; was its beginning cut off?",
            file=file,
            line=number,
        )
    version = head.get("tape")
    if version is None:
        raise TapeError(
            "this is the output of `greengrass run --json`, which may leave events out; record a"
            " tape with `greengrass run --record FILE`",
            file=file,
            line=number,
        )
    if version != VERSION:
        raise TapeError(
            f"the tape is of version {version}, this package reads version {VERSION}",
            file=file,
            line=number,
        )
    group = head.get("group")
    if not isinstance(group, dict) or not {"file", "functions", "subscriptions"} <= group.keys():
        raise TapeError("the tape does not say what group it is of", file=file, line=number)
    return head


def _began_ms(events: list[tuple[int, Event]], head: Event) -> int:
    """
    Return when the last pinned function came to run for the first time, or else the start.

    No later than the first message: one may come while the core starts, and a pinned function may
    publish while it is imported.
    """
    functions: dict[str, Event] = head["group"]["functions"]
    waiting = {name for name, function in functions.items() if function.get("pinned")}
    began: int = head["at_ms"]
    for _, event in events:
        if event["event"] == "message":
            at_ms: int = event["at_ms"]
            return at_ms if event.get("source") in waiting else min(began, at_ms)
        if event["event"] == "function" and event.get("state") == "running":
            if event.get("function") in waiting:
                began = event["at_ms"]
            waiting.discard(event.get("function"))
    return began


class _Reader:
    """Turns the events of a tape into stimuli and outputs."""

    def __init__(self, tape: Tape, file: str, began_ms: int) -> None:
        self._tape = tape
        self._file = file
        self._began_ms = began_ms
        self._line = 0
        self._publish: tuple[str, str, bytes] | None = None  # of which the events are being read
        self._rows: set[str] = set()

    def take(self, number: int, event: Event) -> None:
        """Read one event; kinds that are not known say nothing."""
        self._line = number
        try:
            if event["event"] == "message":
                self._message(event)
            elif event["event"] == "invocation":
                self._invocation(event)
            elif event["event"] == "skipped":
                raise self._error(
                    f"{event['count']} events are missing here, because more happened than could"
                    " be recorded; a replay would not be true"
                )
        except (KeyError, TypeError, AttributeError) as error:
            kind = event["event"]
            raise self._error(f"the event {kind!r} is not complete: {error!r}") from error

    def _error(self, message: str) -> TapeError:
        return TapeError(message, file=self._file, line=self._line)

    def _seconds(self, at_ms: int) -> float:
        return max(at_ms - self._began_ms, 0) / 1000

    def _message(self, event: Event) -> None:
        """Read what became of a message at one target; events with other rows may follow."""
        source, subject, payload = event["source"], event["subject"], self._payload(event)
        row, got_it = event["subscription"], event["outcome"] == "delivered"
        counted = self._tape.counted_targets((event["target"],) if got_it else ())
        if (source, subject, payload) == self._publish and row not in {None, *self._rows}:
            self._rows.add(row)
            if source in self._tape.functions:
                last = self._tape.outputs[-1]
                self._tape.outputs[-1] = last._replace(targets=last.targets + counted)
            return
        self._publish, self._rows = (source, subject, payload), {row}
        at_s = self._seconds(event["at_ms"])
        if source in self._tape.functions:
            output = Output("message", source, subject, payload, counted, at_s)
            self._tape.outputs.append(output)
        elif source != SHADOW_SERVICE:
            stimulus = Stimulus(at_s, self._line, "message", source, subject, payload)
            self._tape.stimuli.append(stimulus)

    def _invocation(self, event: Event) -> None:
        function, kind, request = event["function"], event["type"], event["request"]
        if request is not None:
            stimulus = Stimulus(
                self._seconds(request["at_ms"]),
                self._line,
                kind,
                event["caller"],
                function,
                self._payload(request),
                request["client_context"],
            )
            self._tape.stimuli.append(stimulus)
        if function not in self._tape.functions:
            return
        at_s, about, error = self._seconds(event["at_ms"]), event["subject"], event["error"]
        text = b""
        if error is not None:
            text = failure_text(event["outcome"], error["errorType"], error["errorMessage"])
        if kind == "call" and request is not None:
            result = ("failure", text) if text else ("result", self._payload(request["result"]))
            output = Output(result[0], function, "", result[1], (), at_s)
            self._tape.outputs.append(output)
        elif kind != "call" and text:
            about = "invocation" if about is None else about
            self._tape.outputs.append(Output("error", function, about, text, (), at_s))

    def _payload(self, event: Event) -> bytes:
        text, encoding = event["payload"], event["encoding"]
        if encoding != "base64":
            return bytes(text.encode("utf-8", "surrogatepass"))
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self._error(f"the payload is no base64: {error}") from error

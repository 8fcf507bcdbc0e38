# SPDX-License-Identifier: Apache-2.0
"""What a test can ask for afterwards: messages, log records, failures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Delivery", "FunctionFailure", "LogRecord", "Message", "Messages"]

Outcome = Literal["delivered", "dropped", "waiting"]

_SHOWN = 200  # characters of a payload, where it is shown to people


class Delivery:
    """
    What became of a message at one target.

    `outcome` is `delivered`, `dropped`, or `waiting` (for the cloud); `reason` says why it was not
    delivered; `subscription` is the id of the row.
    """

    __slots__ = ("outcome", "reason", "subscription", "target")

    def __init__(self, target: str, outcome: Outcome, reason: str, subscription: str) -> None:
        self.target = target
        self.outcome: Outcome = outcome
        self.reason = reason
        self.subscription = subscription

    def __repr__(self) -> str:
        why = f", {self.reason}" if self.reason else ""
        return f"Delivery({self.target!r}, {self.outcome}{why})"


class Message:
    """
    A message that was published, whether somebody got it or not.

    Attributes:
        subject: The topic.
        source: Name of the function or device that published it, or `cloud`.
        payload: The bytes.
        deliveries: One for each target that a row of the table names.
        time: Epoch seconds of the virtual clock.
        nearest: If no row matched, the one that came closest, and what it lacked.
    """

    __slots__ = ("_refusal", "deliveries", "nearest", "payload", "source", "subject", "time")

    def __init__(
        self,
        subject: str,
        source: str,
        payload: bytes,
        deliveries: Iterable[Delivery] = (),
        *,
        time: float = 0.0,
        nearest: str = "",
        refusal: str = "",
    ) -> None:
        self.subject = subject
        self.source = source
        self.payload = payload
        self.deliveries = tuple(deliveries)
        self.time = time
        self.nearest = nearest
        self._refusal = refusal

    def json(self) -> Any:
        """
        Return the payload, decoded.

        Raises:
            ValueError: It is not JSON.
        """
        try:
            return json.loads(self.payload)
        except ValueError as error:
            shown = _short(self.payload)
            error.add_note(f"the message on {self.subject!r} is no JSON, it is: {shown}")
            raise

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode("utf-8", "replace")

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of those who got it, in the order of the rows."""
        return tuple(d.target for d in self.deliveries if d.outcome == "delivered")

    @property
    def outcome(self) -> Outcome:
        """`delivered` if anybody got it, else `waiting` for the cloud, else `dropped`."""
        found = {delivery.outcome for delivery in self.deliveries}
        if "delivered" in found:
            return "delivered"
        return "waiting" if "waiting" in found else "dropped"

    @property
    def reason(self) -> str:
        """Why it was dropped, at the first target that did; empty if nobody did."""
        if self._refusal or not self.deliveries:
            return self._refusal or "no subscription matches"
        return next((d.reason for d in self.deliveries if d.reason), "")

    def __repr__(self) -> str:
        got = f"-> {', '.join(self.targets)}" if self.targets else self.outcome
        return f"Message({self.subject!r} from {self.source!r}, {_short(self.payload)}, {got})"

    def describe(self) -> str:
        """Return one line for people: who, what, and what became of it."""
        told = []
        for delivery in self.deliveries:
            why = f" ({delivery.reason})" if delivery.reason else ""
            told.append(f"{delivery.outcome} to {delivery.target}{why}")
        if not self.deliveries:
            told.append("dropped: no subscription matches")
            if self.nearest:
                told.append(self.nearest)
        return f"{self.source}: {self.subject} {_short(self.payload)}: {'; '.join(told)}"


class Messages(Sequence[Message]):
    """
    Messages in the order of their publishing; a sequence that says what is missing.

    Args:
        found: The messages.
        explain: Returns what happened instead, for the text of a failure.
    """

    __slots__ = ("_explain", "_found")

    def __init__(self, found: Iterable[Message], explain: Callable[[], str]) -> None:
        self._found = tuple(found)
        self._explain = explain

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Messages: ...
    def __getitem__(self, index: int | slice) -> Message | Messages:
        if isinstance(index, slice):
            return Messages(self._found[index], self._explain)
        try:
            return self._found[index]
        except IndexError:
            raise IndexError(
                f"message {index} was asked for, there are {len(self)}: {self._explain()}"
            ) from None

    def __len__(self) -> int:
        return len(self._found)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Messages):
            return self._found == other._found
        if isinstance(other, list | tuple):
            return list(self._found) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        if not self._found:
            return f"<no messages: {self._explain()}>"
        return repr(list(self._found))

    def one(self) -> Message:
        """
        Return the only message.

        Raises:
            AssertionError: There is none, or there are several; says what happened instead.
        """
        __tracebackhide__ = True
        if len(self._found) != 1:
            raise AssertionError(
                f"one message was expected, there are {len(self)}: {self._explain()}"
            )
        return self._found[0]

    @property
    def payloads(self) -> list[bytes]:
        """The payloads."""
        return [message.payload for message in self._found]

    def json(self) -> list[Any]:
        """Return the payloads, decoded."""
        return [message.json() for message in self._found]


class LogRecord:
    """One record of a function's log: `level` (DEBUG, INFO, ...), `message`, `origin`, `time`."""

    __slots__ = ("level", "message", "origin", "time")

    def __init__(self, level: str, message: str, origin: str, time: float) -> None:
        self.level = level
        self.message = message
        self.origin = origin
        self.time = time

    def __repr__(self) -> str:
        return f"LogRecord({self.level} {self.origin}: {self.message!r})"

    def describe(self) -> str:
        """Return it as one line of a log, or several if the message has them."""
        return f"[{self.level}]-{self.origin},{self.message}"


class FunctionFailure:
    """
    An error in a function that no caller was told.

    Attributes:
        function: Name of the function.
        outcome: `handled`, `unhandled`, `timeout`, `import`, or `thread`.
        exception: What was raised; None where nothing was, as for a timeout.
        text: The traceback, or the reason.
        trigger: What ran: the subject of a message, or `invocation`.
        request_id: Of the run, None outside of one.
    """

    __slots__ = ("exception", "function", "outcome", "request_id", "text", "trigger")

    def __init__(
        self,
        function: str,
        outcome: str,
        text: str,
        *,
        exception: BaseException | None = None,
        trigger: str = "",
        request_id: str | None = None,
    ) -> None:
        self.function = function
        self.outcome = outcome
        self.exception = exception
        self.text = text
        self.trigger = trigger
        self.request_id = request_id

    def __repr__(self) -> str:
        return f"FunctionFailure({self.function!r}, {self.outcome}, {self.last_line!r})"

    @property
    def last_line(self) -> str:
        """The last line of `text`: the exception, or the reason."""
        return self.text.rstrip().rpartition("\n")[2]

    def describe(self) -> str:
        """Return what failed, where, and the traceback."""
        where = f" on {self.trigger}" if self.trigger else ""
        return f"function {self.function!r} ({self.outcome}{where}):\n{self.text}"


def _short(payload: bytes) -> str:
    text = payload[:_SHOWN].decode("utf-8", "backslashreplace")
    return text + f"... ({len(payload)} bytes)" if len(payload) > _SHOWN else text or "(empty)"

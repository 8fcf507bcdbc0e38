# SPDX-License-Identifier: Apache-2.0
"""What happened in a real core: from its events to the records that tests ask for."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from greengrass_sdk.testing.explain import nearest_text
from greengrass_sdk.testing.records import Delivery, FunctionFailure, LogRecord, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.router.table import Table

    Event = dict[str, Any]

__all__ = ["Happenings"]

_NOT_IMPORTED = "the function does not start: "  # what the pool puts before an import error
_IMPORT = "due to exception: "  # what the runtime puts before it, in the log
_THREAD = "Exception in thread "
_BAD = ("ERROR", "FATAL")


class Happenings:
    """
    Messages, logs and failures so far.

    Args:
        failed: Is told of every failure that no caller hears of.
    """

    def __init__(self, table: Table, failed: Callable[[FunctionFailure], None]) -> None:
        self._table = table
        self._failed = failed
        self._last: Event = {}
        self._targets: list[str] = []
        self._unexplained: list[FunctionFailure] = []
        self.messages: list[Message] = []
        self.logs: dict[str, list[LogRecord]] = {name: [] for name in table.group.functions}
        self.skipped = 0
        """Messages and runs that the core did not show."""

    def take(self, event: Event) -> None:
        """Take the next event."""
        kind = event["event"]
        if kind == "message":
            self._message(event)
        elif kind == "invocation":
            self._invocation(event)
        elif kind == "log":
            self._log(event)
        elif kind == "function":
            self._function(event)
        elif kind == "skipped":
            self.skipped += event["count"]
        self._last = event

    # Messages: one event for each target, the targets of one message in a row.

    def _message(self, event: Event) -> None:
        text, target = event["payload"], event["target"]
        payload = base64.b64decode(text) if event["encoding"] == "base64" else text.encode()
        source, subject = event["source"], event["subject"]
        deliveries: tuple[Delivery, ...] = ()
        nearest = ""
        if target is None:
            number = self._table.number(source)
            nearest = nearest_text(self._table.nearest_row(number, subject))
        else:
            more = target in self._targets and self._continues(source, subject, payload)
            if not more:
                self._targets = list(self._rows(source, subject))
            row = self._rows(source, subject).get(target, "")
            if target in self._targets:
                self._targets = self._targets[self._targets.index(target) + 1 :]
            deliveries = (Delivery(target, event["outcome"], event["reason"] or "", row),)
            if more:
                self.messages[-1].deliveries += deliveries
                return
        time = event["at_ms"] / 1000
        self.messages.append(
            Message(subject, source, payload, deliveries, time=time, nearest=nearest)
        )

    def _continues(self, source: str, subject: str, payload: bytes) -> bool:
        if not self.messages:
            return False
        last = self.messages[-1]
        return (last.source, last.subject, last.payload) == (source, subject, payload)

    def _rows(self, source: str, subject: str) -> dict[str, str]:
        """Return the targets of a message in their order, each with the id of its row."""
        table, found = self._table, dict[str, str]()
        for number in table.index.match(table.number(source), subject.encode()):
            route = table.routes[number]
            found.setdefault(table.name(route.target), route.id)
        return found

    # Logs and failures.

    def _log(self, event: Event) -> None:
        name = event["function"]
        if name not in self.logs:
            return  # the core's own
        message = event["message"]
        record = LogRecord(event["level"], message, event["origin"], event["at_ms"] / 1000)
        self.logs[name].append(record)
        if message.startswith(_THREAD) and record.level == "ERROR":
            text = message.partition("\n")[2]
            self._failed(FunctionFailure(name, "thread", text))

    def _invocation(self, event: Event) -> None:
        name, error = event["function"], event["error"]
        if error is None or event["type"] == "call" or name not in self.logs:
            return
        text = error["errorMessage"]
        if event["outcome"] == "handled":
            text = ": ".join(part for part in (error["errorType"], text) if part)
        subject = event["subject"]
        trigger = "invocation" if subject is None else subject
        failure = FunctionFailure(
            name, event["outcome"], text, trigger=trigger, request_id=event["request_id"]
        )
        self._failed(failure)
        if event["outcome"] != "timeout":
            self._unexplained.append(failure)

    def _function(self, event: Event) -> None:
        """Note how a pinned function ended of which no item tells."""
        name, reason = event["function"], event["reason"] or ""
        if event["state"] != "failed" or not self._table.group.functions[name].pinned:
            return
        if reason.startswith(_NOT_IMPORTED):
            failure = FunctionFailure(name, "import", reason.removeprefix(_NOT_IMPORTED))
            self._failed(failure)
            self._unexplained.append(failure)
        elif (self._last.get("event"), self._last.get("message")) == ("log", reason):
            self._failed(FunctionFailure(name, "unhandled", reason))

    def explain(self) -> None:
        """Give failures the tracebacks that were logged, which come on another way."""
        claimed: set[int] = set()
        for failure in self._unexplained:
            for record in reversed(self.logs[failure.function]):
                text = record.message.rpartition(_IMPORT)[2]
                if (
                    record.level in _BAD
                    and id(record) not in claimed
                    and "Traceback " in text
                    and text.endswith(failure.text.rpartition(": ")[2])
                ):
                    claimed.add(id(record))
                    failure.text = text
                    break
        self._unexplained.clear()

# SPDX-License-Identifier: Apache-2.0
"""Tells people what the router decided: log lines, and events for the live view."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from attrs import define

from greengrass_sdk._native import Kind, request_id
from greengrass_sdk._native._py.router.events import Outcome
from greengrass_sdk._native._py.router.texts import message_of
from greengrass_sdk.core.router.table import TOOL
from greengrass_sdk.core.telemetry.view import Request
from greengrass_sdk.model.arn import SHADOW_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greengrass_sdk._native._py.router.events import Finished, Skipped, Tapped, Unrouted
    from greengrass_sdk._native._py.router.state import Item
    from greengrass_sdk.core.ports import FunctionLog
    from greengrass_sdk.core.router.table import Table
    from greengrass_sdk.core.telemetry.view import View

__all__ = ["Reporter"]

_WARNINGS_A_MINUTE = 30  # a function may publish on a new topic each time
_MINUTE_S = 60.0
_SHOWN_CHARS = 1024  # of a part of an error document
_SHOWN_FRAMES = 100
_FRAME_PARTS = 4  # file, line, function, source
_routing = logging.getLogger("greengrass_sdk.core.router")


@define(eq=False)
class Reporter:
    """
    Turns the router's events into words.

    Args:
        logs: Log of each function, by endpoint.
        view: The live view.
    """

    table: Table
    logs: Mapping[int, FunctionLog]
    boot: bytes
    view: View
    _minute: float = 0.0
    _warned: int = 0

    def tapped(self, event: Tapped) -> None:
        """Show what became of a message at one target."""
        self.view.message(
            self.table.name(event.source),
            event.topic.decode("utf-8", "replace"),
            None if event.route is None else self.table.name(event.route.target),
            event.payload,
            outcome=event.outcome,
            reason=event.reason or None,
            row=None if event.route is None else event.route.id,
        )

    def skipped(self, event: Skipped) -> None:
        """Count messages that were routed faster than they can be shown."""
        self.view.skip(event.outputs)

    def unrouted(self, event: Unrouted) -> None:
        """Warn, once for each source and topic, that nobody gets these messages."""
        if not self._may_warn():
            return
        topic = event.topic.decode("utf-8", "replace")
        row = self.table.nearest_row(event.source, topic)
        hint = "the group has no subscription"
        if row is not None:
            hint = (
                f"nearest is subscription {row['id']!r} ({row['source']} -> {row['target']}), but "
                f"{row['why']}"
            )
        source = self.table.name(event.source)
        _routing.warning(
            "no subscription routes topic %r from %r; dropped. %s", topic, source, hint
        )

    def _may_warn(self) -> bool:
        """Return whether one more warning fits in this minute; the first one too many says so."""
        now = time.monotonic()
        if now - self._minute >= _MINUTE_S:
            self._minute, self._warned = now, 0
        self._warned += 1
        if self._warned == _WARNINGS_A_MINUTE + 1:
            _routing.warning(
                "more than %d topics without a subscription in a minute; the next ones are only "
                "counted (greengrass status)",
                _WARNINGS_A_MINUTE,
            )
        return self._warned <= _WARNINGS_A_MINUTE

    def finished(self, event: Finished) -> None:
        """Log an outcome that nobody else tells, and show invocations."""
        item = event.item
        number = request_id(self.boot, item.id)
        topic = item.topic.decode("utf-8", "replace")
        if event.outcome in (Outcome.UNHANDLED, Outcome.TIMEOUT):
            what = f"message on {topic!r}" if item.kind == Kind.MESSAGE else "invocation"
            text = f"{what} {number} ended {event.outcome.value}: {message_of(event.document)}"
            if event.endpoint in self.logs:
                self.logs[event.endpoint].write("ERROR", "greengrass", text)
            else:  # a service of the core
                _routing.error("%s: %s", self.table.name(event.endpoint), text)
        if self.view.wanted:
            started = item.started_at if item.started_at is not None else item.queued_at
            self.view.invocation(
                self.table.name(item.source),
                self.table.name(event.endpoint),
                number,
                outcome=event.outcome.value,
                duration_ms=round((event.now - started) * 1000, 3),
                subject=topic if item.kind == Kind.MESSAGE else None,
                type=_type(item),
                error=None if event.outcome is Outcome.OK else _error(event.document),
                request=self._request(event) if self.view.recording else None,
            )

    def _request(self, event: Finished) -> Request | None:
        """
        Return what was asked from outside, for the tape; None if a function of the group asked.

        Nor is it on the tape what other services than that of shadows are asked and answer: it may
        be secret.
        """
        item, group = event.item, self.table.group
        asked = self.table.name(event.endpoint)
        if item.kind != Kind.INVOKE or not (asked in group.functions or asked == SHADOW_SERVICE):
            return None
        if self.table.name(item.source) not in (TOOL, *group.clients):
            return None
        result = event.document if item.is_call else None
        return Request(item.queued_at, item.payload, item.context, result)


def _type(item: Item) -> str:
    if item.kind == Kind.MESSAGE:
        return "message"
    return "call" if item.is_call else "event"


def _error(document: bytes) -> dict[str, Any]:
    """Return an error document, which functions write, cut to what is fit to be shown."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    trace = found.get("stackTrace")
    return {
        "errorType": str(found.get("errorType") or "")[:_SHOWN_CHARS],
        "errorMessage": message_of(document),
        "stackTrace": [
            [part if isinstance(part, int) else str(part)[:_SHOWN_CHARS] for part in frame]
            for frame in (trace if isinstance(trace, list) else [])[:_SHOWN_FRAMES]
            if isinstance(frame, list) and len(frame) == _FRAME_PARTS
        ],
    }

# SPDX-License-Identifier: Apache-2.0
"""Writes tapes as `greengrass run --record` does, line by line, and the group that they are of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["START_MS", "TapeBuilder", "build_house"]

START_MS = 1_800_000_000_000

GROUP = """
schema = 1
[group]
name = "house"
core = "c"
[devices.switch]
[clients.panel]
[functions.light]
code = "code"
handler = "light.handler"
[functions.clock]
code = "code"
handler = "clock.handler"
pinned = true
[[subscriptions]]
source = "cloud"
subject = "#"
target = "light"
[[subscriptions]]
source = "switch"
subject = "#"
target = "light"
[[subscriptions]]
source = "panel"
subject = "#"
target = "light"
[[subscriptions]]
source = "light"
subject = "#"
target = "cloud"
"""


def build_house(folder: Path, light: str) -> Path:
    """Write the group of the tapes to a folder; `light` is the code of its function."""
    code = folder / "code"
    code.mkdir()
    (code / "light.py").write_text(light)
    (code / "clock.py").write_text("def handler(event, context): pass\n")
    (folder / "group.toml").write_text(GROUP)
    return folder


class TapeBuilder:
    """A tape of the functions `light` (on demand) and `clock` (pinned); times are in seconds."""

    def __init__(self, *, file: str | None = "group.toml", **head: Any) -> None:
        function = {"code": "code", "encoding": "json"}
        self.group: dict[str, Any] = {
            "name": "house",
            "file": file,
            "functions": {
                "light": {**function, "handler": "light.handler", "pinned": False},
                "clock": {**function, "handler": "clock.handler", "pinned": True},
            },
            "devices": ["switch"],
            "clients": ["panel"],
            "subscriptions": [],
        }
        self.events: list[dict[str, Any]] = []
        self.add(0, "started", schema=1, root="/r", pid=1, tape=1, group=self.group, **head)

    def add(self, at_s: float, kind: str, **keys: Any) -> Self:
        at_ms = START_MS + round(at_s * 1000)
        self.events.append({"event": kind, "at_ms": at_ms, **keys})
        return self

    def message(
        self,
        at_s: float,
        source: str,
        subject: str,
        payload: str = "{}",
        *targets: str,
        encoding: str = "utf-8",
    ) -> Self:
        """Add a message, an event for each target; without targets no row matched."""
        for row, target in enumerate(targets) if targets else ((None, None),):
            self.add(
                at_s,
                "message",
                source=source,
                subject=subject,
                target=target,
                payload=payload,
                encoding=encoding,
                outcome="dropped" if target is None else "delivered",
                reason=None,
                subscription=None if row is None else f"row-{row}",
            )
        return self

    def run(self, at_s: float, function: str, subject: str | None = None, **keys: Any) -> Self:
        """Add a run of a handler."""
        known = {
            "caller": "cloud",
            "function": function,
            "request_id": "r",
            "outcome": "ok",
            "duration_ms": 1.0,
            "subject": subject,
            "type": "message",
            "error": None,
            "request": None,
        }
        return self.add(at_s, "invocation", **{**known, **keys})

    def invoked(self, at_s: float, function: str, payload: str = "{}", **keys: Any) -> Self:
        """Add an invocation by a command; it took a tenth of a second."""
        result = keys.pop("result", "null")
        request = {
            "at_ms": START_MS + round(at_s * 1000),
            "payload": payload,
            "encoding": "utf-8",
            "client_context": keys.pop("client_context", None),
            "result": None if result is None else {"payload": result, "encoding": "utf-8"},
        }
        known = {"type": "call", "caller": "tool", "request": request}
        return self.run(at_s + 0.1, function, **{**known, **keys})

    def failed(self, at_s: float, function: str, subject: str, name: str, message: str) -> Self:
        """Add a run whose handler raised."""
        error = {"errorType": name, "errorMessage": message, "stackTrace": []}
        return self.run(at_s, function, subject, outcome="handled", error=error)

    def text(self, ended_s: float = 10) -> str:
        """Return the whole tape."""
        ended = {"event": "ended", "at_ms": START_MS + round(ended_s * 1000), "skipped": 0}
        return "".join(json.dumps(event) + "\n" for event in (*self.events, ended))

    def write(self, path: Path, ended_s: float = 10) -> Path:
        """Write the whole tape."""
        path.write_text(self.text(ended_s))
        return path

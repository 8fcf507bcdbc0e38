# SPDX-License-Identifier: Apache-2.0
"""What the clients return: a message that was received, the result of an invocation."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["InvokeResult", "Message"]


class Message:
    """A message that a subscription brought: its `topic`, and its `payload` as it was published."""

    __slots__ = ("payload", "topic")

    def __init__(self, topic: str, payload: bytes) -> None:
        self.topic = topic
        self.payload = payload

    def json(self) -> Any:
        """
        Return the payload, decoded.

        Raises:
            ValueError: It is not JSON.
        """
        return _json(self.payload)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (self.topic, self.payload) == (other.topic, other.payload)

    def __hash__(self) -> int:
        return hash((self.topic, self.payload))

    def __repr__(self) -> str:
        """Show the size, not the content: payloads are never logged."""
        return f"Message(topic={self.topic!r}, payload=<{len(self.payload)} bytes>)"


class InvokeResult:
    """What a function returned: `payload` as it came, and the `request_id` of the invocation."""

    __slots__ = ("payload", "request_id")

    def __init__(self, payload: bytes, request_id: str) -> None:
        self.payload = payload
        self.request_id = request_id

    def json(self) -> Any:
        """
        Return the payload, decoded.

        Raises:
            ValueError: It is not JSON: a function with binary encoding may return anything.
        """
        return _json(self.payload)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InvokeResult):
            return NotImplemented
        return (self.payload, self.request_id) == (other.payload, other.request_id)

    def __hash__(self) -> int:
        return hash((self.payload, self.request_id))

    def __repr__(self) -> str:
        """Show the size, not the content: payloads are never logged."""
        return f"InvokeResult(payload=<{len(self.payload)} bytes>, request_id={self.request_id!r})"


def _json(payload: bytes) -> Any:
    import json

    return json.loads(payload)

# SPDX-License-Identifier: Apache-2.0
"""What the commands ask a running core, as its owner: status, publish, invoke, stop."""

from __future__ import annotations

from greengrass_sdk._native import Kind
from greengrass_sdk.client.connect import connect_tool
from greengrass_sdk.client.payloads import check_size
from greengrass_sdk.errors import RemoteProtocolError
from greengrass_sdk.wire import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Any, Self

__all__ = ["CoreTools", "ToolConnection"]

_ANSWER_S = 30.0


class ToolConnection:
    """
    One connection to a core in the role of its owner's tool.

    Args:
        root: Root of the core; None finds it as `find_core` does.

    Attributes:
        session: What the core said of itself.

    Raises:
        CoreUnavailableError: No core answers.
        AuthorizationError: The core is somebody else's.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.session = connect_tool(root)

    def request(self, op: str, *, timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """
        Ask one thing and return the answer.

        Args:
            timeout_s: None is 30 seconds, and no bound for `invoke`: the core has one for each
                invocation.

        Raises:
            GreengrassError: The core refused; the class tells why.
            LimitExceededError: The payload is too large; the core would end the connection.
            RequestTimeoutError: No answer in time.
        """
        if timeout_s is None and op != "invoke":
            timeout_s = _ANSWER_S
        self._check_size(op, fields)
        payload = control.encode({"op": op, **fields})
        answer = self.session.channel.call(Kind.CONTROL, payload=payload, timeout_s=timeout_s)
        if answer.kind != Kind.CONTROL:
            raise RemoteProtocolError(
                f"the core answered {op!r} with a frame of kind {answer.kind}"
            )
        return control.parse_answer(control.decode(answer.payload))

    def _check_size(self, op: str, fields: dict[str, Any]) -> None:
        size = len(fields.get("payload", b""))
        if op == "invoke":
            limit, what = self.session.invoke_payload_bytes, f"function {fields['function']!r}"
            check_size(size, limit, f"payload for {what}", "invoke_payload_bytes")
        elif op == "publish":
            limit, what = self.session.topic_payload_bytes, f"topic {fields['topic']!r}"
            check_size(size, limit, f"message for {what}", "topic_payload_bytes")

    def close(self) -> None:
        """End the connection."""
        self.session.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class CoreTools(ToolConnection):
    """The requests by name; the answers are those of :mod:`greengrass_sdk.core.ipc.tools`."""

    def status(self) -> dict[str, Any]:
        """Return what runs: functions, workers, clients, subscriptions, counters."""
        return self.request("status")

    def publish(self, topic: str, payload: bytes, *, source: str = "cloud") -> dict[str, Any]:
        """Publish in the name of `source`; return `deliveries`, and the `nearest` row if none."""
        fields: dict[str, Any] = {"topic": topic, "payload": payload, "as": source}
        return self.request("publish", **fields)

    def invoke(
        self, function: str, payload: bytes, *, client_context: bytes = b"", event: bool = False
    ) -> dict[str, Any]:
        """Invoke and wait for the outcome; return `outcome`, `payload` and `request_id`."""
        return self.request(
            "invoke",
            function=function,
            payload=payload,
            client_context=client_context,
            event=event,
        )

    def stop(self) -> None:
        """Have the core stop; it answers before it does."""
        self.request("stop")

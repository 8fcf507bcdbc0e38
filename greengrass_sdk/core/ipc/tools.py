# SPDX-License-Identifier: Apache-2.0
"""What the commands of the core's owner may ask of a running core."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import define, field

from greengrass_sdk._native import Flag, Frame, Kind, Status, request_id
from greengrass_sdk.errors import (
    CoreUnavailableError,
    FunctionNotFoundError,
    GreengrassError,
    InvalidInputError,
    LimitExceededError,
    QueueFullError,
    ShadowError,
)
from greengrass_sdk.model.topic import check_topic

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from greengrass_sdk._native._py.router.events import Send
    from greengrass_sdk.core.ports import Directory, Router, Shadows

__all__ = ["Tools"]

log = logging.getLogger(__name__)

_WAIT_S = 60.0  # for the change of a shadow; who waits longer asks again

_STATUS_CODES = {
    Status.NOT_FOUND: FunctionNotFoundError.code,
    Status.QUEUE_FULL: QueueFullError.code,
    Status.TOO_LARGE: LimitExceededError.code,
    Status.STOPPING: CoreUnavailableError.code,
}


@define(eq=False)
class Tools:
    """
    Answers requests of tools.

    Args:
        directory: Names and rows of the group.
        status: Returns the whole answer to `status`.
        stop: Asks the core to stop.
        shadows: The shadows of the core.
    """

    loop: asyncio.AbstractEventLoop
    router: Router
    directory: Directory
    boot: bytes
    tool_endpoint: int
    topic_payload_bytes: int
    status: Callable[[], Mapping[str, object]]
    stop: Callable[[], None]
    shadows: Shadows
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    def ask(self, request: dict[str, Any], answer: Callable[[Mapping[str, object]], None]) -> None:
        """Answer a request, now or when its invocation has ended."""
        task = self.loop.create_task(self._handle(request, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Give up requests that wait for an invocation."""
        for task in self._tasks:
            task.cancel()

    async def _handle(
        self, request: dict[str, Any], answer: Callable[[Mapping[str, object]], None]
    ) -> None:
        try:
            answer({"ok": True, **await self._dispatch(request)})
        except GreengrassError as error:
            answer({"ok": False, "code": error.code, "message": str(error)})
        except _RefusedError as refused:
            answer({"ok": False, "code": refused.code, "message": str(refused)})

    async def _dispatch(self, request: dict[str, Any]) -> Mapping[str, object]:
        operation = request.get("op")
        if operation == "status":
            return self.status()
        if operation == "publish":
            return self._publish(request)
        if operation == "invoke":
            return await self._invoke(request)
        if operation == "stop":
            self.loop.call_soon(self.stop)
            return {}
        if operation in ("shadows", "shadow-change"):
            return await self._shadows(request)
        msg = (
            f"unknown request {operation!r}; this core answers status, publish, invoke, shadows,"
            " shadow-change and stop"
        )
        raise InvalidInputError(msg)

    def _publish(self, request: dict[str, Any]) -> Mapping[str, object]:
        topic = check_topic(_text(request, "topic"))
        source = self.directory.sender(_text(request, "as"))
        payload = _data(request, "payload")
        if len(payload) > self.topic_payload_bytes:
            limit = self.topic_payload_bytes
            raise LimitExceededError(f"payload of {len(payload)} bytes; the limit is {limit} bytes")
        frame = Frame(Kind.PUBLISH, Flag.ANSWER, source, 0, topic, b"", payload)
        deliveries = [
            {
                "target": self.directory.name(tapped.route.target),
                "outcome": tapped.outcome,
                "reason": tapped.reason or None,
            }
            for tapped in self.router.traced(frame)
            if tapped.route is not None
        ]
        nearest = None if deliveries else self.directory.nearest_row(source, topic.decode())
        return {"deliveries": deliveries, "nearest": nearest}

    async def _shadows(self, request: dict[str, Any]) -> Mapping[str, object]:
        """Answer with all shadows, or with the next version of one."""
        try:
            if request["op"] == "shadows":
                return {"shadows": [list(each) for each in self.shadows.everything()]}
            thing, name = _text(request, "thing"), _text(request, "name")
            known, wait_s = request.get("version"), request.get("wait_s")
            if not isinstance(known, int | None) or not isinstance(wait_s, int | float):
                raise InvalidInputError("'version' must be a number or nil, 'wait_s' a number")
            version = await self.shadows.changed(thing, name, known, min(wait_s, _WAIT_S))
        except OSError as error:
            raise ShadowError(f"{error}; see the log GGShadowService.log") from error
        return {"version": version}

    async def _invoke(self, request: dict[str, Any]) -> Mapping[str, object]:
        answer = await self.router.call(
            self.tool_endpoint,
            _text(request, "function").encode(),
            _data(request, "client_context"),
            _data(request, "payload"),
            event=bool(request.get("event")),
        )
        if answer.kind == Kind.VERDICT and answer.flags != Status.OK:
            raise _RefusedError(
                _STATUS_CODES.get(answer.flags, "InvalidInput"), answer.payload.decode()
            )
        return {
            "outcome": _outcome(answer),
            "payload": answer.payload,
            "request_id": request_id(self.boot, int.from_bytes(answer.context, "little")),
        }


class _RefusedError(Exception):
    """An invocation that the router refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _outcome(answer: Send) -> str:
    if answer.kind == Kind.VERDICT:
        return "ok"  # an accepted event
    if answer.flags & Flag.TIMEOUT:
        return "timeout"
    if answer.flags & Flag.UNHANDLED:
        return "unhandled"
    return "handled" if answer.flags & Flag.HANDLED else "ok"


def _text(request: dict[str, Any], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        msg = f"{key!r} must be text, got {type(value).__name__}"
        raise InvalidInputError(msg)
    return value


def _data(request: dict[str, Any], key: str) -> bytes:
    value = request.get(key, b"")
    if not isinstance(value, bytes):
        msg = f"{key!r} must be bytes, got {type(value).__name__}"
        raise InvalidInputError(msg)
    return value

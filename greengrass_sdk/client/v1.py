# SPDX-License-Identifier: Apache-2.0
"""
The way AWS's SDK called the core of Greengrass V1, on the native path.

There, everything was work for a function: a publish was an event for the function GGRouter, a
shadow request one for GGShadowService, and a result was fetched by a second request. The drop-in
keeps those shapes for the code that was written for them; `Work` translates. A function with a loop
of its own took work, and reported on it, by the same door; `Desk` is that side.

Client contexts are base64 here, as on V1's wire; the core and the runtime hold them as JSON.
"""

from __future__ import annotations

from greengrass_sdk.client._client import Connection
from greengrass_sdk.errors import GreengrassError, InvalidInputError
from greengrass_sdk.model.arn import ROUTER_ARN, SECRETS_ARN, SHADOW_ARN
from greengrass_sdk.model.limits import TOPIC_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from greengrass_sdk._native._abc import Channel
    from greengrass_sdk.client.payloads import Payload
    from greengrass_sdk.client.requests import Invocation

__all__ = [
    "ROUTER_ARN",
    "SECRETS_ARN",
    "SHADOW_ARN",
    "Desk",
    "GreengrassError",
    "Work",
    "encode_client_context",
    "split_function_arn",
]

# Results that nobody fetched; the oldest is forgotten first.
_PENDING = 1024
_PATTERN = (
    r"(arn:aws(?:-[a-z]+)*:lambda:([a-z]{2}(?:-[a-z]+)+-\d):([0-9a-zA-Z]*):function:"
    r"([a-zA-Z0-9-_]+))(?::(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_POLICIES = {"": "BestEffort", "BestEffort": "BestEffort", "AllOrError": "AllOrException"}


class Work:
    """Posts work for functions and fetches results; any number of threads may use one."""

    __slots__ = ("_connection", "_pending")

    def __init__(self) -> None:
        self._connection = Connection(None, None)
        self._pending: dict[str, tuple[Channel, int, Invocation]] = {}

    def publish(self, topic: str, payload: Any, queue_full_policy: str) -> None:
        """
        Publish; the policy is BestEffort or AllOrException.

        Raises:
            GreengrassError: As `Client.publish`.
        """
        to = self._connection.short
        if (
            to is None
            or queue_full_policy != "BestEffort"
            or not to.publish(topic, payload, to.endpoint, TOPIC_BYTES, to.topic_payload_bytes)
        ):
            self._connection.publish(topic, _read(payload), queue_full_policy)

    def post(
        self, function_arn: str, payload: Any, client_context: bytes | str, invocation_type: str
    ) -> str:
        """
        Post work and return its id, for `result` unless it is an event.

        A RequestResponse that the core refuses is known at `result` only.

        Raises:
            GreengrassError: The core refused the event, or there is no core.
        """
        from greengrass_sdk._native import Kind
        from greengrass_sdk.client.requests import VERDICT_S, Invocation

        if invocation_type not in ("RequestResponse", "Event"):
            raise InvalidInputError(
                f"invocation type {invocation_type!r} must be 'RequestResponse' or 'Event'"
            )
        context = _decode_client_context(client_context)
        if function_arn in (ROUTER_ARN, f"{ROUTER_ARN}:1"):
            return self._route(payload, context)
        session = self._connection.session()
        event = invocation_type == "Event"
        call = Invocation(session, function_arn, _read(payload), None, context, event=event)
        frame = (Kind.INVOKE, call.flags, session.endpoint, call.topic, call.context, call.payload)
        if event:
            return call.accept(session.channel.call(*frame, VERDICT_S))
        number = session.channel.begin(*frame)
        self._pending[str(number)] = (session.channel, number, call)
        while len(self._pending) > _PENDING:
            channel, oldest, _ = self._pending.pop(next(iter(self._pending)))
            channel.cancel(oldest)
        return str(number)

    def result(self, function_arn: str, invocation_id: str) -> tuple[bytes, str]:
        """
        Wait for the outcome of posted work: the payload, and "", "Handled" or "Unhandled".

        Raises:
            GreengrassError: There was no outcome: the core refused the work, or is gone.
        """
        from greengrass_sdk._native import Flag, Kind

        if function_arn == ROUTER_ARN:
            return b"", ""
        channel, number, call = self._pending.pop(invocation_id, (None, 0, None))
        if channel is None or call is None:
            raise InvalidInputError(
                f"no invocation {invocation_id!r} of {function_arn!r} waits for its result"
            )
        answer = channel.finish(number)
        if answer.kind != Kind.RESULT:
            call.finish(answer)
        if answer.flags & Flag.UNHANDLED:
            return answer.payload, "Unhandled"
        return answer.payload, "Handled" if answer.flags & Flag.HANDLED else ""

    def _route(self, payload: Any, context: bytes) -> str:
        """Publish what was posted as work for GGRouter."""
        import json

        try:
            custom = json.loads(context)["custom"]
            topic, policy = custom["subject"], custom.get("queueFullPolicy", "")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInputError(
                'work for GGRouter needs {"custom": {"subject": TOPIC}} as its client context'
            ) from error
        if policy not in _POLICIES:
            raise InvalidInputError(f"queueFullPolicy {policy!r} must be one of {list(_POLICIES)}")
        self.publish(topic, payload, _POLICIES[policy])
        return ""


class Desk:
    """The worker's side: takes work and reports on it, for a function with a loop of its own."""

    __slots__ = ("_connection", "_taken")

    def __init__(self) -> None:
        self._connection = Connection(None, None)
        self._taken: dict[str, tuple[int, bool]] = {}

    def take(self) -> tuple[str, bytes, bytes]:
        """Wait for work; return its id, its payload, and its client context in base64."""
        from greengrass_sdk._native import Flag, Kind, request_id

        session = self._connection.session()
        while True:
            frame = session.channel.receive()
            if frame is None or frame.kind not in (Kind.MESSAGE, Kind.INVOKE):
                continue
            identifier = request_id(session.boot, frame.id)
            if frame.kind == Kind.MESSAGE:
                topic = frame.topic.decode("utf-8", "replace")
                context = encode_client_context({"custom": {"subject": topic}})
                self._taken[identifier] = (frame.id, True)
            else:
                context = encode_client_context(frame.context)
                self._taken[identifier] = (frame.id, bool(frame.flags & Flag.EVENT))
            return identifier, frame.payload, context

    def finish(self, invocation_id: str, payload: Payload) -> None:
        """Report the result of work."""
        from greengrass_sdk.client.payloads import encode_payload

        self._report(invocation_id, 0, bytes(encode_payload(payload)))

    def fail(self, invocation_id: str, message: str) -> None:
        """Report that the handler failed."""
        from greengrass_sdk._native import Flag

        self._report(invocation_id, Flag.HANDLED, _error_document(message, "Exception"))

    def _report(self, invocation_id: str, flags: int, payload: bytes) -> None:
        from greengrass_sdk._native import Kind

        number, discard = self._taken.pop(invocation_id, (0, False))
        if not number:
            raise InvalidInputError(f"no work {invocation_id!r} was taken here")
        session = self._connection.session()
        payload = b"" if discard and not flags else payload
        session.channel.send(Kind.RESULT, flags, session.endpoint, number, payload=payload)

    def initialized(self, message: str | None, error_type: str) -> None:
        """Report that the import failed; that it succeeded is reported by the runtime."""
        from greengrass_sdk._native import Flag, Kind

        session = self._connection.session()
        if message is not None:
            document = _error_document(message, error_type)
            session.channel.send(Kind.READY, Flag.FAILED, session.endpoint, payload=document)


def split_function_arn(arn: str) -> tuple[str, str, str, str, str]:
    """
    Return unqualified ARN, region, account, name and qualifier ("" if there is none).

    As V1 did, it takes what follows a whole ARN for granted, and no ARN of a system function.

    Raises:
        ValueError: The text does not begin with the ARN of a function.
    """
    import re

    match = re.match(_PATTERN, arn)
    if match is None:
        raise ValueError("Cannot parse given string as a function ARN.")
    unqualified, region, account, name, qualifier = match.groups()
    return unqualified, region, account, name, qualifier or ""


def encode_client_context(context: object) -> bytes:
    """Return a client context, a dict or the bytes of one, as it travelled in V1: base64."""
    import base64
    import json

    raw = context if isinstance(context, bytes) else json.dumps(context).encode()
    return base64.b64encode(raw)


def _decode_client_context(context: bytes | str) -> bytes:
    import base64
    import binascii

    try:
        return base64.b64decode(context or b"", validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidInputError(f"the client context must be base64: {error}") from error


def _read(payload: Any) -> Any:
    """Return what a file-like payload holds; None is an empty payload, as in V1."""
    if payload is None:
        return b""
    read = getattr(payload, "read", None)
    return payload if read is None else read()


def _error_document(message: str, error_type: str) -> bytes:
    import json

    document = {"errorMessage": message, "errorType": error_type, "stackTrace": []}
    return json.dumps(document).encode()

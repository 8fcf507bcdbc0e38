# SPDX-License-Identifier: Apache-2.0
"""
From arguments to frames, and from frames to results or errors; the same for both clients.

Nothing here sends or waits.
"""

from __future__ import annotations

from greengrass_sdk._native import Flag, Kind, Status, message_reader, request_id
from greengrass_sdk.client.payloads import check_size, encode_context, encode_payload
from greengrass_sdk.client.results import InvokeResult, Message
from greengrass_sdk.errors import (
    AuthorizationError,
    CoreUnavailableError,
    FunctionError,
    FunctionHandledError,
    FunctionNotFoundError,
    FunctionTimeoutError,
    FunctionUnhandledError,
    GreengrassError,
    InvalidInputError,
    LimitExceededError,
    NoSubscriptionError,
    QueueFullError,
    RemoteProtocolError,
    RequestTimeoutError,
)
from greengrass_sdk.model.arn import parse_lambda_arn
from greengrass_sdk.model.topic import check_topic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrass_sdk._native import Frame
    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.session import Session

__all__ = [
    "VERDICT_S",
    "Asked",
    "Invocation",
    "Publication",
    "ask",
    "function_address",
    "function_error",
    "invoke",
    "messages",
    "publish",
    "served",
    "service_payload",
    "timed_out",
]

# The core gives its verdict at once; after this long it hangs.
VERDICT_S = 60.0

messages = message_reader(Message)
"""Return the messages in a list of frames; a newer core may send other things, too."""

_TOPICS = 256  # that were checked; a program publishes to a few
_topics: dict[str, bytes] = {}
_addresses: dict[tuple[str, str | None], tuple[str, bytes]] = {}  # the same for functions


def _checked(topic: str) -> bytes:
    """Return the UTF-8 of a topic that may be published to, as `check_topic` does."""
    try:
        return _topics[topic]
    except (KeyError, TypeError):  # new, or no text
        raw = check_topic(topic)
        if len(_topics) >= _TOPICS:
            _topics.clear()
        _topics[topic] = raw
        return raw


def _addressed(function: str, qualifier: str | None) -> tuple[str, bytes]:
    """Return what names a function to the core, also as UTF-8; see `function_address`."""
    try:
        return _addresses[function, qualifier]
    except (KeyError, TypeError):  # new, or no text
        address = function_address(function, qualifier)
        if len(_addresses) >= _TOPICS:
            _addresses.clear()
        found = _addresses[function, qualifier] = address, address.encode()
        return found


class Publication:
    """A publish: checked, encoded, and what its verdict means."""

    __slots__ = ("_session", "_topic", "flags", "payload", "topic")

    def __init__(
        self, session: Session, topic: str, payload: Payload, queue_full_policy: str
    ) -> None:
        self._session = session
        self._topic = topic
        self.topic = _checked(topic)
        self.payload = encode_payload(payload)
        limit = session.topic_payload_bytes
        check_size(len(self.payload), limit, f"message for topic {topic!r}", "topic_payload_bytes")
        if queue_full_policy == "AllOrException":
            self.flags = Flag.ALL_OR_EXCEPTION | Flag.ANSWER
        elif queue_full_policy in ("BestEffort", ""):
            self.flags = Flag.ANSWER if session.strict else 0
        else:
            raise InvalidInputError(
                f"queue_full_policy is {queue_full_policy!r};"
                " it must be 'BestEffort' or 'AllOrException'"
            )

    @property
    def answered(self) -> bool:
        """Whether the core gives a verdict."""
        return bool(self.flags & Flag.ANSWER)

    def finish(self, answer: Frame) -> None:
        """Return if the verdict is good, else raise what it says."""
        if answer.kind != Kind.VERDICT:
            raise _unexpected("a publish", answer)
        if answer.flags != Status.OK:
            raise _refusal(
                answer, f"publish to {self._topic!r}", self._session.identity, topic=self._topic
            )


def invoke(
    session: Session,
    function: str,
    payload: Payload,
    qualifier: str | None,
    client_context: ClientContext,
    timeout_s: float | None,
) -> InvokeResult:
    """Invoke a function and wait for its result."""
    call = Invocation(session, function, payload, qualifier, client_context)
    body = (call.topic, call.context, call.payload)
    try:
        answer = session.channel.call(Kind.INVOKE, call.flags, session.endpoint, *body, timeout_s)
    except RequestTimeoutError as error:
        raise timed_out(f"invoke {call.function!r}", error.timeout_s or 0.0) from error
    return call.finish(answer)


def ask(
    session: Session, service: str, payload: Payload, client_context: bytes
) -> Frame | InvokeResult:
    """Invoke a service of the core, of whose result only the payload is looked at."""
    body = (service.encode(), client_context, service_payload(session, payload))
    return served(session, service, session.channel.call(Kind.INVOKE, 0, session.endpoint, *body))


class Asked:
    """A service of the core that was asked, and whose answer nobody waits for yet."""

    __slots__ = ("_number", "_service", "_session")

    def __init__(self, session: Session, service: str, payload: Payload) -> None:
        body = (service.encode(), b"", service_payload(session, payload))
        self._session = session
        self._service = service
        self._number = session.channel.begin(Kind.INVOKE, 0, session.endpoint, *body)

    def finish(self) -> Frame | InvokeResult:
        """Wait for the answer, once, and return it as `ask` does."""
        return served(self._session, self._service, self._session.channel.finish(self._number))

    def cancel(self) -> None:
        """Wait no more."""
        self._session.channel.cancel(self._number)


def service_payload(session: Session, payload: Payload) -> bytes | memoryview:
    """Return what a service is asked, encoded."""
    data = payload if type(payload) is bytes else encode_payload(payload)
    if len(data) > session.invoke_payload_bytes:
        check_size(len(data), session.invoke_payload_bytes, "request", "invoke_payload_bytes")
    return data


def served(session: Session, service: str, answer: Frame) -> Frame | InvokeResult:
    """Return what has the payload of a service's answer, or raise how the invocation ended."""
    if answer.kind == Kind.RESULT and not answer.flags:
        return answer
    return Invocation(session, service, b"", None, None).finish(answer)


class Invocation:
    """An invocation: checked, encoded, and what its answer means."""

    __slots__ = ("_session", "context", "flags", "function", "payload", "topic")

    def __init__(
        self,
        session: Session,
        function: str,
        payload: Payload,
        qualifier: str | None,
        client_context: ClientContext,
        *,
        event: bool = False,
    ) -> None:
        self._session = session
        self.function, self.topic = _addressed(function, qualifier)
        self.context = b"" if client_context is None else encode_context(client_context)
        self.payload = encode_payload(payload)
        self.flags = Flag.EVENT if event else 0
        limit = session.invoke_payload_bytes
        if len(self.payload) > limit:
            what = f"payload for function {function!r}"
            check_size(len(self.payload), limit, what, "invoke_payload_bytes")

    def finish(self, answer: Frame) -> InvokeResult:
        """Return the result, or raise how the invocation ended."""
        if answer.kind == Kind.VERDICT and answer.flags != Status.OK:
            raise _refusal(answer, f"invoke {self.function!r}", self.function)
        if answer.kind != Kind.RESULT:
            raise _unexpected("an invocation", answer)
        identifier = self._request_id(answer)
        if answer.flags:
            raise function_error(answer.flags, answer.payload, self.function, identifier)
        return InvokeResult(answer.payload, identifier)

    def accept(self, answer: Frame) -> str:
        """Return the request id of an event, or raise why it was refused."""
        if answer.kind != Kind.VERDICT:
            raise _unexpected("an event", answer)
        if answer.flags != Status.OK:
            raise _refusal(answer, f"invoke {self.function!r}", self.function)
        return self._request_id(answer)

    def _request_id(self, answer: Frame) -> str:
        if len(answer.context) != 8:
            raise RemoteProtocolError(
                f"the core's answer has a work id of {len(answer.context)} bytes, it must have 8"
            )
        return request_id(self._session.boot, int.from_bytes(answer.context, "little"))


def function_address(function: str, qualifier: str | None = None) -> str:
    """
    Return what names the function to the core: `NAME`, `NAME:QUALIFIER` or an ARN.

    Args:
        function: A name of the group file, or an ARN with or without qualifier.
        qualifier: The version; if the ARN has one, it must be the same.

    Raises:
        InvalidInputError: The name or ARN is malformed, or two qualifiers differ.
    """
    if not function or not isinstance(function, str):
        raise InvalidInputError(f"function must be a name or an ARN, not {function!r}")
    if function.startswith("arn:"):
        arn = parse_lambda_arn(function)
        if qualifier and arn.qualifier and arn.qualifier != qualifier:
            raise InvalidInputError(
                f"qualifier {qualifier!r} is not that of the function, {function!r}"
            )
        address = f"{arn.unqualified}:{arn.qualifier or qualifier or ''}".removesuffix(":")
    else:
        address = f"{function}:{qualifier}" if qualifier else function
    try:
        if len(address.encode()) <= 512:
            return address
    except UnicodeEncodeError:
        pass
    raise InvalidInputError(f"function {function[:80]!r} is no name of a function")


def publish(session: Session, topic: str, payload: Payload, queue_full_policy: str) -> None:
    """Publish, and wait for the verdict where there is one."""
    message = Publication(session, topic, payload, queue_full_policy)
    head = (Kind.PUBLISH, message.flags, session.endpoint)
    if message.answered:
        body = (message.topic, b"", message.payload)
        message.finish(session.channel.call(*head, *body, VERDICT_S))
    else:
        session.channel.send(*head, 0, message.topic, b"", message.payload)


def timed_out(what: str, timeout_s: float) -> RequestTimeoutError:
    """Return the error for an answer that did not come in time."""
    return RequestTimeoutError(f"{what}: no answer within {timeout_s:g} s", timeout_s=timeout_s)


def _refusal(
    answer: Frame, what: str, subject: str, *, topic: str | None = None
) -> GreengrassError:
    """Return the error that a verdict stands for, in the core's words if it has any."""
    text = answer.payload.decode("utf-8", "replace")
    status = answer.flags
    said = text or f"cannot {what}: the core refused it with status {status}"
    if status == Status.NOT_FOUND:
        return FunctionNotFoundError(said, function=subject)
    if status == Status.QUEUE_FULL:
        return QueueFullError(said, target=None if topic is not None else subject)
    if status == Status.NO_ROUTE:
        return NoSubscriptionError(said, source=subject, topic=topic)
    if status == Status.TOO_LARGE:
        return LimitExceededError(said)
    if status == Status.INVALID:
        return InvalidInputError(said)
    if status == Status.STOPPING:
        return CoreUnavailableError(said)
    return AuthorizationError(said)  # DENIED, the last that three bits can say


def function_error(flags: int, payload: bytes, function: str, identifier: str) -> FunctionError:
    """Return how an invocation ended that did not end well, by the flags of its RESULT."""
    if flags & Flag.TIMEOUT:
        kind: type[FunctionError] = FunctionTimeoutError
    elif flags & Flag.UNHANDLED:
        kind = FunctionUnhandledError
    else:
        kind = FunctionHandledError
    text = f"function {function!r} failed: {_describe(payload)}"
    return kind(text, function=function, request_id=identifier, payload=payload)


def _describe(payload: bytes) -> str:
    """Return the words of an error document, `errorType: errorMessage`."""
    import json

    try:
        document = json.loads(payload)
    except ValueError:
        return payload[:200].decode("utf-8", "replace") or "no reason given"
    if not isinstance(document, dict):
        return str(document)[:200]
    said = (document.get("errorType"), document.get("errorMessage"))
    return ": ".join(str(part)[:1000] for part in said if part) or "no reason given"


def _unexpected(what: str, answer: Frame) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the core answered {what} with a frame of kind {answer.kind}, flags {answer.flags}"
    )

# SPDX-License-Identifier: Apache-2.0
"""
Every exception that this package raises on purpose.

Start here when you wonder what a call can raise. Each class carries three class attributes:
`code` (a stable word for programs), `exit_code` (what a command of ours exits with) and
`retryable` (the same call may succeed later, unchanged). What a caller needs to react, the name
of the function, the limit that was exceeded, stands in attributes, never only in the text.

* :exc:`GreengrassError`
    * :exc:`ConfigError` (a group file, a `config.json` or a setting of the host is wrong)
    * :exc:`InvalidInputError` (also a :exc:`ValueError`)
    * :exc:`LimitExceededError`
    * :exc:`AuthorizationError` (also a :exc:`PermissionError`)
    * :exc:`CoreUnavailableError` (also a :exc:`ConnectionError`)
    * :exc:`RequestTimeoutError` (also a :exc:`TimeoutError`)
    * :exc:`QueueFullError`
    * :exc:`NoSubscriptionError`
    * :exc:`PackageError`
    * :exc:`HandlerError`
    * :exc:`ProtocolError`
        * :exc:`LocalProtocolError` (our side broke the rule)
        * :exc:`RemoteProtocolError` (the peer broke the rule)
    * :exc:`FunctionError`
        * :exc:`FunctionNotFoundError` (also a :exc:`LookupError`)
        * :exc:`FunctionHandledError`
        * :exc:`FunctionUnhandledError`
        * :exc:`FunctionTimeoutError` (also a :exc:`TimeoutError`)
    * :exc:`ShadowError`
        * :exc:`ShadowNotFoundError` (also a :exc:`LookupError`)
        * :exc:`ShadowVersionConflictError`
        * :exc:`ShadowTooLargeError`
    * :exc:`SecretError`
        * :exc:`SecretNotFoundError` (also a :exc:`LookupError`)
    * :exc:`StreamError`
        * :exc:`StreamsDisabledError` (also a :exc:`ConnectionRefusedError`)
        * :exc:`InvalidStreamRequestError` (also an :exc:`InvalidInputError`)
        * :exc:`StreamFullError`
        * :exc:`StreamUpdateError`
        * :exc:`StreamNotFoundError` (also a :exc:`LookupError`)
        * :exc:`NotEnoughMessagesError`
        * :exc:`StreamPayloadTooLargeError`
        * :exc:`StreamResponseTooLargeError`
        * :exc:`StreamReadError`
        * :exc:`StreamStoreError`
        * :exc:`StreamMemoryError` (also a :exc:`MemoryError`)
    * :exc:`DeploymentError`
    * :exc:`NativeError`

Every class can be built from its message alone, so that an error that arrives as `code` and
message over a socket is rebuilt by :func:`error_from_code`, and every instance can be pickled.

This module imports nothing: `from greengrass_sdk import Client` pays for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, ClassVar

__all__ = [
    "AuthorizationError",
    "ConfigError",
    "CoreUnavailableError",
    "DeploymentError",
    "FunctionError",
    "FunctionHandledError",
    "FunctionNotFoundError",
    "FunctionTimeoutError",
    "FunctionUnhandledError",
    "GreengrassError",
    "HandlerError",
    "InvalidInputError",
    "InvalidStreamRequestError",
    "LimitExceededError",
    "LocalProtocolError",
    "NativeError",
    "NoSubscriptionError",
    "NotEnoughMessagesError",
    "PackageError",
    "Problem",
    "ProtocolError",
    "QueueFullError",
    "RemoteProtocolError",
    "RequestTimeoutError",
    "SecretError",
    "SecretNotFoundError",
    "ShadowError",
    "ShadowNotFoundError",
    "ShadowTooLargeError",
    "ShadowVersionConflictError",
    "StreamError",
    "StreamFullError",
    "StreamMemoryError",
    "StreamNotFoundError",
    "StreamPayloadTooLargeError",
    "StreamReadError",
    "StreamResponseTooLargeError",
    "StreamStoreError",
    "StreamUpdateError",
    "StreamsDisabledError",
    "error_classes",
    "error_from_code",
]


class GreengrassError(Exception):
    """Raised when nothing more specific fits; every other error of this package is one."""

    code: ClassVar[str] = "Greengrass"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class Problem:
    """
    One thing that is wrong in a file, and where.

    `file` is the name as the user wrote it, `line` and `column` count from 1, `key` is the dotted
    path (`functions.echo.timeout_s`). Each of them is None where it is not known.
    """

    __slots__ = ("column", "file", "key", "line", "message")

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.key = key

    def __str__(self) -> str:
        """Return `file:line:column: key: message`, as editors and terminals understand it."""
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (where, self.key, self.message) if part)

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def _values(self) -> tuple[object, ...]:
        return (self.message, self.file, self.line, self.column, self.key)


class ConfigError(GreengrassError):
    """
    Raised when a group file, a `config.json` or a setting of the host is wrong.

    `problems` holds all of them, in the order of the file. A single text is enough where there is
    no file: `ConfigError("could not find UID based on user name, ...")`.
    """

    code = "Config"
    exit_code = 3

    def __init__(self, problems: str | Problem | Iterable[Problem] = "") -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        found = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in found))
        self.problems: list[Problem] = found


class InvalidInputError(GreengrassError, ValueError):
    """Raised when an argument breaks a rule: a topic, a filter, an ARN, a name, a payload."""

    code = "InvalidInput"
    exit_code = 4


class LimitExceededError(GreengrassError):
    """Raised when something exceeds a documented limit; `limit` and `actual` say by how much."""

    code = "LimitExceeded"
    exit_code = 5

    def __init__(
        self, message: str = "", *, limit: int | None = None, actual: int | None = None
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.actual = actual


class AuthorizationError(GreengrassError, PermissionError):
    """Raised when the core knows the caller and does not allow what it asks for."""

    code = "Authorization"
    exit_code = 6


class CoreUnavailableError(GreengrassError, ConnectionError):
    """Raised when no core runs, or the connection to it is gone."""

    code = "CoreUnavailable"
    exit_code = 7
    retryable = True


class RequestTimeoutError(GreengrassError, TimeoutError):
    """Raised when the core gave no answer within `timeout_s`; the request may still take effect."""

    code = "RequestTimeout"
    exit_code = 8
    retryable = True

    def __init__(self, message: str = "", *, timeout_s: float | None = None) -> None:
        super().__init__(message)
        self.timeout_s = timeout_s


class QueueFullError(GreengrassError):
    """Raised when the core refused a message or invocation: the queue of `target` is full."""

    code = "QueueFull"
    exit_code = 9
    retryable = True

    def __init__(self, message: str = "", *, target: str | None = None) -> None:
        super().__init__(message)
        self.target = target


class NoSubscriptionError(GreengrassError):
    """Raised by a strict group when no row matches a publish; `nearest` is the closest one."""

    code = "NoSubscription"
    exit_code = 10

    def __init__(
        self,
        message: str = "",
        *,
        source: str | None = None,
        topic: str | None = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(message)
        self.source = source
        self.topic = topic
        self.nearest = nearest


class PackageError(GreengrassError):
    """Raised when code cannot be used: `file` is the zip or folder, `entry` what in it is wrong."""

    code = "Package"
    exit_code = 11

    def __init__(
        self, message: str = "", *, file: str | None = None, entry: str | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.entry = entry


class HandlerError(GreengrassError):
    """Raised when a handler string names no function; `candidates` lists what is there."""

    code = "Handler"
    exit_code = 12

    def __init__(
        self, message: str = "", *, handler: str | None = None, candidates: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.handler = handler
        self.candidates = list(candidates)


class ProtocolError(GreengrassError):
    """Raised when bytes between two processes break the protocol, whoever's fault it is."""

    code = "Protocol"
    exit_code = 13


class LocalProtocolError(ProtocolError):
    """Raised when this side asked for something that the protocol does not allow."""

    code = "LocalProtocol"
    exit_code = 14


class RemoteProtocolError(ProtocolError):
    """Raised when the peer sent something that the protocol does not allow."""

    code = "RemoteProtocol"
    exit_code = 15


class FunctionError(GreengrassError):
    """
    Raised when an invocation ended badly.

    `function` is the ARN or name that was invoked, `request_id` the id of the invocation (empty
    when there was none), `payload` the error document exactly as it arrived.
    """

    code = "Function"
    exit_code = 1

    def __init__(
        self,
        message: str = "",
        *,
        function: str = "",
        request_id: str = "",
        payload: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.function = function
        self.request_id = request_id
        self.payload = payload

    def json(self) -> Any:
        """
        Return the error document, decoded.

        Raises:
            ValueError: The payload is not JSON.
        """
        import json

        return json.loads(self.payload)


class FunctionNotFoundError(FunctionError, LookupError):
    """Raised when the group has no such function, or not in that version."""

    code = "FunctionNotFound"
    exit_code = 20


class FunctionHandledError(FunctionError):
    """Raised when the handler raised, or its input or result could not be converted."""

    code = "FunctionHandled"


class FunctionUnhandledError(FunctionError):
    """Raised when the worker died: import failure, exit, signal, memory, or it never started."""

    code = "FunctionUnhandled"


class FunctionTimeoutError(FunctionError, TimeoutError):
    """Raised when the handler ran longer than the function's `timeout_s` and was stopped."""

    code = "FunctionTimeout"


class ShadowError(GreengrassError):
    """Raised when the shadow service refused a request; `status` is its code, such as 404."""

    code = "Shadow"
    exit_code = 40
    status: int = 500

    def __init__(
        self,
        message: str = "",
        *,
        thing: str = "",
        shadow: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.thing = thing
        self.shadow = shadow
        if status is not None:
            self.status = status


class ShadowNotFoundError(ShadowError, LookupError):
    """Raised when the thing has no such shadow."""

    code = "ShadowNotFound"
    exit_code = 41
    status = 404


class ShadowVersionConflictError(ShadowError):
    """Raised when an update named a version that is no longer the current one."""

    code = "ShadowVersionConflict"
    exit_code = 42
    retryable = True
    status = 409


class ShadowTooLargeError(ShadowError):
    """Raised when the state of a shadow would exceed its limit."""

    code = "ShadowTooLarge"
    exit_code = 43
    status = 413


class SecretError(GreengrassError):
    """Raised when a secret cannot be read; `secret` is its name or ARN, never its value."""

    code = "Secret"
    exit_code = 50

    def __init__(self, message: str = "", *, secret: str = "", stage: str | None = None) -> None:
        super().__init__(message)
        self.secret = secret
        self.stage = stage


class SecretNotFoundError(SecretError, LookupError):
    """Raised when there is no such secret or stage, or the function is not affiliated with it."""

    code = "SecretNotFound"
    exit_code = 51


class StreamError(GreengrassError):
    """
    Raised when the stream manager refused a request; `stream` is the name of the stream.

    `status` is the code that stands for it in AWS's protocol.
    """

    code = "Stream"
    exit_code = 33
    status: ClassVar[int] = 1

    def __init__(self, message: str = "", *, stream: str = "") -> None:
        super().__init__(message)
        self.stream = stream


class StreamsDisabledError(StreamError, ConnectionRefusedError):
    """Raised when the group has no stream manager: `[streams] enabled = true` gives it one."""

    code = "StreamsDisabled"
    exit_code = 28
    status = 12


class InvalidStreamRequestError(StreamError, InvalidInputError):
    """Raised when a request to the stream manager breaks a rule, or names a stream that exists."""

    code = "InvalidStreamRequest"
    exit_code = 34
    status = 3


class StreamFullError(StreamError):
    """Raised when a stream is full and its strategy is to reject new data."""

    code = "StreamFull"
    exit_code = 30
    status = 3


class StreamUpdateError(StreamError):
    """Raised when a definition must not change in this way."""

    code = "StreamUpdate"
    exit_code = 35
    status = 17


class StreamNotFoundError(StreamError, LookupError):
    """Raised when there is no such stream."""

    code = "StreamNotFound"
    exit_code = 31
    status = 5


class NotEnoughMessagesError(StreamError):
    """Raised when a stream held fewer messages than the reader asked for within its timeout."""

    code = "NotEnoughMessages"
    exit_code = 32
    retryable = True
    status = 13


class StreamPayloadTooLargeError(StreamError):
    """Raised when a message is larger than its stream can ever hold."""

    code = "StreamPayloadTooLarge"
    exit_code = 36
    status = 4


class StreamResponseTooLargeError(StreamError):
    """Raised when the messages that a reader wants at least are more than one answer holds."""

    code = "StreamResponseTooLarge"
    exit_code = 29
    status = 7


class StreamReadError(StreamError):
    """
    Raised when stored messages are damaged and cannot be read.

    Reading goes on at `next_sequence_number`; None: it is not known.
    """

    code = "StreamRead"
    exit_code = 37
    status = 14

    def __init__(
        self, message: str = "", *, stream: str = "", next_sequence_number: int | None = None
    ) -> None:
        super().__init__(message, stream=stream)
        self.next_sequence_number = next_sequence_number


class StreamStoreError(StreamError):
    """Raised when the disk refuses what a stream needs; the request changed nothing."""

    code = "StreamStore"
    exit_code = 38


class StreamMemoryError(StreamError, MemoryError):
    """Raised when there is no memory left for the messages of streams."""

    code = "StreamMemory"
    exit_code = 39
    status = 15


class DeploymentError(GreengrassError):
    """Raised when a deployment failed and was rolled back; `deployment_id` names it."""

    code = "Deployment"
    exit_code = 60

    def __init__(self, message: str = "", *, deployment_id: str = "") -> None:
        super().__init__(message)
        self.deployment_id = deployment_id


class NativeError(GreengrassError):
    """Raised when the C library reports a failure; `status` is its enum value, negative."""

    code = "Native"
    exit_code = 70

    def __init__(self, message: str = "", *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def error_classes() -> list[type[GreengrassError]]:
    """Return every class of the tree, parents before their children."""
    return [
        value
        for value in globals().values()
        if isinstance(value, type) and issubclass(value, GreengrassError)
    ]


def error_from_code(code: str, message: str) -> GreengrassError:
    """
    Return the error that a peer reported as `code` and `message`.

    An unknown code (a newer core) gives a plain GreengrassError whose `code` is the one received.
    """
    for cls in error_classes():
        if cls.code == code:
            return cls(message)
    error = GreengrassError(message)
    error.code = code  # type: ignore[misc]  # its own
    return error

# SPDX-License-Identifier: Apache-2.0
"""
The client of the stream manager.

In a function it asks the core directly. Where a host or port is named, by an argument, it speaks
AWS's protocol with whatever listens there.
"""

from __future__ import annotations

import logging
import os

from greengrass_sdk.client import streamlink
from greengrass_sdk.client.streamlink import Operation, shapes
from greengrasssdk.stream_manager.data import (
    Message,
    MessageStreamDefinition,
    MessageStreamInfo,
    ReadMessagesOptions,
    ResponseStatusCode,
)
from greengrasssdk.stream_manager.exceptions import (
    ClientException,
    ConnectFailedException,
    InvalidRequestException,
    MessageStoreReadErrorException,
    NotEnoughMessagesException,
    RequestPayloadTooLargeException,
    ResourceNotFoundException,
    ResponsePayloadTooLargeException,
    ServerOutOfMemoryException,
    ServerTimeoutException,
    StreamManagerException,
    UnauthorizedException,
    UnknownFailureException,
    UnknownOperationException,
    UpdateFailedException,
    UpdateNotAllowedException,
    ValidationException,
)
from greengrasssdk.stream_manager.records import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

__all__ = ["SDK_VERSION", "StreamManagerClient"]

SDK_VERSION = "1.1.1"

_HOST = "127.0.0.1"
_PORT = 8088
_EXCEPTIONS = {
    ResponseStatusCode.UnknownFailure: UnknownFailureException,
    ResponseStatusCode.Unauthorized: UnauthorizedException,
    ResponseStatusCode.InvalidRequest: InvalidRequestException,
    ResponseStatusCode.RequestPayloadTooLarge: RequestPayloadTooLargeException,
    ResponseStatusCode.ResourceNotFound: ResourceNotFoundException,
    ResponseStatusCode.ServerTimeout: ServerTimeoutException,
    ResponseStatusCode.ResponsePayloadTooLarge: ResponsePayloadTooLargeException,
    ResponseStatusCode.NotEnoughMessages: NotEnoughMessagesException,
    ResponseStatusCode.MessageStoreReadError: MessageStoreReadErrorException,
    ResponseStatusCode.OutOfMemoryError: ServerOutOfMemoryException,
    ResponseStatusCode.UpdateFailed: UpdateFailedException,
    ResponseStatusCode.UpdateNotAllowed: UpdateNotAllowedException,
    ResponseStatusCode.UnknownOperation: UnknownOperationException,
}


class StreamManagerClient:
    """
    Asks the stream manager; any number of threads may share one.

    Args:
        host: With the default, and no port, a function reaches its core directly.
        port: By default that of the environment variable STREAM_MANAGER_SERVER_PORT, else 8088.
        connect_timeout: In seconds.
        request_timeout: In seconds, for every call.

    Raises:
        ConnectionError: Nobody listens: the group has no stream manager, or there is no core.
        TimeoutError: Nobody answered.
        ConnectFailedException: The server refused this client.
    """

    def __init__(
        self,
        host: str = _HOST,
        port: int | None = None,
        connect_timeout: float = 3,
        request_timeout: float = 60,
        logger: logging.Logger = logging.getLogger("StreamManagerClient"),  # noqa: B008 - AWS's
    ) -> None:
        native = host == _HOST and port is None and streamlink.in_function()
        self.host = host
        self.port = (
            int(os.environ.get("STREAM_MANAGER_SERVER_PORT", _PORT)) if port is None else port
        )
        self.connect_timeout = connect_timeout
        self.request_timeout = request_timeout
        self.logger = logger
        self.auth_token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        self._closed = False
        self._link = self._connect(native=native)

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return not self._closed and self._link.connected

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the client cannot be used again."""
        if not self._closed:
            self._closed = True
            self._link.close()

    # --- operations --------------------------------------------------------

    def append_message(self, stream_name: str, data: bytes) -> int:
        """Append a message and return its sequence number."""
        self._check_open()
        _valid(shapes.check_name, stream_name)
        _valid(shapes.check_payload, data)
        answer = self._ask(Operation.APPEND, {"name": stream_name, "payload": data})
        number: int = answer["sequenceNumber"]
        return number

    def create_message_stream(self, definition: MessageStreamDefinition) -> None:
        """Create a stream."""
        self._check_open()
        self._ask(Operation.CREATE, {"definition": _checked(definition, "create_stream")})

    def update_message_stream(self, definition: MessageStreamDefinition) -> None:
        """Give a stream another definition; its exports are those of the new one."""
        self._check_open()
        self._ask(Operation.UPDATE, {"definition": _checked(definition, "update_message_stream")})

    def delete_message_stream(self, stream_name: str) -> None:
        """Delete a stream and its messages."""
        self._check_open()
        _valid(shapes.check_name, stream_name)
        self._ask(Operation.DELETE, {"name": stream_name})

    def read_messages(
        self, stream_name: str, options: ReadMessagesOptions | None = None
    ) -> list[Message]:
        """
        Return messages, without options one from the beginning.

        Raises:
            NotEnoughMessagesException: There were fewer than the minimum within the timeout.
        """
        self._check_open()
        self._check_options(options)
        try:
            _valid(shapes.check_name, stream_name)
        except ValidationException as error:
            text = error.message.replace("Property name ", "Property stream_name ")
            raise ValidationException(text) from None
        body: dict[str, Any] = {"streamName": stream_name}
        if options is not None:
            body["readMessagesOptions"] = options.as_dict()
        answer = self._ask(Operation.READ, body)
        return [Message.from_dict(message) for message in answer.get("messages") or ()]

    def list_streams(self) -> list[str]:
        """Return the names of all streams."""
        self._check_open()
        return list(self._ask(Operation.LIST, {}).get("streams") or ())

    def describe_message_stream(self, stream_name: str) -> MessageStreamInfo:
        """Return what a stream is, holds and has exported."""
        self._check_open()
        _valid(shapes.check_name, stream_name)
        answer = self._ask(Operation.DESCRIBE, {"name": stream_name})
        return MessageStreamInfo.from_dict(answer["messageStreamInfo"])

    # --- how ----------------------------------------------------------------

    def _connect(self, *, native: bool) -> Any:
        if native:
            return streamlink.NativeLink(self.request_timeout)
        try:
            return streamlink.StreamLink(
                self.host,
                self.port,
                token=self.auth_token,
                sdk_version=SDK_VERSION,
                connect_timeout_s=self.connect_timeout,
                request_timeout_s=self.request_timeout,
            )
        except ConnectionError as error:
            self.logger.error("Connection error while connecting to server: %s", error)  # noqa: TRY400
            raise
        except (streamlink.AuthorizationError, streamlink.ProtocolError) as error:
            self.logger.error("The server refused the connection: %s", error)  # noqa: TRY400
            raise ConnectFailedException(
                "Failed to establish connection with the server"
            ) from error

    def _ask(self, operation: int, body: dict[str, Any]) -> dict[str, Any]:
        try:
            number, answer = self._link.call(operation, body)
        except (streamlink.AuthorizationError, streamlink.ProtocolError) as error:
            raise ConnectFailedException(
                "Failed to establish connection with the server"
            ) from error
        if number == Operation.UNKNOWN:
            raise ClientException("Received response with unknown operation from server")
        _raise_on_error(answer)
        found: dict[str, Any] = answer
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise StreamManagerException("Client is closed. Create a new client first.")

    def _check_options(self, options: ReadMessagesOptions | None) -> None:
        if options is None:
            return
        if not isinstance(options, ReadMessagesOptions):
            raise ValidationException(
                "options argument to read_messages must be a ReadMessageOptions object"
            )
        if text := problem(options):
            raise ValidationException(text)
        low, high = options.min_message_count, options.max_message_count
        if low is not None and high is not None and low > high:
            raise ValidationException(
                "min_message_count must be less than or equal to max_message_count"
            )
        wait_ms = options.read_timeout_millis
        if wait_ms is not None and wait_ms > self.request_timeout * 1000:
            raise ValidationException(
                "read_timeout_millis must be less than or equal to the client's request_timeout"
            )


def _valid(check: Any, value: Any) -> None:
    try:
        check(value)
    except streamlink.GreengrassError as error:
        raise ValidationException(str(error)) from None


def _checked(definition: Any, operation: str) -> dict[str, Any]:
    if not isinstance(definition, MessageStreamDefinition):
        raise ValidationException(
            f"definition argument to {operation} must be a MessageStreamDefinition object"
        )
    if text := problem(definition):
        raise ValidationException(f"Property definition is invalid because {text}")
    return definition.as_dict()


def _raise_on_error(answer: dict[str, Any]) -> None:
    request_id = answer.get("requestId")
    try:
        status = ResponseStatusCode(answer.get("status"))
    except ValueError:
        status = None
    if status is ResponseStatusCode.Success:
        return
    exception = None if status is None else _EXCEPTIONS.get(status)
    if exception is None:
        raise StreamManagerException(
            "Client is not able to understand this server response status code",
            "Unrecognized",
            request_id,
        )
    raise exception(answer.get("errorMessage") or "", status, request_id)

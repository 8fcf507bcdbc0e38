# SPDX-License-Identifier: Apache-2.0
"""
What a `StreamManagerClient` raises.

`message`, `status` (a `ResponseStatusCode`, or None where nobody was asked) and `request_id` tell
more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ClientException",
    "ConnectFailedException",
    "InvalidRequestException",
    "MessageStoreReadErrorException",
    "NotEnoughMessagesException",
    "RequestPayloadTooLargeException",
    "ResourceNotFoundException",
    "ResponsePayloadTooLargeException",
    "ServerOutOfMemoryException",
    "ServerTimeoutException",
    "StreamManagerException",
    "UnauthorizedException",
    "UnknownFailureException",
    "UnknownOperationException",
    "UpdateFailedException",
    "UpdateNotAllowedException",
    "ValidationException",
]


class StreamManagerException(Exception):
    """The base of all."""

    def __init__(self, message: str = "", status: Any = None, request_id: str | None = None):
        super().__init__(message)
        self.message = message
        self.status = status
        self.request_id = request_id


class ClientException(StreamManagerException):
    """Nobody was asked, or the answer was not understood."""


class ValidationException(ClientException):
    """An argument breaks a rule."""


class ConnectFailedException(ClientException):
    """The server refused the client."""


class InvalidRequestException(StreamManagerException):
    """A rule is broken, a stream exists already, or is full."""


class UpdateNotAllowedException(InvalidRequestException):
    """A definition must not change like this."""


class RequestPayloadTooLargeException(StreamManagerException):
    """More than a server, or a stream, ever takes."""


class ResourceNotFoundException(StreamManagerException):
    """There is no such stream."""


class ResponsePayloadTooLargeException(StreamManagerException):
    """More was asked for than fits into an answer."""


class ServerTimeoutException(StreamManagerException):
    """The server gave up."""


class UnauthorizedException(StreamManagerException):
    """This client may not do that."""


class UnknownFailureException(StreamManagerException):
    """Something failed in the server."""


class NotEnoughMessagesException(StreamManagerException):
    """Fewer messages than the minimum, even after the timeout."""


class MessageStoreReadErrorException(StreamManagerException):
    """Stored messages are damaged."""


class ServerOutOfMemoryException(StreamManagerException):
    """The server has no memory left for this."""


class UpdateFailedException(StreamManagerException):
    """A definition could not be changed."""


class UnknownOperationException(StreamManagerException):
    """The server is older than this client."""

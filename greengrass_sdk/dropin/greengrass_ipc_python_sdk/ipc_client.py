# SPDX-License-Identifier: Apache-2.0
"""
The client that AWS's `greengrasssdk` speaks through.

V1 spoke HTTP with the core; here the same calls go through the connection that the function was
born with. Outside of functions every call raises IPCException.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

from greengrass_sdk.client.v1 import Desk, GreengrassError, Work

if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = [
    "HEADER_AUTH_TOKEN",
    "HEADER_CLIENT_CONTEXT",
    "HEADER_FUNCTION_ERR_TYPE",
    "HEADER_INVOCATION_ID",
    "HEADER_INVOCATION_TYPE",
    "IPC_API_VERSION",
    "GetWorkResultOutput",
    "IPCClient",
    "IPCException",
    "WorkItem",
]

HEADER_INVOCATION_ID = "X-Amz-InvocationId"
HEADER_CLIENT_CONTEXT = "X-Amz-Client-Context"
HEADER_AUTH_TOKEN = "Authorization"  # noqa: S105 - the name of a header
HEADER_INVOCATION_TYPE = "X-Amz-Invocation-Type"
HEADER_FUNCTION_ERR_TYPE = "X-Amz-Function-Error"
IPC_API_VERSION = "2016-11-01"


class IPCException(Exception):
    """Raised when the core refused a call, or there is none."""


class WorkItem(NamedTuple):
    """Work for a function, or its result."""

    invocation_id: str
    payload: bytes | str
    client_context: bytes | str | None


class GetWorkResultOutput(NamedTuple):
    """The outcome of work: `func_err` is "", "Handled" or "Unhandled"."""

    payload: bytes
    func_err: str


class IPCClient:
    """
    Posts work for functions and fetches results; takes work and reports on it.

    `endpoint` is accepted as in V1 and means nothing here; `port` was deprecated already.
    """

    def __init__(self, endpoint: str = "localhost", port: int | str | None = None) -> None:
        if port is not None:
            warnings.warn("the argument port is deprecated and ignored", DeprecationWarning, 2)
        self.endpoint = endpoint
        self._work = Work()
        self._desk = Desk()

    @staticmethod
    def set_gg_daemon_port(port: int | str) -> None:
        """Accept a port, as in V1; there is none here."""

    def post_work(
        self,
        function_arn: str,
        payload: Any,
        client_context: bytes | str,
        invocation_type: str = "RequestResponse",
    ) -> str:
        """
        Post work for a function or a service of the core; return its id.

        Args:
            payload: bytes or str.
            client_context: Base64 of JSON, or empty.
        """
        try:
            return self._work.post(function_arn, payload, client_context, invocation_type)
        except GreengrassError as error:
            _fail(error)

    def get_work_result(self, function_arn: str, invocation_id: str) -> GetWorkResultOutput:
        """Wait for the outcome of posted work."""
        try:
            return GetWorkResultOutput(*self._work.result(function_arn, invocation_id))
        except GreengrassError as error:
            _fail(error)

    def get_work(self, function_arn: str) -> WorkItem:
        """Wait for work of this function; for functions that never return from their import."""
        try:
            return WorkItem(*self._desk.take())
        except GreengrassError as error:
            _fail(error)

    def post_work_result(self, function_arn: str, work_item: WorkItem) -> None:
        """Report the result of work that was taken."""
        try:
            self._desk.finish(work_item.invocation_id, work_item.payload)
        except GreengrassError as error:
            _fail(error)

    def post_handler_err(self, function_arn: str, invocation_id: str, handler_err: str) -> None:
        """Report that work could not be done."""
        try:
            self._desk.fail(invocation_id, str(handler_err))
        except GreengrassError as error:
            _fail(error)

    def put_initialization_result(self, function_arn: str, func_error: object) -> None:
        """
        Report that this function cannot work; with no error it says what the runtime reports.

        Args:
            func_error: An exception, a text, or None.
        """
        try:
            if not func_error:
                self._desk.initialized(None, "")
            else:
                kind = type(func_error) if isinstance(func_error, Exception) else Exception
                self._desk.initialized(str(func_error), kind.__name__)
        except GreengrassError as error:
            _fail(error)


def _fail(error: GreengrassError) -> NoReturn:
    raise IPCException(str(error)) from error

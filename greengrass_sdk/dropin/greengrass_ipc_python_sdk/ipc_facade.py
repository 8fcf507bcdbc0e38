# SPDX-License-Identifier: Apache-2.0
"""Calls of services by address, as AWS's machine learning SDK makes them."""

from __future__ import annotations

from typing import NamedTuple

from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException

__all__ = [
    "GreengrassRuntimeException",
    "GreengrassServiceCallOutput",
    "GreengrassServiceClient",
    "GreengrassServiceMessage",
]


class GreengrassRuntimeException(Exception):
    """Raised when a service could not be asked, or broke."""


class GreengrassServiceMessage(NamedTuple):
    """A payload, and base64 of the JSON that goes with it."""

    context: bytes | str
    payload: bytes | str


class GreengrassServiceCallOutput(NamedTuple):
    """What a service answered: a response or an error, the other is None."""

    response: GreengrassServiceMessage | None
    error_response: GreengrassServiceMessage | None


class GreengrassServiceClient:
    """Asks services. An address is the ARN of the function that is the service."""

    def __init__(self) -> None:
        self._client = IPCClient()

    def call(self, address: str, message: GreengrassServiceMessage) -> GreengrassServiceCallOutput:
        """
        Ask and wait for the answer.

        Raises:
            GreengrassRuntimeException: The service broke, or the core refused.
        """
        try:
            invocation_id = self._client.post_work(address, message.payload, message.context)
            outcome = self._client.get_work_result(address, invocation_id)
        except IPCException as error:
            raise GreengrassRuntimeException(str(error)) from error
        answer = GreengrassServiceMessage("", outcome.payload)
        if not outcome.func_err:
            return GreengrassServiceCallOutput(answer, None)
        if outcome.func_err == "Handled":
            return GreengrassServiceCallOutput(None, answer)
        raise GreengrassRuntimeException(outcome.func_err)

# SPDX-License-Identifier: Apache-2.0
"""
The second argument of a handler.

What Greengrass V1 gave (`invoked_function_arn`, `function_name`, `function_version`,
`aws_request_id`, `identity`, `client_context`) and what AWS Lambda gives today
(`get_remaining_time_in_millis`, `memory_limit_in_mb`, `log_group_name`, `log_stream_name`), because
libraries written for Lambda ask for it.
"""

from __future__ import annotations

import json
import os
import time

from greengrass_sdk import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ClientContext",
    "ClientContextClient",
    "FunctionFacts",
    "LambdaContext",
    "parse_client_context",
]

_MEBIBYTE = 1024 * 1024
_KIB_PER_MIB = 1024


class ClientContextClient:
    """The mobile application that called, as AWS Lambda describes it; local callers rarely do."""

    __slots__ = (
        "app_package_name",
        "app_title",
        "app_version_code",
        "app_version_name",
        "app_version_package_name",
        "installation_id",
    )

    def __init__(self, values: dict[str, Any]) -> None:
        self.installation_id = values.get("installation_id")
        self.app_title = values.get("app_title")
        self.app_version_name = values.get("app_version_name")
        self.app_version_code = values.get("app_version_code")
        self.app_package_name = values.get("app_package_name")
        self.app_version_package_name = values.get("app_version_package_name")


class ClientContext:
    """
    What the caller sent beside the payload.

    `custom` is its dict; for a message it holds the topic as `custom["subject"]`. `env` is a dict,
    `client` a ClientContextClient or None.
    """

    __slots__ = ("client", "custom", "env")

    def __init__(
        self, custom: Any = None, env: Any = None, client: ClientContextClient | None = None
    ) -> None:
        self.custom = {} if custom is None else custom
        self.env = {} if env is None else env
        self.client = client

    def __repr__(self) -> str:
        return f"ClientContext(custom={self.custom!r}, env={self.env!r}, client={self.client!r})"


class FunctionFacts:
    """What stays the same for all invocations of one worker."""

    __slots__ = (
        "arn",
        "boot",
        "log_group_name",
        "log_stream_name",
        "memory_limit_in_mb",
        "name",
        "timeout_s",
        "version",
    )

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        version: str,
        timeout_s: float,
        memory_kib: int | None,
        stream: str,
        boot: bytes = bytes(8),
    ) -> None:
        self.arn = arn
        self.boot = boot
        self.name = name
        self.version = version
        self.timeout_s = timeout_s
        # Unlimited functions can use what the host has; code that divides by it goes on working.
        self.memory_limit_in_mb = (
            os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MEBIBYTE
            if memory_kib is None
            else max(1, memory_kib // _KIB_PER_MIB)
        )
        self.log_group_name = f"/aws/lambda/{name}"
        day = time.strftime("%Y/%m/%d", time.gmtime())
        self.log_stream_name = f"{day}/[{version}]{stream}"


class LambdaContext:
    """
    One invocation.

    Few handlers look at it, so most of it comes to be when the first attribute is asked for.

    Args:
        facts: Of the function.
        number: Of the work item.
        sent: The topic of a message, or what the caller sent beside the payload.

    Attributes:
        invoked_function_arn: The function's ARN, with its version.
        aws_request_id: The id that the caller sees too.
        identity: Always None; there is no Cognito here.
        client_context: A ClientContext, or None when the caller sent none.
    """

    aws_request_id: str
    client_context: ClientContext | None
    identity: None
    invoked_function_arn: str
    function_name: str
    function_version: str
    memory_limit_in_mb: int
    log_group_name: str
    log_stream_name: str

    def __init__(
        self, facts: FunctionFacts, number: int, sent: bytes | ClientContext | None
    ) -> None:
        self._origin = (facts, number, sent)
        self._deadline = time.monotonic() + facts.timeout_s

    def __getattr__(self, name: str) -> Any:
        """Fill in what is missing, as long as nobody has set it."""
        known = self.__dict__
        origin = known.get("_origin")
        if origin is None or name.startswith("__"):  # a copy in the making; not of ours
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        for key, value in _public(*origin).items():
            known.setdefault(key, value)
        try:
            return known[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            ) from None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function's timeout ends this invocation, at least 0."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def __repr__(self) -> str:
        return (
            f"LambdaContext(aws_request_id={self.aws_request_id!r},"
            f" invoked_function_arn={self.invoked_function_arn!r},"
            f" client_context={self.client_context!r})"
        )


def _public(
    facts: FunctionFacts, number: int, sent: bytes | ClientContext | None
) -> dict[str, Any]:
    """Return the attributes of a context."""
    if isinstance(sent, bytes):
        sent = ClientContext({"subject": sent.decode("utf-8", "replace")})
    return {
        "aws_request_id": _native.request_id(facts.boot, number),
        "client_context": sent,
        "identity": None,
        "invoked_function_arn": facts.arn,
        "function_name": facts.name,
        "function_version": facts.version,
        "memory_limit_in_mb": facts.memory_limit_in_mb,
        "log_group_name": facts.log_group_name,
        "log_stream_name": facts.log_stream_name,
    }


def parse_client_context(data: bytes) -> ClientContext | None:
    """
    Return the client context that `data` spells in JSON, None when it is empty.

    Raises:
        ValueError: It is no JSON object. V1 leaves open what happens then; the worker logs a
            warning and calls the handler without one: the payload may well be all it needs.
    """
    if not data:
        return None
    values = json.loads(data)
    if values is None:
        return None
    if not isinstance(values, dict):
        raise ValueError(f"a client context is a JSON object, not {type(values).__name__}")
    client = values.get("client")
    return ClientContext(
        values.get("custom"),
        values.get("env"),
        ClientContextClient(client) if isinstance(client, dict) else None,
    )

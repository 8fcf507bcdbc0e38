# SPDX-License-Identifier: Apache-2.0
"""
Secrets for functions: `Client.secret(id)` and `AsyncClient.secret(id)` return a `SecretValue`.

The secret service is a function with a reserved ARN, as it was in V1. It knows who asks.
"""

from __future__ import annotations

import json
from base64 import b64decode
from functools import lru_cache

from greengrass_sdk.errors import (
    InvalidInputError,
    RemoteProtocolError,
    SecretError,
    SecretNotFoundError,
)
from greengrass_sdk.model.arn import SECRETS_ARN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from greengrass_sdk._native import Frame
    from greengrass_sdk.client.results import InvokeResult

__all__ = ["CURRENT", "SecretValue", "ask", "read_answer", "request"]

CURRENT = "AWSCURRENT"
_NOT_FOUND = 404
_decoder = json.JSONDecoder()
_REQUESTS = 256  # that are kept encoded; there is nothing secret in them


class SecretValue:
    """
    One version of a secret. Printed or logged, it shows everything but the value.

    Attributes:
        arn: Its ARN.
        name: Its name.
        version_id: Which version this is.
        stages: The labels of this version that the group names.
        created_ms: When the version was made, in milliseconds since 1970.
        value: What is secret, as bytes; `text` and `json()` decode it.
        is_binary: Whether it was put as bytes, not as text.
    """

    __slots__ = ("arn", "created_ms", "is_binary", "name", "stages", "value", "version_id")

    def __init__(
        self,
        value: bytes,
        *,
        arn: str,
        name: str,
        version_id: str,
        stages: tuple[str, ...],
        created_ms: int,
        is_binary: bool,
    ) -> None:
        self.value = value
        self.arn = arn
        self.name = name
        self.version_id = version_id
        self.stages = stages
        self.created_ms = created_ms
        self.is_binary = is_binary

    @property
    def created(self) -> datetime:
        """When the version was made, in UTC."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.created_ms / 1000, UTC)

    @property
    def text(self) -> str:
        """
        The value as text.

        Raises:
            InvalidInputError: It is bytes; use `value`.
        """
        if self.is_binary:
            raise InvalidInputError(f"secret {self.name!r} is binary; use its `value`")
        return self.value.decode()

    def json(self) -> Any:
        """
        Return the value decoded from JSON, as the console of AWS writes keys and values.

        Raises:
            InvalidInputError: It is no JSON.
        """
        try:
            return json.loads(self.value)
        except ValueError:
            # Not its chain: the error holds the value.
            raise InvalidInputError(f"secret {self.name!r} is no JSON") from None

    def __repr__(self) -> str:
        """Show which secret it is, and not its value."""
        return (
            f"SecretValue(name={self.name!r}, version_id={self.version_id!r},"
            f" stages={self.stages!r}, value=<hidden>)"
        )

    def __reduce__(self) -> Any:
        """Refuse to be pickled: a value belongs in no file and no message."""
        raise TypeError("a SecretValue is not pickled; hand on its value if you must")


def ask(
    invoke: Callable[[str, bytes], Frame | InvokeResult],
    identifier: str,
    stage: str,
    version_id: str | None,
) -> SecretValue:
    """Return a secret by an invocation of the service; see `Client.secret`."""
    asked = request(identifier, stage, version_id)
    return read_answer(invoke(SECRETS_ARN, asked).payload, asked)


def request(identifier: str, stage: str, version_id: str | None) -> bytes:
    """
    Return the request for a secret, encoded.

    Raises:
        InvalidInputError: The id is no text, or both a label and a version id are given.
    """
    if not (identifier and isinstance(identifier, str)):
        raise InvalidInputError(f"id of a secret is {identifier!r}; it must be its name or ARN")
    if version_id is None:
        return _encoded(identifier, "VersionStage", stage)
    if stage != CURRENT:
        raise InvalidInputError("give either a stage or a version_id")
    return _encoded(identifier, "VersionId", version_id)


@lru_cache(_REQUESTS)
def _encoded(identifier: str, key: str, version: str) -> bytes:
    return json.dumps({"SecretId": identifier, key: version}).encode()


def read_answer(payload: bytes, request: bytes) -> SecretValue:
    """
    Return the secret that the service answered with.

    Raises:
        SecretNotFoundError: There is none for who asks.
        SecretError: The service could not answer.
        RemoteProtocolError: It is no answer.
    """
    try:
        document = _decoded(payload.decode())
        refused = "Status" in document and "Message" in document
        answer = _refusal(document, json.loads(request)) if refused else _value(document)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise RemoteProtocolError(
            "the secret service answered with something else than a secret"
        ) from None
    if isinstance(answer, SecretError):
        raise answer
    return answer


def _refusal(document: dict[str, Any], asked: dict[str, str]) -> SecretError:
    status, message = document["Status"], document["Message"]
    secret, stage = asked["SecretId"], asked.get("VersionStage")
    if status != _NOT_FOUND:
        return SecretError(f"secret {secret!r}: {message} ({status})", secret=secret, stage=stage)
    version = f"label {stage!r}" if stage is not None else f"id {asked['VersionId']!r}"
    return SecretNotFoundError(
        f"secret {secret!r}, {version}: {message}; the core's log GGSecretManager.log says why",
        secret=secret,
        stage=stage,
    )


def _value(document: dict[str, Any]) -> SecretValue:
    binary = document.get("SecretBinary")
    return SecretValue(
        document["SecretString"].encode() if binary is None else b64decode(binary),
        arn=document["ARN"],
        name=document["Name"],
        version_id=document["VersionId"],
        stages=tuple(document["VersionStages"]),
        created_ms=int(document["CreatedDate"]),
        is_binary=binary is not None,
    )


def _decoded(text: str) -> Any:
    """Return what JSON says; blanks around it are looked for where there is something."""
    document, end = _decoder.raw_decode(text)
    return document if end == len(text) else _decoder.decode(text)

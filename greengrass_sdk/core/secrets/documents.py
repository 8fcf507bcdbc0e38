# SPDX-License-Identifier: Apache-2.0
"""
Requests and answers as bytes.

The shapes are those that V1's SDKs know: a refusal is an answer, `{"Status": ..., "Message": ...}`,
not an error of the invocation. `VersionId` in a request is ours.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from greengrass_sdk.core.secrets.access import Grant
    from greengrass_sdk.core.secrets.store import Version

__all__ = ["NOT_FOUND", "BadRequestError", "Request", "head", "parse", "refused", "told"]

NOT_FOUND = "Resource not found"
_KEYS = ("SecretId", "VersionStage", "VersionId")
_CHARS = 2048  # of an id or a label: those of AWS's API
_encode = json.JSONEncoder().encode


class BadRequestError(Exception):
    """Raised for a request that asks for nothing; the text is for the caller."""


@frozen
class Request:
    """A request: which secret, and which of its versions."""

    secret: str
    stage: str | None = None
    version: str | None = None


def parse(payload: bytes) -> Request:
    """
    Return what is asked.

    Raises:
        BadRequestError: It is no request.
    """
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadRequestError("Invalid request: it is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequestError("Invalid request: it is not a JSON object")
    given = []
    for key in _KEYS:
        value = document.get(key)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= _CHARS):
            raise BadRequestError(
                f"Invalid request: {key} must be text of 1 to {_CHARS} characters"
            )
        given.append(value)
    secret, stage, version = given
    if secret is None:
        raise BadRequestError("Invalid request: SecretId is missing")
    return Request(secret, stage, version)


def refused(status: int, message: str) -> bytes:
    """Return the answer that is none."""
    return _encode({"Status": status, "Message": message}).encode()


def head(grant: Grant, version: Version) -> bytes:
    """Return the answer up to the value; of the labels it has those that are granted."""
    document = {
        "ARN": grant.arn,
        "Name": grant.name,
        "VersionId": version.id,
        "VersionStages": [stage for stage in version.stages if stage in grant.stages],
        "CreatedDate": version.created_ms,
        "SecretBinary" if version.binary else "SecretString": "",
    }
    return _encode(document).encode().removesuffix(b'""}')


def told(head: bytes, value: bytes, *, binary: bool) -> bytes:
    """Return the answer that begins with `head`."""
    text = base64.b64encode(value).decode() if binary else value.decode()
    return b"%b%b}" % (head, _encode(text).encode())

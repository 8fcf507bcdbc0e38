# SPDX-License-Identifier: Apache-2.0
"""Texts and error documents that the router itself writes."""

from __future__ import annotations

import json
import time

__all__ = ["error_document", "message_of", "timeout_text", "too_large"]

_MESSAGE_CHARS = 4096  # of an error message, where it is shown to people


def error_document(message: str, error_type: str) -> bytes:
    """Return the error document of a failure that the core detected."""
    return json.dumps({"errorMessage": message, "errorType": error_type}).encode()


def message_of(document: bytes) -> str:
    """
    Return the message of an error document; what is no such document is returned as text.

    Functions write these documents: the message may be nested too deep to read, hold lone
    surrogates, or be as long as a result.
    """
    try:
        message = str(json.loads(document)["errorMessage"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = document.decode("utf-8", "replace")
    if len(message) > _MESSAGE_CHARS:
        message = message[:_MESSAGE_CHARS] + "..."
    return message.encode("utf-8", "replace").decode()


def timeout_text(wall_clock_s: float, request_id: str, timeout_s: float) -> str:
    """Return Lambda's text for a handler that overran its timeout."""
    seconds, millis = divmod(int(wall_clock_s * 1000), 1000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{millis:03d}Z {request_id} Task timed out after {timeout_s:.2f} seconds"


def too_large(what: str, data: bytes, limit: int) -> str:
    """Return the text for data beyond its limit."""
    return f"{what} of {len(data)} bytes is larger than the limit of {limit} bytes"

# SPDX-License-Identifier: Apache-2.0
"""
How a command asks a running core: one connection as its owner, one answer per question.

`ask` is the seam that the tests of the commands replace.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ask", "encoded_payload", "read_payload"]

STDIN = "-"
ANSWER_S = 30.0


def ask(root: str | None, op: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """
    Ask the core that `root` means, and return its answer.

    Raises:
        CoreUnavailableError: No core runs there, or several run and none was named.
        GreengrassError: What the core answered instead.
    """
    from greengrass_sdk.client.tools import ToolConnection

    with ToolConnection(root) as connection:
        timeout_s = None if op == "invoke" else ANSWER_S  # an invocation has its own deadline
        return connection.request(op, timeout_s=timeout_s, **(fields or {}))


def read_payload(text: str) -> bytes:
    """Return the payload that an argument means: its UTF-8 bytes, or standard input for `-`."""
    if text != STDIN:
        return text.encode("utf-8", "surrogateescape")
    if sys.stdin is None:
        raise UsageError("there is no standard input to read the payload from")
    if sys.stdin.isatty():
        print("reading the payload from the terminal; end it with Ctrl-D", file=sys.stderr)
    return sys.stdin.buffer.read()


def encoded_payload(payload: bytes) -> dict[str, str]:
    """Return the `payload` and `encoding` keys of JSON output: text if it is UTF-8, else base64."""
    try:
        return {"payload": payload.decode("utf-8"), "encoding": "utf-8"}
    except UnicodeDecodeError:
        import base64

        return {"payload": base64.b64encode(payload).decode("ascii"), "encoding": "base64"}


def parse_json_object(text: str, option: str, *, prog: str) -> dict[str, Any]:
    """
    Return the JSON object that an option holds.

    Raises:
        UsageError: It is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} is not JSON: {error}", prog=prog) from error
    if not isinstance(value, dict):
        raise UsageError(f"{option} must be a JSON object, like '{{\"key\": 1}}'", prog=prog)
    return value

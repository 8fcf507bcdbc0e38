# SPDX-License-Identifier: Apache-2.0
"""
Exceptions as callers and logs see them.

An error document is `{"errorMessage", "errorType", "stackTrace"}`; the stack trace is a list of
`[file, line, function, source]` and begins at the first frame of the user's code. Bounded: a
message of a hundred megabytes must not become a frame.
"""

from __future__ import annotations

import json
import os
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PayloadError", "ResultError", "error_document", "from_user_code", "log_text"]

_OWN_FOLDER = os.path.dirname(__file__) + os.sep
_IMPORTER = os.path.join(os.path.dirname(os.__file__), "importlib") + os.sep
_JSON = os.path.dirname(json.__file__) + os.sep
_NOT_USERS = (_OWN_FOLDER, _IMPORTER, _JSON, "<frozen ")
_MOST_CHARS = 64 * 1024
_MOST_FRAMES = 100


class PayloadError(Exception):
    """Raised when a JSON function was sent something else; becomes the document's errorMessage."""


class ResultError(Exception):
    """Raised when what a handler returned cannot be sent; becomes the document's errorMessage."""


def from_user_code(exc: BaseException) -> TracebackType | None:
    """Return the part of the traceback that begins in the user's code; None if there is none."""
    tb = exc.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_NOT_USERS):
        tb = tb.tb_next
    return tb


def error_document(exc: BaseException) -> bytes:
    """Return the error document of an exception."""
    document = {
        "errorMessage": message_of(exc)[:_MOST_CHARS],
        "errorType": type_of(exc),
        "stackTrace": _stack(exc),
    }
    return json.dumps(document).encode()


def log_text(exc: BaseException) -> str:
    """Return the exception as Python shows it, its traceback from the user's first frame on."""
    tb = from_user_code(exc)
    if tb is None and exc.__cause__ is None:
        return f"{type_of(exc)}: {message_of(exc)}"
    return "".join(traceback.format_exception(type(exc), exc, tb)).rstrip("\n")


def message_of(exc: BaseException) -> str:
    """Return the text of an exception, also of one that cannot be turned into text."""
    try:
        return str(exc)
    except Exception as error:  # noqa: BLE001 - a broken __str__ is described, too
        return f"<{type(error).__name__} in {type(exc).__name__}.__str__>"


def type_of(exc: BaseException) -> str:
    """Return the name of an exception's class; JSONDecodeError for payloads that are not JSON."""
    return "JSONDecodeError" if isinstance(exc, PayloadError) else type(exc).__name__


def _stack(exc: BaseException) -> list[list[str | int | None]]:
    tb = from_user_code(exc)
    limit = _MOST_FRAMES
    frames: list[list[str | int | None]] = [
        [frame.filename, frame.lineno, frame.name, (frame.line or "")[:_MOST_CHARS]]
        for frame in traceback.extract_tb(tb, limit=limit)
    ]
    if isinstance(exc, SyntaxError) and exc.filename and not frames:
        frames.append([exc.filename, exc.lineno, "<module>", (exc.text or "").strip()])
    return frames

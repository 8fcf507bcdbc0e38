# SPDX-License-Identifier: Apache-2.0
"""What becomes of a Python value on the wire: bytes stay, text is UTF-8, the rest is JSON."""

from __future__ import annotations

from greengrass_sdk.errors import InvalidInputError, LimitExceededError
from greengrass_sdk.model.limits import CONTEXT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from typing_extensions import Buffer

    JSON: TypeAlias = Mapping[str, "JSON"] | Sequence["JSON"] | str | int | float | bool | None
    Payload: TypeAlias = Buffer | JSON
    ClientContext: TypeAlias = Mapping[str, JSON] | str | bytes | None

__all__ = ["check_size", "encode_context", "encode_payload"]


def encode_payload(value: Payload, what: str = "payload") -> bytes | memoryview:
    """
    Return the bytes of a payload.

    `str` is sent as UTF-8 without quotes; dict, list, tuple, number, bool and None as JSON; bytes
    and every other buffer untouched.

    Raises:
        InvalidInputError: Another type, or a value without JSON (NaN, a set in a dict, ...).
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"{what} has no UTF-8: {error}") from error
    if value is None or isinstance(value, dict | list | tuple | int | float):
        return _json(value, what)
    try:
        view = memoryview(value)  # type: ignore[arg-type]  # TypeError is the answer to the rest
    except TypeError:
        raise InvalidInputError(
            f"{what} is of type {type(value).__name__}; it must be bytes, str,"
            " or what JSON knows: dict, list, number, bool, None"
        ) from None
    return view.cast("B") if view.c_contiguous and view.nbytes else bytes(view)


def encode_context(value: ClientContext) -> bytes:
    """
    Return the bytes of a client context: a dict as JSON, text and bytes as they are.

    Raises:
        InvalidInputError: Another type, or a dict without JSON.
        LimitExceededError: It is larger than 64 KiB.
    """
    if value is None:
        return b""
    if type(value) is bytes and len(value) <= CONTEXT_BYTES:
        return value
    if not isinstance(value, dict | str | bytes):
        raise InvalidInputError(
            f"client_context is of type {type(value).__name__}; it must be a dict, or JSON as str"
            " or bytes"
        )
    context = bytes(encode_payload(value, "client_context"))
    check_size(len(context), CONTEXT_BYTES, "client_context")
    return context


def check_size(size: int, limit: int, what: str, setting: str | None = None) -> None:
    """
    Refuse what is too large, naming the limit.

    Raises:
        LimitExceededError: It has more bytes than the limit.
    """
    if size > limit:
        name = "" if setting is None else f" ({setting})"
        raise LimitExceededError(
            f"{what} has {size} bytes; the limit is {limit} bytes{name}", limit=limit, actual=size
        )


_encode: Callable[[object], str] | None = None


def _json(value: object, what: str) -> bytes:
    global _encode  # noqa: PLW0603 - made with the first use: json takes long to import
    if _encode is None:
        import json

        _encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    try:
        return _encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} cannot be written as JSON: {error}") from error

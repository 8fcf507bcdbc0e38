# SPDX-License-Identifier: Apache-2.0
"""
Requests to the shadow service: from a topic and a payload to what is asked, or why it is refused.

The codes and texts of refusals are AWS's: device SDKs and programs compare them.

Ref: AWS IoT developer guide, "Device Shadow error messages", "Device Shadow REST API"
"""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from functools import lru_cache
from typing import Any, NoReturn

from attrs import frozen

from greengrass_sdk.core.shadow.documents import (
    DESIRED,
    MAX_LEVELS,
    SECTIONS,
    has_null_in_array,
    is_deeper_than,
)
from greengrass_sdk.model.limits import (
    SHADOW_CLIENT_TOKEN_BYTES,
    SHADOW_NAME_CHARS,
    SHADOW_REQUEST_BYTES,
    THING_NAME_CHARS,
)

__all__ = [
    "Operation",
    "Refusal",
    "Request",
    "ShadowId",
    "parse_payload",
    "parse_topic",
    "why_not",
]

_TOPIC = re.compile(
    r"\$aws/things/([^/]*)/shadow/(?:name/([^/]*)/)?(get|update|delete|list)", re.ASCII
)
_THING = re.compile(rf"[a-zA-Z0-9:_-]{{1,{THING_NAME_CHARS}}}", re.ASCII)
_SHADOW = re.compile(rf"[$a-zA-Z0-9:_-]{{1,{SHADOW_NAME_CHARS}}}", re.ASCII)
_TOPICS = 4096  # remembered; a group has a few per thing
_PAGE = 100  # names of shadows in one answer at most, and where no number is asked for


class Operation(Enum):
    """What is asked. `LIST` is ours: it has no topics, only the SDK and the commands ask it."""

    GET = "get"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"


_OPERATIONS = frozenset(operation.value for operation in Operation)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is refused, with the code and the message of the rejected document."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.client_token: str | None = None
        """That of the request, once it is known."""


@frozen(cache_hash=True)
class ShadowId:
    """Which shadow: that of a thing (`name` is empty, the classic one), or a named one."""

    thing: str
    name: str = ""

    @property
    def topic(self) -> str:
        """What the topics of the shadow begin with."""
        inner = f"name/{self.name}/" if self.name else ""
        return f"$aws/things/{self.thing}/shadow/{inner}"

    @property
    def shown(self) -> str:
        """The shadow's name in refusals."""
        return f"{self.thing}~{self.name}" if self.name else self.thing

    def check(self) -> None:
        """
        Refuse names that no thing or shadow can have.

        Raises:
            Refusal: 400.
        """
        if not _THING.fullmatch(self.thing):
            raise Refusal(
                400,
                f"Invalid thing name: it has 1 to {THING_NAME_CHARS} characters, which are letters,"
                " digits, ':', '_' and '-'",
            )
        if self.name and not _SHADOW.fullmatch(self.name):
            raise Refusal(
                400,
                f"Invalid shadow name: it has 1 to {SHADOW_NAME_CHARS} characters, which are"
                " letters, digits, ':', '_', '-' and '$'",
            )


@frozen
class Request:
    """
    What a payload asks.

    Attributes:
        state: The sections of an update; None removes both.
        client_token: To be echoed, as JSON knows it: None is absent.
        version: Of the shadow that is to be updated; None: whichever it has.
        page_size: How many names a list has at most.
        after: The last name of the page before; empty: the first page is asked for.
    """

    state: dict[str, Any] | None = None
    client_token: str | None = None
    version: int | None = None
    page_size: int = _PAGE
    after: str = ""


@lru_cache(_TOPICS)
def parse_topic(topic: str) -> tuple[ShadowId, Operation] | None:
    """Return the shadow and the operation that a topic names; None if it is not such a topic."""
    match = _TOPIC.fullmatch(topic)
    if match is None or match[2] == "":
        return None
    return ShadowId(match[1], match[2] or ""), Operation(match[3])


def why_not(subject: str) -> Refusal:
    """Return why a call that asks for `subject` is refused, which `parse_topic` does not know."""
    if not subject.startswith("$aws/things/") or "/shadow/" not in subject:
        return Refusal(
            400,
            "Invalid request: the client context must be"
            ' {"custom": {"subject": "$aws/things/THING/shadow/OPERATION"}}',
        )
    if subject.rpartition("/")[2] not in _OPERATIONS:
        return Refusal(405, "Method Not Allowed")
    try:
        thing, _, rest = subject.removeprefix("$aws/things/").partition("/shadow/")
        ShadowId(thing).check()
        ShadowId(thing, rest.removeprefix("name/").rpartition("/")[0] or "/").check()
    except Refusal as refusal:
        return refusal
    return Refusal(400, "Invalid request: there is no such topic of a shadow")


def parse_payload(operation: Operation, payload: bytes) -> Request:
    """
    Return what a payload asks; other operations than updates may have an empty one.

    Raises:
        Refusal: It is not what such a request looks like.
    """
    if not payload and operation is not Operation.UPDATE:
        return Request()
    document = _decode(payload)
    if not isinstance(document, dict):
        raise Refusal(400, "Invalid JSON")
    token = _client_token(document)
    if operation is Operation.LIST:
        return Request(None, token, None, _page_size(document), _after(document))
    if operation is not Operation.UPDATE:
        return Request(client_token=token)
    try:
        return Request(_state(document), token, _version(document))
    except Refusal as refusal:
        refusal.client_token = token
        raise


def _decode(payload: bytes) -> Any:
    if len(payload) > SHADOW_REQUEST_BYTES:
        raise Refusal(413, "The payload exceeds the maximum size allowed")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise Refusal(415, "Unsupported documented encoding; supported encoding is UTF-8") from None
    try:
        document = _document(text)
        if "\\u" in text:
            # A lone surrogate has no UTF-8, and so no answer could repeat it.
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise Refusal(400, "Invalid JSON") from None
    return document


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is out of range")
    return value


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_float)


def _document(text: str) -> Any:
    """Return what a text says; blanks around it are looked for where there is something."""
    try:
        document, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError:
        document, end = None, -1
    return document if end == len(text) else _DECODER.decode(text)


def _client_token(document: dict[str, Any]) -> str | None:
    token = document.get("clientToken")
    if token is None:
        return None
    if not isinstance(token, str) or len(token.encode()) > SHADOW_CLIENT_TOKEN_BYTES:
        raise Refusal(400, "Invalid clientToken")
    return token


def _version(document: dict[str, Any]) -> int | None:
    version = document.get("version")
    if version is None:
        return None
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise Refusal(400, "Invalid version")
    return version


def _page_size(document: dict[str, Any]) -> int:
    size = document.get("pageSize", _PAGE)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _PAGE:
        raise Refusal(400, f"Invalid pageSize: it is a number from 1 to {_PAGE}")
    return size


def _after(document: dict[str, Any]) -> str:
    token = document.get("nextToken", "")
    if not isinstance(token, str) or (token and not _SHADOW.fullmatch(token)):
        raise Refusal(400, "Invalid nextToken")
    return token


def _state(document: dict[str, Any]) -> dict[str, Any] | None:
    if "state" not in document:
        raise Refusal(400, "Missing required node: state")
    state = document["state"]
    if state is None:
        return None
    if not isinstance(state, dict):
        raise Refusal(400, "State node must be an object")
    if not state.keys() <= set(SECTIONS):
        raise Refusal(400, "State contains an invalid node")
    for section, values in state.items():
        if values is None:
            continue
        if not isinstance(values, dict):
            name = "Desired" if section == DESIRED else "Reported"
            raise Refusal(400, f"{name} node must be an object")
        if is_deeper_than(values, MAX_LEVELS):
            raise _too_deep()
        if has_null_in_array(values):
            raise Refusal(400, "State contains an invalid node")
    return state


def _too_deep() -> Refusal:
    return Refusal(400, f"JSON contains too many levels of nesting; maximum is {MAX_LEVELS}")

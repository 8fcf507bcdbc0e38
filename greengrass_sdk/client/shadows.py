# SPDX-License-Identifier: Apache-2.0
"""
Shadows for programs: `Client.shadow(thing)` and `AsyncClient.shadow(thing)` return these.

The shadow service is a function with a reserved ARN, as it was in V1; what is asked stands in the
client context.
"""

from __future__ import annotations

from greengrass_sdk.errors import (
    InvalidInputError,
    RemoteProtocolError,
    ShadowError,
    ShadowNotFoundError,
    ShadowTooLargeError,
    ShadowVersionConflictError,
)
from greengrass_sdk.model.arn import SHADOW_SERVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import EllipsisType
    from typing import Any, TypeAlias

    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.results import InvokeResult

    Section: TypeAlias = Mapping[str, Any] | EllipsisType | None
    Change: TypeAlias = Mapping[str, Any] | None

__all__ = [
    "AsyncShadow",
    "Shadow",
    "ShadowChange",
    "ShadowDocument",
    "read_answer",
    "subject",
]

_ATTEMPTS = 10
_ACCEPTED = (b'{"state":', b'{"version":')  # how an answer begins that is no refusal
_ERRORS = {
    404: ShadowNotFoundError,
    409: ShadowVersionConflictError,
    413: ShadowTooLargeError,
}


class _Answer:
    """What the service answered, decoded when it is looked at."""

    __slots__ = ("_document", "payload")

    def __init__(self, payload: bytes, document: dict[str, Any] | None = None) -> None:
        self.payload = payload
        self._document = document

    def _decoded(self) -> dict[str, Any]:
        if self._document is None:
            import json

            self._document = json.loads(self.payload)
        return self._document


class ShadowDocument(_Answer):
    """
    A shadow as it is, and as it came: `payload` is JSON, which the attributes decode when asked.

    Each of them is empty, or 0, if the document has no such part.
    """

    __slots__ = ()

    def json(self) -> dict[str, Any]:
        """Return the whole document, decoded."""
        return self._decoded()

    @property
    def desired(self) -> dict[str, Any]:
        """What the thing should be."""
        return self._state("desired")

    @property
    def reported(self) -> dict[str, Any]:
        """What the thing says that it is."""
        return self._state("reported")

    @property
    def delta(self) -> dict[str, Any]:
        """What is desired and not, or not so, reported."""
        return self._state("delta")

    @property
    def metadata(self) -> dict[str, Any]:
        """When each value was set: {"desired": ..., "reported": ...}."""
        found: dict[str, Any] = self.json().get("metadata") or {}
        return found

    @property
    def version(self) -> int:
        """How often the shadow was updated; 0 if there is none."""
        return int(self.json().get("version", 0))

    @property
    def timestamp(self) -> int:
        """When the answer was made, in seconds since 1970."""
        return int(self.json().get("timestamp", 0))

    def _state(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = (self.json().get("state") or {}).get(section, {})
        return found

    def __repr__(self) -> str:
        """Show the version, not the content: payloads are never logged."""
        return f"ShadowDocument(version={self.version}, payload=<{len(self.payload)} bytes>)"


class ShadowChange(_Answer):
    """
    What became of an update or a deletion: the `version` and `timestamp` of the shadow.

    After a deletion `version` is the last one; the next update goes on from it. `payload` is the
    answer as it came.
    """

    __slots__ = ()

    @property
    def version(self) -> int:
        """The version of the shadow."""
        return int(self._decoded()["version"])

    @property
    def timestamp(self) -> int:
        """When the answer was made, in seconds since 1970."""
        return int(self._decoded()["timestamp"])

    def __repr__(self) -> str:
        return f"ShadowChange(version={self.version}, timestamp={self.timestamp})"


class _Requests:
    """What both kinds of shadow ask, and how they read the answers."""

    __slots__ = ("_contexts", "_invoke", "name", "thing")

    def __init__(self, invoke: Callable[..., Any], thing: str, name: str | None) -> None:
        for value, what in ((thing, "thing"), (name, "name")):
            if value is None and what == "name":
                continue
            if not isinstance(value, str) or not value or "/" in value:
                raise InvalidInputError(f"{what} of a shadow is {value!r}; it must be a name")
        self._invoke = invoke
        self._contexts: dict[str, bytes] = {}
        self.thing = thing
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}(thing={self.thing!r}, name={self.name!r})"

    def _arguments(
        self, operation: str, payload: dict[str, Any] | None = None
    ) -> tuple[Payload, ClientContext]:
        context = self._contexts.get(operation)
        if context is None:
            import json

            custom = {"subject": subject(self.thing, self.name, operation)}
            context = self._contexts[operation] = json.dumps({"custom": custom}).encode()
        return b"" if payload is None else payload, context

    @staticmethod
    def _update(
        desired: Section, reported: Section, version: int | None, client_token: str | None
    ) -> dict[str, Any]:
        asked = (("desired", desired), ("reported", reported))
        state = {section: values for section, values in asked if values is not ...}
        request: dict[str, Any] = {"state": state}
        if version is not None:
            request["version"] = version
        if client_token is not None:
            request["clientToken"] = client_token
        return request

    def _document(self, result: InvokeResult) -> ShadowDocument:
        known = result.payload.startswith(_ACCEPTED)
        return ShadowDocument(result.payload, None if known else self._read(result))

    def _change(self, result: InvokeResult) -> ShadowChange:
        known = result.payload.startswith(_ACCEPTED)
        return ShadowChange(result.payload, None if known else self._read(result))

    def _read(self, result: InvokeResult) -> dict[str, Any]:
        return read_answer(result.payload, self.thing, self.name)

    def _changed(self, document: ShadowDocument, change: Change) -> dict[str, Any] | None:
        if change is None:
            return None
        if not change.keys() <= {"desired", "reported"}:
            raise InvalidInputError(
                f"a change has the keys 'desired' and 'reported', not {sorted(change)}"
            )
        return {"state": dict(change), "version": document.version}


def read_answer(payload: bytes, thing: str, name: str | None) -> dict[str, Any]:
    """
    Return the document that the shadow service answered with.

    Raises:
        ShadowError: It says that the request was refused.
        RemoteProtocolError: It is none.
    """
    import json

    try:
        document = json.loads(payload)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise RemoteProtocolError("the shadow service answered with something else than JSON")
    if "code" in document and "message" in document:
        code, message = document["code"], document["message"]
        of = repr(thing) if name is None else f"{name!r} of {thing!r}"
        kind = _ERRORS.get(code, ShadowError)
        text = f"shadow {of}: {message} ({code})"
        raise kind(text, thing=thing, shadow=name, status=code)
    return document


def subject(thing: str, name: str | None, operation: str) -> str:
    """Return the topic that names an operation on a shadow."""
    inner = f"name/{name}/" if name and operation != "list" else ""
    return f"$aws/things/{thing}/shadow/{inner}{operation}"


def _absent() -> ShadowDocument:
    return ShadowDocument(b"{}", {})


class Shadow(_Requests):
    """
    One shadow of a thing, or its classic one if `name` is None; it holds no state.

    Every call may raise what `Client.invoke` raises beside what it says itself.
    """

    __slots__ = ()

    def get(self) -> ShadowDocument:
        """
        Return the shadow.

        Raises:
            ShadowNotFoundError: There is none.
            ShadowError: The service refused.
        """
        return self._document(self._ask("get"))

    def update(
        self,
        *,
        desired: Section = ...,
        reported: Section = ...,
        version: int | None = None,
        client_token: str | None = None,
    ) -> ShadowChange:
        """
        Merge values into the shadow, which is made if there is none.

        Args:
            desired: Keys to set; None as a value removes a key, None instead of a mapping all.
            reported: The same.
            version: Only if this is the shadow's version; 0: only if there is none.
            client_token: Comes back in the messages that the update causes.

        Raises:
            ShadowVersionConflictError: The version is another one.
            ShadowTooLargeError: The state would be larger than the group allows.
            ShadowError: The service refused.
        """
        result = self._ask("update", self._update(desired, reported, version, client_token))
        return self._change(result)

    def modify(
        self, change: Callable[[ShadowDocument], Change], *, attempts: int = _ATTEMPTS
    ) -> ShadowChange | None:
        """
        Update the shadow from what it is, although others may update it at the same time.

        Args:
            change: Gets the shadow (empty, of version 0, if there is none) and returns what to
                merge, {"desired": ..., "reported": ...}, or None to leave it. Called again when
                the shadow has changed meanwhile.
            attempts: How often it is tried.

        Returns:
            None if `change` returned None.

        Raises:
            ShadowVersionConflictError: Others were faster each time.
            ShadowError: The service refused.
        """
        for left in reversed(range(attempts)):
            try:
                document = self.get()
            except ShadowNotFoundError:
                document = _absent()
            request = self._changed(document, change(document))
            if request is None:
                return None
            result = self._ask("update", request)
            try:
                return self._change(result)
            except ShadowVersionConflictError:
                if not left:
                    raise
        raise InvalidInputError(f"attempts is {attempts}; it must be at least 1")

    def delete(self) -> ShadowChange:
        """
        Delete the shadow.

        Raises:
            ShadowNotFoundError: There is none.
            ShadowError: The service refused.
        """
        result = self._ask("delete")
        return self._change(result)

    def list(self) -> list[str]:
        """Return the names of the thing's named shadows, which the service tells in pages."""
        names: list[str] = []
        page: dict[str, Any] | None = None
        while True:
            answer = self._read(self._ask("list", page))
            names += answer["results"]
            if "nextToken" not in answer:
                return names
            page = {"nextToken": answer["nextToken"]}

    def _ask(self, operation: str, payload: dict[str, Any] | None = None) -> InvokeResult:
        body, context = self._arguments(operation, payload)
        result: InvokeResult = self._invoke(SHADOW_SERVICE, body, client_context=context)
        return result


class AsyncShadow(_Requests):
    """`Shadow` for asyncio: the same calls as coroutines."""

    __slots__ = ()

    async def get(self) -> ShadowDocument:
        """Return the shadow; see `Shadow.get`."""
        return self._document(await self._ask("get"))

    async def update(
        self,
        *,
        desired: Section = ...,
        reported: Section = ...,
        version: int | None = None,
        client_token: str | None = None,
    ) -> ShadowChange:
        """Merge values into the shadow; see `Shadow.update`."""
        request = self._update(desired, reported, version, client_token)
        result = await self._ask("update", request)
        return self._change(result)

    async def modify(
        self, change: Callable[[ShadowDocument], Change], *, attempts: int = _ATTEMPTS
    ) -> ShadowChange | None:
        """Update the shadow from what it is; see `Shadow.modify`."""
        for left in reversed(range(attempts)):
            try:
                document = await self.get()
            except ShadowNotFoundError:
                document = _absent()
            request = self._changed(document, change(document))
            if request is None:
                return None
            result = await self._ask("update", request)
            try:
                return self._change(result)
            except ShadowVersionConflictError:
                if not left:
                    raise
        raise InvalidInputError(f"attempts is {attempts}; it must be at least 1")

    async def delete(self) -> ShadowChange:
        """Delete the shadow; see `Shadow.delete`."""
        result = await self._ask("delete")
        return self._change(result)

    async def list(self) -> list[str]:
        """Return the names of the thing's named shadows; see `Shadow.list`."""
        names: list[str] = []
        page: dict[str, Any] | None = None
        while True:
            answer = self._read(await self._ask("list", page))
            names += answer["results"]
            if "nextToken" not in answer:
                return names
            page = {"nextToken": answer["nextToken"]}

    def _ask(
        self, operation: str, payload: dict[str, Any] | None = None
    ) -> Awaitable[InvokeResult]:
        body, context = self._arguments(operation, payload)
        pending: Awaitable[InvokeResult] = self._invoke(
            SHADOW_SERVICE, body, client_context=context
        )
        return pending

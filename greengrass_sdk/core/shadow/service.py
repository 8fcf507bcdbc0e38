# SPDX-License-Identifier: Apache-2.0
"""
The shadow service: one request after the other, against a store.

`handle` answers a request at once and remembers what it changed; the changes are durable, and the
answer may be told, after `commit`. Several requests may share one commit: each sees the changes of
those before it. If the commit fails, `revert` forgets them all, and `failed` is what to answer.

An update by any way has the outputs `delta` (if something differs), `documents` and `accepted`, in
this order: a device that both updates and listens must see the delta of version n before it hears
that version n was accepted. A request by the SDK hears of a refusal, and of what it only reads,
itself; a request by a topic hears of both on the topics `accepted` and `rejected`.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from greengrass_sdk.core.shadow import responses
from greengrass_sdk.core.shadow.documents import Document, metadata_of
from greengrass_sdk.core.shadow.requests import Operation, Refusal, Request, parse_payload
from greengrass_sdk.core.shadow.store import Record
from greengrass_sdk.model.limits import SHADOW_STATE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.shadow.requests import ShadowId
    from greengrass_sdk.core.shadow.store import Store

__all__ = ["Outcome", "ShadowService"]

log = logging.getLogger(__name__)

_REMEMBERED = 1024  # shadows that are kept decoded at most ...
_REMEMBERED_BYTES = 4_194_304  # ... as JSON, which is a small part of what they take


@frozen
class Outcome:
    """
    What a request led to.

    Attributes:
        code: 200, or that of the refusal.
        reply: The document that answers it.
        outputs: Topics and payloads to publish, in this order.
        writes: It changed the shadow: nothing may be told before the commit.
    """

    code: int
    reply: bytes
    outputs: tuple[tuple[str, bytes], ...] = ()
    writes: bool = False


@define(eq=False)
class _Shadow:
    """One shadow in memory. `document` is None where there is none, never was, or no longer."""

    version: int = 0
    document: Document | None = None
    _state: bytes = b""
    _metadata: bytes = b""
    _opened: bytes = b""
    _told_at: int = -1
    _told: Outcome = Outcome(404, b"")

    @property
    def content(self) -> Document:
        return Document() if self.document is None else self.document

    @property
    def state(self) -> bytes:
        """Its state as JSON; each part is written once."""
        if not self._state:
            self._state = responses.encode(self.content.state)
        return self._state

    @property
    def metadata(self) -> bytes:
        """Its metadata as JSON."""
        if not self._metadata:
            self._metadata = responses.encode(self.content.metadata)
        return self._metadata

    @property
    def size(self) -> int:
        """Bytes of its JSON."""
        return len(self.state) + len(self.metadata)

    def told(self) -> bytes:
        """Return the shadow as in the message on `documents`."""
        return responses.opened(self.state, self.metadata, self.version) + b"}"

    def opened(self) -> bytes:
        """Return the answer to a get, up to its version."""
        if not self._opened:
            state = self.state
            if delta := self.content.delta():
                state = state[:-1] + b',"delta":' + responses.encode(delta) + b"}"
            self._opened = responses.opened(state, self.metadata, self.version)
        return self._opened

    def get(self, timestamp: int) -> Outcome:
        """Return the answer to a get that asks for nothing else; within a second it is the same."""
        if self._told_at != timestamp:
            self._told = Outcome(200, responses.finished(self.opened(), timestamp, None))
            self._told_at = timestamp
        return self._told

    def record(self) -> Record:
        if self.document is None:
            return Record(self.version, None)
        kept = b'{"state":%s,"metadata":%s}' % (self.state, self.metadata)
        return Record(self.version, kept)


def _restored(record: Record | None) -> _Shadow:
    if record is None:
        return _Shadow()
    if record.document is None:
        return _Shadow(record.version)
    kept = json.loads(record.document)
    return _Shadow(record.version, Document(kept["state"], kept["metadata"]))


@define(eq=False)
class ShadowService:
    """
    Answers requests.

    Args:
        store: Where the shadows are.
        state_bytes: The largest state.
        members: The things that have shadows; None: all that anybody names.
        wanted: Tells whether anybody gets what is published on a topic; what nobody gets is not
            made.
    """

    store: Store
    state_bytes: int = SHADOW_STATE_BYTES
    members: frozenset[str] | None = None
    wanted: Callable[[str], bool] = lambda _: True
    _known: dict[ShadowId, _Shadow] = field(factory=dict, init=False)
    _known_bytes: int = field(default=0, init=False)
    _changed: dict[ShadowId, _Shadow] = field(factory=dict, init=False)

    def handle(
        self, shadow: ShadowId, operation: Operation, payload: bytes, now: float, *, by_topic: bool
    ) -> Outcome:
        """
        Answer one request.

        Args:
            now: Seconds since the epoch.
            by_topic: It came as a message, not as a call that waits for the reply.
        """
        timestamp = int(now)
        try:
            held = self._changed.get(shadow) or self._known.get(shadow)
            if held is None:
                self._check(shadow)
            elif (
                operation is Operation.GET
                and not payload
                and not by_topic
                and held.document is not None
            ):
                return held.get(timestamp)
            request = parse_payload(operation, payload)
            try:
                return self._answer(shadow, held, operation, request, timestamp, by_topic=by_topic)
            except Refusal as refusal:
                refusal.client_token = request.client_token
                raise
        except Refusal as refusal:
            return self._refused(shadow, operation, refusal, timestamp, by_topic=by_topic)
        except Exception:
            log.exception("shadow %r cannot be read; it is left as it is", shadow.shown)
            return self.failed(shadow, operation, payload, now, by_topic=by_topic)

    def failed(
        self, shadow: ShadowId, operation: Operation, payload: bytes, now: float, *, by_topic: bool
    ) -> Outcome:
        """Return the answer to a request that the store could not serve."""
        refusal = Refusal(500, "Internal service failure")
        try:
            refusal.client_token = parse_payload(operation, payload).client_token
        except Refusal as other:
            refusal.client_token = other.client_token
        return self._refused(shadow, operation, refusal, int(now), by_topic=by_topic)

    def serve(
        self, shadow: ShadowId, operation: Operation, payload: bytes, now: float, *, by_topic: bool
    ) -> Outcome:
        """Answer one request and commit it: `handle` for those who have one at a time."""
        outcome = self.handle(shadow, operation, payload, now, by_topic=by_topic)
        if not outcome.writes:
            return outcome
        try:
            self.store.commit(self.changes())
        except OSError:
            log.exception("the change of shadow %r cannot be kept", shadow.shown)
            self.revert()
            return self.failed(shadow, operation, payload, now, by_topic=by_topic)
        self.settle()
        return outcome

    # The changes of a commit.

    def changes(self) -> dict[ShadowId, Record]:
        """Return what was changed since the last `settle` or `revert`, for the store."""
        return {shadow: held.record() for shadow, held in self._changed.items()}

    def settle(self) -> None:
        """Take the changes for durable."""
        for shadow, held in self._changed.items():
            self._remember(shadow, held)
        self._changed.clear()

    def revert(self) -> None:
        """Forget the changes, and what they were made from: the store knows better."""
        for shadow in self._changed:
            self._forget(shadow)
        self._changed.clear()

    def version(self, shadow: ShadowId) -> int | None:
        """
        Return the version of a shadow, as it is committed; None if there is none.

        Raises:
            OSError: The store cannot be read.
        """
        held = self._known.get(shadow) or _restored(self.store.load(shadow))
        return None if held.document is None else held.version

    # One request.

    def _check(self, shadow: ShadowId) -> None:
        shadow.check()
        if self.members is not None and shadow.thing not in self.members:
            raise Refusal(404, "Thing not found")

    def _answer(
        self,
        shadow: ShadowId,
        held: _Shadow | None,
        operation: Operation,
        request: Request,
        timestamp: int,
        *,
        by_topic: bool,
    ) -> Outcome:
        if operation is Operation.LIST:
            return Outcome(200, self._names(shadow.thing, request, timestamp))
        if held is None:
            held = _restored(self.store.load(shadow))
            self._remember(shadow, held)
        if operation is Operation.UPDATE:
            return self._update(shadow, held, request, timestamp)
        if held.document is None:
            raise Refusal(404, f"No shadow exists with name: {shadow.shown}")
        if operation is Operation.DELETE:
            self._changed[shadow] = _Shadow(held.version)
            opened = b'{"version":%d' % held.version
        else:
            opened = held.opened()
        reply = responses.finished(opened, timestamp, request.client_token)
        writes = operation is Operation.DELETE
        outputs: tuple[tuple[str, bytes], ...] = ()
        if by_topic or writes:
            outputs = self._output(f"{shadow.topic}{operation.value}/accepted", reply)
        return Outcome(200, reply, outputs, writes)

    def _update(self, shadow: ShadowId, held: _Shadow, request: Request, timestamp: int) -> Outcome:
        current = 0 if held.document is None else held.version
        if request.version is not None and request.version != current:
            raise Refusal(409, "Version conflict")
        new = _Shadow(held.version + 1, held.content.updated(request.state, timestamp))
        document = new.content
        if responses.state_bytes(document.state, new.state) > self.state_bytes:
            raise Refusal(413, "The payload exceeds the maximum size allowed")
        self._changed[shadow] = new
        tail: tuple[Any, ...] = (timestamp, request.client_token)
        stamps = metadata_of(request.state, timestamp)
        reply = responses.accepted(request.state, stamps, new.version, *tail)
        topic = f"{shadow.topic}update/"
        outputs: list[tuple[str, bytes]] = []
        if self.wanted(f"{topic}delta") and (delta := document.delta()):
            message = responses.delta(delta, document.delta_metadata(delta), new.version, *tail)
            outputs.append((f"{topic}delta", message))
        if self.wanted(f"{topic}documents"):
            message = responses.documents(held.told(), new.told(), *tail)
            outputs.append((f"{topic}documents", message))
        outputs += self._output(f"{topic}accepted", reply)
        return Outcome(200, reply, tuple(outputs), writes=True)

    def _refused(
        self,
        shadow: ShadowId,
        operation: Operation,
        refusal: Refusal,
        timestamp: int,
        *,
        by_topic: bool,
    ) -> Outcome:
        reply = responses.rejected(refusal.code, refusal.message, timestamp, refusal.client_token)
        topic = f"{shadow.topic}{operation.value}/rejected"
        return Outcome(refusal.code, reply, self._output(topic, reply) if by_topic else ())

    def _output(self, topic: str, payload: bytes) -> tuple[tuple[str, bytes], ...]:
        return ((topic, payload),) if self.wanted(topic) else ()

    def _names(self, thing: str, request: Request, timestamp: int) -> bytes:
        """Return a page of names; the token of the next one is the last name of this one."""
        found = set(self.store.names(thing))
        for shadow, held in self._changed.items():
            if shadow.thing == thing and shadow.name:
                (found.discard if held.document is None else found.add)(shadow.name)
        left = sorted(name for name in found if name > request.after)
        page = left[: request.page_size]
        return responses.names(page, page[-1] if len(left) > len(page) else "", timestamp)

    def _remember(self, shadow: ShadowId, held: _Shadow) -> None:
        """Keep a shadow decoded, in the place of those that were remembered first."""
        self._forget(shadow)
        self._known[shadow] = held
        self._known_bytes += held.size
        while len(self._known) > _REMEMBERED or self._known_bytes > _REMEMBERED_BYTES:
            self._forget(next(iter(self._known)))

    def _forget(self, shadow: ShadowId) -> None:
        held = self._known.pop(shadow, None)
        if held is not None:
            self._known_bytes -= held.size

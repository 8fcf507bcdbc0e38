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
from collections import OrderedDict
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

_REMEMBERED = 1024  # shadows that are kept decoded


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
    _opened: bytes = b""

    @property
    def content(self) -> Document:
        return Document() if self.document is None else self.document

    def told(self) -> bytes:
        """Return the shadow as in the message on `documents`."""
        document = self.content
        return responses.encode(
            {"state": document.state, "metadata": document.metadata, "version": self.version}
        )

    def opened(self) -> bytes:
        """Return the answer to a get, up to its version."""
        if not self._opened:
            document = self.content
            state = dict(document.state)
            if delta := document.delta():
                state["delta"] = delta
            whole = {"state": state, "metadata": document.metadata, "version": self.version}
            self._opened = responses.encode(whole)[:-1]
        return self._opened

    def record(self) -> Record:
        if self.document is None:
            return Record(self.version, None)
        kept = {"state": self.document.state, "metadata": self.document.metadata}
        return Record(self.version, responses.encode(kept))


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
    _known: OrderedDict[ShadowId, _Shadow] = field(factory=OrderedDict, init=False)
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
            self._check(shadow)
            request = parse_payload(operation, payload)
            try:
                return self._answer(shadow, operation, request, timestamp, by_topic=by_topic)
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
            self._known.pop(shadow, None)
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
        if shadow in self._known:
            return  # it was looked at before
        shadow.check()
        if self.members is not None and shadow.thing not in self.members:
            raise Refusal(404, "Thing not found")

    def _answer(
        self,
        shadow: ShadowId,
        operation: Operation,
        request: Request,
        timestamp: int,
        *,
        by_topic: bool,
    ) -> Outcome:
        if operation is Operation.LIST:
            return Outcome(200, responses.names(self._names(shadow.thing), timestamp))
        held = self._held(shadow)
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
        document = held.content.updated(request.state, timestamp)
        if responses.state_bytes(document.state) > self.state_bytes:
            raise Refusal(413, "The payload exceeds the maximum size allowed")
        new = _Shadow(held.version + 1, document)
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

    def _names(self, thing: str) -> list[str]:
        found = set(self.store.names(thing))
        for shadow, held in self._changed.items():
            if shadow.thing == thing and shadow.name:
                (found.discard if held.document is None else found.add)(shadow.name)
        return sorted(found)

    def _held(self, shadow: ShadowId) -> _Shadow:
        held = self._changed.get(shadow)
        if held is not None:
            return held
        held = self._known.get(shadow)
        if held is None:
            held = _restored(self.store.load(shadow))
        self._remember(shadow, held)
        return held

    def _remember(self, shadow: ShadowId, held: _Shadow) -> None:
        self._known[shadow] = held
        self._known.move_to_end(shadow)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

# SPDX-License-Identifier: Apache-2.0
"""
`GGShadowService`: the shadow service as an endpoint of a running core.

The router hands it items as to a worker: messages on the request topics, and invocations, which is
how an SDK asks (the client context names the topic). Items are answered in their order. While one
commit is on its way to the disk the next items wait, and then share the next commit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk.core.shadow import responses
from greengrass_sdk.core.shadow.requests import Operation, ShadowId, parse_topic, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from greengrass_sdk._native._py.router.events import Send
    from greengrass_sdk.core.shadow.service import Outcome, ShadowService
    from greengrass_sdk.core.shadow.store import Commits

__all__ = ["ShadowEndpoint"]

log = logging.getLogger(__name__)

_BATCH = 512  # requests that share a commit
_CONTEXTS = 4096  # client contexts that are kept decoded
_IGNORED = 256  # topics told once each


@frozen
class _Item:
    """A request that waits for its turn, or for the disk."""

    frame: Send
    shadow: ShadowId
    operation: Operation


@define(eq=False)
class ShadowEndpoint:
    """
    Takes items from the router and answers them.

    Args:
        publish: Publishes a payload on a topic, from `GGShadowService`.
        flush: Has what was published and answered leave.
        topic_payload_bytes: The largest message that `publish` takes.
        everything: Returns thing, name and version of every shadow.
        clock: Seconds since the epoch.

    Attributes:
        answer: Ends an item, by its number, with a result; set before the first `take`.
    """

    service: ShadowService
    committer: Commits
    publish: Callable[[str, bytes], None]
    flush: Callable[[], None]
    topic_payload_bytes: int
    everything: Callable[[], list[tuple[str, str, int]]]
    clock: Callable[[], float] = time.time
    answer: Callable[[int, bytes], None] = field(init=False)
    _waiting: deque[Send] = field(factory=deque, init=False)
    _committing: list[tuple[_Item, Outcome]] = field(factory=list, init=False)
    _watchers: dict[ShadowId, list[asyncio.Future[None]]] = field(factory=dict, init=False)
    _told: dict[str, None] = field(factory=dict, init=False)

    def take(self, frames: Iterable[Send]) -> None:
        """Take items from the router, in their order."""
        self._waiting.extend(frames)
        if not self._committing:
            self._work()

    async def changed(
        self, thing: str, name: str, version: int | None, timeout_s: float
    ) -> int | None:
        """
        Wait until the version of a shadow is not `version`, and return it; None: there is none.

        Raises:
            OSError: The store cannot be read.
        """
        loop = asyncio.get_running_loop()
        shadow = ShadowId(thing, name)
        deadline = loop.time() + timeout_s
        while True:
            current = self.service.version(shadow)
            left = deadline - loop.time()
            if current != version or left <= 0:
                return current
            change: asyncio.Future[None] = loop.create_future()
            watchers = self._watchers.setdefault(shadow, [])
            watchers.append(change)
            try:
                await asyncio.wait_for(change, left)
            except TimeoutError:
                pass  # the version is what it was
            finally:
                self._unwatch(shadow, change)

    def _tell_watchers(self, changed: set[ShadowId]) -> None:
        for shadow in changed:
            for change in self._watchers.pop(shadow, ()):
                if not change.done():
                    change.set_result(None)

    def _unwatch(self, shadow: ShadowId, change: asyncio.Future[None]) -> None:
        watchers = self._watchers.get(shadow, [])
        if change in watchers:
            watchers.remove(change)
        if not watchers:
            self._watchers.pop(shadow, None)

    def _work(self) -> None:
        """Answer what waits, up to the first commit."""
        while self._waiting and len(self._committing) < _BATCH:
            frame = self._waiting.popleft()
            asked = _asked(frame)
            if asked is None:
                self._refuse(frame)
                continue
            outcome = self.service.handle(
                *asked, frame.payload, self.clock(), by_topic=frame.kind == Kind.MESSAGE
            )
            if outcome.writes or self._committing:
                self._committing.append((_Item(frame, *asked), outcome))
            else:
                self._tell(frame, outcome)
        if self._committing:
            self.committer.commit(self.service.changes(), self._committed)

    def _committed(self, failure: OSError | None) -> None:
        batch = self._committing
        if failure is not None:
            log.error("%s; the updates are refused and change nothing", failure)
            self.service.revert()
            batch = [(item, self._again(item, outcome)) for item, outcome in batch]
        try:
            for item, outcome in batch:
                self._tell(item.frame, outcome)
            self.flush()  # the rest can wait; what comes meanwhile waits for it
        finally:
            if failure is None:
                self.service.settle()
            self._committing = []
        if self._watchers:
            self._tell_watchers({item.shadow for item, outcome in batch if outcome.writes})
        if self._waiting:
            self._work()
            self.flush()

    def _again(self, item: _Item, outcome: Outcome) -> Outcome:
        """Return the answer to a request whose commit failed; one that only read reads again."""
        ask = self.service.failed if outcome.writes else self.service.handle
        return ask(
            item.shadow,
            item.operation,
            item.frame.payload,
            self.clock(),
            by_topic=item.frame.kind == Kind.MESSAGE,
        )

    def _tell(self, frame: Send, outcome: Outcome) -> None:
        for topic, payload in outcome.outputs:
            self._publish(topic, payload)
        self._answer(frame, outcome.reply)

    def _publish(self, topic: str, payload: bytes) -> None:
        if len(payload) > self.topic_payload_bytes:
            self._say_once(
                topic,
                f"a message of {len(payload)} bytes on {topic!r} is not published: the group's"
                f" topic_payload_bytes is {self.topic_payload_bytes}",
            )
            return
        try:
            self.publish(topic, payload)
        except Exception:
            # An item without an answer would stop all that come after it.
            log.exception("a bug of ours: a message on %r could not be published", topic)

    def _answer(self, frame: Send, reply: bytes) -> None:
        silent = frame.kind == Kind.MESSAGE or frame.flags & Flag.EVENT
        self.answer(frame.id, b"" if silent else reply)

    def _refuse(self, frame: Send) -> None:
        """Answer what is no request: a caller hears it, of a message the log tells."""
        if frame.kind == Kind.MESSAGE:
            topic = frame.topic.decode("utf-8", "replace")
            self._say_once(
                topic,
                f"a message on {topic!r} is ignored: requests are on"
                " $aws/things/THING/shadow/{get,update,delete} or .../shadow/name/NAME/...;"
                " a subscription with the target GGShadowService is too wide",
            )
            self._answer(frame, b"")
            return
        refusal = why_not(_subject(frame.context) or "")
        reply = responses.rejected(refusal.code, refusal.message, int(self.clock()), None)
        self._answer(frame, reply)

    def _say_once(self, topic: str, text: str) -> None:
        if topic not in self._told and len(self._told) < _IGNORED:
            self._told[topic] = None
            log.warning("%s", text)


def _asked(frame: Send) -> tuple[ShadowId, Operation] | None:
    """Return what an item asks; None if it is no request."""
    if frame.kind == Kind.INVOKE:
        return _asked_by_context(frame.context)
    asked = parse_topic(frame.topic.decode("utf-8", "replace"))
    return None if asked is None or asked[1] is Operation.LIST else asked


@lru_cache(_CONTEXTS)
def _asked_by_context(context: bytes) -> tuple[ShadowId, Operation] | None:
    subject = _subject(context)
    return None if subject is None else parse_topic(subject)


def _subject(context: bytes) -> str | None:
    """Return what a client context asks for; None if it says nothing of that kind."""
    try:
        subject = json.loads(context)["custom"]["subject"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return subject if isinstance(subject, str) else None

# SPDX-License-Identifier: Apache-2.0
"""
Shadows in tests: the core's own service, in memory and on virtual time.

`FakeShadows` is to a FakeCore what `GGShadowService` is to a core: SDK calls of functions reach it,
and messages that rows bring. A commit takes no time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.shadow.endpoint import ShadowEndpoint
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.shadow.store import MemoryStore
from greengrass_sdk.model.arn import SHADOW_SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greengrass_sdk._native import Frame
    from greengrass_sdk.core.router.table import Table
    from greengrass_sdk.core.shadow.requests import ShadowId
    from greengrass_sdk.core.shadow.store import Record
    from greengrass_sdk.model.group import Group
    from greengrass_sdk.testing.engine import Engine

__all__ = ["FakeShadows"]


class _AtOnce:
    """Commits to memory; see :class:`greengrass_sdk.core.shadow.committer.Committer`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def commit(
        self, changes: Mapping[ShadowId, Record], done: Callable[[OSError | None], None]
    ) -> None:
        self._store.commit(changes)
        done(None)


class FakeShadows:
    """
    The shadow service of one FakeCore, which lives as long as it does.

    Args:
        table: Returns the table as it is now.
    """

    def __init__(self, engine: Engine, table: Callable[[], Table]) -> None:
        group = table().group
        self._engine = engine
        self._table = table
        self._endpoint = table().numbers[SHADOW_SERVICE]
        self._items: deque[Send] = deque()
        self._busy = False
        store = MemoryStore()
        self._service = ShadowService(
            store, state_bytes=group.shadows.state_bytes, wanted=self._is_wanted
        )
        self._desk = ShadowEndpoint(
            self._service,
            _AtOnce(store),
            publish=lambda topic, payload: engine.send(self._endpoint, topic.encode(), payload),
            flush=lambda: None,
            topic_payload_bytes=group.limits.topic_payload_bytes,
            everything=list,
            clock=engine.clock.time,
        )
        self._desk.answer = self._answer
        self._channel = engine.open_worker(self._endpoint)
        self._channel.take(self._taken)
        self._channel.send(Kind.READY, 0, self._endpoint)
        self.know(group)

    def know(self, group: Group) -> None:
        """Take the members of a group in, which may have grown."""
        everybody = frozenset({group.core, *group.devices})
        self._service.members = everybody if group.shadows.members_only else None

    def _is_wanted(self, topic: str) -> bool:
        return bool(self._table().index.match(self._endpoint, topic.encode()))

    def _taken(self, frame: Frame | BaseException) -> None:
        """Take an item; those that come while another is answered wait for their turn."""
        if isinstance(frame, BaseException):
            return  # the end
        self._channel.take(self._taken)
        fields = (frame.kind, frame.flags, frame.endpoint, frame.id)
        content = (frame.topic, frame.context, frame.payload)
        self._items.append(Send(self._channel.peer, *fields, *content))
        if self._busy:
            return
        self._busy = True
        try:
            while self._items:
                self._desk.take([self._items.popleft()])
        finally:
            self._busy = False

    def _answer(self, item: int, payload: bytes) -> None:
        self._channel.send(Kind.RESULT, 0, self._endpoint, item, payload=payload)

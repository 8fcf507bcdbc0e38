# SPDX-License-Identifier: Apache-2.0
"""Where shadows are kept: what the service needs of such a place, and one that is only memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greengrass_sdk.core.shadow.requests import ShadowId

__all__ = ["Commits", "MemoryStore", "Record", "Store"]


@frozen
class Record:
    """
    What is kept of one shadow.

    Attributes:
        version: That of its last change. A deleted shadow keeps its, and goes on with the next.
        document: `{"state": ..., "metadata": ...}` as JSON; None if it was deleted.
    """

    version: int
    document: bytes | None


class Store(Protocol):
    """
    Keeps shadows.

    Raises:
        OSError: From every method: it cannot be read or written.
    """

    def load(self, shadow: ShadowId) -> Record | None:
        """Return what is kept of a shadow; None if there never was one."""

    def names(self, thing: str) -> list[str]:
        """Return the names of the named shadows of a thing, sorted, without deleted ones."""

    def commit(self, changes: Mapping[ShadowId, Record]) -> None:
        """Keep all of `changes` or none; they are durable when this returns."""


class Commits(Protocol):
    """Commits to a store, at once or later."""

    def commit(
        self, changes: Mapping[ShadowId, Record], done: Callable[[OSError | None], None]
    ) -> None:
        """Commit `changes`, then call `done`: with None, or with what failed."""


@frozen
class MemoryStore:
    """Forgets everything at its end; for tests."""

    records: dict[ShadowId, Record] = field(factory=dict)

    def load(self, shadow: ShadowId) -> Record | None:
        """Return what is kept of a shadow."""
        return self.records.get(shadow)

    def names(self, thing: str) -> list[str]:
        """Return the names of the named shadows of a thing."""
        return sorted(
            shadow.name
            for shadow, record in self.records.items()
            if shadow.thing == thing and shadow.name and record.document is not None
        )

    def commit(self, changes: Mapping[ShadowId, Record]) -> None:
        """Keep `changes`."""
        self.records.update(changes)

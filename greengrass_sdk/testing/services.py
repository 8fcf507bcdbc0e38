# SPDX-License-Identifier: Apache-2.0
"""
The services of the core in a FakeCore: each comes to life when it is invoked, or named by a row.

Most tests use none of them; then none is made, and none is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk.model.arn import SECRETS_ARN, SHADOW_SERVICE, STREAMS_ARN

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.router.table import Table
    from greengrass_sdk.core.secrets.store import MemoryStore
    from greengrass_sdk.model.group import Group
    from greengrass_sdk.testing.engine import Engine
    from greengrass_sdk.testing.secrets import FakeSecrets
    from greengrass_sdk.testing.shadows import FakeShadows
    from greengrass_sdk.testing.streams import Exported, FakeStreams

__all__ = ["Services"]


class Services:
    """
    The services of one FakeCore, which live as long as it does.

    Args:
        table: Returns the table as it is now.
        secrets: Returns where the values of secrets are.
    """

    def __init__(
        self, engine: Engine, table: Callable[[], Table], secrets: Callable[[], MemoryStore]
    ) -> None:
        self._engine = engine
        self._table = table
        self._store = secrets
        self._shadows: FakeShadows | None = None
        self._secrets: FakeSecrets | None = None
        self._streams: FakeStreams | None = None
        starts = {
            SHADOW_SERVICE: self._start_shadows,
            SECRETS_ARN: self._start_secrets,
            STREAMS_ARN: self._start_streams,
        }
        numbers = table().numbers
        for address in starts.keys() & numbers.keys():
            engine.on_invoke(numbers[address], starts[address])
        self.know(table().group)

    def _start_shadows(self) -> None:
        from greengrass_sdk.testing.shadows import FakeShadows

        self._shadows = FakeShadows(self._engine, self._table)

    def _start_secrets(self) -> None:
        from greengrass_sdk.testing.secrets import FakeSecrets

        self._secrets = FakeSecrets(self._engine, self._table, self._store())

    def _start_streams(self) -> FakeStreams:
        from greengrass_sdk.testing.streams import FakeStreams

        if self._streams is None:
            self._streams = FakeStreams(self._engine, self._table)
        return self._streams

    def know(self, group: Group) -> None:
        """Take in a group, which may have grown."""
        for row in group.subscriptions:
            self._engine.start(self._table().numbers[row.target])
        if self._shadows is not None:
            self._shadows.know(group)
        if self._secrets is not None:
            self._secrets.know(group)

    # Exports of streams.

    @property
    def exported(self) -> list[Exported]:
        """The batches that have arrived."""
        return [] if self._streams is None else self._streams.exported

    def send_exports(self, *kinds: str) -> None:
        """Really send what exports of these kinds have, from now on."""
        self._start_streams().send_exports(*kinds)

    def leave(self) -> None:
        """Let exports send what is due, before anybody looks."""
        if self._streams is not None:
            self._streams.leave()

    def close(self) -> None:
        """Let go of what they hold."""
        if self._streams is not None:
            self._streams.close()

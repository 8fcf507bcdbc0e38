# SPDX-License-Identifier: Apache-2.0
"""
Secrets in tests: the core's own service, in memory.

`FakeSecrets` is to a FakeCore what `GGSecretManager` is to a core: who asks gets what the group
lets it read, and everybody else hears that there is no such secret. Nothing is encrypted, so that
tests need no package for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.secrets.access import Access
from greengrass_sdk.core.secrets.endpoint import SecretEndpoint
from greengrass_sdk.core.secrets.service import SecretService
from greengrass_sdk.core.secrets.store import Version, check_value
from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.arn import SECRETS_ARN
from greengrass_sdk.model.tables import check_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from greengrass_sdk._native import Frame
    from greengrass_sdk.core.router.table import Table
    from greengrass_sdk.core.secrets.store import MemoryStore
    from greengrass_sdk.model.group import Group
    from greengrass_sdk.testing.engine import Engine

__all__ = ["FakeSecrets", "new_version"]


def new_version(
    name: str, value: str | bytes, stages: Iterable[str], number: int, now_s: float
) -> tuple[Version, bytes]:
    """
    Return a version of a secret as a test gives it, and its value as bytes.

    Args:
        number: Becomes its id, so that it is the same in every run.

    Raises:
        InvalidInputError: Name, value or labels are none.
        LimitExceededError: The value is too large.
    """
    labels = (stages,) if isinstance(stages, str) else tuple(dict.fromkeys(stages))
    if not labels:
        raise InvalidInputError(f"secret {name!r} needs at least one staging label")
    binary = isinstance(value, bytes)
    data = value if isinstance(value, bytes) else value.encode()
    check_value(data, binary=binary)
    identifier = f"00000000-0000-4000-8000-{number:012d}"
    return Version(check_secret_name(name), identifier, labels, int(now_s * 1000), binary), data


class FakeSecrets:
    """
    The secret service of one FakeCore, which lives as long as it does.

    Args:
        table: Returns the table as it is now.
    """

    def __init__(self, engine: Engine, table: Callable[[], Table], store: MemoryStore) -> None:
        self._endpoint = table().numbers[SECRETS_ARN]
        self._service = SecretService(store, Access.of(table().group))
        self._desk = SecretEndpoint(self._service, lambda number: table().addresses[number])
        self._desk.answer = self._answer
        self._channel = engine.open_worker(self._endpoint)
        self._channel.take(self._taken)
        self._channel.send(Kind.READY, 0, self._endpoint)

    def know(self, group: Group) -> None:
        """Take in who may read what, of a group that may have grown."""
        self._service.access = Access.of(group)

    def _taken(self, frame: Frame | BaseException) -> None:
        if isinstance(frame, BaseException):
            return  # the end
        self._channel.take(self._taken)
        fields = (frame.kind, frame.flags, frame.endpoint, frame.id)
        content = (frame.topic, frame.context, frame.payload)
        self._desk.take([Send(self._channel.peer, *fields, *content)])

    def _answer(self, item: int, payload: bytes) -> None:
        self._channel.send(Kind.RESULT, 0, self._endpoint, item, payload=payload)

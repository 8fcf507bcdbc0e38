# SPDX-License-Identifier: Apache-2.0
"""What is kept of a secret, how staging labels move, and a store that is only memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import evolve, field, frozen

from greengrass_sdk.errors import InvalidInputError, LimitExceededError
from greengrass_sdk.model.limits import SECRET_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CURRENT", "PREVIOUS", "MemoryStore", "Store", "Version", "check_value", "staged"]

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"


@frozen(cache_hash=True)
class Version:
    """
    One version of a secret, without its value.

    Attributes:
        secret: The name of the secret.
        id: What AWS calls the version id.
        stages: Its staging labels; a label stands at one version of a secret only.
        created_ms: Milliseconds since the epoch.
        binary: Whether the value is bytes, or text in UTF-8.
    """

    secret: str
    id: str
    stages: tuple[str, ...]
    created_ms: int
    binary: bool = False


class Store(Protocol):
    """
    Keeps secrets.

    Raises:
        OSError: From every method: it cannot be read.
    """

    def versions(self, secret: str) -> Sequence[Version]:
        """Return the versions of a secret, the same object until they change; none may be."""

    def reveal(self, version: Version) -> bytes:
        """Return the value of a version that `versions` returned."""


def staged(versions: Iterable[Version], new: Version) -> list[Version]:
    """
    Return the versions of one secret after `new` came, with the labels where they are then.

    A label that `new` has leaves the version that had it. Which had AWSCURRENT has AWSPREVIOUS
    then. Versions without a label are gone, as nobody could ask for them.
    """
    others = [version for version in versions if version.id != new.id]
    taken = set(new.stages)
    was_current = next((each for each in others if CURRENT in each.stages), None)
    moves = CURRENT in taken and was_current is not None and PREVIOUS not in taken
    kept = []
    for version in others:
        gone = taken | {PREVIOUS} if moves else taken
        stages = [stage for stage in version.stages if stage not in gone]
        if moves and version is was_current:
            stages.append(PREVIOUS)
        if stages:
            kept.append(evolve(version, stages=tuple(stages)))
    return [*kept, new]


def check_value(value: bytes, *, binary: bool) -> None:
    """
    Refuse what is no value of a secret; its text is not in the message.

    Raises:
        InvalidInputError: It is empty, or meant to be text and no UTF-8.
        LimitExceededError: It is too large.
    """
    if not value:
        raise InvalidInputError("the value of a secret must not be empty")
    if len(value) > SECRET_BYTES:
        raise LimitExceededError(
            f"the value has {len(value)} bytes; a secret has at most {SECRET_BYTES}",
            limit=SECRET_BYTES,
            actual=len(value),
        )
    if not binary:
        try:
            value.decode()
        except UnicodeDecodeError:
            # Not its chain: the error holds the value.
            raise InvalidInputError(
                "the value is no text in UTF-8; say that it is binary"
            ) from None


@frozen
class MemoryStore:
    """Forgets everything at its end, and encrypts nothing; for tests."""

    _versions: dict[str, list[Version]] = field(factory=dict)
    _values: dict[tuple[str, str], bytes] = field(factory=dict, repr=False)

    def versions(self, secret: str) -> Sequence[Version]:
        """Return the versions of a secret."""
        return self._versions.get(secret, [])

    def reveal(self, version: Version) -> bytes:
        """Return the value of a version."""
        return self._values[version.secret, version.id]

    def put(self, version: Version, value: bytes) -> None:
        """Add a version."""
        check_value(value, binary=version.binary)
        self._versions[version.secret] = staged(self.versions(version.secret), version)
        self._values[version.secret, version.id] = value

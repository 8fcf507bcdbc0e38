# SPDX-License-Identifier: Apache-2.0
"""What a test says to a shadow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greengrass_sdk.client.shadows import ShadowDocument
from greengrass_sdk.errors import ShadowNotFoundError

if TYPE_CHECKING:
    from greengrass_sdk.client.shadows import Section, Shadow, ShadowChange

__all__ = ["ThingShadow"]


class ThingShadow:
    """
    A shadow of a thing, as a test looks at it and changes it; it always tells what is there now.

    What an update or a deletion causes, such as a delta that a function gets, has happened on
    return.
    """

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow

    @property
    def thing(self) -> str:
        """Name of the thing."""
        return self._shadow.thing

    @property
    def name(self) -> str | None:
        """Name of the shadow; None: the classic one."""
        return self._shadow.name

    @property
    def document(self) -> ShadowDocument:
        """All of it; where there is no shadow, empty and of version 0."""
        try:
            return self._shadow.get()
        except ShadowNotFoundError:
            return ShadowDocument(b"{}")

    @property
    def desired(self) -> dict[str, Any]:
        """What the thing should be."""
        return self.document.desired

    @property
    def reported(self) -> dict[str, Any]:
        """What the thing says that it is."""
        return self.document.reported

    @property
    def delta(self) -> dict[str, Any]:
        """What is desired and not, or not so, reported."""
        return self.document.delta

    @property
    def version(self) -> int:
        """How often it was updated; 0 if there is none."""
        return self.document.version

    def update(
        self, *, desired: Section = ..., reported: Section = ..., version: int | None = None
    ) -> ShadowChange:
        """
        Merge values into the shadow; see `Shadow.update`.

        Raises:
            ShadowError: The service refused, as for another version.
        """
        return self._shadow.update(desired=desired, reported=reported, version=version)

    def delete(self) -> ShadowChange:
        """
        Delete the shadow.

        Raises:
            ShadowNotFoundError: There is none.
        """
        return self._shadow.delete()

    def __repr__(self) -> str:
        of = "" if self.name is None else f", {self.name!r}"
        return f"ThingShadow({self.thing!r}{of})"

# SPDX-License-Identifier: Apache-2.0
"""
A row of the routing table.

Ref: Greengrass V1 guide, "Greengrass Lambda functions": source, subject, target. A row is one way;
without a row nothing is delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.topic import check_filter, matches

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Subscription"]


def _check_subject(_: Any, __: Attribute[str], value: str) -> None:
    check_filter(value)


def _check_address(_: Any, attribute: Attribute[str], value: str) -> None:
    if not value:
        raise InvalidInputError(f"{attribute.name} of a subscription is empty")


@frozen
class Subscription:
    """
    Messages from `source` whose topic matches `subject` go to `target`.

    Source and target are addresses (`Group.address`), never short names. `line` is where the row
    stands in the group file.
    """

    id: str
    source: str = field(validator=_check_address)
    subject: str = field(validator=_check_subject)
    target: str = field(validator=_check_address)
    line: int | None = field(default=None, eq=False, repr=False, kw_only=True)

    def admits(self, source: str, topic: str) -> bool:
        """Tell whether a message from an address on a topic goes this way."""
        return source == self.source and matches(self.subject, topic)

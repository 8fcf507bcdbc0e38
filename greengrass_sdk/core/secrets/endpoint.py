# SPDX-License-Identifier: Apache-2.0
"""
`GGSecretManager`: the secret service as an endpoint of a running core.

The router hands it invocations as to a worker, and says who asks: a confidential function gets
items with the endpoint of their caller. What it answers reaches the caller alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk.core.secrets import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from greengrass_sdk._native._py.router.events import Send
    from greengrass_sdk.core.secrets.service import SecretService

__all__ = ["SecretEndpoint"]

log = logging.getLogger(__name__)


@define(eq=False)
class SecretEndpoint:
    """
    Takes items from the router and answers them at once.

    Args:
        address: Returns the address of an endpoint.

    Attributes:
        answer: Ends an item, by its number, with a result; set before the first `take`.
    """

    service: SecretService
    address: Callable[[int], str]
    answer: Callable[[int, bytes], None] = field(init=False)

    def take(self, frames: Iterable[Send]) -> None:
        """Take items from the router, in their order."""
        for frame in frames:
            asked = frame.kind == Kind.INVOKE and not frame.flags & Flag.EVENT
            self.answer(frame.id, self._answer(frame) if asked else b"")

    def _answer(self, frame: Send) -> bytes:
        try:
            return self.service.answer(self.address(frame.endpoint), frame.payload)
        except Exception:
            # An item without an answer would stop all that come after it.
            log.exception("a bug of ours: a request for a secret could not be answered")
            return documents.refused(500, "Internal error; see the log GGSecretManager.log")

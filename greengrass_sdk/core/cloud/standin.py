# SPDX-License-Identifier: Apache-2.0
"""
The local stand-in for the cloud: takes what the table sends to `cloud`, and never echoes.

What it took is seen in `greengrass run` and in `greengrass status`; messages from the cloud come
from `greengrass publish`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greengrass_sdk._native._py.router.events import Send

__all__ = ["StandInCloud"]


class StandInCloud:
    """Counts what reached the cloud."""

    def __init__(self) -> None:
        self.messages = 0
        """Messages received since the start."""

    def receive(self, message: Send) -> None:  # noqa: ARG002  # the message itself is shown by the tap
        """Take one message."""
        self.messages += 1

# SPDX-License-Identifier: Apache-2.0
"""When a pinned function that ended is started again."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Backoff"]


@frozen
class Backoff:
    """Pauses between the starts of a pinned function, in seconds."""

    first_s: float = 1.0
    longest_s: float = 60.0
    healthy_s: float = 60.0

    def pause(self, failures: int) -> float:
        """Return the pause after `failures` ends in a row, the first being 1."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 16))

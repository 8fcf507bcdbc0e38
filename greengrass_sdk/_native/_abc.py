# SPDX-License-Identifier: Apache-2.0
"""
What the C and the Python implementation both promise.

Only type checkers and tests import this module; `greengrass_sdk._native` does without `typing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from greengrass_sdk._native._py.frames import Frame

__all__ = ["FrameDecoder", "TopicIndex"]


class FrameDecoder(Protocol):
    """
    Bytes of one peer in, frames out. One decoder per connection; not for two threads at once.

    The cost of a byte does not depend on the sizes of the pieces it arrives in, and no more is
    buffered than has arrived. Decoded frames hold their own bytes, never a view of the input.
    """

    def __init__(self, max_frame: int = ...) -> None:
        """Accept frames of at most `max_frame` bytes, header included."""

    @property
    def pending(self) -> int:
        """Bytes of an incomplete frame that wait for the rest."""

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """
        Take the next bytes of the stream and return the frames they complete, in order.

        Raises:
            FrameError: The peer broke the format. `error.frames` holds the frames before the bad
                one; the decoder is dead, every later call raises the same reason.
        """


class TopicIndex(Protocol):
    """
    Finds the rows of the subscription table that a message of a source matches.

    Rules: levels are separated by `/` and may be empty; `+` stands for exactly one level, also an
    empty one; `#` stands last and for one or more levels, so that `sensor/#` does not match
    `sensor`; a wildcard in the first level does not match a topic that starts with `$`. Bytes are
    compared, nothing is folded.

    An index is filled, then asked; a change of the table builds a new one. Any number of threads
    may call `match` at the same time.

    Ref: Greengrass V1 guide, "Managed Subscriptions in the MQTT Messaging Workflow"
    """

    def __init__(self) -> None:
        """Build an index that matches nothing."""

    def add(self, source: int, topic_filter: bytes, row: int) -> None:
        """
        Let messages of `source` whose topic matches `topic_filter` match `row`.

        Raises:
            InvalidInputError: `source` or `row` is not in 0..2**32-1; the filter is empty, longer
                than MAX_TOPIC, holds NUL, or misplaces a wildcard.
        """

    def match(self, source: int, topic: bytes) -> list[int]:
        """
        Return the matching rows, ascending, each once.

        Raises:
            InvalidInputError: The topic is longer than MAX_TOPIC.
        """

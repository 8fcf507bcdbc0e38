# SPDX-License-Identifier: Apache-2.0
"""
The one window of all throughput: at most 512 messages unacknowledged, one acknowledgement per 256.

Sources of every system keep a `Run`; sinks count their messages and bytes and acknowledge every
256th with `acknowledgement`. The source has it all in hand: a message that is lost or cut leaves
the last acknowledgement out, or makes a sum wrong. Functions get a copy of this file beside theirs.
"""

from __future__ import annotations

import time

WINDOW = 512
ACK = 256


def acknowledgement(consumer: int, size: int) -> bytes:
    """Return what a consumer says after `ACK` messages with `size` bytes in sum."""
    return b"%d %d" % (consumer, size)


class Run:
    """
    What a source has sent, and what came back.

    Args:
        size: Bytes of a payload.
        seconds: How long it sends; acknowledgements that are due then are waited for and count.
        consumers: Each gets every message.
    """

    def __init__(self, size: int, seconds: float, consumers: int) -> None:
        self._sum = ACK * size
        self._chunks = [0] * consumers
        self._sent = 0
        self._done = 0
        self.wrong = 0
        self._begun = time.perf_counter_ns()
        self._end = self._begun + int(seconds * 1e9)

    def due(self) -> bool:
        """Whether `ACK` more messages are to be sent now; then it is assumed that they are."""
        waiting = (self._sent - self._done) * ACK
        if waiting + ACK > WINDOW or (self._sent and time.perf_counter_ns() >= self._end):
            return False
        self._sent += 1
        return True

    def acknowledged(self, text: bytes) -> None:
        """Take an acknowledgement."""
        consumer, size = map(int, text.split())
        self.wrong += size != self._sum
        self._chunks[consumer] += 1
        self._done = min(self._chunks)

    @property
    def finished(self) -> bool:
        """Whether all that was sent has been acknowledged; asked when nothing is due."""
        return self._done == self._sent

    def result(self) -> dict[str, int]:
        """Return how many messages it was, how many nanoseconds, and how many sums were wrong."""
        return {
            "messages": self._sent * ACK,
            "ns": time.perf_counter_ns() - self._begun,
            "wrong": self.wrong,
        }

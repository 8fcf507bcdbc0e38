# SPDX-License-Identifier: Apache-2.0
"""The cloud of a FakeCore: takes what rows send to `cloud`, and fails as a test wants it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from greengrass_sdk.errors import CoreUnavailableError, InvalidInputError
from greengrass_sdk.model.limits import SPOOL_BYTES
from greengrass_sdk.testing.greengrass import GreengrassCloud
from greengrass_sdk.testing.records import Delivery, Message, Messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from greengrass_sdk.testing.clock import VirtualClock

__all__ = ["FakeCloud"]

_DOWN = "the cloud is down"
_UNDER_WAY = "on its way"
_LOST = "lost on the way to the cloud"
_REPLACED = "replaced by newer messages for the cloud"
_LINK = "the link to the cloud"


class FakeCloud(GreengrassCloud):
    """
    The link to the cloud, in both directions.

    While it is down, messages for it wait: `spool_bytes` of payload, the oldest replaced first;
    messages from it wait at the broker.

    Ref: Greengrass V1 guide, "MQTT message queue"
    """

    def __init__(
        self,
        clock: VirtualClock,
        send: Callable[[str, bytes], Message],
        settle: Callable[[], None],
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        self._clock = clock
        self._send = send
        self._settle = settle
        self._spool_bytes = spool_bytes
        self._spool: deque[tuple[Message, Delivery]] = deque()
        self._spooled_bytes = 0
        self._broker: deque[tuple[str, bytes]] = deque()
        self._received: list[Message] = []
        self._is_up = True
        self._latency_s = 0.0
        self._rate = 0.0
        self._random: Random | None = None

    @property
    def is_up(self) -> bool:
        """Whether messages pass."""
        return self._is_up

    @property
    def received(self) -> Messages:
        """What has arrived in the cloud, in the order of arrival."""
        return Messages(self._received, lambda: "nothing else has arrived in the cloud")

    def down(self) -> None:
        """Cut the link: messages wait, in both directions."""
        self._is_up = False

    def up(self) -> None:
        """Restore the link; what waits is delivered."""
        self._is_up = True
        waiting, self._spool, self._spooled_bytes = self._spool, deque(), 0
        for message, delivery in waiting:
            self._pass(message, delivery)
        held, self._broker = self._broker, deque()
        for topic, payload in held:
            self.send(topic, payload)
        self._settle()

    def latency(self, seconds: float) -> None:
        """Let messages be under way for so long, in both directions."""
        if seconds < 0:
            raise InvalidInputError(f"a latency of {seconds:g} s is less than none")
        self._latency_s = seconds

    def drop(self, rate: float, *, seed: int = 0) -> None:
        """Lose this share of the messages, 0 to 1; the same seed loses the same ones."""
        if not 0 <= rate <= 1:
            raise InvalidInputError(f"a drop rate of {rate:g} is not between 0 and 1")
        from random import Random

        self._rate = rate
        self._random = Random(seed)  # noqa: S311 - a test is to be repeatable

    def close(self) -> None:
        """Let go of the core; what has arrived can still be asked for."""
        self._send = _refuse
        self._settle = lambda: None

    # The core's side.

    def take(self, message: Message, delivery: Delivery) -> None:
        """Take a message that a row sends to the cloud."""
        if self._is_up:
            self._pass(message, delivery)
            return
        delivery.outcome, delivery.reason = "waiting", _DOWN
        self._spool.append((message, delivery))
        self._spooled_bytes += len(message.payload)
        while self._spooled_bytes > self._spool_bytes:
            oldest, lost = self._spool.popleft()
            self._spooled_bytes -= len(oldest.payload)
            lost.outcome, lost.reason = "dropped", _REPLACED

    def _pass(self, message: Message, delivery: Delivery) -> None:
        if self._is_lost():
            delivery.outcome, delivery.reason = "dropped", _LOST
        elif self._latency_s:
            delivery.outcome, delivery.reason = "waiting", _UNDER_WAY
            self._clock.call_later(self._latency_s, lambda: self._arrive(message, delivery))
        else:
            self._arrive(message, delivery)

    def _arrive(self, message: Message, delivery: Delivery) -> None:
        delivery.outcome, delivery.reason = "delivered", ""
        self._received.append(message)

    # The test's side.

    def send(self, topic: str, payload: bytes) -> Message:
        """Send a message to the core, and return what became of it."""
        if not self._is_up:
            self._broker.append((topic, payload))
            return self._under_way(topic, payload, Delivery(_LINK, "waiting", _DOWN, ""))
        if self._is_lost():
            return self._under_way(topic, payload, Delivery(_LINK, "dropped", _LOST, ""))
        if self._latency_s:
            self._clock.call_later(self._latency_s, lambda: (self._send(topic, payload), None)[1])
            return self._under_way(topic, payload, Delivery(_LINK, "waiting", _UNDER_WAY, ""))
        return self._send(topic, payload)

    def _under_way(self, topic: str, payload: bytes, delivery: Delivery) -> Message:
        return Message(topic, "cloud", payload, [delivery], time=self._clock.time())

    def _is_lost(self) -> bool:
        return self._random is not None and self._random.random() < self._rate


def _refuse(topic: str, _payload: bytes) -> Message:
    raise CoreUnavailableError(f"the FakeCore was closed and takes no message on {topic!r}")

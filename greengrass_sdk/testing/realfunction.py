# SPDX-License-Identifier: Apache-2.0
"""A function and the cloud of a real core, as the test holds them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

from greengrass_sdk.testing.differences import differs
from greengrass_sdk.testing.greengrass import GreengrassCloud, GreengrassFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.testing.records import LogRecord, Messages

__all__ = ["RealCloud", "RealFunction"]


class _Core(Protocol):
    def arn_of(self, name: str) -> str: ...
    def workers_of(self, name: str) -> int: ...
    def logs(self, function: str) -> list[LogRecord]: ...


class RealFunction(GreengrassFunction):
    """What `RealCore.add_function` returns; its faults are its own: see `differences`."""

    def __init__(self, name: str, core: _Core) -> None:
        super().__init__(name)
        self._core = core

    @property
    def arn(self) -> str:
        """Its ARN, with its version."""
        return self._core.arn_of(self.name)

    @property
    def logs(self) -> list[LogRecord]:
        """What it has logged and printed so far."""
        return self._core.logs(self.name)

    @property
    def workers(self) -> int:
        """How many processes it has now."""
        return self._core.workers_of(self.name)

    def crash(self, signal_number: int | signal.Signals = signal.SIGKILL) -> None:  # noqa: ARG002
        """Refuse: see `differences`."""
        raise differs("faults")

    def exit(self, code: int = 1) -> None:  # noqa: ARG002
        """Refuse: see `differences`."""
        raise differs("faults")

    def timeout(self) -> None:
        """Refuse: see `differences`."""
        raise differs("faults")

    def out_of_memory(self) -> None:
        """Refuse: see `differences`."""
        raise differs("faults")

    def queue_full(self, full: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - see the base
        """Refuse: see `differences`."""
        raise differs("faults")


class RealCloud(GreengrassCloud):
    """The stand-in for the cloud; it has no link that could fail: see `differences`."""

    def __init__(self, received: Callable[[], Messages]) -> None:
        self._received = received

    @property
    def received(self) -> Messages:
        """What has arrived in the cloud, in the order of arrival."""
        return self._received()

    def down(self) -> None:
        """Refuse: see `differences`."""
        raise differs("link")

    def up(self) -> None:
        """Refuse: see `differences`."""
        raise differs("link")

    def latency(self, seconds: float) -> None:  # noqa: ARG002
        """Refuse: see `differences`."""
        raise differs("link")

    def drop(self, rate: float, *, seed: int = 0) -> None:  # noqa: ARG002
        """Refuse: see `differences`."""
        raise differs("link")

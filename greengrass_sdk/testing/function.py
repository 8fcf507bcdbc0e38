# SPDX-License-Identifier: Apache-2.0
"""A function of a FakeCore, as the test holds it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from greengrass_sdk.testing.functions import OUT_OF_MEMORY, TIMEOUT
from greengrass_sdk.testing.greengrass import GreengrassFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.testing.functions import Crew, Member
    from greengrass_sdk.testing.records import LogRecord

__all__ = ["FakeFunction"]


class FakeFunction(GreengrassFunction):
    """What `FakeCore.add_function` returns."""

    def __init__(self, member: Member, crew: Callable[[], Crew]) -> None:
        super().__init__(member.name)
        self._member = member
        self._crew = crew

    @property
    def arn(self) -> str:
        """Its ARN, with its version."""
        self._crew()
        return self._member.model.arn

    @property
    def logs(self) -> list[LogRecord]:
        """What it has logged and printed so far."""
        return list(self._member.logs)

    @property
    def workers(self) -> int:
        """How many workers it has now; those of a core would be processes."""
        self._crew()
        return len(self._member.workers)

    @property
    def starts(self) -> int:
        """How many workers were started for it so far."""
        self._crew()
        return self._member.started

    def crash(self, signal_number: int = signal.SIGKILL) -> None:
        """Let the run that is under way, or else the next one, end by a signal."""
        self._crew().inject(self._member, int(signal_number))

    def exit(self, code: int = 1) -> None:
        """Let the run that is under way, or else the next one, end the process with a code."""
        self._crew().inject(self._member, (code & 0xFF) << 8)

    def timeout(self) -> None:
        """Let the next run take longer than the function's timeout."""
        self._crew().inject(self._member, TIMEOUT)

    def out_of_memory(self) -> None:
        """Let the run that is under way, or else the next one, exceed the memory limit."""
        self._crew().inject(self._member, OUT_OF_MEMORY)

    def queue_full(self, full: bool = True) -> None:  # noqa: FBT001, FBT002 - reads well: fn.queue_full(False)
        """Let its queue be full from now on, or what it was."""
        self._crew().fill(self._member, full=full)

# SPDX-License-Identifier: Apache-2.0
"""What the doubles raise beside the errors of a core, and how threads of functions end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk.errors import GreengrassError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.testing.records import FunctionFailure

__all__ = ["Killed", "ProcessExit", "SimulationError", "UnreadErrors"]


class SimulationError(GreengrassError):
    """Raised when the simulation cannot go on: an endless loop, or nothing can happen any more."""

    code = "Simulation"


class UnreadErrors(AssertionError):  # noqa: N818 - a test failed, nothing is broken
    """
    Raised at the end of a test that did not look at errors of its functions.

    Attributes:
        errors: What `Greengrass.errors` would have told.
    """

    def __init__(self, errors: Sequence[FunctionFailure]) -> None:
        count = "an error" if len(errors) == 1 else f"{len(errors)} errors"
        texts = "\n\n".join(error.describe() for error in errors)
        super().__init__(
            f"{count} in functions that the test did not look at (`errors` lists them):\n\n{texts}"
        )
        self.errors = errors


class Killed(BaseException):
    """Raised in the threads of a worker that has ended."""


class ProcessExit(BaseException):
    """
    Raised where a function ends its process.

    `status` is the wait status that a core would see.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

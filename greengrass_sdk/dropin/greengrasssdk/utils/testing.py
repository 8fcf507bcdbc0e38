# SPDX-License-Identifier: Apache-2.0
"""
The names of AWS's module for tests, for code that imports them.

AWS's `mock` answered with a fixed document where no core was. Here a call reaches whatever core
there is: in a test the double, `greengrass_sdk.testing`, which answers as a core does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    F = TypeVar("F", bound=Callable[..., object])

__all__ = ["mock"]


def mock(func: F) -> F:
    """Return the function as it is: without a core, its call says how to get one in a test."""
    return func

# SPDX-License-Identifier: Apache-2.0
"""How things are measured that are to be compared: in alternation, so that drifts hit all alike."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")


def alternate(cases: Mapping[str, Callable[[], _T]], rounds: int) -> dict[str, list[_T]]:
    """
    Take every measurement once in each round, and return them by case.

    Each round has an order of its own. One round more comes first and does not count: it fills
    caches, and ends the luck that new processes have with their first processor.
    """
    found: dict[str, list[_T]] = {case: [] for case in cases}
    for number in range(-1, rounds):
        order = list(cases.items())
        if number >= 0:
            random.shuffle(order)
        for case, take in order:
            taken = take()
            if number >= 0:
                found[case].append(taken)
    return found

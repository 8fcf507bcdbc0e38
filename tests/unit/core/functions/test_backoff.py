# SPDX-License-Identifier: Apache-2.0
"""When a pinned function that ended is started again."""

from __future__ import annotations

from greengrass_sdk.core.functions.backoff import Backoff


def test_pauses_double_up_to_the_longest():
    pauses = [Backoff().pause(failures) for failures in range(1, 9)]
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] == pauses


def test_any_number_of_failures_has_a_pause():
    assert 60.0 == Backoff().pause(1_000_000)

# SPDX-License-Identifier: Apache-2.0
"""Repeating what fails."""

from __future__ import annotations

import random
import time

import pytest

from greengrass_ipc_python_sdk.utils.exponential_backoff import RetryTimeoutException, retry


@pytest.fixture
def pauses(monkeypatch):
    """Hold the pauses that were made; time stands still but for them."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(made))
    return made


def failing(times):
    left = [ValueError(f"failure {number}") for number in range(times)]

    def function(value, *, extra):
        if left:
            raise left.pop(0)
        return value + extra

    return function


def test_a_call_is_repeated_with_growing_pauses_until_it_succeeds(pauses):
    call = retry(0.1, 1, 2, 5, 10, 1000, enable_jitter=False)(failing(5))
    assert 3 == call(1, extra=2)
    assert pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5]) == pauses


def test_it_ends_after_so_many_attempts(pauses):
    call = retry(1, 1, 1, 1, 3, 1000, enable_jitter=False)(failing(5))
    with pytest.raises(RetryTimeoutException, match="after 3 attempts: failure 2") as caught:
        call(1, extra=2)
    assert isinstance(caught.value.__cause__, ValueError)
    assert [1, 1] == pauses


def test_it_ends_after_so_much_time(pauses):
    call = retry(1, 1, 1, 1, 1000, 4, enable_jitter=False)(failing(50))
    with pytest.raises(RetryTimeoutException):
        call(1, extra=2)
    assert [1, 1, 1, 1] == pauses


def test_jitter_shortens_the_pauses(pauses, monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.25)
    assert 3 == retry(1, 4, 1, 10, 10, 1000)(failing(2))(1, extra=2)
    assert [1, 1] == pauses

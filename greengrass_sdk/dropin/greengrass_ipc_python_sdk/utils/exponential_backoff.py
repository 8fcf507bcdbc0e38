# SPDX-License-Identifier: Apache-2.0
"""Repeat what fails, with growing pauses."""

from __future__ import annotations

import random
import time
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RetryTimeoutException", "retry"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class RetryTimeoutException(Exception):
    """Raised when neither an attempt nor time is left; its cause is the last failure."""


def retry(
    time_unit: float = 1.0,
    multiplier: float = 1.0,
    backoff_coefficient: float = 2.0,
    max_delay: float = 60.0,
    max_attempts: int = 10,
    expiration_duration: float = 300.0,
    enable_jitter: bool = True,
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """
    Return a decorator that calls again while an exception is raised.

    The n-th pause is `multiplier * backoff_coefficient**n`, at most `max_delay`, in units of
    `time_unit` seconds; with jitter, a random part of it. It ends after `max_attempts` calls, or
    when the next one would come more than `expiration_duration` units after the first.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def repeated(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            begin = time.monotonic()
            attempt = 0
            while True:
                try:
                    return function(*args, **kwargs)
                except Exception as error:
                    delay = min(multiplier * backoff_coefficient**attempt, max_delay) * time_unit
                    if enable_jitter:
                        delay *= random.random()  # noqa: S311 - spreads load, hides nothing
                    attempt += 1
                    late = time.monotonic() + delay - begin > expiration_duration * time_unit
                    if attempt >= max_attempts or late:
                        raise RetryTimeoutException(
                            f"gave up after {attempt} attempts: {error}"
                        ) from error
                time.sleep(delay)

        return repeated

    return decorate

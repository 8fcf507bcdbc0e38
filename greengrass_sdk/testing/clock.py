# SPDX-License-Identifier: Apache-2.0
"""
The virtual clock, and what stands in for `time` and `datetime` inside functions.

Each stand-in looks at the thread that calls: a function's thread reads and moves the clock of its
FakeCore, every other thread gets the real thing. Instances of `datetime` and `date` are always real
ones; only their constructors that read the clock differ, so what code compares, pickles or gives to
C stays what it was.
"""

from __future__ import annotations

import datetime as dt
import heapq
import time as _time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

from greengrass_sdk.testing.scheduler import current_task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "TIME",
    "Timer",
    "VirtualClock",
    "VirtualDate",
    "VirtualDatetime",
    "reduce_moment",
    "stand_in_for",
]

_START_S = 1000.0  # of the monotonic clock: code takes 0 for "never"
_NANO = 1_000_000_000
_spec = BuiltinImporter.find_spec("time")
if _spec is None or _spec.loader is None:
    raise ImportError("this interpreter has no built-in module `time`")
# A module of its own: the functions themselves, whatever a test has put in their place.
_real: Any = module_from_spec(_spec)
_spec.loader.exec_module(_real)


class Timer:
    """Something that happens at a time; `cancel` prevents it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Do nothing when the time comes."""
        self._call = None

    @property
    def cancelled(self) -> bool:
        """Whether nothing will happen."""
        return self._call is None

    def fire(self) -> None:
        """Do it, once."""
        call, self._call = self._call, None
        if call is not None:
            call()


class VirtualClock:
    """
    Time of one FakeCore: it moves when it is told to.

    Args:
        start: Epoch seconds at which it starts; None is the real time.
    """

    def __init__(self, start: float | None = None) -> None:
        wall = round(_time.time(), 3) if start is None else start
        self.now = _START_S
        """Monotonic seconds."""
        self.epoch = wall - _START_S
        """Epoch seconds at monotonic second 0."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0

    def time(self) -> float:
        """Return epoch seconds."""
        return self.epoch + self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """Have `call` called at a monotonic second."""
        timer = Timer(call)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Have `call` called after so many seconds."""
        return self.call_at(self.now + seconds, call)

    def next_timer(self) -> float | None:
        """Return when the next timer is due."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def stop(self) -> None:
        """Forget all timers."""
        self._timers.clear()

    def fire(self) -> None:
        """Fire the timers whose time has come."""
        while self._timers and self._timers[0][0] <= self.now:
            heapq.heappop(self._timers)[2].fire()


# --- time --------------------------------------------------------------------


def _reader(name: str, read: Callable[[VirtualClock], Any]) -> Callable[[], Any]:
    real: Callable[[], Any] = getattr(_real, name)

    def stand_in() -> Any:
        task = current_task()
        return real() if task is None else read(task.clock)

    stand_in.__name__ = stand_in.__qualname__ = name
    stand_in.__doc__ = real.__doc__
    return stand_in


def _breakdown(name: str) -> Callable[..., Any]:
    real: Callable[..., Any] = getattr(_real, name)

    def stand_in(seconds: float | None = None, /) -> Any:
        task = current_task()
        if seconds is None and task is not None:
            seconds = task.clock.time()
        return real(seconds)

    stand_in.__name__ = stand_in.__qualname__ = name
    stand_in.__doc__ = real.__doc__
    return stand_in


def sleep(seconds: float, /) -> None:
    """Sleep; in a function's thread until the virtual clock is so much later."""
    task = current_task()
    if task is None:
        _real.sleep(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    task.sleep(seconds)


def _strftime(text: str, moment: Any = None, /) -> str:
    if moment is None:
        moment = _local()
    return str(_real.strftime(text, moment))


_local = _breakdown("localtime")

TIME: dict[str, Callable[..., Any]] = {
    "time": _reader("time", VirtualClock.time),
    "time_ns": _reader("time_ns", lambda clock: round(clock.time() * _NANO)),
    "monotonic": _reader("monotonic", lambda clock: clock.now),
    "monotonic_ns": _reader("monotonic_ns", lambda clock: round(clock.now * _NANO)),
    "perf_counter": _reader("perf_counter", lambda clock: clock.now),
    "perf_counter_ns": _reader("perf_counter_ns", lambda clock: round(clock.now * _NANO)),
    "sleep": sleep,
    "localtime": _local,
    "gmtime": _breakdown("gmtime"),
    "ctime": _breakdown("ctime"),
    "strftime": _strftime,
}
"""The functions of the module `time`, by name."""


# --- datetime ----------------------------------------------------------------


class _Facade(type):
    """Of the two stand-ins: what they make, and what counts as theirs, is real."""

    _plain: type

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        if "_stand_in" in cls.__dict__:
            return cls._plain(*args, **keywords)
        return super().__call__(*args, **keywords)

    def __instancecheck__(cls, instance: object) -> bool:
        if "_stand_in" in cls.__dict__:
            return isinstance(instance, cls._plain)
        return super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        if "_stand_in" in cls.__dict__:
            return issubclass(subclass, cls._plain)
        return super().__subclasscheck__(subclass)


def _now() -> float | None:
    task = current_task()
    return None if task is None else task.clock.time()


class VirtualDatetime(dt.datetime, metaclass=_Facade):
    """`datetime.datetime`, with the clock of the function that asks."""

    _plain = dt.datetime
    _stand_in = True

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        """Return the local time, or that of a zone."""
        now = _now()
        return super().now(tz) if now is None else cls.fromtimestamp(now, tz)

    @classmethod
    def utcnow(cls) -> Any:
        """Return the time in UTC, without a zone."""
        return cls.now(dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        """Return the local time."""
        return cls.now()


class VirtualDate(dt.date, metaclass=_Facade):
    """`datetime.date`, with the clock of the function that asks."""

    _plain = dt.date
    _stand_in = True

    @classmethod
    def today(cls) -> Any:
        """Return the local date."""
        now = _now()
        return super().today() if now is None else cls.fromtimestamp(now)


def reduce_moment(moment: dt.date) -> tuple[Any, ...]:
    """Pickle a date or time inside a function, where its class is not found by its name."""
    kind = VirtualDatetime if isinstance(moment, VirtualDatetime) else VirtualDate
    return (kind, *moment.__reduce_ex__(2)[1:])


def stand_in_for(value: object) -> Any:
    """Return what replaces a value in a module that imported it by name; None: nothing does."""
    if value is dt.datetime:
        return VirtualDatetime
    if value is dt.date:
        return VirtualDate
    if isinstance(value, BuiltinFunctionType) and value.__module__ == "time":
        return TIME.get(value.__name__)
    return None

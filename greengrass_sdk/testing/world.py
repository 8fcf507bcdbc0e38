# SPDX-License-Identifier: Apache-2.0
"""
What a worker sees of the process: as if it had one of its own.

While a function's thread runs, time is virtual, standard output and logging go to the function's
log, and environment, working directory and modules are the worker's. All of it is put in place
before each turn and taken out after it, so that tests and libraries never see it.
"""

from __future__ import annotations

import copyreg
import datetime as dt
import logging
import os
import queue
import signal
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk.runtime import logs
from greengrass_sdk.runtime.worker import Output
from greengrass_sdk.testing import clock, threads
from greengrass_sdk.testing.failures import ProcessExit
from greengrass_sdk.testing.scheduler import current_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from greengrass_sdk.testing.modules import PrivateModules

__all__ = ["RecordOutput", "Substitutes", "World", "encoded", "variables"]

_MISSING = object()
_environ: Any = os.environ
_encode = lru_cache(256)(os.fsencode)  # most variables of functions are always the same
_MOMENTS: tuple[type, ...] = (dt.datetime, dt.date)


class _Sink(logs.LogSocket):
    """Where the runtime writes log records."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[bytes, bytes, bytes], None]) -> None:
        super().__init__()
        self._take = take

    def write(self, level: bytes, origin: bytes, message: bytes) -> None:
        """Take one record."""
        self._take(level, origin, message)

    def stop(self) -> None:
        """Take no more records."""
        self._take = _drop


def _drop(_level: bytes, _origin: bytes, _message: bytes) -> None:
    """Take a record that nobody is to hear of."""


class RecordOutput(Output):
    """The two streams and the log of a worker, without a process."""

    __slots__ = ()
    sink: _Sink

    def __init__(self, take: Callable[[bytes, bytes, bytes], None]) -> None:
        self.sink = _Sink(take)
        self.writers = (
            logs.RecordWriter(self.sink, logs.INFO, 1, "<stdout>"),
            logs.RecordWriter(self.sink, logs.ERROR, 2, "<stderr>"),
        )


def _exit(status: int) -> Any:
    if current_task() is None:
        _real_exit(status)
    raise ProcessExit((status & 0xFF) << 8)


def _set_signal(number: int, handler: Any) -> Any:
    """Accept handlers of signals, which only a main thread may set; nothing sends any."""
    if current_task() is None:
        return _real_signal(number, handler)
    return signal.SIG_DFL


def _kill(pid: int, number: int) -> None:
    """Send a signal; one to the function's own process ends its worker only."""
    if current_task() is None or pid != os.getpid() or number in _HARMLESS:
        _real_kill(pid, number)
        return
    # The runtime stops, as if it was asked to; nothing catches the others.
    raise ProcessExit(0 if number == signal.SIGTERM else int(number))


def _raise_signal(number: int, /) -> None:
    _kill(os.getpid(), number)


def _abort() -> None:
    _kill(os.getpid(), signal.SIGABRT)


_HARMLESS = (0, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)
_real_exit = os._exit
_real_kill = os.kill
_real_signal = signal.signal

_PATCHES: list[tuple[Any, str, Any]] = [
    *((time, name, stand_in) for name, stand_in in clock.TIME.items()),
    (dt, "datetime", clock.VirtualDatetime),
    (dt, "date", clock.VirtualDate),
    *threads.PATCHES,
    # These took the clock by name when they were imported.
    (threading, "_time", clock.TIME["monotonic"]),
    (queue, "time", clock.TIME["monotonic"]),
    (os, "_exit", _exit),
    (os, "abort", _abort),
    (os, "kill", _kill),
    (signal, "raise_signal", _raise_signal),
    (signal, "signal", _set_signal),
]


class World:
    """
    The surroundings of one worker.

    Args:
        output: Its streams and log.
        environment: Its variables.
        inherit: Whether the test's own variables are seen behind them, as a callable expects.
        directory: Its working directory; None leaves the test's.
        modules: Its modules; None shares all.
        level: Of the root logger, as the core sets it.
    """

    def __init__(
        self,
        output: RecordOutput,
        environment: Mapping[str, str],
        *,
        inherit: bool,
        directory: str | None,
        modules: PrivateModules | None,
        level: str,
    ) -> None:
        self.output = output
        self._inherit = inherit
        self._directory = directory
        self._modules = modules
        self._variables = {_encode(k): _encode(v) for k, v in environment.items()}
        self._level = getattr(logging, {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level))
        self._handlers: list[logging.Handler] = [logs.RecordHandler(output.sink)]
        self._saved: list[tuple[Any, str, Any]] = []
        self._outer_handlers: list[logging.Handler] = []
        self._outer_level = logging.NOTSET
        self._outer_directory: str | None = None
        self._shown: dict[bytes, bytes] = {}
        self._silent = False

    def silence(self) -> None:
        """Let nothing be heard any more that its threads say."""
        self._silent = True
        self.output.sink.stop()

    def enter(self) -> None:
        """Put everything in place."""
        streams = [
            (sys, "stdout", self.output.writers[0]),
            (sys, "stderr", self.output.writers[1]),
        ]
        for place, name, value in (*_PATCHES, *streams):
            self._saved.append((place, name, getattr(place, name)))
            setattr(place, name, value)
        for kind in _MOMENTS:
            copyreg.dispatch_table[kind] = clock.reduce_moment
        self._enter_environment()
        self._enter_logging()
        if self._modules is not None:
            self._modules.enter()
        if self._directory is not None:
            self._outer_directory = _working_directory()
            os.chdir(self._directory)

    def leave(self) -> None:
        """Take everything back, in reverse."""
        if self._directory is not None:
            self._directory = _working_directory() or self._directory
            if self._outer_directory is not None:
                os.chdir(self._outer_directory)
        if self._modules is not None:
            self._modules.leave()
        self._leave_logging()
        self._leave_environment()
        for kind in _MOMENTS:
            copyreg.dispatch_table.pop(kind, None)
        while self._saved:
            place, name, value = self._saved.pop()
            setattr(place, name, value)

    def _enter_environment(self) -> None:
        for environ in (_environ, os.environb):  # one dictionary, which is swapped in no time
            self._saved.append((environ, "_data", _environ._data))  # noqa: SLF001 - see above
        self._saved.append((os, "environ", os.environ))
        self._shown = self._variables
        if self._inherit:
            self._shown = {**_outer_variables(), **self._variables}
            self._before = dict(self._shown)
        _set_variables(self._shown)

    def _leave_environment(self) -> None:
        if not self._inherit or self._shown == self._before:
            return
        changed = {k: v for k, v in self._shown.items() if self._before.get(k, _MISSING) != v}
        self._variables.update(changed)

    def _enter_logging(self) -> None:
        root = logging.getLogger()
        self._outer_handlers, self._outer_level = root.handlers, root.level
        root.handlers = [*root.handlers, *self._handlers]
        if self._silent:
            root.handlers = [logging.NullHandler()]
        if root.level != self._level:
            root.setLevel(self._level)

    def _leave_logging(self) -> None:
        root = logging.getLogger()
        if not self._silent:
            self._handlers = [h for h in root.handlers if h not in self._outer_handlers]
        root.handlers = self._outer_handlers
        self._level = root.level
        if root.level != self._outer_level:
            root.setLevel(self._outer_level)


def encoded(names: Iterable[str]) -> dict[str, bytes]:
    """Return names of variables as `variables` wants them."""
    return {name: os.fsencode(name) for name in names}


def variables(names: Mapping[str, bytes]) -> dict[str, str]:
    """Return those of the variables of this name that are set; quicker than `os.environ` is."""
    data = _outer_variables()
    return {name: os.fsdecode(data[key]) for name, key in names.items() if key in data}


def _outer_variables() -> dict[bytes, bytes]:
    """Return the variables of the process, or of the mapping that a test has put in their place."""
    real: dict[bytes, bytes] = _environ._data  # noqa: SLF001 - see above
    if os.environ is _environ:
        return real
    return {_encode(name): _encode(value) for name, value in os.environ.items()}


def _set_variables(data: dict[bytes, bytes]) -> None:
    os.environ = _environ  # noqa: B003 - its content follows
    _environ._data = data  # noqa: SLF001 - see above
    os.environb._data = data  # type: ignore[attr-defined]  # noqa: SLF001 - see above


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:
        return None  # it was removed


class Substitutes:
    """
    Replaces what modules imported by name: `from time import sleep` in a function's module.

    Such modules were imported before the double could know of them. The stand-ins look at the
    calling thread, so that tests that call into the module see no difference.
    """

    def __init__(self) -> None:
        self._undo: list[tuple[dict[str, Any], str, Any]] = []

    def install(self, namespace: dict[str, Any]) -> None:
        """Replace in the globals of a module."""
        for name, value in list(namespace.items()):
            stand_in: Any = clock.stand_in_for(value)
            if stand_in is None and isinstance(value, threads.REAL_LOCK) and not value.locked():
                stand_in = threads.VirtualLock()
            if stand_in is not None:
                self._undo.append((namespace, name, value))
                namespace[name] = stand_in

    def close(self) -> None:
        """Put the originals back."""
        while self._undo:
            namespace, name, value = self._undo.pop()
            namespace[name] = value


def module_of(handler: object) -> ModuleType | None:
    """Return the module that a callable was defined in."""
    return sys.modules.get(getattr(handler, "__module__", None) or "")

# SPDX-License-Identifier: Apache-2.0
"""
Which record goes to which file.

* A function's output goes to `user/REGION/ACCOUNT/NAME.log`, whatever its version.
* The core logs with Python's `logging`; the name of the logger picks the file: `router.log` for
  `greengrass_sdk.core.router...`, `runtime.log` for everything that has no file of its own.
* What ends the core goes to `crash.log` as well, always and at once.

`[[loggers]]` sets the lowest level and the space of each of the two components, `Lambda` and
`GreengrassSystem`; the space holds for each file.

Ref: Greengrass V1 guide, "FileSystem logs", "Configure logging for AWS IoT Greengrass"
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from attrs import frozen

from greengrass_sdk.core.telemetry.lines import LEVELS, format_line, level_name, severity
from greengrass_sdk.core.telemetry.logfile import LogFile
from greengrass_sdk.model import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.group import Logger

    OnRecord = Callable[[str | None, str, str, str], None]
    Schedule = Callable[[Callable[[], None]], object]

__all__ = ["FunctionLog", "LogSettings", "Logs", "SystemLogs"]

log = logging.getLogger(__name__)

MAIN = "runtime"

# Package of the core -> file in system/. V1's name where it had such a file.
SERVICES = {
    "cloud": "cloud",
    "deployments": "deployments",
    "gateway": "gateway",
    "ipc": "ipc",
    "router": "router",
    "secrets": "GGSecretManager",
    "shadow": "GGShadowService",
    "storage": "GGStreamManager",
    "streams": "GGStreamManager",
}

# Loggers outside of the package whose records concern the core.
FOREIGN_LOGGERS = ("asyncio", "py.warnings")
OWN_LOGGER = "greengrass_sdk"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@frozen
class LogSettings:
    """What `[[loggers]]` says about one component."""

    level: str = "INFO"
    space_kib: int = limits.LOG_SPACE_KIB

    @classmethod
    def of(cls, loggers: Iterable[Logger], component: str) -> LogSettings:
        """Return the settings of `component`; the defaults where the group has no logger for it."""
        for logger in loggers:
            if logger.component == component:
                return cls(logger.level, logger.space_kib)
        return cls()


class Logs:
    """
    All logs of one core.

    Args:
        schedule: Gets each flush that is due; the event loop's `call_soon` in the core.
        on_record: Hears (function or None, level, message, origin) of each record that is written.
    """

    def __init__(
        self,
        layout: Layout,
        loggers: Iterable[Logger] = (),
        *,
        now_ms: Callable[[], int] = _now_ms,
        schedule: Schedule | None = None,
        on_record: OnRecord | None = None,
    ) -> None:
        loggers = list(loggers)
        self._layout = layout
        self._settings = LogSettings.of(loggers, "Lambda")
        self._now_ms = now_ms
        self._schedule = schedule
        self._on_record = on_record
        self._files: dict[Path, LogFile] = {}
        system = LogSettings.of(loggers, "GreengrassSystem")
        self.system = SystemLogs(
            layout, system, now_ms=now_ms, schedule=schedule, on_record=on_record
        )

    @property
    def level(self) -> str:
        """The lowest level that functions write: `LOG_LEVEL` in their environment."""
        return self._settings.level

    def function(self, region: str, account: str, name: str) -> FunctionLog:
        """Return the log of a function; all its versions write to one file."""
        path = self._layout.user_log(region, account, name)
        file = self._files.get(path)
        if file is None:
            # A trouble with this file is a record of runtime.log.
            file = LogFile(
                path,
                self._settings.space_kib,
                now_ms=self._now_ms,
                schedule=self._schedule,
                report=log.error,
            )
            self._files[path] = file
        return FunctionLog(
            name, file, self._settings.level, now_ms=self._now_ms, on_record=self._on_record
        )

    def flush(self) -> None:
        """Write everything that is pending."""
        for file in self._files.values():
            file.flush()
        self.system.flush()

    def close(self) -> None:
        """Write everything that is pending and close all files."""
        for file in self._files.values():
            file.close()
        self.system.close()

    def __enter__(self) -> Self:
        self.system.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FunctionLog:
    """The log of one function."""

    __slots__ = ("_file", "_lowest", "_now_ms", "_on_record", "name")

    def __init__(
        self,
        name: str,
        file: LogFile,
        level: str = "INFO",
        *,
        now_ms: Callable[[], int],
        on_record: OnRecord | None = None,
    ) -> None:
        self.name = name
        self._file = file
        self._lowest = severity(level)
        self._now_ms = now_ms
        self._on_record = on_record

    @property
    def path(self) -> Path:
        """The file of the newest records."""
        return self._file.path

    def write(self, level: str, origin: str, message: str) -> None:
        """Write one record; `level` is V1's word. Never raises for what the disk does."""
        number = severity(level)
        if number < self._lowest:
            return
        self._file.write(format_line(self._now_ms(), level, origin, message))
        if number >= LEVELS["FATAL"]:
            self._file.flush()
        if self._on_record is not None:
            self._on_record(self.name, level, message, origin)

    def flush(self) -> None:
        """Write everything that is pending."""
        self._file.flush()


class SystemLogs(logging.Handler):
    """The core's own logs, as a handler of Python's logging."""

    def __init__(
        self,
        layout: Layout,
        settings: LogSettings,
        *,
        now_ms: Callable[[], int] = _now_ms,
        schedule: Schedule | None = None,
        on_record: OnRecord | None = None,
    ) -> None:
        super().__init__(severity(settings.level))
        self._folder = layout.system_log_dir
        self._space_kib = settings.space_kib
        self._now_ms = now_ms
        self._schedule = schedule
        self._on_record = on_record
        self._files: dict[str, LogFile] = {}
        self._services: dict[str, str] = {}
        self._crash = LogFile(
            layout.crash_log, settings.space_kib, now_ms=now_ms, report=self._complain
        )
        self._previous: dict[str, int] = {}

    # --- records

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to the file of its service."""
        try:
            message = record.getMessage()
            if record.exc_info:
                message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            elif record.exc_text:
                message += "\n" + record.exc_text
            if record.stack_info:
                message += "\n" + record.stack_info
        except Exception:  # noqa: BLE001 - the caller's arguments; logging's own way to tell about it
            self.handleError(record)
            return
        level = level_name(record.levelno)
        origin = f"{record.filename}:{record.lineno}"
        line = format_line(int(record.created * 1000), level, origin, message)
        self._file(record.name).write(line)
        if record.levelno >= logging.CRITICAL:
            self._crash.write(line)
            self.flush()
        if self._on_record is not None:
            self._on_record(None, level, message, origin)

    def crash(self, error: BaseException, doing: str = "the core ends") -> None:
        """Write what ends the core to `crash.log` and `runtime.log`, and all that is pending."""
        text = "".join(traceback.format_exception(error)).rstrip()
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        origin = f"{frame[0].filename.rpartition('/')[2]}:{frame[0].lineno}" if frame else "core:0"
        line = format_line(self._now_ms(), "FATAL", origin, f"{doing}: {error!r}\n{text}")
        self._file(OWN_LOGGER).write(line)
        self._crash.write(line)
        self.flush()

    def _file(self, name: str) -> LogFile:
        service = self._services.get(name)
        if service is None:
            service = self._services[name] = _service(name)
        file = self._files.get(service)
        if file is None:
            file = self._files[service] = LogFile(
                self._folder / f"{service}.log",
                self._space_kib,
                now_ms=self._now_ms,
                schedule=self._schedule,
                report=self._complain,
            )
        return file

    def _complain(self, text: str) -> None:
        """Tell people: no log of ours can take this text."""
        with suppress(OSError, ValueError, AttributeError):  # no standard error: a daemon
            sys.stderr.write(f"greengrass: {text}\n")
        if self._on_record is not None:
            self._on_record(None, "ERROR", text, "greengrass")

    # --- life

    def install(self) -> None:
        """Take the records of this package, of asyncio and of Python's warnings, until `close`."""
        for name in (OWN_LOGGER, *FOREIGN_LOGGERS):
            logger = logging.getLogger(name)
            self._previous[name] = logger.level
            if name == OWN_LOGGER:
                logger.setLevel(self.level)
            logger.addHandler(self)
        logging.captureWarnings(True)

    def flush(self) -> None:
        """Write everything that is pending."""
        for file in list(self._files.values()):
            file.flush()
        self._crash.flush()

    def close(self) -> None:
        """Let go of the loggers, write everything that is pending, close all files."""
        if self._previous:
            logging.captureWarnings(False)
        for name, level in self._previous.items():
            logger = logging.getLogger(name)
            logger.removeHandler(self)
            logger.setLevel(level)
        self._previous.clear()
        for file in self._files.values():
            file.close()
        self._crash.close()
        super().close()

    def catch_crashes(self) -> None:
        """
        Write what ends this process to `crash.log`: exceptions of any thread, and SIGSEGV.

        For a process that is a core and nothing else: it replaces the process's hooks for good.
        """

        def main_thread(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            self.crash(error)
            sys.__excepthook__(kind, error, trace)

        def other_thread(args: threading.ExceptHookArgs) -> None:
            if args.exc_value is not None:
                name = args.thread.name if args.thread is not None else "?"
                self.crash(args.exc_value, f"thread {name!r} ends")
            threading.__excepthook__(args)

        sys.excepthook = main_thread
        threading.excepthook = other_thread
        with suppress(OSError):
            faulthandler.enable(self._crash.descriptor())


def _service(name: str) -> str:
    """Return which file the records of a logger go to."""
    parts = name.split(".")
    if parts[:2] == [OWN_LOGGER, "core"] and len(parts) > len(("greengrass_sdk", "core")):
        return SERVICES.get(parts[2], MAIN)
    return MAIN

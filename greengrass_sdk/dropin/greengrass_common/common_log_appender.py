# SPDX-License-Identifier: Apache-2.0
"""
Logging to the core, by name; old functions configure it themselves.

Under this core `print` and `logging` reach the function's log without any of this.
"""

from __future__ import annotations

import logging
import os

__all__ = [
    "LOCALWATCH_FORMAT",
    "LOCAL_CLOUDWATCH_FORMAT",
    "LocalwatchLogHandler",
    "StdioLogWriter",
    "local_cloudwatch_handler",
]

LOCALWATCH_FORMAT = "%(filename)s:%(lineno)d,%(message)s\n"
LOCAL_CLOUDWATCH_FORMAT = "[%(levelname)s]-%(filename)s:%(lineno)d,%(message)s"

_STDOUT = 1
_STDERR = 2
_LEVELS = {"TRACE": logging.NOTSET, "WARN": logging.WARNING, "FATAL": logging.CRITICAL}
_PIPES = {
    logging.DEBUG: "_GG_LOG_FD_DEBUG",
    logging.INFO: "_GG_LOG_FD_INFO",
    logging.WARNING: "_GG_LOG_FD_WARN",
    logging.ERROR: "_GG_LOG_FD_ERROR",
    logging.CRITICAL: "_GG_LOG_FD_FATAL",
}


class LocalwatchLogHandler(logging.Handler):
    """
    Writes records to the function's log.

    A level goes to its own pipe where the core offers one, else to standard output, or to standard
    error from ERROR on. `LOG_LEVEL` is the least that is written.
    """

    def __init__(self) -> None:
        super().__init__(_least_level())
        self.setFormatter(logging.Formatter(LOCALWATCH_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; it never raises, as logging demands."""
        try:
            text = self.format(record)
            text = text if text.endswith("\n") else f"{text}\n"
            data = text.encode("utf-8", "backslashreplace")
            descriptor = _descriptor(record.levelno)
            while data:
                data = data[os.write(descriptor, data) :]
        except Exception:  # noqa: BLE001 - logging's own rule
            self.handleError(record)

    def flush(self) -> None:
        """Do nothing: `emit` writes through."""


class StdioLogWriter:
    """A text stream that makes a record of everything written to it."""

    def __init__(self, default_log_level: int, localwatch_log_handler: logging.Handler) -> None:
        self.default_log_level = default_log_level
        self.default_log_level_name = logging.getLevelName(default_log_level)
        self.localwatch_log_handler = localwatch_log_handler

    def write(self, data: object) -> int:
        """Log the text; a line feed alone, which `print` writes after its text, is none."""
        text = str(data)
        if text != "\n":
            file, line, function, _ = logging.getLogger().findCaller(stacklevel=2)
            record = logging.LogRecord(
                *("stdio", self.default_log_level, file, line, text, None, None, function)
            )
            self.localwatch_log_handler.handle(record)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` writes through."""


def _least_level() -> int:
    name = os.environ.get("LOG_LEVEL", "NOTSET").upper()
    return _LEVELS.get(name, logging.getLevelNamesMapping().get(name, logging.NOTSET))


def _descriptor(level: int) -> int:
    known = max((one for one in _PIPES if one <= level), default=logging.DEBUG)
    named = os.environ.get(_PIPES[known], "")
    if named.isdecimal():
        return int(named)
    return _STDERR if level >= logging.ERROR else _STDOUT


local_cloudwatch_handler = LocalwatchLogHandler()

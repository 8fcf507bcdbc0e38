# SPDX-License-Identifier: Apache-2.0
"""Logging by AWS's names."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from greengrass_common import common_log_appender
from greengrass_common.common_log_appender import LocalwatchLogHandler, StdioLogWriter


@pytest.fixture
def pipe(monkeypatch):
    reading, writing = os.pipe()
    for level in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        monkeypatch.setenv(f"_GG_LOG_FD_{level}", str(writing))
    yield reading
    os.close(reading)
    os.close(writing)


def logger_of(handler):
    logger = logging.getLogger("test of the handlers")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(1)
    return logger


def test_a_record_goes_to_the_pipe_of_its_level(pipe, monkeypatch):
    monkeypatch.setenv("_GG_LOG_FD_INFO", "")
    logger = logger_of(LocalwatchLogHandler())
    logger.warning("hello %s", "world")
    assert b"test_common_log_appender.py:" in (line := os.read(pipe, 1000))
    assert line.endswith(b",hello world\n")


@pytest.mark.parametrize(("level", "descriptor"), [(logging.INFO, 1), (logging.ERROR, 2), (5, 1)])
def test_without_pipes_it_goes_where_print_goes(monkeypatch, level, descriptor):
    written = []

    def write(fd, data):
        written.append((fd, data[:3]))
        return 3 if len(data) > 5 else len(data)

    monkeypatch.setattr(os, "write", write)
    handler = LocalwatchLogHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger_of(handler).log(level, "12345")
    assert [(descriptor, b"123"), (descriptor, b"45\n")] == written


def test_a_record_that_cannot_be_written_does_not_raise(monkeypatch, capsys):
    monkeypatch.setenv("_GG_LOG_FD_INFO", "1000000")
    logger_of(LocalwatchLogHandler()).info("lost")
    assert "Bad file descriptor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("TRACE", logging.NOTSET),
        ("DEBUG", logging.DEBUG),
        ("INFO", logging.INFO),
        ("WARN", logging.WARNING),
        ("ERROR", logging.ERROR),
        ("FATAL", logging.CRITICAL),
        ("verbose", logging.NOTSET),
    ],
)
def test_the_least_level_is_that_of_the_environment(monkeypatch, name, level):
    monkeypatch.setenv("LOG_LEVEL", name)
    assert level == LocalwatchLogHandler().level


def test_a_stream_makes_records_of_what_is_printed(pipe):
    stream = StdioLogWriter(logging.INFO, LocalwatchLogHandler())
    print("printed", file=stream)
    stream.flush()
    assert os.read(pipe, 1000).endswith(b",printed\n")
    assert "INFO" == stream.default_log_level_name


def test_there_is_a_handler_by_its_old_name():
    handler = common_log_appender.local_cloudwatch_handler
    handler.flush()
    assert isinstance(handler, logging.Handler)
    assert sys.stdout is not handler

# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.telemetry.logs: which record goes to which file."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.telemetry.logs import MAIN, SERVICES, Logs, LogSettings
from greengrass_sdk.model.group import Logger

STAMP = "[1970-01-01T00:00:05.007Z]"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "root")


@pytest.fixture
def records():
    return []


@pytest.fixture
def logs(layout, records):
    logs = Logs(layout, now_ms=lambda: 5007, on_record=lambda *record: records.append(record))
    with logs:
        yield logs


def function_log(logs, name="hello"):
    return logs.function("us-east-1", "000000000000", name)


def system(layout, name="runtime"):
    path = layout.system_log_dir / f"{name}.log"
    return path.read_text() if path.exists() else ""


# --- settings


def test_without_loggers_info_and_ten_mebibytes_hold():
    assert LogSettings("INFO", 10240) == LogSettings.of([], "Lambda")


def test_each_component_has_its_settings():
    loggers = [
        Logger(component="Lambda", level="WARN", space_kib=128),
        Logger(component="GreengrassSystem", level="DEBUG", space_kib=256),
    ]

    assert LogSettings("WARN", 128) == LogSettings.of(loggers, "Lambda")
    assert LogSettings("DEBUG", 256) == LogSettings.of(loggers, "GreengrassSystem")


# --- functions


def test_a_function_writes_to_the_file_of_the_guide(logs, layout):
    function_log(logs).write("INFO", "hello.py:12", "the message")

    path = layout.log_dir / "user" / "us-east-1" / "000000000000" / "hello.log"
    assert f"{STAMP}[INFO]-hello.py:12,the message\n" == path.read_text()


def test_versions_of_a_function_share_one_file(logs):
    one, two = function_log(logs), function_log(logs)

    one.write("INFO", "a", "1")
    two.write("INFO", "a", "2")

    assert one.path == two.path
    assert 2 == one.path.read_text().count("\n")


def test_records_below_the_level_are_neither_written_nor_shown(layout, records):
    loggers = [Logger(component="Lambda", level="ERROR")]
    logs = Logs(layout, loggers, now_ms=lambda: 0, on_record=lambda *record: records.append(record))
    log = function_log(logs)

    for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        log.write(level, "a.py:1", level)
    logs.close()

    assert [("hello", level, level, "a.py:1") for level in ("ERROR", "FATAL")] == records
    assert 2 == log.path.read_text().count("\n")
    assert "ERROR" == logs.level


def test_a_fatal_record_is_on_disk_at_once(layout):
    logs = Logs(layout, now_ms=lambda: 0, schedule=lambda flush: None)
    log = function_log(logs)

    log.write("INFO", "a.py:1", "waits")
    assert not log.path.exists()
    log.write("FATAL", "a.py:1", "now")

    assert 2 == log.path.read_text().count("\n")
    logs.close()


def test_a_function_log_that_cannot_be_written_is_a_record_of_the_core(logs, layout):
    folder = layout.log_dir / "user"
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")

    function_log(logs).write("INFO", "a.py:1", "x")

    assert "[ERROR]-logfile.py:" in system(layout)
    assert "hello.log: " in system(layout)


def test_flush_writes_functions_and_system(layout):
    logs = Logs(layout, now_ms=lambda: 0, schedule=lambda flush: None)
    with logs:
        function_log(logs).write("INFO", "a.py:1", "x")
        logging.getLogger("greengrass_sdk.core.router").warning("y")

        logs.flush()

        assert function_log(logs).path.exists()
        assert "y\n" in system(layout, "router")


# --- the core


@pytest.mark.parametrize(
    ("logger", "file"),
    [
        ("greengrass_sdk.core.router", "router"),
        ("greengrass_sdk.core.router.driver", "router"),
        ("greengrass_sdk.core.shadow.service", "GGShadowService"),
        ("greengrass_sdk.core.streams", "GGStreamManager"),
        ("greengrass_sdk.core.functions.pool", "runtime"),
        ("greengrass_sdk.core.daemon", "runtime"),
        ("greengrass_sdk.core", "runtime"),
        ("greengrass_sdk.client", "runtime"),
        ("asyncio", "runtime"),
    ],
)
def test_the_logger_picks_the_file(logs, layout, logger, file):
    logging.getLogger(logger).warning("that is %s", "it")

    text = system(layout, file)
    assert "[WARN]-test_logs.py:" in text
    assert text.endswith(",that is it\n")


def test_system_records_are_shown_without_a_function(logs, records):
    logging.getLogger("greengrass_sdk.core").info("hello")

    [(function, level, message, origin)] = records
    assert (None, "INFO", "hello") == (function, level, message)
    assert origin.startswith("test_logs.py:")


def test_the_system_level_is_of_its_own(layout):
    loggers = [Logger(component="GreengrassSystem", level="DEBUG")]
    with Logs(layout, loggers, now_ms=lambda: 0):
        logging.getLogger("greengrass_sdk.core").debug("low")
    with Logs(layout, now_ms=lambda: 0):
        logging.getLogger("greengrass_sdk.core").debug("too low")

    assert system(layout).endswith(",low\n")


def test_an_exception_is_part_of_its_record(logs, layout):
    try:
        raise KeyError("gone")
    except KeyError:
        logging.getLogger("greengrass_sdk.core").exception("lost it")

    lines = system(layout).splitlines()
    assert lines[0].endswith(",lost it")
    assert "    Traceback (most recent call last):" == lines[1]
    assert "    KeyError: 'gone'" == lines[-1]
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_stack_is_part_of_its_record(logs, layout):
    logging.getLogger("greengrass_sdk.core").info("here", stack_info=True)

    assert "\n    Stack (most recent call last):\n" in system(layout)


def test_wrong_arguments_do_not_stop_the_core(logs, layout, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("greengrass_sdk.core").info("%d", "x")
    logging.getLogger("greengrass_sdk.core").info("next")

    assert system(layout).endswith(",next\n")


def test_warnings_of_python_are_records(logs, layout):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)

    assert "DeprecationWarning: old thing" in system(layout)


def test_after_close_nothing_is_taken_and_levels_are_back(layout):
    logger = logging.getLogger("greengrass_sdk")
    level = logger.level
    with Logs(layout, now_ms=lambda: 0):
        assert logging.INFO == logger.level
    logger.warning("too late")

    assert level == logger.level
    assert "" == system(layout)


def test_a_critical_record_is_also_in_the_crash_log(layout):
    with Logs(layout, now_ms=lambda: 0, schedule=lambda flush: None):
        logging.getLogger("greengrass_sdk.core.router").critical("the end")

        assert layout.crash_log.read_text().endswith(",the end\n")
        assert system(layout, "router").endswith(",the end\n")


def test_a_crash_is_on_disk_with_its_traceback(layout, records):
    logs = Logs(layout, now_ms=lambda: 5007, schedule=lambda flush: None)
    with logs:
        logging.getLogger("greengrass_sdk.core").info("before")
        try:
            raise RuntimeError("boom")
        except RuntimeError as error:
            logs.system.crash(error)

        text = layout.crash_log.read_text()
        assert text.startswith(f"{STAMP}[FATAL]-test_logs.py:")
        assert "the core ends: RuntimeError('boom')\n    Traceback" in text
        assert ",before\n" in system(layout)
        assert text in system(layout)


def test_a_disk_that_takes_no_system_log_is_told_to_people_once(layout, capsys, records):
    layout.log_dir.parent.mkdir(parents=True)
    layout.log_dir.write_text("in the way")
    with Logs(layout, now_ms=lambda: 0, on_record=lambda *record: records.append(record)):
        logging.getLogger("greengrass_sdk.core").info("one")
        logging.getLogger("greengrass_sdk.core").info("two")

    text = f"cannot write {layout.system_log_dir / 'runtime.log'}: "
    assert 1 == capsys.readouterr().err.count(text)
    assert ["ERROR", "INFO", "INFO"] == sorted(level for _, level, _, _ in records)


def test_threads_may_log(layout):
    with Logs(layout, now_ms=lambda: 0, schedule=lambda flush: None):
        log = logging.getLogger("greengrass_sdk.core")
        threads = [threading.Thread(target=log.info, args=("%d", n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 8 == system(layout).count("\n")


CRASH = """
import os, signal, sys, threading
from pathlib import Path
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.telemetry.logs import Logs

logs = Logs(Layout(Path(sys.argv[1])), now_ms=lambda: 0)
logs.system.install()
logs.system.catch_crashes()

def fail():
    raise RuntimeError("boom")

{end}
"""


def crash(layout, end):
    return subprocess.run(
        [sys.executable, "-c", CRASH.format(end=end), layout.root],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_an_exception_that_ends_the_process_is_in_the_crash_log(layout):
    done = crash(layout, "fail()")

    assert 1 == done.returncode
    assert "RuntimeError: boom" in done.stderr
    assert "the core ends: RuntimeError('boom')" in layout.crash_log.read_text()


def test_an_exception_that_ends_a_thread_is_in_the_crash_log(layout):
    done = crash(layout, "t = threading.Thread(target=fail, name='writer'); t.start(); t.join()")

    assert 0 == done.returncode
    assert "thread 'writer' ends: RuntimeError('boom')" in layout.crash_log.read_text()


def test_a_fatal_signal_is_in_the_crash_log(layout):
    done = crash(layout, "os.kill(os.getpid(), signal.SIGSEGV)")

    assert -signal.SIGSEGV == done.returncode
    assert "Fatal Python error: Segmentation fault" in layout.crash_log.read_text()


def test_the_manual_names_every_file():
    page = (Path(__file__).parents[4] / "docs" / "reference" / "logs.md").read_text()

    assert [] == [name for name in (*SERVICES.values(), MAIN) if f"`system/{name}.log`" not in page]

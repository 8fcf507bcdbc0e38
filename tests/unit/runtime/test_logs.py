# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import io
import socket
import threading
import traceback
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from greengrass_sdk.runtime.logs import (
    ERROR,
    INFO,
    RECORD_BYTES,
    LogSocket,
    RecordAssembler,
    RecordWriter,
    pieces,
)

TRACEBACK = (
    b'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: no'
)
CAUSE = b"\n\nThe above exception was the direct cause of the following exception:\n\n"


# --- the assembler -----------------------------------------------------------------


def test_a_record_ends_at_a_newline_not_at_a_write(assembler):
    assert assembler.feed(b"one ") == []
    assert assembler.feed(b"line\ntwo") == [b"one line"]
    assert assembler.feed(b"\n") == [b"two"]
    assert assembler.flush() == []


def test_empty_lines_are_dropped_and_carriage_returns_belong_to_the_newline(assembler):
    assert assembler.feed(b"\n\na\r\n\r\n\nb\n") == [b"a", b"b"]


def test_what_is_left_is_flushed(assembler):
    assembler.feed(b"half")
    assert bool(assembler)
    assert assembler.flush() == [b"half"]
    assert not assembler


def test_a_traceback_is_one_record(assembler):
    assert assembler.feed(b"before\n" + TRACEBACK + b"\nafter\n") == [
        b"before",
        TRACEBACK,
        b"after",
    ]


def test_a_traceback_that_comes_in_lines_is_one_record(assembler):
    records = []
    for line in TRACEBACK.splitlines(keepends=True):
        records += assembler.feed(line)
    assert assembler.feed(b"\nafter\n") == [TRACEBACK, b"after"]
    assert records == []


def test_a_chain_of_tracebacks_is_one_record(assembler):
    chain = TRACEBACK + CAUSE + TRACEBACK
    assert assembler.feed(chain + b"\nafter\n") == [chain, b"after"]


def test_a_traceback_that_never_ends_is_flushed_and_bounded():
    assembler = RecordAssembler(100)
    records = assembler.feed(b"Traceback (most recent call last):\n" + b"  deeper\n" * 50)
    assert all(len(record) <= 100 for record in records)
    records += assembler.flush()
    assert b"".join(records).count(b"deeper") == 50


def test_a_megabyte_without_newline_is_cut_into_bounded_records(assembler):
    records = []
    for _ in range(1024):
        records += assembler.feed(b"x" * 1024)
    records += assembler.flush()
    assert sum(map(len, records)) == 1024 * 1024
    assert max(map(len, records)) <= RECORD_BYTES


@example([b"\x80" * 9], 4)
@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(4, 50))
def test_nothing_but_newlines_is_lost_whatever_the_writes(writes, limit):
    assembler = RecordAssembler(limit)
    records = []
    for data in writes:
        records += assembler.feed(data)
        assert len(assembler._line) <= limit
    records += assembler.flush()
    assert all(0 < len(record) <= limit for record in records)
    expected = [line.rstrip(b"\r") for line in b"".join(writes).split(b"\n")[:-1]]
    expected.append(b"".join(writes).rpartition(b"\n")[2])
    assert b"".join(expected) == b"".join(records)


@given(st.text(max_size=200), st.integers(4, 20))
def test_pieces_never_cut_a_character(text, limit):
    parts = pieces(text.encode(), limit)
    assert text == "".join(part.decode() for part in parts)


# --- the writers -------------------------------------------------------------------


class Log:
    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.sink = LogSocket(self.theirs.fileno())

    def records(self):
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                head, _, message = self.ours.recv(1 << 17).partition(b"\0")
                found.append((head[:1], head[1:], message))
        return found

    def messages(self):
        return [message for _, _, message in self.records()]


@pytest.fixture
def log():
    log = Log()
    with log.ours, log.theirs:
        yield log


@pytest.fixture
def out(log):
    return RecordWriter(log.sink, INFO, 1, "<stdout>")


def test_a_print_is_a_record_with_the_place_it_was_called_from(log, out):
    print("hello", 5, file=out)
    here = print_line()
    ((level, origin, message),) = log.records()
    assert (level, message) == (INFO, b"hello 5")
    assert f"test_logs.py:{here - 1}".encode() == origin


def print_line():
    import sys

    return sys._getframe(1).f_lineno


def test_lone_newlines_are_dropped(log, out):
    print(file=out)
    print("\n", file=out)
    print("a\n\n\nb", file=out)
    assert log.messages() == [b"a", b"b"]


def test_a_line_without_newline_waits_until_it_is_ended(log, out):
    print("a", end=" ", file=out, flush=True)
    assert log.messages() == []
    out.end_line()
    out.end_line()
    assert log.messages() == [b"a "]


def test_a_printed_traceback_is_one_record_in_every_way_to_print_it(log):
    err = RecordWriter(log.sink, ERROR, 2, "<stderr>")
    try:
        try:
            raise ValueError("two\nlines")
        except ValueError as cause:
            raise KeyError("outer") from cause
    except KeyError:
        text = traceback.format_exc()
    err.write(text)
    print(text, file=err)
    print("failed:", text, file=err)
    assert log.messages() == [
        text.strip().encode(),
        text.strip().encode(),
        f"failed: {text}".strip().encode(),
    ]


def test_a_line_of_any_length_arrives_in_pieces(log, out):
    received = []
    done = threading.Event()

    def read():
        total = 0
        log.ours.setblocking(True)
        while total < 1_000_000:
            received.append(log.ours.recv(1 << 17))
            total += len(received[-1].partition(b"\0")[2])
        done.set()

    reader = threading.Thread(target=read)
    reader.start()
    print("y" * 1_000_000, file=out)
    assert done.wait(10)
    reader.join()
    assert max(map(len, received)) <= RECORD_BYTES


def test_threads_do_not_mix_their_lines(log, out):
    middle = threading.Barrier(2)

    def say(word):
        out.write(word)
        middle.wait(10)
        out.write(f" {word}\n")

    threads = [threading.Thread(target=say, args=(word,)) for word in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log.messages()) == [b"a a", b"b b"]
    assert out.lines == {}


def test_ending_all_lines_takes_those_of_other_threads_too(log, out):
    thread = threading.Thread(target=out.write, args=("theirs",))
    thread.start()
    thread.join()
    out.write("mine")
    out.end_lines()
    assert sorted(log.messages()) == [b"mine", b"theirs"]


def test_bytes_go_through_the_buffer(log, out):
    out.buffer.write(b"raw \xff\n")
    out.buffer.write(memoryview(b"more"))
    out.buffer.flush()
    out.write("\n")
    assert log.messages() == [b"raw \xff", b"more"]


def test_a_writer_has_what_code_asks_of_standard_output(out: Any):
    assert io.TextIOBase in type(out).__mro__
    assert (out.fileno(), out.buffer.fileno()) == (1, 1)
    assert not out.isatty()
    assert (out.writable(), out.readable(), out.seekable()) == (True, False, False)
    assert (out.encoding, out.errors, out.name, out.mode) == (
        "utf-8",
        "backslashreplace",
        "<stdout>",
        "w",
    )
    assert (out.line_buffering, out.write_through, out.newlines) == (True, True, None)
    assert out.write("") == 0


def test_a_writer_survives_what_code_does_to_standard_output(log, out: Any):
    out.reconfigure(encoding="latin-1", line_buffering=False)
    out.close()
    wrapped = io.TextIOWrapper(out.detach(), encoding="utf-8", line_buffering=True)
    wrapped.write("wrapped\n")
    wrapped.close()
    out.writelines(["a", "b\n"])
    out.flush()
    assert not out.closed
    assert log.messages() == [b"wrapped", b"ab"]


def test_only_text_can_be_written(out):
    with pytest.raises(TypeError, match="must be str, not bytes"):
        out.write(b"bytes")


def test_text_that_is_no_utf8_is_written_escaped(log, out):
    print("\udc80", file=out)
    assert log.messages() == [b"\\udc80"]


def test_a_core_that_is_gone_does_not_break_a_print(log, out):
    log.ours.close()
    print("into the void", file=out)


def test_a_socket_that_was_closed_does_not_break_a_print():
    print("x", file=RecordWriter(LogSocket(), INFO, 1, "<stdout>"))


# --- logging in a real worker ---------------------------------------------------------


LOGGING = """
import logging
{setup}
def handler(event, context):
    logger = logging.getLogger("my.logger")
    logger.debug("a %s", 1)
    logger.info("b")
    logger.warning("c\\nof two lines")
    logger.error("d")
    logger.critical("e")
    logger.log(3, "f")
"""


@pytest.mark.parametrize(
    ("level", "levels"),
    [
        ("TRACE", "DIWEF"),
        ("DEBUG", "DIWEF"),
        ("INFO", "IWEF"),
        ("WARN", "WEF"),
        ("ERROR", "EF"),
        ("FATAL", "F"),
        ("unknown", "IWEF"),
    ],
)
def test_logging_works_without_setup_from_the_level_of_the_group(rig, level, levels):
    worker = rig.start(LOGGING.format(setup=""), log_level=level)
    worker.answer(b"")
    worker.kill()
    records = worker.records()
    assert levels == "".join(record[0] for record in records)
    if level == "DEBUG":
        assert records[0] == ("D", "lambda_function.py:6", "a 1")
        assert records[2][2] == "c\nof two lines"


def test_a_function_sets_its_own_level(rig):
    worker = rig.start(LOGGING.format(setup="logging.getLogger().setLevel(1)"))
    worker.answer(b"")
    worker.kill()
    assert "".join(record[0] for record in worker.records()) == "DIWEFT"


@pytest.mark.parametrize("force", [True, False])
def test_basic_config_keeps_working(rig, force):
    worker = rig.start(
        LOGGING.format(
            setup=f"import sys\nlogging.basicConfig(stream=sys.stdout, level=20, force={force})"
        )
    )
    worker.answer(b"")
    worker.kill()
    messages = [record[2] for record in worker.records()]
    prefix = "INFO:my.logger:" if force else ""
    assert messages[0] == f"{prefix}b"
    assert messages[1].endswith("c\nof two lines")


def test_a_logged_exception_is_one_record_with_its_traceback(rig):
    worker = rig.start(
        """
        import logging
        def handler(event, context):
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("it failed")
        """
    )
    worker.answer(b"")
    level, origin, message = worker.record()
    assert (level, origin) == ("E", "lambda_function.py:7")
    assert message.startswith("it failed\nTraceback (most recent call last):\n")
    assert message.endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    "statement",
    [
        "traceback.print_exc()",
        "traceback.print_exception(exc)",
        "sys.excepthook(type(exc), exc, exc.__traceback__)",
    ],
)
def test_printed_tracebacks_are_one_error_record(rig, statement):
    worker = rig.start(
        f"""
        import sys, traceback
        def handler(event, context):
            try:
                try:
                    raise ValueError("first\\nof two lines")
                except ValueError:
                    1 / 0
            except ZeroDivisionError as exc:
                {statement}
            print("after", file=sys.stderr)
        """
    )
    worker.answer(b"")
    level, _, message = worker.record()
    assert level == "E"
    assert "ValueError: first\nof two lines\n\nDuring handling of" in message
    assert message.endswith("ZeroDivisionError: division by zero")
    assert worker.record()[2] == "after"


def test_a_traceback_can_still_be_printed_elsewhere(rig):
    worker = rig.start(
        """
        import io, traceback
        def handler(event, context):
            file = io.StringIO()
            try:
                1 / 0
            except ZeroDivisionError:
                traceback.print_exc(file=file)
            return file.getvalue()
        """
    )
    assert worker.answer(b"").endswith("ZeroDivisionError: division by zero\n")


def test_an_exception_in_a_finalizer_is_logged(rig):
    worker = rig.start(
        """
        class Broken:
            def __del__(self):
                raise RuntimeError("in del")
        def handler(event, context):
            Broken()
        """
    )
    worker.answer(b"")
    level, origin, message = worker.record()
    assert (level, origin) == ("E", "lambda_function.py:4")
    assert message.startswith("Exception ignored in: <function Broken.__del__")


def test_a_logging_call_that_cannot_be_formatted_is_reported(rig):
    worker = rig.start("import logging\ndef handler(e, c): logging.error('%d', 'x')")
    worker.answer(b"")
    worker.kill()
    assert any("--- Logging error ---" in record[2] for record in worker.records())


def test_output_of_children_and_c_code_goes_through_the_pipes(rig):
    worker = rig.start(
        """
        import os, subprocess, sys
        def handler(event, context):
            subprocess.run("echo out; echo err >&2", shell=True)
            os.write(1, b"direct\\n")
            print("original", file=sys.__stdout__)
        """
    )
    worker.answer(b"")
    worker.kill()
    assert worker.pipe(1) == b"out\ndirect\noriginal\n"
    assert worker.pipe(2) == b"err\n"
    assert worker.records() == []


def test_a_print_of_a_megabyte_arrives_whole(rig):
    worker = rig.start("def handler(event, context): print('x' * 1_000_000, end='')")
    worker.send(3, id=1, topic=b"f", payload=b"{}")
    total = 0
    while total < 1_000_000:
        message = worker.record()[2]
        assert len(message) <= RECORD_BYTES
        total += len(message)
    assert total == 1_000_000
    assert worker.result(1) == (0, b"null")


def test_many_threads_and_forks_print_whole_lines(rig):
    worker = rig.start(
        """
        import os, threading
        def say(name):
            for n in range(50):
                print(name, n, name)
        def handler(event, context):
            threads = [threading.Thread(target=say, args=(f"t{n}",)) for n in range(4)]
            for thread in threads:
                thread.start()
            pid = os.fork()
            if pid == 0:
                say("child")
                os._exit(0)
            for thread in threads:
                thread.join()
            os.waitpid(pid, 0)
        """
    )
    worker.send(3, id=1, topic=b"f", payload=b"{}")
    lines = {worker.record()[2] for _ in range(250)}
    assert {
        f"{name} {n} {name}" for name in ("t0", "t1", "t2", "t3", "child") for n in range(50)
    } == lines
    assert worker.result(1) == (0, b"null")


def test_nothing_leaks_into_the_log_from_before_the_function(rig, eventually):
    eventually(rig.children, "a spare has rehearsed")
    worker = rig.start("def handler(e, c): pass")
    worker.answer(b"")
    worker.kill()
    assert worker.records() == []
    assert worker.pipe(1) == b""

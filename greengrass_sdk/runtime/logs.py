# SPDX-License-Identifier: Apache-2.0
"""
A function's output as log records.

A record is one packet on the worker's log socket: a byte for the level, `file.py:line`, NUL, and
the message in UTF-8, together at most RECORD_BYTES. print gives INFO, standard error gives ERROR,
logging gives its own levels.

A record ends at a newline, not at a write; each thread has a line of its own, so that threads never
mix theirs. Three things are one record although they have several lines: a traceback, what one call
of a logging handler writes, and a logging record. Empty lines are dropped. A line longer than a
record becomes several; nothing is lost and nothing grows.

The pipes at descriptors 1 and 2 are for C code and child processes; the core cuts what comes
through them with the same :class:`RecordAssembler`.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import traceback
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType
    from typing import Any

__all__ = [
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "RECORD_BYTES",
    "TRACE",
    "WARN",
    "LogSocket",
    "RecordAssembler",
    "RecordHandler",
    "RecordWriter",
    "install",
    "origin_of",
    "raised_at",
    "set_level",
]

RECORD_BYTES = 64 * 1024
_ORIGIN_BYTES = 255
_MESSAGE_BYTES = RECORD_BYTES - _ORIGIN_BYTES - 2

TRACE, DEBUG, INFO, WARN, ERROR, FATAL = b"T", b"D", b"I", b"W", b"E", b"F"
_LEVELS = {
    "TRACE": 5,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "CRITICAL": logging.CRITICAL,
}

_TRACEBACK = b"Traceback (most recent call last):"
_CHAINS = (
    b"The above exception was the direct cause of the following exception:",
    b"During handling of the above exception, another exception occurred:",
)
_INDENTS = (b" ", b"\t")
_LONGEST_CHARACTER = 4  # bytes of UTF-8
_LOGGING_FILE = logging.__file__
# Between the call that made a record and the function that wanted it; no origin of anything.
_PASSED_OVER = frozenset(
    {__file__, _LOGGING_FILE, traceback.__file__, io.__file__, "<frozen codecs>"}
)


class RecordAssembler:
    """
    Cuts a stream of bytes into records: lines, and tracebacks as a whole.

    Not for two threads at once. Buffers at most `limit` bytes between calls.
    """

    __slots__ = ("_block", "_limit", "_line")

    def __init__(self, limit: int = _MESSAGE_BYTES) -> None:
        self._limit = limit
        self._line = bytearray()
        self._block: list[bytes] = []

    def __bool__(self) -> bool:
        """Whether something is buffered."""
        return bool(self._line or self._block)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the records they complete, without their newlines."""
        first, newline, rest = data.partition(b"\n")
        self._line += first
        records: list[bytes] = []
        if newline:
            lines = rest.split(b"\n")
            lines.insert(0, bytes(self._line))
            self._line = bytearray(lines.pop())
            for index, line in enumerate(lines):
                self._take(line.rstrip(b"\r"), lines[index + 1 : index + 3], records)
        if len(self._line) > self._limit:
            records += self._close_block()
            *full, last = pieces(bytes(self._line), self._limit)
            records += full
            self._line = bytearray(last)
        return records

    def feed_whole(self, data: bytes) -> list[bytes]:
        """Take bytes that belong together to their end: newlines inside do not end the record."""
        if not data.endswith(b"\n"):
            return self.feed(data)
        records = self._close_block()
        records += pieces((self._line + data).strip(b"\r\n"), self._limit)
        self._line = bytearray()
        return records

    def flush(self) -> list[bytes]:
        """Return what is buffered, as if a newline had come."""
        if self._block and self._line:
            self._block.append(bytes(self._line))
            self._line = bytearray()
        records = self._close_block()
        records += pieces(bytes(self._line), self._limit)
        self._line = bytearray()
        return records

    def _take(self, line: bytes, ahead: list[bytes], records: list[bytes]) -> None:
        """Take one line; `ahead` are the next two, as far as they have come."""
        if not self._block:
            if line == _TRACEBACK:
                self._block.append(line)
            else:
                records += pieces(line, self._limit)
            return
        self._block.append(line)
        if line[:1] in _INDENTS or line == _TRACEBACK or line in _CHAINS:
            closes = sum(map(len, self._block)) > self._limit
        elif line:  # it names the exception and is the last, unless a chain goes on
            closes = ahead[:1] != [b""] or ahead[-1] not in _CHAINS
        else:
            closes = not ahead or (ahead[0] != _TRACEBACK and ahead[0] not in _CHAINS)
        if closes:
            records += self._close_block()

    def _close_block(self) -> list[bytes]:
        block = b"\n".join(self._block).strip(b"\n")
        self._block = []
        return pieces(block, self._limit)


def pieces(message: bytes | bytearray, limit: int = _MESSAGE_BYTES) -> list[bytes]:
    """Cut a message into parts of at most `limit` bytes, not inside a character."""
    if len(message) <= limit:
        return [bytes(message)] if message else []
    parts = []
    start = 0
    while start < len(message):
        end = start + limit
        earliest = max(start + 1, end - _LONGEST_CHARACTER)
        while end < len(message) and end > earliest and message[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(bytes(message[start:end]))
        start = end
    return parts


class LogSocket:
    """The worker's end of the log; any thread may write, also in a forked child."""

    __slots__ = ("fd",)

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd

    def write(self, level: bytes, origin: bytes, message: bytes) -> None:
        """Send a message as one record, or as several if it is too long; waits for a slow core."""
        head = level + origin[-_ORIGIN_BYTES:] + b"\0"
        for part in pieces(message):
            try:
                os.write(self.fd, head + part)
            except OSError:
                # The core is gone or the function closed the descriptor: there is nobody to tell,
                # and a print must not fail for it. The end of the channel ends the worker.
                return


class RecordWriter(io.TextIOBase):
    """
    Standard output or standard error of a function.

    Has what code expects of either: `buffer` takes bytes, `fileno` is the pipe behind it,
    `reconfigure` and `close` do nothing, `detach` gives the buffer.
    """

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    line_buffering = True
    write_through = True
    mode = "w"

    def __init__(self, sink: LogSocket, level: bytes, fd: int, name: str) -> None:
        self._sink = sink
        self._level = level
        self._fd = fd
        self.name = name
        # A thread's line, as long as there is one, and where its first write came from.
        self.lines: dict[int, tuple[RecordAssembler, bytes]] = {}
        self.buffer = _Bytes(self)

    def write(self, text: str, /) -> int:
        """Take text; whatever it completes is sent."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._feed(_encode(text))
        return len(text)

    def writelines(self, lines: Iterable[Any], /) -> None:
        """Take several texts."""
        for line in lines:
            self.write(line)

    def write_whole(self, text: str) -> None:
        """Take text that is one record, whatever newlines it holds."""
        self._feed(_encode(text), whole=True)

    def _feed(self, data: bytes, *, whole: bool = False) -> None:
        thread = get_ident()
        held = self.lines.get(thread)
        if held is None:
            if data == b"\n":
                return
            assembler, origin = RecordAssembler(), b""
        else:
            assembler, origin = held
        caller = sys._getframe(2)  # noqa: SLF001 - how logging finds its caller, too
        origin = origin or origin_of(caller)
        if whole or caller.f_code.co_filename == _LOGGING_FILE or _TRACEBACK + b"\n" in data:
            records = assembler.feed_whole(data)
        else:
            records = assembler.feed(data)
        for record in records:
            self._sink.write(self._level, origin, record)
        if assembler:
            self.lines[thread] = (assembler, origin_of(caller) if records else origin)
        elif held is not None:
            self.lines.pop(thread, None)

    def end_line(self) -> None:
        """End the record of this thread, if it has begun one."""
        if self.lines:
            self._end(get_ident())

    def end_lines(self) -> None:
        """End the records of all threads."""
        for thread in list(self.lines):
            self._end(thread)

    def forget_lines(self) -> None:
        """Drop what has not ended: in a forked child it is the parent's to send."""
        self.lines.clear()

    def _end(self, thread: int) -> None:
        held = self.lines.pop(thread, None)
        if held is not None:
            for record in held[0].flush():
                self._sink.write(self._level, held[1], record)

    def flush(self) -> None:
        """Do nothing: complete records are sent already, and only a newline completes one."""

    def fileno(self) -> int:
        """Return 1 or 2, the pipe for C code and child processes."""
        return self._fd

    def isatty(self) -> bool:
        """Return False."""
        return False

    def readable(self) -> bool:
        """Return False."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False."""
        return False

    def reconfigure(self, **_: Any) -> None:
        """Accept what TextIOWrapper accepts; records are UTF-8 and leave at once in any case."""

    def detach(self) -> Any:
        """Return the binary stream, for code that wraps it anew; this one stays usable."""
        return self.buffer

    def close(self) -> None:
        """Do nothing: what is printed later has to go somewhere."""


class _Bytes(io.BufferedIOBase):
    """`sys.stdout.buffer`: bytes, by the same rules."""

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self.mode = "wb"
        self.name = writer.name

    def write(self, data: Any, /) -> int:
        """Take bytes or anything that has them."""
        taken = bytes(memoryview(data))
        self._writer._feed(taken)  # noqa: SLF001 - two faces of one stream
        return len(taken)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._writer.fileno()

    def close(self) -> None:
        """Do nothing, as the text stream."""


class RecordHandler(logging.Handler):
    """Sends logging records, one by one, with the place in the code they come from."""

    def __init__(self, sink: LogSocket) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; one that cannot be formatted is reported on standard error."""
        try:
            message = self.format(record)
        except Exception:  # noqa: BLE001 - logging's contract: a bad record never breaks the caller
            self.handleError(record)
            return
        origin = f"{record.filename}:{record.lineno}"
        self._sink.write(
            _level_byte(record.levelno), _encode(origin), _encode(message).rstrip(b"\n")
        )


def set_level(level: str) -> None:
    """Set the level of the root logger: TRACE, DEBUG, INFO, WARN, ERROR or FATAL."""
    logging.getLogger().setLevel(_LEVELS.get(level.upper(), logging.INFO))


def install(sink: LogSocket) -> tuple[RecordWriter, RecordWriter]:
    """Send this process's standard output and error, logging and uncaught exceptions to `sink`."""
    out = RecordWriter(sink, INFO, 1, "<stdout>")
    err = RecordWriter(sink, ERROR, 2, "<stderr>")
    sys.stdout = out
    sys.stderr = err
    logging.getLogger().addHandler(RecordHandler(sink))

    def report(head: str, exc: BaseException, tb: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(type(exc), exc, tb))
        sink.write(ERROR, raised_at(tb), _encode(f"{head}{text}").rstrip(b"\n"))

    def in_thread(args: threading.ExceptHookArgs, /) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            name = args.thread.name if args.thread else "?"
            report(f"Exception in thread {name}:\n", args.exc_value, args.exc_traceback)

    def in_finalizer(args: sys.UnraisableHookArgs, /) -> None:
        if args.exc_value is not None:
            what = args.err_msg or "Exception ignored in"
            report(f"{what}: {args.object!r}\n", args.exc_value, args.exc_traceback)

    sys.excepthook = lambda _, exc, tb: report("", exc, tb)
    threading.excepthook = in_thread
    sys.unraisablehook = in_finalizer
    _print_tracebacks_whole()
    os.register_at_fork(after_in_child=out.forget_lines)
    os.register_at_fork(after_in_child=err.forget_lines)
    return out, err


def _print_tracebacks_whole() -> None:
    """Let `traceback.print_exc` and its like write a record instead of a line at a time."""
    print_lines = traceback.TracebackException.print

    def print_whole(
        self: traceback.TracebackException, *, file: Any = None, chain: bool = True, **more: Any
    ) -> None:
        target = sys.stderr if file is None else file
        if isinstance(target, RecordWriter):
            target.write_whole("".join(self.format(chain=chain)))
        else:
            print_lines(self, file=file, chain=chain, **more)

    traceback.TracebackException.print = print_whole  # type: ignore[method-assign]  # see above


def origin_of(frame: FrameType | None) -> bytes:
    """Return `file.py:line` of the innermost frame that is not a part of printing or logging."""
    while frame is not None and frame.f_code.co_filename in _PASSED_OVER:
        frame = frame.f_back
    if frame is None:
        return b""
    return _encode(f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}")


def raised_at(tb: TracebackType | None) -> bytes:
    """Return `file.py:line` of where an exception was raised."""
    if tb is None:
        return b""
    while tb.tb_next is not None:
        tb = tb.tb_next
    return _encode(f"{tb.tb_frame.f_code.co_filename.rpartition('/')[2]}:{tb.tb_lineno}")


def _level_byte(number: int) -> bytes:
    if number >= logging.CRITICAL:
        return FATAL
    if number >= logging.ERROR:
        return ERROR
    if number >= logging.WARNING:
        return WARN
    if number >= logging.INFO:
        return INFO
    return DEBUG if number >= logging.DEBUG else TRACE


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")

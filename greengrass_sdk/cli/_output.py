# SPDX-License-Identifier: Apache-2.0
"""
What a command says: text and tables for people, one JSON document for programs, errors for both.

Results go to standard output, remarks and errors to standard error. With `--json` standard output
holds JSON only; an error is there `{"error": {"code", "message"}}`, and its text still goes to
standard error, so that a person who redirected the output sees it.

Colours are used on a terminal unless NO_COLOR is set. `rich` draws tables if it is installed and
standard output is such a terminal; nothing needs it.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from greengrass_sdk.errors import ConfigError, FunctionError, GreengrassError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from greengrass_sdk.errors import Problem

__all__ = ["Output", "Paint", "UsageError", "exit_code_of", "is_unicode", "printable"]

EXIT_USAGE = 2
EXIT_INTERNAL = 99
EXIT_INTERRUPTED = 130

COLOURS = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class UsageError(Exception):
    """Raised when the command line itself is wrong."""

    def __init__(self, message: str, *, usage: str = "", prog: str = "greengrass") -> None:
        super().__init__(message)
        self.usage = usage
        self.prog = prog


class Paint:
    """Wraps text in terminal colours, or leaves it alone."""

    __slots__ = ("enabled",)

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled

    @classmethod
    def for_stream(cls, stream: TextIO) -> Paint:
        """Colours are on if `stream` is a terminal that wants them (https://no-color.org)."""
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(enabled=wanted and stream.isatty())

    def __call__(self, text: str, *styles: str) -> str:
        codes = ";".join(COLOURS[style] for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.enabled and codes else text


class Output:
    """Where one command writes to."""

    def __init__(
        self,
        *,
        json: bool = False,
        debug: bool = False,
        quiet: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.json = json
        self.debug = debug
        self.quiet = quiet
        self.stdout = _usable(stdout if stdout is not None else sys.stdout)
        self.stderr = _usable(stderr if stderr is not None else sys.stderr)

    @property
    def paint(self) -> Paint:
        """Return the colours of standard output."""
        return Paint.for_stream(self.stdout)

    def text(self, line: str = "") -> None:
        """Print one line of a result for people; nothing with `--json`."""
        if not self.json:
            print(line, file=self.stdout)

    def note(self, line: str) -> None:
        """Print a remark for people on standard error; nothing with `--quiet`."""
        if not self.quiet:
            print(line, file=self.stderr, flush=True)

    def warning(self, text: str) -> None:
        """Print `warning: text` on standard error."""
        self.note(f"{Paint.for_stream(self.stderr)('warning:', 'yellow', 'bold')} {text}")

    def document(self, values: dict[str, Any]) -> None:
        """Print one JSON document, `"schema": 1` first."""
        self.json_line({"schema": 1, **values})

    def json_line(self, values: dict[str, Any]) -> None:
        """Print one JSON object on a line of its own and flush it."""
        import json

        text = json.dumps(values, ensure_ascii=not is_unicode(self.stdout))
        print(text, file=self.stdout, flush=True)

    def data(self, payload: bytes) -> None:
        """Write `payload` untouched; a missing last newline is added."""
        self.stdout.flush()
        binary = getattr(self.stdout, "buffer", None)
        end = b"" if payload.endswith(b"\n") else b"\n"
        if binary is None:
            self.stdout.write((payload + end).decode("utf-8", "replace"))
        else:
            binary.write(payload + end)
            binary.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print `rows` under `columns`: aligned text, or by `rich` on a terminal that has it."""
        cells = [[printable(cell) for cell in row] for row in rows]
        if self.paint.enabled and _rich_table(self.stdout, columns, cells):
            return
        widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
        for number, row in enumerate([list(columns), *cells]):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.text(self.paint(line.rstrip(), "bold" if number == 0 else ""))

    def error(self, error: BaseException) -> None:
        """Report `error` on standard error, and on standard output too with `--json`."""
        code, message = _describe(error)
        if self.debug and not isinstance(error, (UsageError, KeyboardInterrupt)):
            import traceback

            traceback.print_exception(error, file=self.stderr)
        label = Paint.for_stream(self.stderr)("error:", "red", "bold")
        for line in message.splitlines() or [""]:
            print(f"{label} {line}" if not line.startswith(" ") else line, file=self.stderr)
        if isinstance(error, UsageError):
            for hint in filter(None, (error.usage, f"try `{error.prog} --help`")):
                print(hint, file=self.stderr)
        if self.json:
            self.json_line({"error": _error_document(error, code, message)})
        self.stderr.flush()

    def flush(self) -> None:
        """Flush standard output; a reader that is gone shows here, not at interpreter exit."""
        self.stdout.flush()

    def abandon_stdout(self) -> None:
        """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())


def is_unicode(stream: TextIO) -> bool:
    """Return whether every character can be written to `stream`."""
    return (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf8")


def _usable(stream: TextIO | None) -> TextIO:
    """Return a stream that takes whatever others sent; for one that was closed, a blind one."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as we
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def exit_code_of(error: BaseException) -> int:
    """Return what a command exits with after `error`."""
    if isinstance(error, GreengrassError):
        return error.exit_code
    if isinstance(error, UsageError):
        return EXIT_USAGE
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return 1 if isinstance(error, OSError) else EXIT_INTERNAL


def printable(text: str) -> str:
    """Return `text` with control characters as escapes: what others sent steers no terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _describe(error: BaseException) -> tuple[str, str]:
    if isinstance(error, GreengrassError):
        return error.code, error.message or type(error).__name__
    if isinstance(error, UsageError):
        return "Usage", str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted", "interrupted"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return "OperatingSystem", f"{where}{error.strerror or error}"
    kind = type(error).__name__
    return "Internal", f"{kind}: {error}\n  This is a bug of ours; --debug shows where it happened."


def _error_document(error: BaseException, code: str, message: str) -> dict[str, Any]:
    document: dict[str, Any] = {"code": code, "message": message}
    if isinstance(error, ConfigError):
        document["problems"] = [problem_document(problem) for problem in error.problems]
    if isinstance(error, FunctionError) and error.request_id:
        document["request_id"] = error.request_id
    return document


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return the JSON form of an `errors.Problem`."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "message": problem.message,
    }


def _rich_table(stdout: TextIO, columns: Sequence[str], rows: list[list[str]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", min_width=len(column))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=stdout).print(table)
    return True

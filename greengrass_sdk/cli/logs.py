# SPDX-License-Identifier: Apache-2.0
"""`greengrass logs FUNCTION [-f]`: print the log files of a root; its core need not run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._output import UsageError, printable
from greengrass_sdk.cli._roots import add_root_option, stored_root
from greengrass_sdk.cli._serve import layout_of
from greengrass_sdk.cli._tool import ask
from greengrass_sdk.errors import CoreUnavailableError, InvalidInputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from greengrass_sdk.cli._output import Output

__all__ = ["configure", "execute"]

POLL_S = 0.2
RUNTIME = "runtime"
CRASH = "crash"
LEVEL_STYLES = {"WARN": "yellow", "ERROR": "red", "FATAL": "red", "DEBUG": "dim", "TRACE": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Print the log of a function, or with --system one of the core's own."
    parser.add_argument("function", metavar="FUNCTION", nargs="?", help="name or ARN")
    parser.add_argument(
        "--system",
        metavar="NAME",
        nargs="?",
        const=RUNTIME,
        help=f"a log of the core: {RUNTIME} (default), a service, or {CRASH}",
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="wait for more, over rotations too"
    )
    parser.add_argument(
        "-n", "--lines", metavar="N", type=int, help="only the last N records of what is there"
    )
    add_root_option(parser)
    parser.add_argument(
        "--json", action="store_true", help="one JSON document; with -f a JSON line per record"
    )


def execute(args: argparse.Namespace, output: Output) -> int:
    """Print, and with `-f` go on until interrupted."""
    if (args.function is None) == (args.system is None):
        raise UsageError("name a function, or use --system", prog="greengrass logs")
    if args.lines is not None and args.lines < 0:
        raise UsageError(f"--lines takes a number of 0 or more, not {args.lines}")
    root = stored_root(args.root)
    path = _system_log(root, args.system) if args.function is None else _user_log(root, args)
    if path is None:
        output.note(f"{args.function} has not logged anything yet")
        path_lines: Iterator[list[str]] = iter([[]])
    else:
        path_lines = _batches(path, follow=args.follow)
    name = None if args.function is None else _short(args.function)
    printer = _JsonPrinter(output, name, follow=args.follow) if args.json else _Text(output)
    printer.records(_last(next(path_lines), args.lines))
    try:
        for lines in path_lines:
            printer.records(lines)
    except KeyboardInterrupt:
        return 0
    return 0


class _Text:
    """Prints lines as they stand in the file; on a terminal escaped and coloured."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._paint = output.paint

    def records(self, lines: list[str]) -> None:
        for line in lines:
            self._output.text(self._line(line) if self._paint.enabled else line)
        self._output.flush()

    def _line(self, line: str) -> str:
        level = line.split("[", 2)[-1].split("]", maxsplit=1)[0] if line.startswith("[") else ""
        style = LEVEL_STYLES.get(level, "")
        return self._paint(printable(line), style)


class _JsonPrinter:
    """Prints records: all of them as one document, or each as a line when following."""

    def __init__(self, output: Output, function: str | None, *, follow: bool) -> None:
        self._output = output
        self._function = function
        self._follow = follow

    def records(self, lines: list[str]) -> None:
        documents = _documents(lines)
        if not self._follow:
            self._output.document({"function": self._function, "records": list(documents)})
            return
        for document in documents:
            self._output.json_line({"event": "log", "function": self._function, **document})


def _documents(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    from greengrass_sdk.core.telemetry.lines import parse_lines

    for record in parse_lines(lines):
        yield {
            "at_ms": record.at_ms,
            "level": record.level,
            "origin": record.origin,
            "message": record.message,
        }


def _batches(path: Path, *, follow: bool) -> Iterator[list[str]]:
    """Yield the lines that are there, then, if wanted, those that come."""
    from greengrass_sdk.cli._follow import Follower

    follower = Follower(path)
    try:
        yield follower.lines()
        while follow:
            _wait(POLL_S)
            if lines := follower.lines():
                yield lines
    finally:
        follower.close()


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def _last(lines: list[str], records: int | None) -> list[str]:
    """Return the lines of the last records; a line that does not start with `[` continues one."""
    if records is None:
        return lines
    starts = [number for number, line in enumerate(lines) if line.startswith("[")]
    if records == 0:
        return []
    return lines[starts[-records] :] if records <= len(starts) else lines


def _system_log(root: Path, name: str) -> Path:
    layout = layout_of(root)
    path = layout.crash_log if name == CRASH else layout.system_log_dir / f"{name}.log"
    if not path.exists():
        files = [layout.crash_log, *sorted(layout.system_log_dir.glob("*.log"))]
        raise InvalidInputError(f"{path} does not exist; {_existing(root, files)}")
    return path


def _user_log(root: Path, args: argparse.Namespace) -> Path | None:
    """Return the log of a function; None if the function is there and has none yet."""
    layout = layout_of(root)
    name = _short(args.function)
    files = sorted((layout.log_dir / "user").glob("*/*/*.log"))
    for file in files:
        if file.stem == name:
            return file
    arn = _known_arn(root, name)
    if arn is None:
        raise InvalidInputError(f"there is no log of a function {name!r}; {_existing(root, files)}")
    if not args.follow:
        return None
    region, account = arn.split(":")[3:5]
    return layout.user_log(region, account, name)


def _existing(root: Path, files: list[Path]) -> str:
    known = sorted({file.stem for file in files if file.exists()})
    return f"under {root} there are: {', '.join(known)}" if known else f"{root} has no logs"


def _known_arn(root: Path, name: str) -> str | None:
    """Return the ARN of a function that has not logged yet, if the core of `root` runs it."""
    try:
        functions = ask(str(root), "status")["functions"]
    except CoreUnavailableError:
        return None
    return next((str(one["arn"]) for one in functions if one["name"] == name), None)


def _short(function: str) -> str:
    return function.split(":")[6] if function.count(":") >= 6 else function

# SPDX-License-Identifier: Apache-2.0
"""
The frame around every command: which there are, how one is found and parsed, how it ends.

`COMMANDS` is the registry, one line per command. Only the module of the command that was asked for
is imported, so that `greengrass --help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from greengrass_sdk.cli._output import Output, UsageError, exit_code_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "Command", "Parser", "command_parser", "main", "nearest", "run_guarded"]


class Command(NamedTuple):
    """One line of the registry."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Command("init", "init", "write a group file, a handler and its test into a folder"),
    Command("run", "run", "run a folder, a group file or a V1 zip, and watch its messages"),
    Command("publish", "publish", "publish a message into a running core, see who got it"),
    Command("invoke", "invoke", "invoke a function of a running core, print its result"),
    Command("shadow", "shadow", "get, update, delete, watch or list shadows of a running core"),
    Command("stream", "stream", "list, create, append to, read, export or verify streams"),
    Command("secret", "secret", "put, list, rotate, delete or import secrets"),
    Command("status", "status", "show functions, workers, clients and rows of a running core"),
    Command("logs", "logs", "print the log of a function or of the system"),
    Command("tape", "tape", "replay what run --record wrote, or make a test of it"),
    Command("lint", "lint", "check a group file and all it names, without running it"),
    Command("doctor", "doctor", "check what this machine offers to the core"),
)


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting, and never guesses abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError with the usage of this parser."""
        raise UsageError(message, usage=self.format_usage().strip(), prog=self.prog)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse `args`; an unknown option is answered with the nearest one that exists."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown argument {unknown[0]!r}{self._nearest_option(unknown[0])}")
        return parsed

    def _nearest_option(self, word: str) -> str:
        if not word.startswith("-"):
            return ""
        return nearest(word.split("=", maxsplit=1)[0], list(self._option_string_actions))


def nearest(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?` for the closest of `known`, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def command_parser(command: Command) -> Parser:
    """Return the full parser of one command; this imports its module."""
    parser = Parser(prog=f"greengrass {command.name}")
    _add_common(parser)
    _module(command).configure(parser)
    if not parser.description:
        parser.description = command.summary
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `greengrass` with `argv` (without the program's name) and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    output = Output(json="--json" in arguments, debug="--debug" in arguments)
    return run_guarded(output, lambda: _dispatch(arguments, output))


def run_guarded(output: Output, body: Any) -> int:
    """Call `body` and turn what it raises into a message and an exit code."""
    try:
        code: int = body()
        output.flush()
    except SystemExit as exit_:  # argparse after --help
        return exit_.code if isinstance(exit_.code, int) else 0
    except BrokenPipeError:
        output.abandon_stdout()
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last frame: everything ends as a message
        output.error(error)
        return exit_code_of(error)
    return code


def _dispatch(arguments: list[str], output: Output) -> int:
    top = _top_parser()
    split = next((i for i, word in enumerate(arguments) if not word.startswith("-")), None)
    head = arguments if split is None else arguments[:split]
    options = top.parse_args(head)
    if options.help or (split is not None and arguments[split] == "help"):
        return _help(top, [] if split is None else arguments[split + 1 :], output)
    if options.version:
        output.text(version_text("greengrass"))
        return 0
    if split is None:
        top.error("say which command; `greengrass --help` lists them")
    command = find_command(arguments[split])
    args = command_parser(command).parse_args(arguments[split + 1 :])
    output.quiet = options.quiet or args.quiet
    return int(_module(command).execute(args, output))


def find_command(name: str) -> Command:
    """
    Return the command called `name`.

    Raises:
        UsageError: There is none; the text names the nearest one.
    """
    for command in COMMANDS:
        if command.name == name:
            return command
    names = [command.name for command in COMMANDS]
    hint = nearest(name, names) or f"; there are: {', '.join(names)}"
    raise UsageError(f"unknown command {name!r}{hint}", prog="greengrass")


def version_text(prog: str) -> str:
    """Return what `--version` prints."""
    from greengrass_sdk import __version__

    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"{prog} {__version__} (Python {python})"


def _module(command: Command) -> Any:
    return import_module(f"greengrass_sdk.cli.{command.module}")


def _help(top: Parser, rest: list[str], output: Output) -> int:
    parser = command_parser(find_command(rest[0])) if rest else top
    output.text(parser.format_help().rstrip())
    return 0


def _top_parser() -> Parser:
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS]
    parser = Parser(
        prog="greengrass",
        usage="greengrass [--version] [--debug] [--quiet] COMMAND ...",
        description="Run AWS IoT Greengrass V1 functions on this machine, without an AWS account.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n"
        "`greengrass COMMAND --help` explains one. A first look:\n"
        "  greengrass init demo && greengrass run demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this help and exit")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    _add_common(parser)
    return parser


def _add_common(parser: Parser) -> None:
    parser.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
    parser.add_argument("-q", "--quiet", action="store_true", help="only results and errors")

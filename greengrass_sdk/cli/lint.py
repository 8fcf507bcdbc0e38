# SPDX-License-Identifier: Apache-2.0
"""`greengrass lint PATH`: everything that can be known about a group without running it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from greengrass_sdk.cli._groups import load_target
from greengrass_sdk.cli._handlers import Lookup, look_up
from greengrass_sdk.cli._output import problem_document
from greengrass_sdk.errors import ConfigError, HandlerError, PackageError, Problem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from greengrass_sdk.cli._output import Output
    from greengrass_sdk.model.group import Function, Group

__all__ = ["configure", "execute"]

PROBE_TIMEOUT_S = 30.0
DISTRIBUTION = "greengrass-core"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Check a group file and what it names: code, handlers, interpreters. Prints all problems "
        f"and warnings. Exits with {ConfigError.exit_code} if there is a problem, 0 with warnings."
    )
    parser.add_argument("path", metavar="PATH", help="a folder, a group file, or a V1 zip")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(args: argparse.Namespace, output: Output) -> int:
    """Print what is wrong, then what looks wrong."""
    path = Path(args.path)
    warnings: list[Problem] = []
    try:
        group = load_target(path)
    except ConfigError as error:
        problems = error.problems
    except (HandlerError, PackageError) as error:
        problems = [Problem(str(error), file=str(path))]
    else:
        problems, warnings = check_group(group)
    _print(output, problems, warnings)
    return ConfigError.exit_code if problems else 0


def check_group(group: Group) -> tuple[list[Problem], list[Problem]]:
    """Return the problems and the warnings of a group that could be read."""
    from greengrass_sdk.model.lint import lint_group

    problems = []
    checked = set()
    for function in group.functions.values():
        key = f"functions.{function.name}.handler"
        checked.add(key)
        messages = [*_handler_problems(function), *_python_problems(function)]
        problems += [_problem(group, function, message) for message in messages]
    warnings = [warning for warning in lint_group(group) if warning.key not in checked]
    return problems, warnings


def with_handler_warnings(group: Group) -> Group:
    """Return the group with a warning more for each handler that its code does not have."""
    import attrs

    warnings = list(group.warnings)
    for function in group.functions.values():
        key = f"functions.{function.name}.handler: "
        if any(key in warning for warning in warnings):
            continue  # its module is not there, which is told already
        with contextlib.suppress(PackageError):  # who unpacks it says what is wrong
            warnings += [
                str(_problem(group, function, message)) for message in _handler_problems(function)
            ]
    return attrs.evolve(group, warnings=warnings)


def _problem(group: Group, function: Function, message: tuple[str, str]) -> Problem:
    name, text = message
    return Problem(
        text,
        file=str(group.path) if group.path else None,
        line=function.line,
        key=f"functions.{function.name}.{name}",
    )


def _handler_problems(function: Function) -> Iterator[tuple[str, str]]:
    try:
        found = look_up(function.code, function.handler)
    except PackageError as error:
        yield "code", str(error)
        return
    if found is not Lookup.PRESENT:
        yield "handler", found_text(found, function)


def found_text(found: Lookup, function: Function) -> str:
    """Return what is wrong with the handler of a function."""
    from greengrass_sdk.cli._handlers import find_handlers
    from greengrass_sdk.cli._program import nearest

    module, _, name = function.handler.rpartition(".")
    names = [candidate.handler for candidate in find_handlers(function.code)]
    hint = nearest(function.handler, names)
    if not hint and names:
        hint = f"; it has: {', '.join(names[:8])}"
    if found is Lookup.NO_MODULE:
        return f"there is no module {module!r} in {function.code}{hint}"
    return f"module {module!r} in {function.code} defines no {name!r}{hint}"


def _python_problems(function: Function) -> Iterator[tuple[str, str]]:
    if function.python is None:
        return
    python = interpreter(function.python)
    if python is None:
        yield "python", f"there is no interpreter {function.python!r}"
        return
    if message := probe_interpreter(python):
        yield "python", message


def interpreter(python: str) -> str | None:
    """Return the program of a function's `python`: an interpreter or a virtual environment."""
    inside = Path(python) / "bin" / "python"
    return shutil.which(str(inside) if Path(python).is_dir() else python)


def probe_interpreter(python: str) -> str | None:
    """Return why functions cannot run with an interpreter, None if they can."""
    code = (
        "import sys; assert sys.version_info >= (3, 11), 'old'; import greengrass_sdk.runtime; "
        "print('fits')"
    )
    try:
        done = subprocess.run(
            [python, "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} does not run: {error}"
    if done.returncode == 0:
        fits = done.stdout.strip() == "fits"
        return None if fits else f"{python} does not answer as a Python interpreter does"
    reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    if reason[0].startswith("AssertionError"):
        return f"{python} is older than Python 3.11, which functions need"
    if "No module named" in reason[0]:
        return f"{python} has no {DISTRIBUTION}; install it: {python} -m pip install {DISTRIBUTION}"
    return f"{python} cannot import the runtime: {reason[0]}"


def _print(output: Output, problems: list[Problem], warnings: list[Problem]) -> None:
    if output.json:
        output.document(
            {
                "problems": [problem_document(one) for one in problems],
                "warnings": [problem_document(one) for one in warnings],
            }
        )
        return
    for label, style, found in (("error", "red", problems), ("warning", "yellow", warnings)):
        for one in found:
            output.text(f"{output.paint(label + ':', style, 'bold')} {one}")
    counts = [_count(len(problems), "problem"), _count(len(warnings), "warning")]
    output.text(", ".join(counts) if problems or warnings else "no problems")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

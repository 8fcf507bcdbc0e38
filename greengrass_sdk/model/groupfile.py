# SPDX-License-Identifier: Apache-2.0
"""
Read `group.toml` into a `Group`, or say everything that is wrong with it at once.

Three steps, each in its module: TOML to a dictionary (here), every key against its declaration
(`reader`), what keys mean together (`builder`). A step goes on with what the one before it found
right, so that one mistake does not hide another.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from greengrass_sdk.errors import ConfigError, Problem
from greengrass_sdk.model.builder import Builder
from greengrass_sdk.model.lint import lint_group
from greengrass_sdk.model.locator import Path as Place, locate
from greengrass_sdk.model.reader import Problems, read_tables

if TYPE_CHECKING:
    from greengrass_sdk.model.definition import Group

__all__ = ["FILE_NAME", "load_group", "parse_group"]

FILE_NAME = "group.toml"

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TWICE = ("Cannot overwrite a value", "Cannot declare", "Cannot mutate immutable namespace")


def load_group(path: Path | str) -> Group:
    """
    Read a group file, or the `group.toml` of a folder.

    Raises:
        ConfigError: It cannot be read or is wrong; `problems` lists everything, with lines.
    """
    path = Path(path)
    file = path / FILE_NAME if path.is_dir() else path
    try:
        raw = file.read_bytes()
    except FileNotFoundError as error:
        hint = f"`greengrass init {path}` writes one" if path.is_dir() else "there is no such file"
        raise ConfigError(Problem(f"no group file: {hint}", file=str(file))) from error
    except OSError as error:
        raise ConfigError(Problem(f"cannot be read: {error.strerror}", file=str(file))) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8-sig")
        raise ConfigError(
            Problem(
                f"is not UTF-8: byte 0x{raw[error.start]:02x}",
                file=str(file),
                line=good.count("\n") + 1,
                column=len(good) - good.rfind("\n"),
            )
        ) from error
    return _parse(text, base=file.parent, file=str(file), path=file)


def parse_group(text: str, *, base: Path, file: str = FILE_NAME) -> Group:
    """
    Read the text of a group file. Relative paths start from `base`; `file` stands in messages.

    Raises:
        ConfigError: The text is wrong; `problems` lists everything, with lines.
    """
    return _parse(text, base=base, file=file, path=None)


def _parse(text: str, *, base: Path, file: str, path: Path | None) -> Group:
    data, lines = _decode(text, file)
    problems = Problems(file, lines)
    builder = Builder(read_tables(data, problems), problems, base)
    builder.check()
    if problems.found:
        raise ConfigError(problems.in_order())
    group = builder.build(path)
    warnings = lint_group(group)
    for warning in warnings:
        warning.file = file
    return attrs.evolve(group, warnings=[str(warning) for warning in warnings])


def _decode(text: str, file: str) -> tuple[dict[str, Any], dict[Place, int]]:
    """Return the TOML as a dictionary, and its lines. Broken TOML has one problem, the first."""
    try:
        return tomllib.loads(text), locate(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = _place(str(error), text)
        if message.startswith(_TWICE):
            message = f"a key or table is given twice ({message})"
        raise ConfigError(
            Problem(f"is not TOML: {message}", file=file, line=line, column=column)
        ) from error
    except RecursionError as error:
        raise ConfigError(Problem("is nested too deeply", file=file)) from error
    except ValueError as error:
        # Not TOML's: Python refuses to read an integer of thousands of digits.
        raise ConfigError(Problem(f"is not TOML: {error}", file=file)) from error


def _place(message: str, text: str) -> tuple[str, int | None, int | None]:
    """Return the message of `tomllib` without the place in it, and the place."""
    found = _PLACE.search(message)
    if found is None:
        return message, None, None
    if found[1] is None:
        return message[: found.start()], text.count("\n") + 1, None
    return message[: found.start()], int(found[1]), int(found[2])

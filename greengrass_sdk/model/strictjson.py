# SPDX-License-Identifier: Apache-2.0
"""
Read JSON that people wrote: strictly, and with the line of everything.

The standard library takes the last of two equal keys, and `NaN`; and it does not say where a value
stood. Here the first two are errors, and `decode` returns the lines under the paths of what is in
the text, as `locator` does for TOML.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from greengrass_sdk.errors import ConfigError, Problem
from greengrass_sdk.model.reader import dotted

__all__ = ["Path", "decode"]

Path: TypeAlias = tuple[str | int, ...]

_DECODER = json.JSONDecoder()
_BLANK = " \t\r\n"
_WORD_END = frozenset(" \t\r\n,]}")


def decode(text: str, file: str) -> tuple[Any, dict[Path, int]]:
    """
    Return the value of a JSON text, and the line, from 1, of every key and item in it.

    Raises:
        ConfigError: It is not JSON, or a key stands twice in one object; `file` names it.
    """
    locator = _Locator(text)
    try:
        value = json.loads(text, parse_constant=_refuse)
        locator.value(())
    except json.JSONDecodeError as error:
        raise ConfigError(
            Problem(error.msg, file=file, line=error.lineno, column=error.colno)
        ) from error
    except RecursionError as error:
        raise ConfigError(Problem("it is nested too deeply", file=file)) from error
    except ValueError as error:
        # A constant that is not JSON's, or an integer of thousands of digits.
        raise ConfigError(Problem(str(error), file=file)) from error
    if locator.twice:
        raise ConfigError(
            Problem(
                f"the key stands twice; first on line {locator.lines[path]}",
                file=file,
                line=line,
                key=dotted(path),
            )
            for path, line in locator.twice
        )
    return value, locator.lines


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class _Locator:
    """One walk over one valid text. `position` is the next character to look at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.twice: list[tuple[Path, int]] = []

    def value(self, path: Path) -> None:
        char = self.skip_blank()
        if char == "{":
            self.items(path, "}")
        elif char == "[":
            self.items(path, "]")
        elif char == '"':
            self.string()
        else:
            while self.text[self.position : self.position + 1] not in {"", *_WORD_END}:
                self.position += 1

    def items(self, path: Path, closing: str) -> None:
        """Step over an object or array, noting what is inside it."""
        self.position += 1
        index = 0
        names: set[str | int] = set()
        while (char := self.skip_blank()) != closing:
            if char == ",":
                self.position += 1
                continue
            line = self.line
            name = self.key() if closing == "}" else index
            inner: Path = (*path, name)
            if name in names:
                self.twice.append((inner, line))
            names.add(name)
            self.lines.setdefault(inner, line)
            self.value(inner)
            index += 1
        self.position += 1

    def key(self) -> str:
        name = self.string()
        self.skip_blank()
        self.position += 1  # the colon
        return name

    def string(self) -> str:
        text, self.position = _DECODER.raw_decode(self.text, self.position)
        return str(text)

    def skip_blank(self) -> str:
        """Step over blanks, counting lines, and return the next character."""
        while self.text[self.position] in _BLANK:
            self.line += self.text[self.position] == "\n"
            self.position += 1
        return self.text[self.position]

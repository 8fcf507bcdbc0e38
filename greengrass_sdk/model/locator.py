# SPDX-License-Identifier: Apache-2.0
"""
Find the line of every key and value in a TOML text.

The standard library reads TOML without saying where anything stood, and a message without a line
is half a message. `locate` walks over the text once and notes the line of each key, table header
and array item under its path: `("functions", "echo", "code")`, `("subscriptions", 0)`.

It is no parser: the text must have been accepted by `tomllib` before. What it must get right is
where a key, a string and a value end, and what is nested in what; its tests compare the paths that
it finds with those of `tomllib` on generated documents.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from typing import TypeAlias

__all__ = ["Path", "locate"]

Path: TypeAlias = tuple[str | int, ...]

_SPACE = " \t"
_BLANK = " \t\r\n"
_BARE_END = frozenset(" \t\r\n,]}#")


def locate(text: str) -> dict[Path, int]:
    """
    Return the line, from 1, of everything in a valid TOML text.

    A table has the line of its own header; one that is only implied (`a` in `[a.b]`) has the line
    where it is first named.
    """
    return _Locator(text).run()


class _Locator:
    """One walk over one text. `position` is the next character to look at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[Path, int] = {}
        self.newlines = [index for index, char in enumerate(text) if char == "\n"]
        self.array_lengths: dict[Path, int] = {}  # of arrays of tables

    def run(self) -> dict[Path, int]:
        current: Path = ()
        while self.skip_blank():
            if self.looking_at("[["):
                self.position += 2
                current = self.header(repeated=True)
                self.position += 2
            elif self.looking_at("["):
                self.position += 1
                current = self.header(repeated=False)
                self.position += 1
            else:
                self.pair(current)
        return self.lines

    # --- what stands on a line

    def header(self, *, repeated: bool) -> Path:
        """Read the key of a header and return the path of its table."""
        start = self.position
        parts = self.key()
        path: Path = ()
        for part in parts[:-1]:
            path = self.latest((*path, part), start)
        path = (*path, parts[-1])
        if not repeated:
            self.lines[path] = self.line_at(start)
            return path
        self.note(path, start)
        index = self.array_lengths.get(path, 0)
        self.array_lengths[path] = index + 1
        path = (*path, index)
        self.note(path, start)
        return path

    def latest(self, path: Path, start: int) -> Path:
        """Note a table on the way, and step into the last item of an array of tables."""
        self.note(path, start)
        length = self.array_lengths.get(path)
        return path if length is None else (*path, length - 1)

    def pair(self, table: Path) -> None:
        """Read `key = value` within a table."""
        start = self.position
        path = table
        for part in self.key():
            path = (*path, part)
            self.note(path, start)
        self.position += 1  # the equals sign
        self.skip(_SPACE)
        self.value(path)

    def key(self) -> list[str]:
        """Read a dotted key; leave the position at what ends it."""
        parts = []
        while True:
            self.skip(_SPACE)
            if self.text[self.position] in "\"'":
                start = self.position
                self.string()
                # tomllib knows the escapes of its own version of TOML.
                parts.append(tomllib.loads(f"k = {self.text[start : self.position]}")["k"])
            else:
                start = self.position
                while self.text[self.position] not in " \t.=]":
                    self.position += 1
                parts.append(self.text[start : self.position])
            self.skip(_SPACE)
            if self.text[self.position] != ".":
                return parts
            self.position += 1

    # --- values

    def value(self, path: Path) -> None:
        """Step over a value, noting what is inside it."""
        char = self.text[self.position]
        if char in "\"'":
            self.string()
        elif char == "[":
            self.array(path)
        elif char == "{":
            self.inline_table(path)
        else:
            self.bare()

    def array(self, path: Path) -> None:
        self.position += 1
        index = 0
        while self.next_item("]"):
            self.note((*path, index), self.position)
            self.value((*path, index))
            index += 1

    def inline_table(self, path: Path) -> None:
        self.position += 1
        while self.next_item("}"):
            self.pair(path)

    def next_item(self, closing: str) -> bool:
        """Step to the next item of an array or inline table, or over its closing bracket."""
        self.skip_blank()
        while self.text[self.position] == ",":
            self.position += 1
            self.skip_blank()
        if self.text[self.position] == closing:
            self.position += 1
            return False
        return True

    def string(self) -> None:
        """Step over any of the four kinds of strings."""
        quote = self.text[self.position]
        mark = quote * 3 if self.looking_at(quote * 3) else quote
        self.position += len(mark)
        while not self.looking_at(mark):
            if quote == '"' and self.text[self.position] == "\\":
                self.position += 1
            self.position += 1
        self.position += len(mark)
        if len(mark) == 3:
            # Up to two more quotes belong to the text: """"a"""" is "a" in quotes.
            for _ in range(2):
                if self.looking_at(quote):
                    self.position += 1

    def bare(self) -> None:
        """Step over a number, a date or a word. A date may contain one space."""
        text, end = self.text, len(self.text)
        while self.position < end and text[self.position] not in _BARE_END:
            self.position += 1
        if self.looking_at(" ") and text[self.position + 1 : self.position + 2].isdigit():
            self.position += 1
            self.bare()

    # --- small steps

    def looking_at(self, word: str) -> bool:
        return self.text.startswith(word, self.position)

    def skip(self, characters: str) -> None:
        text, end = self.text, len(self.text)
        while self.position < end and text[self.position] in characters:
            self.position += 1

    def skip_blank(self) -> bool:
        """Step over blanks, line ends and comments; tell whether something is left."""
        self.skip(_BLANK)
        while self.looking_at("#"):
            end = self.text.find("\n", self.position)
            self.position = len(self.text) if end < 0 else end
            self.skip(_BLANK)
        return self.position < len(self.text)

    def note(self, path: Path, position: int) -> None:
        """Remember the line of a path, the first time it is named."""
        self.lines.setdefault(path, self.line_at(position))

    def line_at(self, position: int) -> int:
        return bisect_right(self.newlines, position - 1) + 1

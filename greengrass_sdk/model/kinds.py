# SPDX-License-Identifier: Apache-2.0
"""
Kinds of values that a key of the group file may have.

A kind is said once and used three times: `check` tells what is wrong with a value, `schema` is its
JSON Schema, `describe` is its text in messages and documentation. The three cannot drift apart.

`check` returns flaws, one `(path, reason)` for each thing that is wrong: the path leads from the
value to the part that is meant, and is empty for the value itself.
"""

from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import frozen

from greengrass_sdk.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "Choice",
    "Flag",
    "Flaws",
    "Integer",
    "Kind",
    "Number",
    "Record",
    "Text",
    "TextList",
    "TextMap",
    "nearest",
    "shown",
    "unknown",
]

Flaws: TypeAlias = list[tuple[tuple[str | int, ...], str]]

_TYPE_WORDS: Mapping[type, str] = {dict: "a table", list: "an array", tuple: "an array"}
_SCALARS = (int, float, bool)
_SHOWN_CHARS = 60


class Kind(Protocol):
    """What a value must be."""

    def check(self, value: object) -> Flaws:
        """Return why a value does not fit, as `must be …, not …`; nothing if it does."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the kind."""

    def describe(self) -> str:
        """Return what fits, so that `must be` can stand before it."""


@frozen
class Flag:
    """`true` or `false`."""

    def check(self, value: object) -> Flaws:
        """See Kind."""
        return [] if isinstance(value, bool) else _must(self, value)

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        return {"type": "boolean"}

    def describe(self) -> str:
        """See Kind."""
        return "true or false"


@frozen
class Integer:
    """A whole number within bounds, both included."""

    low: int
    high: int
    power_of_two: bool = False

    def check(self, value: object) -> Flaws:
        """See Kind."""
        if isinstance(value, bool) or not isinstance(value, int):
            return _must(self, value)
        if not self.low <= value <= self.high:
            return _must(self, value)
        if self.power_of_two and value & (value - 1):
            return _must(self, value)
        return []

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        if self.power_of_two:
            powers = [1 << bit for bit in range(self.high.bit_length())]
            return {"enum": [power for power in powers if self.low <= power <= self.high]}
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def describe(self) -> str:
        """See Kind."""
        if self.low == self.high:
            return str(self.low)
        noun = "a power of two" if self.power_of_two else "a whole number"
        return f"{noun} from {self.low} to {self.high}"


@frozen
class Number:
    """A number, whole or not, within bounds, both included."""

    low: float
    high: float

    def check(self, value: object) -> Flaws:
        """See Kind."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _must(self, value)
        if math.isnan(value) or not self.low <= value <= self.high:
            return _must(self, value)
        return []

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    def describe(self) -> str:
        """See Kind."""
        return f"a number from {self.low:.10g} to {self.high:.10g}"


@frozen
class Text:
    """
    Text of at least one character, unless `empty`.

    `rule` raises InvalidInputError for what does not fit; `pattern` says the same to editors that
    read the schema, as closely as a pattern can.
    """

    what: str = "text"
    rule: Callable[[str], object] | None = None
    pattern: str | None = None
    limit: int | None = None
    example: str | None = None
    empty: bool = False

    def check(self, value: object) -> Flaws:
        """See Kind."""
        if not isinstance(value, str) or not (value or self.empty):
            return _must(self, value)
        if "\0" in value:
            return [((), f"must be {self.describe()}, without NUL (U+0000)")]
        if self.limit is not None and len(value) > self.limit:
            return [((), f"must be {self.describe()}, not {len(value)} characters")]
        if self.rule is not None:
            try:
                self.rule(value)
            except InvalidInputError as error:
                return [((), error.message)]
        return []

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        schema: dict[str, Any] = {"type": "string", "minLength": 0 if self.empty else 1}
        if self.limit is not None:
            schema["maxLength"] = self.limit
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        return schema

    def describe(self) -> str:
        """See Kind."""
        text = self.what
        if self.limit is not None:
            text += f" of at most {self.limit} characters"
        if self.example is not None:
            text += f", such as {json.dumps(self.example)}"
        return text


@frozen
class Choice:
    """One of a few words or whole numbers."""

    values: tuple[str | int, ...]

    def check(self, value: object) -> Flaws:
        """See Kind."""
        # Python's True equals 1, and 443.0 equals 443.
        fits = type(value) in (str, int) and value in self.values
        return [] if fits else _must(self, value)

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        return {"enum": list(self.values)}

    def describe(self) -> str:
        """See Kind."""
        return " or ".join(json.dumps(value) for value in self.values)


@frozen
class TextList:
    """An array of different texts."""

    item: Text

    def check(self, value: object) -> Flaws:
        """See Kind."""
        if not isinstance(value, list | tuple):
            return _must(self, value)
        flaws: Flaws = []
        for position, item in enumerate(value):
            flaws += [((position, *path), reason) for path, reason in self.item.check(item)]
            if item in value[:position]:
                flaws.append(((position,), f"{shown(item)} stands there twice"))
        return flaws

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        return {"type": "array", "items": self.item.schema(), "uniqueItems": True}

    def describe(self) -> str:
        """See Kind."""
        return f"an array of {self.item.describe()}"


@frozen
class TextMap:
    """A table of texts: environment variables."""

    def check(self, value: object) -> Flaws:
        """See Kind."""
        if not isinstance(value, dict):
            return _must(self, value)
        flaws: Flaws = []
        for name, text in value.items():
            if not name or "=" in name or "\0" in name:
                flaws.append(
                    ((name,), "the name of a variable is not empty and has no '=' and no NUL")
                )
            if not isinstance(text, str):
                hint = f"; write {json.dumps(shown(text))}" if type(text) in _SCALARS else ""
                flaws.append(((name,), f"must be text, not {shown(text)}{hint}"))
            elif "\0" in text:
                flaws.append(((name,), "must be text without NUL (U+0000)"))
        return flaws

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        return {
            "type": "object",
            "propertyNames": {"minLength": 1, "pattern": "^[^=\\u0000]+$"},
            "additionalProperties": {"type": "string"},
        }

    def describe(self) -> str:
        """See Kind."""
        return "a table of texts"


@frozen
class Record:
    """A small table of known keys, each of which may be left out."""

    fields: Mapping[str, Kind]

    def check(self, value: object) -> Flaws:
        """See Kind."""
        if not isinstance(value, dict):
            return _must(self, value)
        flaws: Flaws = []
        for name, part in value.items():
            kind = self.fields.get(name)
            if kind is None:
                flaws.append(((name,), unknown(name, self.fields)))
            else:
                flaws += [((name, *path), reason) for path, reason in kind.check(part)]
        return flaws

    def schema(self) -> dict[str, Any]:
        """See Kind."""
        properties = {name: kind.schema() for name, kind in self.fields.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def describe(self) -> str:
        """See Kind."""
        return f"a table of {' and '.join(self.fields)}"


def shown(value: object) -> str:
    """Return a value as it stands in messages: small ones as TOML writes them, others by type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(
            value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "…", ensure_ascii=False
        )
    if isinstance(value, int | float):
        return _number(value)
    return _TYPE_WORDS.get(type(value), f"a {type(value).__name__}")


def _number(value: float) -> str:
    # Python refuses to print integers of thousands of digits; nobody wants to read them either.
    if isinstance(value, int) and value.bit_length() > _SHOWN_CHARS * 3:
        return f"a number of {value.bit_length()} bits"
    return str(value)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that the writer of a word most probably meant, or None."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def unknown(name: str, allowed: Iterable[str]) -> str:
    """Return what to say about a key that is not one of the allowed ones."""
    names = list(allowed)
    if not names:
        return "unknown key; this table has no keys"
    best = nearest(name, names)
    hint = f"did you mean {best!r}? " if best else ""
    return f"unknown key; {hint}Allowed: {', '.join(names)}"


def _must(kind: Kind, value: object) -> Flaws:
    return [((), f"must be {kind.describe()}, not {shown(value)}")]

# SPDX-License-Identifier: Apache-2.0
"""
Check the tables of a group file key by key, against their declarations in `tables`.

What comes out are plain dictionaries with the defaults filled in, and a list of problems with
their lines. What the keys mean together is checked by `builder`.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from attrs import define, field

from greengrass_sdk.errors import InvalidInputError, Problem
from greengrass_sdk.model.kinds import nearest, shown, unknown
from greengrass_sdk.model.tables import SCHEMA, TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greengrass_sdk.model.locator import Path

__all__ = ["Problems", "Tables", "dotted", "read_tables"]

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@define
class Problems:
    """The problems of one file; adding one needs its path only, the line is looked up."""

    file: str
    lines: Mapping[Path, int]
    found: list[Problem] = field(factory=list)

    def add(self, path: Path, message: str) -> None:
        """Note a problem at a path, with the line of the nearest thing that is in the file."""
        self.found.append(
            Problem(message, file=self.file, line=self.line(path), key=dotted(path) or None)
        )

    def line(self, path: Path) -> int | None:
        """Return the line of a path, or of the innermost table around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None

    def in_order(self) -> list[Problem]:
        """Return the problems in the order of the file; those of the whole file come first."""
        return sorted(self.found, key=lambda problem: problem.line or 0)


@define
class Tables:
    """
    The tables of a file, with defaults filled in; what was wrong is left out.

    A key that is required and missing or wrong is not in its table, so ask with `get`.
    """

    single: dict[str, dict[str, Any]] = field(factory=dict)
    named: dict[str, dict[str, dict[str, Any]]] = field(factory=dict)
    repeated: dict[str, list[dict[str, Any]]] = field(factory=dict)


def dotted(path: Path) -> str:
    """Return a path as the file would write it: `functions.echo.code`, `subscriptions[0].id`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if part and _BARE.issuperset(part) else json.dumps(part, ensure_ascii=False)
            text += f".{word}" if text else word
    return text


def read_tables(data: Mapping[str, Any], problems: Problems) -> Tables:
    """Check every key of a decoded file and return what is right about it."""
    known = {SCHEMA.name: None, **{table.name: table for table in TABLES}}
    for name in data:
        if name not in known:
            problems.add((name,), _misplaced(name) or unknown(name, known))
    _read_schema(data.get(SCHEMA.name, SCHEMA.default), problems)
    tables = Tables()
    for table in TABLES:
        if table.form == "named":
            tables.named[table.name] = _read_named(table, data.get(table.name, {}), problems)
        elif table.form == "repeated":
            tables.repeated[table.name] = _read_repeated(table, data.get(table.name, []), problems)
        else:
            tables.single[table.name] = _read_single(table, data, problems)
    return tables


def _read_schema(value: object, problems: Problems) -> None:
    if SCHEMA.kind.check(value):
        problems.add(
            (SCHEMA.name,),
            f"must be 1, not {shown(value)}; a newer file needs a newer version of this software",
        )


def _read_single(table: Table, data: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    required = [key.name for key in table.keys if key.required]
    if table.name not in data:
        if required and table.name == "group":
            problems.add((), f"[group] is missing; it needs {' and '.join(required)}")
        return {key.name: copy.copy(key.default) for key in table.keys if not key.required}
    return _read_keys(table, data[table.name], (table.name,), problems)


def _read_named(table: Table, value: object, problems: Problems) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        problems.add(
            (table.name,), f"must be tables, written as {table.header}, not {shown(value)}"
        )
        return {}
    found = {}
    for name, keys in value.items():
        path: Path = (table.name, name)
        if not isinstance(keys, dict):
            problems.add(path, f"must be a table, written as {table.header}, not {shown(keys)}")
            continue
        try:
            table.rule(name)
        except InvalidInputError as error:
            problems.add(path, str(error))
        found[name] = _read_keys(table, keys, path, problems)
    return found


def _read_repeated(table: Table, value: object, problems: Problems) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        problems.add(
            (table.name,), f"must be tables, written as {table.header}, not {shown(value)}"
        )
        return []
    return [
        _read_keys(table, keys, (table.name, index), problems) for index, keys in enumerate(value)
    ]


def _read_keys(table: Table, value: object, path: Path, problems: Problems) -> dict[str, Any]:
    if not isinstance(value, dict):
        problems.add(path, f"must be a table, written as {table.header}, not {shown(value)}")
        return {}
    names = [key.name for key in table.keys]
    meant = {nearest(name, names) for name in value if name not in names}
    for name in value:
        if name not in names:
            hint = None if nearest(name, names) else _misplaced(name)
            problems.add((*path, name), hint or unknown(name, names))
    found = {}
    for key in table.keys:
        if key.name not in value:
            if key.required and key.name not in meant:
                problems.add(path, f"{key.name!r} is missing; it must be {key.kind.describe()}")
            elif not key.required:
                found[key.name] = copy.copy(key.default)
            continue
        flaws = key.kind.check(value[key.name])
        for inner, reason in flaws:
            problems.add((*path, key.name, *inner), reason)
        if not flaws:
            found[key.name] = value[key.name]
    return found


def _misplaced(name: str) -> str | None:
    """Return what to say about a key that belongs in another table, or None."""
    for table in TABLES:
        if table.key(name) is not None:
            return f"unknown key here; {name!r} belongs in {table.header}"
    return None

# SPDX-License-Identifier: Apache-2.0
"""Writes the folders that a core is pointed at: a group file and the code beside it."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["group_text", "write_project"]


def write_project(
    folder: Path,
    code: Mapping[str, str],
    functions: Mapping[str, Mapping[str, Any]],
    *,
    clients: Iterable[str] = (),
    rows: Iterable[tuple[str, str, str]] = (),
    **tables: Mapping[str, Any],
) -> Path:
    """
    Write a project and return its folder.

    Args:
        code: Text by the name of the module, all in the folder `code`.
        functions: Keys by name; `code` and `handler` have defaults, `code/` and NAME.handler.
        rows: Source, subject, target.
        tables: Other tables of the group file, as `limits` or `group`.
    """
    (folder / "code").mkdir(parents=True, exist_ok=True)
    for module, text in code.items():
        (folder / "code" / f"{module}.py").write_text(textwrap.dedent(text))
    (folder / "group.toml").write_text(group_text(functions, clients, rows, **tables))
    return folder


def group_text(
    functions: Mapping[str, Mapping[str, Any]],
    clients: Iterable[str] = (),
    rows: Iterable[tuple[str, str, str]] = (),
    **tables: Mapping[str, Any],
) -> str:
    """Return the text of a group file."""
    lines = ["schema = 1"]
    group = {"name": "failures", "core": "failures-core", **tables.pop("group", {})}
    for name, table in {"group": group, **tables}.items():
        lines += [f"[{name}]", *_keys(table)]
    for name, keys in functions.items():
        table = {"code": "code", "handler": f"{name}.handler", **keys}
        lines += [f"[functions.{name}]", *_keys(table)]
    lines += [f"[clients.{name}]" for name in clients]
    for source, subject, target in rows:
        row = {"source": source, "subject": subject, "target": target}
        lines += ["[[subscriptions]]", *_keys(row)]
    return "\n".join([*lines, ""])


def _keys(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)  # what is left is spelt alike in TOML

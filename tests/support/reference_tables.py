# SPDX-License-Identifier: Apache-2.0
"""
The tables of the reference pages, made from the code that they describe.

`python tests/support/reference_tables.py` writes them between `<!-- generated: NAME -->` and
`<!-- end -->` in `docs/reference`; the tests of the modules compare.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk.errors import GreengrassError, error_classes
from greengrass_sdk.model.configkeys import CONFIG_KEYS
from greengrass_sdk.model.tables import SCHEMA, TABLES, Key
from greengrass_sdk.testing.differences import DIFFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PAGES = Path(__file__).parents[2] / "docs" / "reference"
ADVICE = "run `python tests/support/reference_tables.py`"

_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def blocks(page: str) -> dict[str, str]:
    """Return the generated blocks of a page by name."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return {found[2]: found[3] for found in _BLOCK.finditer(text)}


def errors_table() -> str:
    """Return the table of all errors; children are indented under their parents."""
    rows = [
        (
            f"{_indent(cls)}{{exc}}`~greengrass_sdk.errors.{cls.__name__}`",
            f"`{cls.code}`",
            str(cls.exit_code),
            "yes" if cls.retryable else "",
            _first_sentence(cls.__doc__ or ""),
        )
        for cls in error_classes()
    ]
    return _table(("class", "code", "exit code", "retryable", "meaning"), rows)


def group_table(name: str) -> str:
    """Return the table of the keys of one table of the group file."""
    keys = (
        (SCHEMA,) if name == "top" else next(table.keys for table in TABLES if table.name == name)
    )
    rows = [(f"`{key.name}`", _default(key), key.kind.describe(), key.doc) for key in keys]
    return _table(("key", "default", "value", "meaning"), rows)


def config_table() -> str:
    """Return the table of the keys of `config.json`."""
    rows = [(f"`{path}`", kind.describe()) for path, kind in _config_keys(CONFIG_KEYS, "")]
    return _table(("key", "value"), rows)


def worlds_table() -> str:
    """Return the table of what a test cannot do alike on both worlds."""
    rows = [
        (row.what, row.fake, f"skipped: {row.reason}" if row.core == "skipped" else row.core)
        for row in DIFFERENCES.values()
    ]
    return _table(("what a test does or sees", "on the double", "on a real core"), rows)


def expected() -> dict[str, dict[str, str]]:
    """Return all generated blocks, by page and name."""
    groups = {name: group_table(name) for name in ("top", *(t.name for t in TABLES if t.keys))}
    return {
        "errors.md": {"errors": errors_table()},
        "group-file.md": groups,
        "config-json.md": {"keys": config_table()},
        "testing.md": {"worlds": worlds_table()},
    }


def _indent(cls: type[GreengrassError]) -> str:
    depth = sum(issubclass(parent, GreengrassError) for parent in cls.__mro__) - 1
    return "&emsp;" * depth


def _first_sentence(docstring: str) -> str:
    text = " ".join(docstring.split())
    return text.split(". ")[0].removesuffix(".").removeprefix("Raised ")


def _default(key: Key) -> str:
    if key.required:
        return "required"
    if key.default is None:
        return "none"
    value = list(key.default) if isinstance(key.default, tuple) else key.default
    text = f"{value:.10g}" if isinstance(value, float) else json.dumps(value)
    return f"`{text}`"


def _config_keys(keys: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, kind in keys.items():
        if isinstance(kind, dict):
            yield from _config_keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", kind


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _refresh() -> None:
    for page, tables in expected().items():
        path = PAGES / page
        text = path.read_text(encoding="utf-8")
        for name, table in tables.items():
            opening = f"<!-- generated: {name} -->\n"
            before, rest = text.split(opening)
            text = f"{before}{opening}{table}<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _refresh()

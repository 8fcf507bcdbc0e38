# SPDX-License-Identifier: Apache-2.0
"""
The JSON Schema of the group file, for editors; generated from `tables` and shipped beside it.

`python -m greengrass_sdk.model.schema` writes it to standard output; a test compares the shipped
`group.schema.json` with it. What a schema cannot say (names are unique, rows name members, paths
exist) only the reader checks.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from greengrass_sdk.model.tables import SCHEMA, TABLES, Key, Table

__all__ = ["group_json_schema", "schema_text"]


def group_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the group file."""
    properties = {SCHEMA.name: _key(SCHEMA)}
    properties |= {table.name: _table(table) for table in TABLES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Group file of greengrass-core",
        "type": "object",
        "properties": properties,
        "required": ["group"],
        "additionalProperties": False,
    }


def schema_text() -> str:
    """Return the schema as the text of the shipped file."""
    return json.dumps(group_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    keys: dict[str, Any] = {"type": "object", "description": table.doc}
    keys["properties"] = {key.name: _key(key) for key in table.keys}
    if required := [key.name for key in table.keys if key.required]:
        keys["required"] = required
    keys["additionalProperties"] = False
    if table.form == "repeated":
        return {"type": "array", "items": keys}
    if table.form == "named":
        return {
            "type": "object",
            "patternProperties": {table.pattern: keys},
            "additionalProperties": False,
        }
    return keys


def _key(key: Key) -> dict[str, Any]:
    schema = {"description": key.doc, **key.kind.schema()}
    if not key.required and key.default is not None:
        schema["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return schema


if __name__ == "__main__":
    sys.stdout.write(schema_text())

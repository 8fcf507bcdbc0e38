# SPDX-License-Identifier: Apache-2.0
"""
What is allowed in a group and probably not meant: the warnings of `greengrass lint`.

Errors are not here; a group with one cannot exist.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from greengrass_sdk.errors import Problem
from greengrass_sdk.model.arn import CLOUD
from greengrass_sdk.model.kinds import nearest
from greengrass_sdk.model.limits import CLOUD_TOPIC_LEVELS
from greengrass_sdk.model.tables import TABLES, table
from greengrass_sdk.model.topic import levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greengrass_sdk.model.definition import Group
    from greengrass_sdk.model.function import Function
    from greengrass_sdk.model.subscription import Subscription

__all__ = ["lint_group"]


def lint_group(group: Group) -> list[Problem]:
    """
    Return the warnings about a group, in the order of its file.

    It looks at the disk: whether a handler's module is in its folder, whether `python` is on PATH.
    """
    found = [*_unserved(group), *_functions(group), *_rows(group)]
    for problem in found:
        problem.file = str(group.path) if group.path else None
    return sorted(found, key=lambda problem: problem.line or 0)


def _unserved(group: Group) -> Iterator[Problem]:
    """One warning for each part of the file that the core does not serve yet."""
    given = {
        "cloud": group.cloud is not None,
        "devices": bool(group.devices),
    }
    for part in TABLES:
        if part.unserved is None:
            continue
        lines = [
            line
            for name, line in group.lines.items()
            if name == part.name or name.startswith(f"{part.name}.")
        ]
        if lines or given.get(part.name):
            yield Problem(part.unserved, line=min(lines, default=None), key=part.name)


def _functions(group: Group) -> Iterator[Problem]:
    for function in group.functions.values():
        key = f"functions.{function.name}"
        for name, message in _function(function):
            yield Problem(message, line=function.line, key=f"{key}.{name}")


def _function(function: Function) -> Iterator[tuple[str, str]]:
    if message := _handler_warning(function):
        yield "handler", message
    if function.run_as is not None and function.run_as.is_root:
        yield (
            "run_as",
            'runs as root: config.json must say allowFunctionsToRunAsRoot = "yes"',
        )
    if function.pinned:
        for name in ("max_workers", "idle_s"):
            key = table("functions").key(name)
            if key is not None and getattr(function, name) != key.default:
                yield name, "has no effect: a pinned function has one worker, which is never idle"
    python = function.python
    if python is not None and os.sep not in python and shutil.which(python) is None:
        yield "python", f"there is no {python!r} on PATH"


def _handler_warning(function: Function) -> str | None:
    """Return a warning if the module of a handler is not in the folder of its code."""
    if not function.code.is_dir() or not os.access(function.code, os.R_OK | os.X_OK):
        return None  # a folder that cannot be read is told by who runs it
    first, *rest = function.handler.split(".")[:-1]
    parts = [first, *rest]
    module = function.code.joinpath(*parts)
    if module.is_dir() or any(function.code.joinpath(*parts[:-1]).glob(f"{parts[-1]}.*")):
        return None
    names = sorted(path.stem for path in function.code.glob("*.py"))
    best = nearest(first, names)
    hint = f"did you mean {best!r}?" if best else f"it has: {', '.join(names) or 'no modules'}"
    return f"there is no module {'.'.join(parts)!r} in {function.code}; {hint}"


def _rows(group: Group) -> Iterator[Problem]:
    seen: dict[tuple[str, str, str], Subscription] = {}
    for index, row in enumerate(group.subscriptions):
        key = f"subscriptions[{index}]"
        first = seen.setdefault((row.source, row.subject, row.target), row)
        if first is not row:
            where = f" of line {first.line}" if first.line else ""
            yield Problem(
                f"says the same as {first.id!r}{where}; messages are delivered once",
                line=row.line,
                key=key,
            )
        if row.target == CLOUD and levels(row.subject) > CLOUD_TOPIC_LEVELS:
            yield Problem(
                f"has {levels(row.subject)} levels; AWS IoT takes at most {CLOUD_TOPIC_LEVELS}",
                line=row.line,
                key=f"{key}.subject",
            )
        if row.source == row.target == CLOUD:
            yield Problem("sends the cloud its own messages", line=row.line, key=key)

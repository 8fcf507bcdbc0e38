# SPDX-License-Identifier: Apache-2.0
"""
What `run`, `lint` and `init` are pointed at: a folder, a group file or a V1 zip becomes a group.

A zip holds code only, so the group around it is written here, as the text of a group file: `init`
saves that text, `run` reads it at once, and both therefore mean the same.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from greengrass_sdk.cli._handlers import choose, find_handlers
from greengrass_sdk.cli._output import UsageError
from greengrass_sdk.errors import ConfigError, HandlerError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from greengrass_sdk.model.group import Group


__all__ = ["GROUP_FILE", "CodeOptions", "group_text", "load_target", "name_for"]

GROUP_FILE = "group.toml"
RESERVED = ("cloud", "GGShadowService")
OPTIONS = {"handler": "--handler", "subject": "--subscribe:"}


class CodeOptions(NamedTuple):
    """What the command line says about code that has no group file."""

    handler: str | None = None
    on_demand: bool = False
    encoding: str = "json"
    subscribe: tuple[str, ...] = ()

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> CodeOptions:
        """Return the options of `greengrass run`."""
        return cls(
            handler=args.handler,
            on_demand=args.on_demand,
            encoding=args.encoding or "json",
            subscribe=tuple(args.subscribe or ()),
        )


def load_target(path: Path, args: argparse.Namespace | None = None) -> Group:
    """
    Return the `model.group.Group` that `path` stands for.

    Args:
        path: A folder with a group file, a group file, a V1 zip, or, with `--handler`, a folder
            of code.
        args: The options of `greengrass run`; None for commands that have none.

    Raises:
        ConfigError: The group is wrong; all problems are in it.
        HandlerError: The zip's handler is not clear.
        UsageError: `path` is none of these, or an option does not fit it.
    """
    from greengrass_sdk.model.group import load_group  # attrs: not before it is needed

    options = CodeOptions() if args is None else CodeOptions.from_args(args)
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder{_near_file(path)}")
    if path.suffix == ".zip" or (path.is_dir() and not (path / GROUP_FILE).exists()):
        return _code_group(path, options)
    given = [] if args is None else _given(args)
    if given:
        raise UsageError(
            f"{given[0]} is for a zip, which has no group file; "
            f"here, change {path / GROUP_FILE if path.is_dir() else path}",
            prog="greengrass run",
        )
    return load_group(path)


def group_text(
    *,
    name: str,
    code: str,
    handler: str,
    options: CodeOptions | None = None,
    remark: str = "",
    group: str | None = None,
) -> str:
    """Return the text of a group file that runs one function, linked with the cloud both ways."""
    options = options or CodeOptions()
    filters: Sequence[str] = options.subscribe or ("#",)
    group = group or name
    lines = [
        "schema = 1",
        "",
        "[group]",
        f"name = {_toml(group)}",
        f"core = {_toml(group + '-core')}",
        "",
        f"[functions.{name}]",
        f"code = {_toml(code)}",
        *(f"# {line}" for line in remark.splitlines()),
        f"handler = {_toml(handler)}",
        f"pinned = {'false' if options.on_demand else 'true'}",
        "timeout_s = 3",
        f"encoding = {_toml(options.encoding)}",
    ]
    rows = [("cloud", subject, name) for subject in filters] + [(name, "#", "cloud")]
    for source, subject, target in rows:
        lines += [
            "",
            "[[subscriptions]]",
            f"source = {_toml(source)}",
            f"subject = {_toml(subject)}",
            f"target = {_toml(target)}",
        ]
    return "\n".join(lines) + "\n"


def name_for(path: Path) -> str:
    """Return a function name made from a file's name: letters, digits, hyphen and underscore."""
    stem = path.absolute().stem if path.suffix == ".zip" else path.absolute().name
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:64] or "function"
    return f"{name}-function" if name in RESERVED else name


def guess_handler(code: Path) -> tuple[str, list[str]]:
    """
    Return the handler of `code` and the others that it could be.

    Raises:
        HandlerError: Nothing in `code` looks like a handler.
    """
    candidates = find_handlers(code)
    if not candidates:
        raise HandlerError(
            f"{code} has no top-level function of two arguments (event, context) "
            "in its own modules; name the handler: --handler MODULE.FUNCTION"
        )
    best = choose(candidates) or candidates[0].handler
    rivals = [candidate.handler for candidate in candidates if candidate.handler != best]
    return best, rivals


def _code_group(code: Path, options: CodeOptions) -> Group:
    from greengrass_sdk.model.group import parse_group

    if code.is_dir() and options.handler is None:
        raise ConfigError(
            f"{code} has no {GROUP_FILE}; write one with `greengrass init {code}`, "
            "or run the folder as the code of one function with --handler MODULE.FUNCTION"
        )
    handler = options.handler or _clear_handler(code)
    text = group_text(name=name_for(code), code=code.name or ".", handler=handler, options=options)
    try:
        return parse_group(text, base=code.absolute().parent, file=f"<group for {code.name}>")
    except ConfigError as error:
        raise _as_typed(error) from error


def _as_typed(error: ConfigError) -> Exception:
    """Return what is wrong in a group that was made from options, told about the options."""
    lines = []
    for problem in error.problems:
        option = OPTIONS.get((problem.key or "").rpartition(".")[2])
        if option is None:
            return error
        lines.append(f"{option} {problem.message}")
    return UsageError("\n".join(lines), prog="greengrass run")


def _clear_handler(code: Path) -> str:
    candidates = find_handlers(code)
    handler = choose(candidates)
    if handler is not None:
        return handler
    if not candidates:
        return guess_handler(code)[0]
    names = [candidate.handler for candidate in candidates]
    raise HandlerError(
        f"{code} has several functions that could be its handler; choose one:\n"
        + "\n".join(f"  --handler {name}" for name in names[:8]),
        candidates=names,
    )


def _given(args: argparse.Namespace) -> list[str]:
    options = {
        "--handler": args.handler,
        "--on-demand": args.on_demand,
        "--encoding": args.encoding,
        "--subscribe": args.subscribe,
    }
    return [option for option, value in options.items() if value]


def _near_file(path: Path) -> str:
    from greengrass_sdk.cli._program import nearest

    try:
        names = [entry.name for entry in path.absolute().parent.iterdir()]
    except OSError:
        return ""
    return nearest(path.name, names)


def _toml(text: str) -> str:
    """Return `text` as a TOML basic string, which JSON's form is but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")

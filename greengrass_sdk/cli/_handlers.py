# SPDX-License-Identifier: Apache-2.0
"""
Look into the code of a function for its handler.

A V1 zip does not say what its handler is: that stood in AWS Lambda. Here the sources are read, never
run, for top-level functions of two arguments, and ranked by how much they look like a handler.
Old sources may be Python 2, so they are searched as text where they do not parse.
"""

from __future__ import annotations

import ast
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from greengrass_sdk.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Candidate", "choose", "find_handlers"]

SOURCE_BYTES = 1024 * 1024
MODULES = 500
USUAL_NAMES = ("function_handler", "lambda_handler", "handler", "handle", "main")
SDK_PACKAGES = ("greengrasssdk", "greengrass_common", "greengrass_ipc_python_sdk", "tests", "test")
DEFINITION = re.compile(r"^def\s+(\w+)\s*\(\s*(\w+)\s*,\s*(\w+)\s*(?:=[^,)]*)?\)\s*:", re.MULTILINE)


class Candidate(NamedTuple):
    """A function that could be the handler; the lower `rank`, the more it looks like one."""

    rank: int
    handler: str


def find_handlers(code: Path) -> list[Candidate]:
    """
    Return what could be the handler of a zip or folder, the most likely first.

    Raises:
        PackageError: `code` is no readable zip.
    """
    found = [
        Candidate(_rank(module, name, arguments), f"{module}.{name}")
        for module, source in _sources(code)
        for name, arguments in _functions(source)
    ]
    return sorted(found)


def choose(candidates: list[Candidate]) -> str | None:
    """Return the one handler that stands out, or None when there is none or several look alike."""
    if not candidates:
        return None
    if len(candidates) > 1 and candidates[0].rank == candidates[1].rank:
        return None
    return candidates[0].handler


def _rank(module: str, name: str, arguments: tuple[str, ...]) -> int:
    usual = USUAL_NAMES.index(name) if name in USUAL_NAMES else len(USUAL_NAMES)
    named = 0 if arguments == ("event", "context") else 2
    if name not in USUAL_NAMES and not name.endswith("handler"):
        usual += 10
    return usual + named + 4 * module.count(".")


def _functions(source: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        for match in DEFINITION.finditer(source):
            yield match[1], (match[2], match[3])
        return
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = [*node.args.posonlyargs, *node.args.args]
            required = len(arguments) - len(node.args.defaults)
            if required <= 2 <= len(arguments) and not node.name.startswith("_"):
                yield node.name, tuple(argument.arg for argument in arguments[:2])


def _sources(code: Path) -> Iterator[tuple[str, str]]:
    if code.is_dir():
        yield from _folder_sources(code)
        return
    try:
        with zipfile.ZipFile(code) as archive:
            names = _own_modules(archive.namelist())
            for name in names[:MODULES]:
                with archive.open(name) as member:
                    yield _module_name(name), member.read(SOURCE_BYTES).decode("utf-8", "replace")
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise PackageError(
            f"{code} cannot be read as a zip: {error}; build it again", file=str(code)
        ) from error


def _folder_sources(folder: Path) -> Iterator[tuple[str, str]]:
    names = [path.relative_to(folder).as_posix() for path in folder.glob("*.py")]
    names += [path.relative_to(folder).as_posix() for path in folder.glob("*/*.py")]
    for name in _own_modules(names)[:MODULES]:
        with (folder / name).open(encoding="utf-8", errors="replace") as source:
            yield _module_name(name), source.read(SOURCE_BYTES)


def _own_modules(names: Iterable[str]) -> list[str]:
    """Return the modules at the top and one package below; what pip vendored beside them is left out."""
    every = list(names)
    vendored = {*SDK_PACKAGES, *_vendored(every)}
    found = []
    for name in every:
        path = PurePosixPath(name)
        plain = path.suffix == ".py" and all(
            part.isidentifier() for part in path.with_suffix("").parts
        )
        if plain and len(path.parts) <= 2 and path.with_suffix("").parts[0] not in vendored:
            found.append(name)
    return sorted(found, key=lambda name: (name.count("/"), name))


def _vendored(names: list[str]) -> set[str]:
    """Return the distributions that lie in the archive, guessed from their metadata folders' names."""
    metadata = (re.match(r"([^/]+?)-[^/]*\.(?:dist|egg)-info/", name) for name in names)
    return {match[1].replace("-", "_") for match in metadata if match}


def _module_name(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

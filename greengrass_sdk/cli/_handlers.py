# SPDX-License-Identifier: Apache-2.0
"""
Look into the code of a function for its handler.

A V1 zip does not say what its handler is: that stood in AWS Lambda. Here the sources are read,
never run, for top-level functions of two arguments, ranked by how much they look like a handler.
Old sources may be Python 2, so they are searched as text where they do not parse.
"""

from __future__ import annotations

import ast
import re
import zipfile
from contextlib import contextmanager
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from greengrass_sdk.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Candidate", "Lookup", "choose", "find_handlers", "look_up"]

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
    with _open_zip(code) as archive:
        for name in _own_modules(archive.namelist())[:MODULES]:
            with archive.open(name) as member:
                yield _module_name(name), member.read(SOURCE_BYTES).decode("utf-8", "replace")


@contextmanager
def _open_zip(code: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(code) as archive:
            yield archive
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
    """Return the modules at the top and one package below, without what pip put beside them."""
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
    """Return the distributions that lie in the archive, by the names of their metadata folders."""
    metadata = (re.match(r"([^/]+?)-[^/]*\.(?:dist|egg)-info/", name) for name in names)
    return {match[1].replace("-", "_") for match in metadata if match}


def _module_name(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


class Lookup(Enum):
    """What became of looking for a handler in the sources."""

    PRESENT = "present"
    NO_MODULE = "no module"
    NO_NAME = "no name"


def look_up(code: Path, handler: str) -> Lookup:
    """
    Return whether `code` has the module of a handler, and the module the function.

    A module that is compiled, or that might get the name in a way only running it shows (a star
    import, `globals()`), counts as having it: a check must not cry wolf.

    Raises:
        PackageError: `code` is no readable zip.
    """
    module, _, name = handler.rpartition(".")
    path = module.replace(".", "/")
    files = _files(code)
    if any(re.match(rf"{re.escape(path)}\.[^/]*(?:so|pyc|pyd)$", file) for file in files):
        return Lookup.PRESENT
    source = next((f for f in (f"{path}.py", f"{path}/__init__.py") if f in files), None)
    if source is None:
        return Lookup.NO_MODULE
    return Lookup.PRESENT if _may_define(_read(code, source), name) else Lookup.NO_NAME


def _may_define(source: str, name: str) -> bool:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return True  # running it will say what is wrong
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                return True
            case ast.Name(ctx=ast.Store()) if node.id == name:
                return True
            case ast.Name(id="globals"):
                return True
            case ast.alias() if name == (node.asname or node.name) or node.name == "*":
                return True
            case _:
                continue
    return False


def _files(code: Path) -> set[str]:
    if code.is_dir():
        return {file.relative_to(code).as_posix() for file in code.rglob("*") if file.is_file()}
    with _open_zip(code) as archive:
        return set(archive.namelist())


def _read(code: Path, name: str) -> str:
    if code.is_dir():
        return (code / name).read_text(encoding="utf-8", errors="replace")
    with _open_zip(code) as archive:
        return archive.read(name).decode("utf-8", "replace")

# SPDX-License-Identifier: Apache-2.0
"""
Modules of one worker: what it imports from its own code is seen by nobody else.

A core starts a process for each worker. Here, the modules that come from a function's folder lie in
`sys.modules` only while one of its threads runs; so two functions may both be `main.py`, and every
test starts from a fresh import. Modules from elsewhere, the standard library and what is installed,
are shared as ever: reloading those would break them.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["PrivateModules", "find_code"]

_OURS = frozenset(
    {"greengrass_sdk", "greengrasssdk", "greengrass_common", "greengrass_ipc_python_sdk"}
)
_INSTALLED = ("site-packages", "dist-packages")
_import_locks: dict[str, Any] = getattr(
    sys.modules.get("_frozen_importlib"), "_module_locks", {}
)  # a worker that is suspended in its import holds the lock of a name that others may import


class PrivateModules:
    """
    What a worker imports from its own folders.

    Args:
        handler: Dotted name of the handler's module.
        folders: Its folders in the order of the search; the code folder is among them.
        code: The code folder.
        bundled: Whether the function brings the SDK of AWS itself.
    """

    def __init__(
        self, handler: str, folders: Sequence[str], code: str, *, bundled: bool = False
    ) -> None:
        self._top = handler.partition(".")[0]
        self._code = code
        self._bundled = bundled
        self._alone = any(part in _INSTALLED for part in Path(code).parts)
        self._tops = {self._top} if self._alone else _tops(code)
        self._path: list[str] | None = None
        self._first = list(folders)
        self._outer_path: list[str] = []
        self._outer: dict[str, ModuleType] = {}
        self._own: dict[str, ModuleType] = {}
        self._locks: dict[str, Any] = {}
        self._names: set[str] = set()

    def enter(self) -> None:
        """Put the worker's modules and search path in place."""
        self._outer_path = sys.path
        if self._path is None:
            self._path = [*self._first, *(p for p in sys.path if p not in self._first)]
        sys.path = self._path
        self._outer = {}
        for top in self._tops:
            if top in sys.modules and self._hides(top):
                self._hide(top)
        for name in self._own:
            if name in sys.modules:
                self._outer[name] = sys.modules[name]
        sys.modules.update(self._own)
        _import_locks.update(self._locks)
        sys.meta_path.insert(0, self)

    def leave(self) -> None:
        """Take them out."""
        sys.meta_path.remove(self)
        self._locks = {n: _import_locks.pop(n) for n in self._names if n in _import_locks}
        self._own = {n: sys.modules.pop(n) for n in self._names if n in sys.modules}
        sys.modules.update(self._outer)
        self._path = sys.path
        sys.path = self._outer_path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the worker's own folders; others are left to the other finders."""
        if path is None:
            if not self._may_own(name):
                return None
            folders = [p for p in sys.path if p not in self._outer_path or p == self._code]
        elif name.rpartition(".")[0] in self._names:
            folders = list(path)
        else:
            return None
        spec = PathFinder.find_spec(name, folders, target)
        if spec is not None:
            self._names.add(name)
        return spec

    def _may_own(self, name: str) -> bool:
        if name in _OURS:
            return self._bundled
        return not self._alone or name == self._top

    def _hides(self, top: str) -> bool:
        """Return whether the worker's own module of that name comes before the one loaded."""
        if top == self._top:
            return top not in _OURS and top not in sys.builtin_module_names
        return self._may_own(top) and top not in sys.stdlib_module_names

    def _hide(self, top: str) -> None:
        start = f"{top}."
        for name in [n for n in sys.modules if n == top or n.startswith(start)]:
            if name not in self._own:
                self._outer[name] = sys.modules.pop(name)


def _tops(code: str) -> set[str]:
    """Return the names that can be imported from a folder."""
    try:
        entries = list(Path(code).iterdir())
    except OSError:
        return set()
    names = {entry.stem if entry.suffix == ".py" else entry.name for entry in entries}
    return {name for name in names if name.isidentifier()}


def find_code(module: str) -> Path | None:
    """Return the folder of the search path that a dotted module is found in."""
    top = module.replace("/", ".").partition(".")[0]
    for entry in sys.path:
        folder = Path(entry or ".").absolute()
        if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
            return folder
    return None

# SPDX-License-Identifier: Apache-2.0
"""
Paths in a group file: where the code of a function is, and which Python runs it.

A path is relative to the folder of the group file. These functions look at what is there (a
folder, a zip, an interpreter) and raise InvalidInputError with what to do; they open nothing but
the first bytes of a code file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.kinds import nearest

__all__ = ["absolute", "code_path", "python_command"]

_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_MARK_BYTES = 4


def absolute(base: Path, text: str) -> Path:
    """Return a path of the file as an absolute one. Symbolic links stay what they are."""
    return Path(os.path.abspath(base / text))  # noqa: PTH100 - resolve() follows links


def code_path(base: Path, text: str) -> Path:
    """
    Return the folder or zip that `code` names.

    Raises:
        InvalidInputError: Nothing is there, it cannot be read, or it is something else; an
            executable is refused by name.
    """
    path = absolute(base, text)
    mark = b""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return path
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                mark = file.read(_ZIP_MARK_BYTES)
            if mark in _ZIP_MARKS or path.suffix.lower() == ".zip":
                return path
    except FileNotFoundError as error:
        raise InvalidInputError(f"{_missing(path, text)}; it must be a folder or a zip") from error
    except OSError as error:
        raise InvalidInputError(f"{text!r} cannot be read: {error.strerror} ({path})") from error
    if path.suffix == ".py":
        raise InvalidInputError(f"{text!r} is a file; name the folder it is in, or a zip")
    if mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH) or mark == b"\x7fELF":
        raise InvalidInputError(
            f"{text!r} is an executable; executables as code are not supported yet, "
            "use a folder or a zip with a Python handler"
        )
    raise InvalidInputError(f"{text!r} is neither a folder nor a zip ({path})")


def python_command(base: Path, text: str) -> str:
    """
    Return the interpreter that `python` names: an absolute path, or a command to find on PATH.

    A virtual environment gives its `bin/python`, which is not resolved: it is by that path that
    Python knows the environment.

    Raises:
        InvalidInputError: It is a path, and no interpreter is there.
    """
    path = absolute(base, text)
    if os.sep not in text and not path.exists():
        return text
    if path.is_dir():
        interpreter = path / "bin" / "python"
        if not interpreter.exists():
            raise InvalidInputError(
                f"{text!r} is a folder without bin/python; "
                f"create the virtual environment: python3 -m venv {path}"
            )
        return str(interpreter)
    if not path.exists():
        raise InvalidInputError(_missing(path, text))
    if not os.access(path, os.X_OK):
        raise InvalidInputError(f"{text!r} is no interpreter: it is not executable ({path})")
    return str(path)


def _missing(path: Path, text: str) -> str:
    """Return what to say about a path where nothing is."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        names = []
    best = nearest(path.name, names)
    hint = f"; did you mean {best!r}?" if best else ""
    return f"{text!r} does not exist ({path}){hint}"

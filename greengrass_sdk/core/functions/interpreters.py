# SPDX-License-Identifier: Apache-2.0
"""Interpreters for functions: where they are, what they start with, what a broken one needs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["environment_of_zygotes", "path_of", "remedy"]

_PROBE_S = 5.0
_DISTRIBUTION = "greengrass-core"
_OLDEST = (3, 11)
_HANDED_ON = (
    "PATH",
    "HOME",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "GREENGRASS_SDK_NATIVE",
    "GREENGRASS_DEBUGGABLE",
)


def environment_of_zygotes(base: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment of a zygote: what the interpreter needs, nothing that is the core's own.

    Functions get theirs with each request; only what a process reads while it starts counts here
    (`LD_LIBRARY_PATH`, the locale, coverage of tests).
    """
    environment = {"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}
    environment.update({name: base[name] for name in _HANDED_ON if name in base})
    environment.update({name: base[name] for name in base if name.startswith("COVERAGE_PROCESS_")})
    return environment


def path_of(python: str | None) -> str:
    """Return the path of an interpreter; a folder is taken for a virtual environment."""
    if python is None:
        return sys.executable
    path = Path(python)
    if path.is_dir():
        inside = path / "bin" / "python"
        if not inside.exists():
            raise ConfigError(
                f"python = {python!r}: the folder is no virtual environment, it has no bin/python;"
                f" make it one with `python3 -m venv {python}`"
            )
        return str(inside)
    if not path.exists():
        raise ConfigError(
            f"python = {python!r}: there is no such file; name an interpreter"
            " or the folder of a virtual environment"
        )
    return str(path)


async def remedy(interpreter: str) -> str:
    """Return what to do about an interpreter that does not work, after a look at its version."""
    probe = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        process = await asyncio.create_subprocess_exec(
            interpreter,
            "-c",
            probe,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
    except OSError:
        return "; is it a Python interpreter?"
    try:
        async with asyncio.timeout(_PROBE_S):
            output, _ = await process.communicate()
        version = tuple(int(part) for part in output.split(b"."))
    except (ValueError, TimeoutError):
        return "; is it a Python interpreter?"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if version < _OLDEST:
        return (
            f"; it is Python {version[0]}.{version[1]}, functions need CPython"
            f" {_OLDEST[0]}.{_OLDEST[1]} or newer"
        )
    return f"; install this package there: {interpreter} -m pip install --upgrade {_DISTRIBUTION}"

# SPDX-License-Identifier: Apache-2.0
"""
Programs that are no Python packages: found on this machine, or fetched into a folder.

Fetching uses the machine's own package tool as any user may: it downloads, unpacks into the folder
and installs nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from peers.kit import SkippedError

if TYPE_CHECKING:
    from pathlib import Path

FETCH_S = 120.0


def find(program: str, cache: Path) -> tuple[str, dict[str, str]]:
    """
    Return the path of `program`, and the environment that it needs.

    Raises:
        SkippedError: It is not there and cannot be had.
    """
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if found := shutil.which(program, path=places):
        return found, {}
    folder = cache / program
    if not (folder / "root").is_dir():
        _fetch(program, folder)
    for path in sorted((folder / "root").rglob(program)):
        if path.is_file() and os.access(path, os.X_OK) and "bin" in path.parent.name:
            return str(path), {"LD_LIBRARY_PATH": _libraries(folder / "root")}
    raise SkippedError(f"the package of {program} has no program of that name")


def _libraries(root: Path) -> str:
    return os.pathsep.join(sorted({str(path.parent) for path in root.rglob("*.so.*")}))


def _fetch(program: str, folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SkippedError(f"{program} is not installed, and there is no apt-get to fetch it")
    plan = ["apt-get", "-s", "--no-install-recommends", "install", program]
    names = _packages(plan)
    if not names and os.geteuid() == 0:
        _run(["apt-get", "update"])
        names = _packages(plan)
    if not names:
        raise SkippedError(f"{program} is not installed, and apt-get does not know it")
    folder.mkdir(parents=True, exist_ok=True)
    if _run(["apt-get", "download", *names], folder) is None:
        raise SkippedError(f"{program} could not be downloaded")
    part = folder / "part"
    for package in sorted(folder.glob("*.deb")):
        if _run(["dpkg", "-x", str(package), str(part)]) is None:
            raise SkippedError(f"{program} could not be unpacked")
    part.rename(folder / "root")


def _packages(plan: list[str]) -> list[str]:
    lines = (_run(plan) or "").splitlines()
    return [line.split()[1] for line in lines if line.startswith("Inst ")]


def _run(command: list[str], folder: Path | None = None) -> str | None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_S,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

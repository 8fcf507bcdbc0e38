# SPDX-License-Identifier: Apache-2.0
"""
Which root a command means.

`greengrass run` keeps its state beside the project, in `.greengrass`; where that cannot be, in a
folder per project below the user's state folder. The commands that look at a core find its root by
`--root`, GREENGRASS_ROOT, `./.greengrass`, else the only core of this user that runs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["add_root_option", "run_root", "stored_root"]

FOLDER = ".greengrass"


def add_root_option(parser: argparse.ArgumentParser) -> None:
    """Add `--root` as the commands for a running core know it."""
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="root of the core "
        "(default: $GREENGRASS_ROOT, ./.greengrass, or your only running core)",
    )


def run_root(path: Path) -> Path:
    """Return the root for `greengrass run path`; nothing is created."""
    path = path.absolute()
    folder = path if path.is_dir() else path.parent
    beside = folder / FOLDER
    if path.suffix != ".zip" and os.access(beside if beside.exists() else folder, os.W_OK):
        return beside
    name = path.stem if path.is_file() else path.name
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    return _state_home() / "greengrass" / f"{name or 'root'}-{digest}"


def stored_root(root: str | None) -> Path:
    """
    Return the root whose files a command reads; unlike `find_core`, its core need not run.

    Raises:
        CoreUnavailableError: Nothing names a root, and not exactly one core runs.
    """
    from greengrass_sdk.client.connect import find_core

    named = root or os.environ.get("GREENGRASS_ROOT")
    if named:
        return Path(named).absolute()
    here = Path(FOLDER).absolute()
    return here if here.is_dir() else Path(find_core(None))


def _state_home() -> Path:
    stated = os.environ.get("XDG_STATE_HOME", "")
    return Path(stated) if os.path.isabs(stated) else Path.home() / ".local" / "state"  # noqa: PTH117 - "" is no Path

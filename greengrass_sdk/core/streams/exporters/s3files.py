# SPDX-License-Identifier: Apache-2.0
"""
Which file a task uploads, and what its object is called.

A key may hold `!{timestamp:PATTERN}`, with the letters of Java's SimpleDateFormat, in UTC.

Ref: Greengrass Core 1.11, "S3ExportTaskDefinition"; not in the guide
"""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_metadata", "expand", "path_of"]

_PLACEHOLDER = re.compile(r"!\{([a-zA-Z]+):([a-zA-Z/]+)\}")
_LETTERS = re.compile(r"([a-zA-Z])\1*")


def path_of(url: str, folders: Sequence[Path]) -> Path:
    """
    Return the file that a URL names.

    Args:
        folders: Where it must be, links followed; if there are none, it must be readable to anyone
            where the core is root, so that a task reads no more than its author could.

    Raises:
        ValueError: It must not be read, or the URL names no file of this host.
        OSError: It is not there.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("file", "") or parts.netloc not in ("", "localhost"):
        raise ValueError(f"{url!r} is no file of this host, such as file:///tmp/readings.csv")
    given = Path(unquote(parts.path))
    if not given.is_absolute():
        raise ValueError(f"{url!r} is no absolute path")
    path = given.resolve(strict=True)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is no file")
    if folders:
        if not any(path.is_relative_to(folder.resolve()) for folder in folders):
            raise ValueError(f"{path} is not below a folder of read_only_dirs in [streams]")
    elif os.geteuid() == 0 and not status.st_mode & stat.S_IROTH:
        raise ValueError(
            f"{path} is not readable to everybody; name its folder in read_only_dirs of [streams]"
        )
    return path


def expand(key: str, now: float) -> str:
    """
    Return a key with its timestamps filled in.

    Raises:
        ValueError: A placeholder is unknown.
    """
    moment = datetime.fromtimestamp(now, UTC)

    def fill(found: re.Match[str]) -> str:
        kind, pattern = found.groups()
        if kind != "timestamp":
            raise ValueError(f"the key has a placeholder {kind!r}, only timestamp is known")
        return _LETTERS.sub(lambda run: _field(run.group(), moment), pattern)

    return _PLACEHOLDER.sub(fill, key)


def check_metadata(metadata: object) -> dict[str, str]:
    """
    Return the metadata of a task.

    Raises:
        ValueError: S3 would refuse it.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) for pair in metadata.items() for text in pair
    ):
        raise ValueError("userMetadata must be texts by their names")
    return metadata


def _field(run: str, moment: datetime) -> str:
    letter, width = run[0], len(run)
    numbers = {
        "d": moment.day,
        "D": moment.timetuple().tm_yday,
        "H": moment.hour,
        "k": moment.hour or 24,
        "h": moment.hour % 12 or 12,
        "K": moment.hour % 12,
        "m": moment.minute,
        "s": moment.second,
        "S": moment.microsecond // 1000,
        "u": moment.isoweekday(),
        "w": moment.isocalendar().week,
        "Y": moment.isocalendar().year,
    }
    if letter == "y":
        return f"{moment.year % 100:02}" if width == 2 else f"{moment.year:0{width}}"
    if letter in ("M", "L"):
        if width < 3:
            return f"{moment.month:0{width}}"
        return moment.strftime("%b" if width == 3 else "%B")
    if letter == "E":
        return moment.strftime("%a" if width < 4 else "%A")
    if letter == "a":
        return moment.strftime("%p")
    if letter in ("z", "Z", "X"):
        return {"z": "UTC", "Z": "+0000", "X": "Z"}[letter]
    if letter in numbers:
        return f"{numbers[letter]:0{width}}"
    raise ValueError(f"the key has a timestamp with {run!r}, which stands for nothing")

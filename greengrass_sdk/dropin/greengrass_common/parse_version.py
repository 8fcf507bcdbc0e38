# SPDX-License-Identifier: Apache-2.0
"""Versions of the interface between SDK and core."""

from __future__ import annotations

__all__ = ["parse_version"]


def parse_version(version: str) -> tuple[int, int]:
    """
    Return major and minor of a version such as "1.5"; what follows does not matter.

    Raises:
        ValueError: It is none.
    """
    parts = str(version).split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        raise ValueError(f"version {version!r} must be MAJOR.MINOR, such as '1.5'") from None

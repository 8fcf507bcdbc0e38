# SPDX-License-Identifier: Apache-2.0
"""
Tracebacks of tests that fail: they end where the test, or a function, called this package.

How an error came about inside of us is no help to who wrote the test; its text is.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

__all__ = ["shorten"]

_OURS = str(Path(__file__).parents[1]) + os.sep
_LIBRARY = str(Path(os.__file__).parent) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


def shorten(error: BaseException) -> None:
    """Cut the frames of this package off the end of an error, and off the errors behind it."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        each.__traceback__ = _shortened(each.__traceback__)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _shortened(traceback: TracebackType | None) -> TracebackType | None:
    entries: list[TracebackType] = []
    end = 0  # of what is kept: all up to the last frame of somebody else, and what it called but us
    is_ours = False
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        entries.append(traceback)
        if file.startswith(_OURS):
            is_ours = True
        elif not _is_library(file):
            is_ours = False
        if not is_ours:
            end = len(entries)
        traceback = traceback.tb_next
    kept: TracebackType | None = None
    for entry in reversed(entries[:end]):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def _is_library(file: str) -> bool:
    if file.startswith(("<frozen ", "<attrs generated ")):
        return True
    return file.startswith(_LIBRARY) and not any(part in _INSTALLED for part in Path(file).parts)

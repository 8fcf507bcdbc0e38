# SPDX-License-Identifier: Apache-2.0
"""
Signal handlers at every place where the interpreter may run one.

CPython runs Python signal handlers between instructions, and looks for signals only when a function
begins (RESUME), after a call, and when a loop goes back. `run` repeats an action, each time letting
something happen at another one of these places in the given modules.
"""

from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, ModuleType

_CHECKS = ("CALL", "RESUME", "JUMP_BACKWARD")


class Interrupted(BaseException):
    """What a signal handler raised."""


def _after_a_check(code: CodeType, cache: dict[CodeType, set[int]]) -> set[int]:
    """Return the offsets of the instructions that look for signals."""
    if code not in cache:
        cache[code] = {
            instruction.offset
            for instruction in dis.get_instructions(code)
            if instruction.opname.startswith(_CHECKS)
        }
    return cache[code]


def _in_finalizer(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


class _Tracer:
    def __init__(self, files: set[str], at: int, happening: Callable[[], None]) -> None:
        self.files = files
        self.left = at
        self.happening = happening
        self.happened: str | None = None
        self.last: dict[FrameType, int] = {}
        self.cache: dict[CodeType, set[int]] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        code = frame.f_code
        if code.co_filename not in self.files or self.happened is not None:
            return None
        if _in_finalizer(frame):  # of an earlier one; what it raises nobody sees
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self.trace

    def trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if self.happened is not None:
            return None
        if event == "opcode":
            before, self.last[frame] = self.last.get(frame), frame.f_lasti
            if before in _after_a_check(frame.f_code, self.cache):
                self.left -= 1
                if self.left < 0:
                    self.happened = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                    self.happening()
        return self.trace


def run(
    modules: list[ModuleType],
    action: Callable[[], object],
    happening: Callable[[], None],
    *,
    at: int,
) -> str | None:
    """
    Run the action with the happening at the place number `at`; return where that was.

    None means that the action has no such place. Interrupted is caught.
    """
    tracer = _Tracer({str(module.__file__) for module in modules}, at, happening)
    before = sys.gettrace()
    try:
        sys.settrace(tracer)
        action()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return tracer.happened


def raise_interrupted() -> None:
    raise Interrupted


def places() -> Iterator[int]:
    """Return 0, 1, 2, ...; the test stops when `run` returns None."""
    at = 0
    while True:
        yield at
        at += 1

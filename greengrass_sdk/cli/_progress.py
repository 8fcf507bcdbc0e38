# SPDX-License-Identifier: Apache-2.0
"""How far a long command is, on standard error, if that is a terminal and nobody asked for JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from greengrass_sdk.cli._output import Output

__all__ = ["Progress"]

_PATIENCE_S = 0.5  # what is done by then shows nothing
_WIDTH = 30


class Progress:
    """
    A bar; `advance` moves it.

    It shows nothing with `--json` or `--quiet`, if standard error is no terminal, or if standard
    output is one too: the result would be torn.
    """

    def __init__(self, output: Output, label: str, total: int, unit: str) -> None:
        self._stream = output.stderr
        self._label = label
        self._total = total
        self._unit = unit
        self._done = 0
        self._shown_at = time.monotonic()
        self._shown = False
        self._wanted = (
            not output.json
            and not output.quiet
            and self._stream.isatty()
            and (unit == "bytes" or not output.stdout.isatty())
        )

    def advance(self, count: int) -> None:
        """Count what was done."""
        self._done += count
        if self._wanted and time.monotonic() - self._shown_at >= _PATIENCE_S:
            self._show()

    def _show(self) -> None:
        part = min(self._done / self._total, 1.0) if self._total else 1.0
        bar = ("#" * int(part * _WIDTH)).ljust(_WIDTH, ".")
        self._write(f"\r{self._label} [{bar}] {part:4.0%} of {self._total} {self._unit}")
        self._shown, self._shown_at = True, time.monotonic()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._write("\r\x1b[K")  # the line is as it was before

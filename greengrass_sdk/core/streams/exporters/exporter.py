# SPDX-License-Identifier: Apache-2.0
"""
What a destination of exports is to the rest of the core.

A class of yours becomes one by the entry point group `greengrass_sdk.exporters`: its name is what
`exporter` of a `CustomConfig` says, its value a callable that takes a configuration and a `Setting`
and returns an `Exporter`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from greengrass_sdk.model.stream import Message

__all__ = ["ExportError", "Exporter", "Setting", "missing_extra", "one_line"]


class ExportError(Exception):
    """
    Raised by an exporter when messages did not arrive; they are sent again later.

    Args:
        message: Why, in one line: it is what describe and the log tell.
        done: How many of the messages, from the first on, arrived all the same.
    """

    def __init__(self, message: str, *, done: int = 0) -> None:
        super().__init__(message)
        self.done = done


@frozen(kw_only=True)
class Setting:
    """
    What the core offers an exporter.

    Attributes:
        stream: The stream that is exported.
        region: Of the group, for services of AWS.
        root: Relative paths begin here.
        timeout_s: How long one attempt may take.
        pause: Waits until that many bytes more fit the bandwidth; only those that go beside the
            messages themselves are to be told, as the content of files.
        append: Appends a message to another stream, for those who tell their status there; raises
            StreamError.
        stopping: Is set when the core wants its threads back.
        part_bytes: The smallest part of an upload in parts.
        read_only_dirs: Files there may be read; empty: anywhere.
    """

    stream: str
    region: str
    root: Path
    timeout_s: float = 30.0
    pause: Callable[[int], None] = lambda _: None
    append: Callable[[str, bytes], None] = lambda _, __: None
    stopping: threading.Event = field(factory=threading.Event)
    part_bytes: int = 5 * 1024 * 1024
    read_only_dirs: tuple[Path, ...] = ()


class Exporter(Protocol):
    """
    One destination. Its methods are called by one thread at a time, and may block.

    After an ExportError it is closed, and a new one is made for the next attempt.
    """

    def send(self, messages: Sequence[Message]) -> None:
        """
        Return when all messages have arrived, in their order.

        Raises:
            ExportError: They have not, or not all.
        """

    def close(self) -> None:
        """Let go of connections."""


def missing_extra(extra: str, error: ImportError) -> ExportError:
    """Return what says which package is not installed."""
    return ExportError(
        f"{error.name} is not installed: pip install greengrass-core[{extra}], then restart"
    )


def one_line(error: object) -> str:
    """Return an exception as a line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:500]

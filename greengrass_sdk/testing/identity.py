# SPDX-License-Identifier: Apache-2.0
"""
Which function calls, where one process is many functions.

In this order: the function whose thread, or whose thread's thread, this is; what `acting_as` says;
the only function that was registered from the innermost module on the stack that any was registered
from. Where that leaves nobody, or several, the error says what to do.
"""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from greengrass_sdk.client import session
from greengrass_sdk.errors import CoreUnavailableError
from greengrass_sdk.testing.scheduler import current_task
from greengrass_sdk.testing.worker import FakeWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from greengrass_sdk.client.session import Session

__all__ = ["Simulation", "acting", "activate", "deactivate", "namespace_of"]

_acting: ContextVar[Session | None] = ContextVar("greengrass_acting", default=None)
_active: list[Simulation] = []


class Simulation(Protocol):
    """A FakeCore, as far as it is asked who calls."""

    @property
    def function_names(self) -> list[str]:
        """All functions."""

    def functions_from(self, namespace: dict[str, Any]) -> list[str]:
        """Return the functions that were registered from a module, by its globals."""

    def session_of(self, name: str) -> Session:
        """Return the session of test code that acts as a function."""


def activate(core: Simulation) -> None:
    """Let the functions of a core be found."""
    _active.append(core)
    session.seek(_find)


def deactivate(core: Simulation) -> None:
    """Forget a core."""
    if core in _active:
        _active.remove(core)
    if not _active:
        session.seek(None)


@contextmanager
def acting(found: Session) -> Iterator[None]:
    """Let calls in this context be those of a function."""
    token = _acting.set(found)
    try:
        yield
    finally:
        _acting.reset(token)


def namespace_of(handler: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the globals of the module that a callable was defined in."""
    inner: Any = handler
    while hasattr(inner, "__wrapped__") or isinstance(inner, functools.partial):
        inner = inner.func if isinstance(inner, functools.partial) else inner.__wrapped__
    inner = getattr(inner, "__func__", inner)
    found = getattr(inner, "__globals__", None)
    if isinstance(found, dict):
        return found
    module = sys.modules.get(str(getattr(inner, "__module__", "")))
    return None if module is None else vars(module)


def _find(name: str | None) -> Session | None:
    task = current_task()
    if task is not None and isinstance(task.owner, FakeWorker):
        return task.owner.session
    if name is not None:
        return None  # a program beside a core: it connects as ever
    acting_now = _acting.get()
    if acting_now is not None:
        return acting_now
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the module that calls is the question
    while frame is not None:
        found = [(c, n) for c in _active for n in c.functions_from(frame.f_globals)]
        if len(found) == 1:
            core, only = found[0]
            return core.session_of(only)
        if found:
            raise _ambiguous([n for _, n in found], "several functions come from this module")
        frame = frame.f_back
    names = [n for core in _active for n in core.function_names]
    raise _ambiguous(names, "this code belongs to no function of it")


def _ambiguous(names: list[str], why: str) -> CoreUnavailableError:
    example = names[0] if names else "NAME"
    known = ", ".join(dict.fromkeys(names)) or "none yet; add_function adds one"
    return CoreUnavailableError(
        f"a FakeCore is active, but {why} (its functions: {known}); say which one calls:"
        f" `with greengrass.acting_as({example!r}):`"
    )

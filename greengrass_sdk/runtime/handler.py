# SPDX-License-Identifier: Apache-2.0
"""
From a handler string to the function to call.

`module.function`, `package.module.function` or `folder/module.function`: what stands before the
last dot is imported from the function's path, the rest is looked up in it. What is wrong is told by
name, with what is there instead.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from greengrass_sdk.errors import HandlerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import Any

__all__ = ["resolve", "split"]

_MOST_NAMES = 10


def split(handler: str) -> tuple[str, str]:
    """
    Return the dotted module and the attribute that a handler string names.

    Raises:
        HandlerError: It does not have the form `module.function`.
    """
    module, dot, attribute = handler.rpartition(".")
    module = module.replace("/", ".").strip(".")
    if not dot or not module or not attribute.isidentifier():
        raise HandlerError(
            f"handler {handler!r} is not of the form module.function; the file is named without .py"
            " and folders are separated by . or /",
            handler=handler,
        )
    return module, attribute


def resolve(handler: str, code: str) -> Callable[[Any, Any], Any]:
    """
    Import the module of a handler and return the function.

    Args:
        handler: As in the group file.
        code: The code folder, for the list of what is there.

    Raises:
        HandlerError: The string, the module, or the attribute is wrong.
        BaseException: Whatever the module raises while it is imported.
    """
    name, attribute = split(handler)
    _prefer_code(name, code)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        # The handler's own module, or a package above it; anything else is missing inside the code.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise _no_module(handler, error.name, code) from None
    try:
        function = getattr(module, attribute)
    except AttributeError:
        raise _no_attribute(handler, module, attribute) from None
    if not callable(function):
        raise HandlerError(
            f"handler {handler!r}: {attribute!r} in {_place(module)} is"
            f" {_article(type(function).__name__)}, not a function",
            handler=handler,
            candidates=_callables(module),
        )
    return function  # type: ignore[no-any-return]  # callable() says no more than that


def _prefer_code(name: str, code: str) -> None:
    """
    Let a handler module win over a module of the same name that the runtime has imported already.

    `logging.py` or `socket.py` is a legitimate handler; without a warm parent it would be found
    first, too.
    """
    top = name.partition(".")[0]
    loaded = sys.modules.get(top)
    if loaded is None or top == "greengrass_sdk":
        return
    origin = getattr(loaded.__spec__, "origin", None)
    if origin in {"built-in", "frozen"}:  # these come before any folder, also without a zygote
        return
    for file in (f"{top}.py", os.path.join(top, "__init__.py")):
        own = os.path.join(code, file)
        if own != origin and os.path.exists(own):
            del sys.modules[top]
            return


def _no_module(handler: str, missing: str, code: str) -> HandlerError:
    try:
        entries = sorted(os.listdir(code))
    except OSError as error:
        return HandlerError(
            f"handler {handler!r}: no module {missing!r}; the code folder is not readable: {error}",
            handler=handler,
        )
    modules = [entry[:-3] for entry in entries if entry.endswith(".py")]
    modules += [entry for entry in entries if os.path.isdir(os.path.join(code, entry))]
    modules = [module for module in modules if module.isidentifier() and module != "__pycache__"]
    return HandlerError(
        f"handler {handler!r}: no module {missing!r} in {code};{_instead(missing, modules)}",
        handler=handler,
        candidates=modules,
    )


def _no_attribute(handler: str, module: ModuleType, attribute: str) -> HandlerError:
    functions = _callables(module)
    return HandlerError(
        f"handler {handler!r}: {_place(module)} has no function {attribute!r};"
        f"{_instead(attribute, functions)}",
        handler=handler,
        candidates=functions,
    )


def _callables(module: ModuleType) -> list[str]:
    """Return the functions and classes that the module defines itself."""
    return sorted(
        name
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    )


def _instead(wanted: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # only when something is wrong

    names = list(names)
    near = get_close_matches(wanted, names, n=1)
    if near:
        return f" did you mean {near[0]!r}?"
    if not names:
        return " there is none"
    listed = ", ".join(names[:_MOST_NAMES])
    return f" there is {listed}{', ...' if len(names) > _MOST_NAMES else ''}"


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or f"module {module.__name__}"


def _article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"

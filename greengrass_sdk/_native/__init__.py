# SPDX-License-Identifier: Apache-2.0
"""
The hot path, twice: in C behind cffi, and as its readable Python equal.

* `_py/` is the reference and the fallback without a compiler: `frames` (frame format, decoder),
  `index` (subscription table), `channel` (the stream transport), `router` (the step machine).
* `_abc.py` holds the Protocols that both implementations satisfy.
* `_c.py` wraps `_lib`, the extension built from `native/`: one call a buffer, never one a field.
* `_selftest.py` is the known-answer test that the core runs when it starts.

GREENGRASS_SDK_NATIVE chooses: `auto` (default: C where it was built, else Python), `c`, `python`;
:data:`impl` says which one won. `channel` and `router` are imported from their own modules.
Start reading at `_py/frames.py`.
"""

from __future__ import annotations

import os
import sys

from greengrass_sdk._native._py.frames import (
    MAX_CONTEXT,
    MAX_FRAME,
    MAX_TOPIC,
    Flag,
    Frame,
    FrameError,
    Kind,
    Status,
    encode_frame,
    encode_header,
    request_id,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Literal, TypeVar

    from greengrass_sdk._native import _abc
    from greengrass_sdk._native._fast import Messages

    M = TypeVar("M")

__all__ = [
    "MAX_CONTEXT",
    "MAX_FRAME",
    "MAX_TOPIC",
    "Flag",
    "Frame",
    "FrameDecoder",
    "FrameError",
    "Kind",
    "Status",
    "TopicIndex",
    "companion",
    "encode_frame",
    "encode_header",
    "forget_public_modules",
    "impl",
    "keep_freed",
    "message_reader",
    "request_id",
    "self_test",
]

impl: Literal["c", "python"]
FrameDecoder: type[_abc.FrameDecoder]
TopicIndex: type[_abc.TopicIndex]


def _choose(
    wanted: str,
) -> tuple[Literal["c", "python"], type[_abc.FrameDecoder], type[_abc.TopicIndex]]:
    """Return the implementation that `wanted` (auto, c, python) names, or raise ImportError."""
    if wanted not in {"auto", "c", "python"}:
        raise ImportError(f"GREENGRASS_SDK_NATIVE is {wanted!r}; set it to auto, c or python")
    if wanted != "python":
        try:
            from greengrass_sdk._native import _c
        except ImportError as error:
            if wanted == "c":
                raise ImportError(
                    "GREENGRASS_SDK_NATIVE is 'c', but no C implementation can be used; tried:\n"
                    f"- greengrass_sdk._native._lib for {sys.implementation.cache_tag}"
                    f" in {os.path.dirname(__file__)}: {error}\n"
                    "build it with `python setup.py build_ext --inplace` or reinstall where gcc and"
                    " the Python headers are present; GREENGRASS_SDK_NATIVE=auto or =python does"
                    " without it"
                ) from error
        else:
            return "c", _c.FrameDecoder, _c.TopicIndex
    from greengrass_sdk._native._py import frames, index

    return "python", frames.FrameDecoder, index.TopicIndex


impl, FrameDecoder, TopicIndex = _choose(os.environ.get("GREENGRASS_SDK_NATIVE") or "auto")


def companion() -> ModuleType | None:
    """Return `_fast`, the calls that are made for every message; None where it is not used."""
    if impl == "c":
        try:
            from greengrass_sdk._native import _fast
        except ImportError:
            pass  # not built
        else:
            return _fast
    return None


def message_reader(make: type[M]) -> Callable[[list[Frame]], list[M]]:
    """
    Return what makes objects of the MESSAGEs in a list of frames.

    Args:
        make: A class with the slots `topic` (text) and `payload`, which are all its arguments.
    """
    if (fast := companion()) is not None:
        reader: Messages[M] = fast.Messages(Frame, Kind.MESSAGE, make)
        return reader.of

    def read(frames: list[Frame]) -> list[M]:
        return [
            make(frame.topic.decode("utf-8", "replace"), frame.payload)  # type: ignore[call-arg]
            for frame in frames
            if frame.kind == Kind.MESSAGE
        ]

    return read


def keep_freed(size: int) -> None:
    """
    Have this process keep about so many bytes that it frees, instead of giving them back at once.

    Who makes and frees large buffers all the time has the system find and clear new pages for each
    of them otherwise, which takes longer than to fill them. Without C, nothing is done.
    """
    if (fast := companion()) is not None:
        fast.keep_freed(size)


def forget_public_modules() -> None:
    """
    Drop the third-party modules that the extension pulled in from `sys.modules`.

    A worker calls this before it imports user code: a zip that brings its own, other cffi then
    imports that one. The extension holds what it needs and goes on working.
    """
    sys.modules.pop("_cffi_backend", None)


def self_test() -> None:
    """
    Check the chosen implementation against known answers; takes well under a millisecond.

    Raises:
        NativeError: An answer is wrong; the message names the check and both values.
    """
    from greengrass_sdk._native import _selftest

    _selftest.check(FrameDecoder, TopicIndex)

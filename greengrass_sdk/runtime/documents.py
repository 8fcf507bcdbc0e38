# SPDX-License-Identifier: Apache-2.0
"""
JSON, as handlers get it and give it: what `json.loads` and `json.dumps` do, at half their price.

Both spend more on preparing than on a small document. What they prepare is kept here; whatever is
not plain (other encodings than UTF-8, space around the document, circles, mistakes) is theirs, so
every result and every error is.
"""

from __future__ import annotations

import json
import json.encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["dumps", "loads"]

_decode = json.JSONDecoder().raw_decode


def _kept_encoder() -> Callable[[Any, int], Iterable[str]]:
    """Return what `json.dumps` makes each time, without the memory that finds circles."""
    default = json.JSONEncoder()
    return json.encoder.c_make_encoder(  # type: ignore[attr-defined,no-any-return]  # undocumented
        None,
        default.default,
        json.encoder.encode_basestring_ascii,
        default.indent,
        default.key_separator,
        default.item_separator,
        default.sort_keys,
        default.skipkeys,
        default.allow_nan,
    )


try:
    _encode = _kept_encoder()
except (AttributeError, TypeError):  # another interpreter, or a newer one

    def _encode(value: Any, _indent: int) -> Iterable[str]:
        return json.dumps(value)


def loads(document: bytes) -> Any:
    """Return what a document says; see `json.loads`."""
    try:
        text = document.decode()
        value, end = _decode(text)
    except ValueError:
        return json.loads(document)
    return value if end == len(text) else json.loads(document)


def dumps(value: Any) -> bytes:
    """Return the document that says this value; see `json.dumps`."""
    try:
        return "".join(_encode(value, 0)).encode()
    except (TypeError, ValueError, RecursionError):
        return json.dumps(value).encode()

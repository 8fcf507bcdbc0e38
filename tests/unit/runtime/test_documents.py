# SPDX-License-Identifier: Apache-2.0
"""The same values, the same bytes, the same errors as `json` gives."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict
from decimal import Decimal

import pytest

from greengrass_sdk.runtime import documents


class Level(enum.IntEnum):
    HIGH = 3


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]

VALUES = [
    {"a": [1, 2.5, True, None], "ü": "\ud83d\ude00 \ud800 \x00", "n": {}},
    OrderedDict([("z", 1), ("a", (1, 2))]),
    {2: 1, True: 2, None: 3, 1.5: 4},
    "text",
    "",
    Level.HIGH,
    10**30,
    float("nan"),
    float("inf"),
    [],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_becomes_the_document_that_json_writes(value):
    assert json.dumps(value).encode() == documents.dumps(value)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, {b"a": 1}, Decimal(1), CIRCLE, [CIRCLE], DEEP],
    ids=["object", "set", "bytes", "Decimal", "circle", "circle below", "deep"],
)
def test_a_value_without_a_document_fails_as_json_fails(value):
    with pytest.raises((TypeError, ValueError, RecursionError)) as expected:
        json.dumps(value)
    for _ in range(2):  # nothing of the first failure is kept
        with pytest.raises(expected.type, match=str(expected.value)[:20]):
            documents.dumps(value)
    assert b"[[]]" == documents.dumps([[]])


@pytest.mark.parametrize(
    "document",
    [
        b'{"a": [1, -2.5e3, true, null, "\\u00fc"]}',
        '"ü"'.encode(),
        b" [1] ",
        b"[1]\n",
        b"1",
        b"NaN",
        b"\xef\xbb\xbf[1]",
        '{"a": 1}'.encode("utf-16"),
        "[1]".encode("utf-16-le"),
        "1".encode("utf-32-be"),
        b'"\xed\xa0\x80"',
    ],
)
def test_a_document_is_what_json_reads(document):
    assert repr(json.loads(document)) == repr(documents.loads(document))


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[1] 2", b"\xff", b"{'a': 1}", b"nope", b"[" * 100_000]
)
def test_what_is_no_document_fails_as_json_fails(document):
    with pytest.raises((ValueError, RecursionError)) as expected:
        json.loads(document)
    with pytest.raises(expected.type) as caught:
        documents.loads(document)
    assert str(expected.value) == str(caught.value)

# SPDX-License-Identifier: Apache-2.0
"""From Python values to bytes."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from greengrass_sdk.client.payloads import check_size, encode_context, encode_payload
from greengrass_sdk.errors import InvalidInputError, LimitExceededError


def test_bytes_are_not_copied():
    payload = b"bytes"
    assert encode_payload(payload) is payload


@pytest.mark.parametrize(
    "payload", [memoryview(b"x.y.")[::2], bytearray(b"xy"), array("B", b"xy")], ids=type
)
def test_buffers_are_sent_as_their_bytes(payload):
    assert b"xy" == bytes(encode_payload(payload))


def test_items_of_a_buffer_may_be_larger_than_a_byte():
    assert 8 == len(encode_payload(array("I", [1, 2])))


def test_text_in_json_is_utf_8():
    assert '{"ü": ["ß"]}'.encode() == encode_payload({"ü": ["ß"]})


def test_a_tuple_is_a_list():
    assert b"[1, 2]" == encode_payload((1, 2))


RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({1, 2}, "is of type set"),
        (object(), "is of type object"),
        ({"a": {1}}, "cannot be written as JSON"),
        (float("nan"), "cannot be written as JSON"),
        (RECURSIVE, "cannot be written as JSON"),
        ("\ud800", "has no UTF-8"),
        ({"a": "\ud800"}, "cannot be written as JSON"),
    ],
)
def test_what_has_no_bytes_is_refused(payload, words):
    with pytest.raises(InvalidInputError, match=words):
        encode_payload(payload)


def test_client_contexts_are_dicts_or_their_json():
    assert b"" == encode_context(None)
    assert b'{"custom": {}}' == encode_context({"custom": {}})
    assert b"{}" == encode_context("{}") == encode_context(b"{}")
    with pytest.raises(InvalidInputError, match="client_context is of type list"):
        encode_context([])  # type: ignore[arg-type]  # on purpose
    with pytest.raises(LimitExceededError, match="client_context has 65537 bytes"):
        encode_context(b"x" * 65_537)


def test_a_limit_is_named():
    check_size(10, 10, "it")
    with pytest.raises(
        LimitExceededError, match=r"it has 11 bytes; the limit is 10 bytes \(knob\)"
    ):
        check_size(11, 10, "it", "knob")

# SPDX-License-Identifier: Apache-2.0
"""What the clients return."""

from __future__ import annotations

import pytest

from greengrass_sdk import InvokeResult, Message

CASES = [
    (Message("t", b'{"a": 1}'), Message("t", b'{"a": 1}'), Message("u", b'{"a": 1}')),
    (InvokeResult(b'{"a": 1}', "id"), InvokeResult(b'{"a": 1}', "id"), InvokeResult(b"", "id")),
]


@pytest.mark.parametrize(("one", "same", "other"), CASES)
def test_values_are_equal_by_content(one, same, other):
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "something else"


@pytest.mark.parametrize("one", [case[0] for case in CASES])
def test_json_decodes_the_payload(one):
    assert {"a": 1} == one.json()


def test_a_payload_that_is_no_json_is_a_value_error():
    with pytest.raises(ValueError, match="Expecting value"):
        Message("t", b"hello").json()


def test_payloads_are_not_shown():
    assert "Message(topic='t', payload=<6 bytes>)" == repr(Message("t", b"secret"))
    assert "InvokeResult(payload=<6 bytes>, request_id='id')" == repr(InvokeResult(b"secret", "id"))

# SPDX-License-Identifier: Apache-2.0
"""AWS's shapes on the native path; what is built on them is tested under tests/unit/dropin."""

from __future__ import annotations

import base64

import pytest

from greengrass_sdk.client.v1 import Desk, Work, encode_client_context, split_function_arn
from greengrass_sdk.errors import CoreUnavailableError

UNQUALIFIED = "arn:aws:lambda:us-east-1:123456789012:function:f"


def test_an_arn_is_taken_apart():
    parts = (UNQUALIFIED, "us-east-1", "123456789012", "f")
    assert (*parts, "") == split_function_arn(UNQUALIFIED)
    assert (*parts, "$LATEST") == split_function_arn(f"{UNQUALIFIED}:$LATEST")


def test_what_follows_an_arn_is_not_looked_at():
    """V1 matched from the beginning only, and real code relies on no more."""
    assert "1" == split_function_arn(f"{UNQUALIFIED}:1!")[4]


def test_a_client_context_is_base64_of_its_json():
    assert b'{"a": 1}' == base64.b64decode(encode_client_context({"a": 1}))
    assert b"raw" == base64.b64decode(encode_client_context(b"raw"))


def test_without_a_core_every_call_says_so():
    for call in (
        lambda: Work().post(UNQUALIFIED, b"", b"", "Event"),
        lambda: Work().publish("t", b"", "BestEffort"),
        Desk().take,
        lambda: Desk().initialized("x", "Exception"),
    ):
        with pytest.raises(CoreUnavailableError):
            call()

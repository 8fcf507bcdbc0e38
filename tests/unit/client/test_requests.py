# SPDX-License-Identifier: Apache-2.0
"""From arguments to frames; what the answers mean is tested with the clients."""

from __future__ import annotations

import pytest

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk.client.requests import function_address, messages, timed_out
from greengrass_sdk.client.results import Message
from greengrass_sdk.errors import InvalidInputError

UNQUALIFIED = "arn:aws:lambda:us-east-1:000000000000:function:echo"


@pytest.mark.parametrize(
    ("function", "qualifier", "address"),
    [
        ("echo", None, "echo"),
        ("echo", "3", "echo:3"),
        (UNQUALIFIED, None, UNQUALIFIED),
        (UNQUALIFIED, "3", f"{UNQUALIFIED}:3"),
        (f"{UNQUALIFIED}:3", None, f"{UNQUALIFIED}:3"),
        (f"{UNQUALIFIED}:3", "3", f"{UNQUALIFIED}:3"),
        (
            "arn:aws:lambda:::function:GGShadowService",
            None,
            "arn:aws:lambda:::function:GGShadowService",
        ),
    ],
)
def test_a_function_is_named_by_name_or_arn_and_qualifier(function, qualifier, address):
    assert address == function_address(function, qualifier)


@pytest.mark.parametrize(
    ("function", "qualifier"),
    [
        ("", None),
        (None, None),
        (7, None),
        ("arn:aws:s3:::bucket", None),
        (f"{UNQUALIFIED}:3", "4"),
        ("x" * 513, None),
        ("\ud800", None),
    ],
)
def test_what_names_no_function_is_refused(function, qualifier):
    with pytest.raises(InvalidInputError):
        function_address(function, qualifier)


def test_a_message_is_what_a_message_frame_holds():
    batch = [
        Frame(Kind.MESSAGE, topic="ü".encode(), payload=b"x"),
        Frame(Kind.CONTROL, topic=b"none"),
        Frame(Kind.MESSAGE, topic=b"\xff", payload=b"y"),
    ]
    assert [Message("ü", b"x"), Message("\ufffd", b"y")] == messages(batch)


def test_a_timeout_says_what_and_how_long():
    error = timed_out("invoke 'f'", 1.5)
    assert ("invoke 'f': no answer within 1.5 s", 1.5) == (str(error), error.timeout_s)

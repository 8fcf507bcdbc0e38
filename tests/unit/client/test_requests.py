# SPDX-License-Identifier: Apache-2.0
"""From arguments to frames; what the answers mean is tested with the clients."""

from __future__ import annotations

import pytest
from fake_core import FakeCore, echo, verdict

from greengrass_sdk._native import Frame, Kind, Status
from greengrass_sdk.client.requests import Asked, function_address, messages, timed_out
from greengrass_sdk.client.results import Message
from greengrass_sdk.errors import InvalidInputError, QueueFullError

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


def test_an_answer_may_be_waited_for_later():
    with FakeCore(echo) as core:
        session = core.session()
        first, second = Asked(session, "f", b"1"), Asked(session, "f", b"2")
        assert [b"2", b"1"] == [second.finish().payload, first.finish().payload]


def test_nobody_has_to_wait_for_an_answer():
    with FakeCore(echo) as core:
        session = core.session()
        given_up = Asked(session, "f", b"1")
        given_up.cancel()
        assert b"2" == Asked(session, "f", b"2").finish().payload
        given_up.cancel()


def test_a_refusal_is_raised_by_who_waits():
    with FakeCore(lambda frame: [verdict(frame, Status.QUEUE_FULL)]) as core:
        asked = Asked(core.session(), "f", b"1")
        with pytest.raises(QueueFullError):
            asked.finish()

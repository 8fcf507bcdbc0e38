# SPDX-License-Identifier: Apache-2.0
"""`client("lambda")`."""

from __future__ import annotations

import base64

import pytest
from fake_core import result, verdict

import greengrasssdk
from greengrass_sdk import errors
from greengrass_sdk._native import Flag, Kind, Status
from greengrasssdk.Lambda import InvocationException, StreamingBody, failed

UNQUALIFIED = "arn:aws:lambda:us-east-1:123456789012:function:f"
CONTEXT = base64.b64encode(b'{"custom": {"k": "v"}}')


@pytest.fixture
def client():
    return greengrasssdk.client("lambda")


def test_a_result_is_a_streaming_body_without_function_error(core, client):
    answer = client.invoke(
        FunctionName=f"{UNQUALIFIED}:1", Payload=b"ping", ClientContext=CONTEXT, LogType="Tail"
    )
    assert {"Payload", "FunctionError"} == set(answer)
    assert "" == answer["FunctionError"]
    assert isinstance(answer["Payload"], StreamingBody)
    assert [b"pi", b"ng", b""] == [answer["Payload"].read(2) for _ in range(3)]
    (frame,) = core.wait(1)
    assert (Kind.INVOKE, 0) == (frame.kind, frame.flags)
    assert (f"{UNQUALIFIED}:1".encode(), b"ping") == (frame.topic, frame.payload)
    assert b'{"custom": {"k": "v"}}' == frame.context


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (Flag.HANDLED, "Handled"),
        (Flag.UNHANDLED, "Unhandled"),
        (Flag.UNHANDLED | Flag.TIMEOUT, "Unhandled"),
    ],
)
def test_a_function_error_is_bytes_and_its_kind(core, client, flags, kind):
    core.script = lambda frame: [result(frame, b'{"errorMessage": "x"}', flags)]
    answer = client.invoke(FunctionName=UNQUALIFIED)
    assert {"Payload": b'{"errorMessage": "x"}', "FunctionError": kind} == answer


def test_an_event_is_empty(core, client):
    answer = client.invoke(FunctionName=UNQUALIFIED, InvocationType="Event", Payload="x")
    assert {"Payload": b"", "FunctionError": ""} == answer
    assert Flag.EVENT == core.wait(1)[0].flags


@pytest.mark.parametrize(
    ("arguments", "topic"),
    [
        ({"FunctionName": UNQUALIFIED}, UNQUALIFIED),
        ({"FunctionName": UNQUALIFIED, "Qualifier": "2"}, f"{UNQUALIFIED}:2"),
        ({"FunctionName": f"{UNQUALIFIED}:2", "Qualifier": "2"}, f"{UNQUALIFIED}:2"),
        ({"FunctionName": f"{UNQUALIFIED}:$LATEST", "Qualifier": ""}, f"{UNQUALIFIED}:$LATEST"),
    ],
)
def test_the_qualifier_stands_in_the_arn_or_beside_it(core, client, arguments, topic):
    client.invoke(**arguments)
    assert topic.encode() == core.wait(1)[0].topic


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {},
            (
                '"FunctionName" argument of Lambda.Client.invoke is a required argument but was'
                " not provided."
            ),
        ),
        ({"FunctionName": "short"}, "Cannot parse given string as a function ARN."),
        (
            {"FunctionName": f"{UNQUALIFIED}:1", "Qualifier": "2"},
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        (
            {"FunctionName": UNQUALIFIED, "ClientContext": "text"},
            (
                '"ClientContext" argument must be a byte string or support a decode method which'
                " returns a string"
            ),
        ),
        (
            {"FunctionName": UNQUALIFIED, "ClientContext": b"no base64"},
            '"ClientContext" argument of Lambda.Client.invoke must be base64 encoded.',
        ),
    ],
    ids=["missing", "short", "qualifiers", "text", "no base64"],
)
def test_arguments_are_checked_in_the_words_of_v1(client, arguments, text):
    with pytest.raises(ValueError) as caught:
        client.invoke(**arguments)
    assert text == str(caught.value)


def test_what_the_core_refuses_is_an_invocation_exception_and_our_error(core, client):
    core.script = lambda frame: [verdict(frame, Status.NOT_FOUND, "no function f")]
    for kind in ("RequestResponse", "Event"):
        with pytest.raises(InvocationException) as caught:
            client.invoke(FunctionName=UNQUALIFIED, InvocationType=kind)
        assert "Failed to invoke function due to no function f" == str(caught.value)
        assert isinstance(caught.value, errors.FunctionNotFoundError)
        assert UNQUALIFIED == caught.value.function


def test_another_invocation_type_is_refused(core, client):
    with pytest.raises(InvocationException, match="invocation type 'DryRun'"):
        client.invoke(FunctionName=UNQUALIFIED, InvocationType="DryRun")


def test_a_failure_keeps_the_attributes_of_the_error():
    raised = failed(errors.RequestTimeoutError("late", timeout_s=3.0))
    assert isinstance(raised, errors.RequestTimeoutError)
    assert 3.0 == raised.timeout_s
    assert "Failed to invoke function due to late" == raised.message
    assert type(raised) is type(failed(errors.RequestTimeoutError("again")))


def test_a_closed_body_cannot_be_read():
    body = StreamingBody(b"x")
    body.close()
    with pytest.raises(ValueError, match="closed"):
        body.read()

# SPDX-License-Identifier: Apache-2.0
"""`client("iot-data")`."""

from __future__ import annotations

import io
import json

import pytest
from fake_core import result, verdict

import greengrasssdk
from greengrass_sdk import errors
from greengrass_sdk._native import Flag, Kind, Status
from greengrass_sdk.model.arn import SHADOW_ARN
from greengrasssdk.IoTDataPlane import ShadowError
from greengrasssdk.Lambda import InvocationException


@pytest.fixture
def client():
    return greengrasssdk.client("iot-data")


def test_publish_takes_keywords_ignores_unknown_ones_and_returns_none(core, client):
    assert client.publish(topic="a/b", qos=0, payload="text") is None
    client.publish(topic="a/b", payload=b"bytes", queueFullPolicy="BestEffort")
    client.publish(topic="a/b", payload=io.BytesIO(b"file"), queueFullPolicy="")
    client.publish(topic="a/b", payload=None)
    client.publish(topic="a/b")
    frames = core.wait(5)
    assert [(Kind.PUBLISH, 0, b"a/b")] * 5 == [(one.kind, one.flags, one.topic) for one in frames]
    assert [b"text", b"bytes", b"file", b"", b""] == [one.payload for one in frames]
    with pytest.raises(TypeError):
        client.publish("a/b", b"")


def test_all_or_exception_raises_when_the_core_refuses(core, client):
    client.publish(topic="t", queueFullPolicy="AllOrException")
    core.script = lambda frame: [verdict(frame, Status.QUEUE_FULL, "the queue of f is full")]
    with pytest.raises(InvocationException) as caught:
        client.publish(topic="t", queueFullPolicy="AllOrException")
    assert "Failed to invoke function due to the queue of f is full" == str(caught.value)
    assert isinstance(caught.value, errors.QueueFullError)
    assert Flag.ALL_OR_EXCEPTION | Flag.ANSWER == core.wait(2)[1].flags


def test_arguments_are_checked_in_the_words_of_v1(client):
    with pytest.raises(ValueError, match=r"^Invalid value for queueFullPolicy: AllOrError$"):
        client.publish(topic="t", queueFullPolicy="AllOrError")
    for call, name in (
        (client.publish, "topic"),
        (client.get_thing_shadow, "thingName"),
        (client.update_thing_shadow, "thingName"),
        (client.delete_thing_shadow, "thingName"),
        (lambda: client.update_thing_shadow(thingName="T"), "payload"),
    ):
        text = f'^Parameter "{name}" is a required parameter but was not provided\\.$'
        with pytest.raises(ValueError, match=text):
            call()


def test_what_cannot_be_published_is_an_invocation_exception_and_our_error(core, client):
    with pytest.raises(errors.InvalidInputError, match="wildcard") as caught:
        client.publish(topic="a/#", payload=b"")
    assert isinstance(caught.value, InvocationException)
    with pytest.raises(errors.LimitExceededError) as larger:
        client.publish(topic="t", payload=bytes(131_073))
    assert isinstance(larger.value, InvocationException)
    assert 131_072 == larger.value.limit


@pytest.mark.parametrize(
    ("method", "arguments", "operation", "payload"),
    [
        ("get_thing_shadow", {}, "get", b""),
        ("update_thing_shadow", {"payload": '{"state": {}}'}, "update", b'{"state": {}}'),
        ("delete_thing_shadow", {"shadowName": "ignored"}, "delete", b""),
    ],
)
def test_a_shadow_call_is_work_for_the_shadow_service(
    core, client, method, arguments, operation, payload
):
    core.script = lambda frame: [result(frame, b'{"version": 1}')]
    answer = getattr(client, method)(thingName="T", **arguments)
    assert {"payload": b'{"version": 1}'} == answer
    (frame,) = core.wait(1)
    assert (Kind.INVOKE, SHADOW_ARN.encode(), payload) == (frame.kind, frame.topic, frame.payload)
    subject = f"$aws/things/T/shadow/{operation}"
    assert {"custom": {"subject": subject}} == json.loads(frame.context)


def test_an_error_in_the_answer_is_a_shadow_error(core, client):
    document = b'{"code": 404, "message": "No shadow exists with name: T"}'
    core.script = lambda frame: [result(frame, document)]
    text = (
        "Request for shadow state returned error code 404"
        ' with message "No shadow exists with name: T"'
    )
    with pytest.raises(ShadowError) as caught:
        client.get_thing_shadow(thingName="T")
    assert text == str(caught.value)


def test_a_service_that_broke_is_a_shadow_error(core, client):
    core.script = lambda frame: [result(frame, b"boom", Flag.UNHANDLED)]
    text = (
        'Request for shadow state returned FunctionError "Unhandled" with error payload "b\'boom\'"'
    )
    with pytest.raises(ShadowError) as caught:
        client.get_thing_shadow(thingName="T")
    assert text == str(caught.value)


def test_a_core_without_the_service_says_so(core, client):
    core.script = lambda frame: [verdict(frame, Status.NOT_FOUND, "no GGShadowService here")]
    text = "due to no GGShadowService here"
    with pytest.raises(InvocationException, match=text):
        client.get_thing_shadow(thingName="T")

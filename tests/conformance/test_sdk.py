# SPDX-License-Identifier: Apache-2.0
"""
`greengrasssdk` inside of a function: names, arguments, texts.

Ref: Greengrass V1 guide, "AWS IoT Greengrass Core SDK"; the documentation of `greengrasssdk` 1.6
"""

from __future__ import annotations

import pytest

import greengrasssdk

functions = greengrasssdk.client("lambda")
iot = greengrasssdk.client("iot-data")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:attempt:1"


def attempt(event, context):
    """Call a method; return what it returned or raised."""
    client = functions if event["client"] == "lambda" else iot
    try:
        return {"returned": getattr(client, event["method"])(**event["arguments"])}
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises
        return {"raised": type(error).__name__, "text": str(error)}


def send(event, context):
    iot.publish(topic="text", payload="grüße")
    iot.publish(topic="bytes", payload=b"\xff\x00")
    iot.publish(topic="empty")


def about(event, context):
    try:
        greengrasssdk.client("s3")
    except Exception as error:  # noqa: BLE001 - a plain Exception, as AWS's
        return [greengrasssdk.__version__, type(error).__name__, str(error)]


@pytest.fixture
def tried(greengrass):
    greengrass.add_function("attempt", attempt)

    def tried(client, method, **arguments):
        call = {"client": client, "method": method, "arguments": arguments}
        return greengrass.invoke("attempt", call).json()

    return tried


def raised(text):
    return {"raised": "ValueError", "text": text}


def test_a_payload_is_text_bytes_or_nothing(greengrass):
    """GG-SDK-01"""
    greengrass.add_function("send", send)
    greengrass.invoke("send")
    payloads = {message.subject: message.payload for message in greengrass.published()}
    assert {"text": "grüße".encode(), "bytes": b"\xff\x00", "empty": b""} == payloads


def test_a_publish_needs_a_topic_and_ignores_what_it_does_not_know(tried, greengrass):
    """GG-SDK-02"""
    text = 'Parameter "topic" is a required parameter but was not provided.'
    assert raised(text) == tried("iot-data", "publish", payload="x")
    assert {"returned": None} == tried("iot-data", "publish", topic="t", qos=0, payload="x")
    assert ["t"] == [message.subject for message in greengrass.published()]


def test_a_policy_that_there_is_not_is_refused(tried):
    """GG-SDK-03"""
    answer = tried("iot-data", "publish", topic="t", queueFullPolicy="Sometimes")
    assert raised("Invalid value for queueFullPolicy: Sometimes") == answer


def test_an_invocation_needs_a_function_by_its_arn(tried):
    """GG-SDK-04"""
    missing = tried("lambda", "invoke")
    assert "ValueError" == missing["raised"]
    assert '"FunctionName" argument of Lambda.Client.invoke is a required' in missing["text"]
    text = "Cannot parse given string as a function ARN."
    assert raised(text) == tried("lambda", "invoke", FunctionName="attempt")


def test_a_client_context_is_base64(tried):
    """GG-SDK-05"""
    answer = tried("lambda", "invoke", FunctionName=ARN, ClientContext="not base64!")
    assert "ValueError" == answer["raised"]
    assert '"ClientContext" argument must be a byte string' in answer["text"]


def test_the_sdk_has_its_version_and_its_clients(greengrass):
    """GG-SDK-06"""
    greengrass.add_function("about", about)
    expected = ["1.6.1", "Exception", "Client type 's3' is not recognized."]
    assert expected == greengrass.invoke("about").json()

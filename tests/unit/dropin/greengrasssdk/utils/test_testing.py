# SPDX-License-Identifier: Apache-2.0
"""greengrasssdk.utils.testing: code that imports AWS's names works, on whatever core there is."""

import json

import pytest

import greengrasssdk
from greengrass_sdk.testing import FakeCore
from greengrasssdk.utils.testing import mock


@mock
def ask(function_arn, payload):
    client = greengrasssdk.client("lambda")
    return client.invoke(FunctionName=function_arn, Payload=payload)["Payload"].read()


def test_a_decorated_call_reaches_the_double():
    with FakeCore() as core:
        asked = core.add_function("asked", lambda event, context: event["n"] + 1)
        core.add_function("asking", lambda event, context: None)
        with core.acting_as("asking"):
            answer = ask(asked.arn, b'{"n": 41}')
    assert 42 == json.loads(answer)


def test_a_decorated_call_without_a_core_says_what_is_missing():
    arn = "arn:aws:lambda:us-east-1:000000000000:function:x:1"
    with pytest.raises(greengrasssdk.Lambda.InvocationException, match="greengrass"):
        ask(arn, b"{}")


def test_the_module_is_an_attribute_of_the_package():
    assert mock is greengrasssdk.utils.testing.mock

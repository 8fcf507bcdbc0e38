# SPDX-License-Identifier: Apache-2.0
"""Secrets as programs get them."""

import asyncio
import json
import pickle
from datetime import UTC, datetime

import pytest
from fake_core import result

from greengrass_sdk import AsyncClient, Client
from greengrass_sdk.client.secrets import SecretValue, read_answer, request
from greengrass_sdk.errors import (
    InvalidInputError,
    RemoteProtocolError,
    SecretError,
    SecretNotFoundError,
)

ASKED = b'{"SecretId": "wifi", "VersionStage": "AWSCURRENT"}'
ANSWER = {
    "ARN": "arn:aws:secretsmanager:us-east-1:0:secret:wifi-abcdef",
    "Name": "wifi",
    "VersionId": "1",
    "VersionStages": ["AWSCURRENT", "blue"],
    "CreatedDate": 1_600_000_000_123,
    "SecretString": '{"password": "hunter2"}',
}


def read(**changes):
    document = {key: value for key, value in {**ANSWER, **changes}.items() if value is not None}
    return read_answer(json.dumps(document).encode(), ASKED)


def test_a_secret_of_text_says_all_about_itself():
    secret = read()
    assert '{"password": "hunter2"}' == secret.text
    assert b'{"password": "hunter2"}' == secret.value
    assert {"password": "hunter2"} == secret.json()
    assert (ANSWER["ARN"], "wifi", "1", ("AWSCURRENT", "blue"), False) == (
        secret.arn,
        secret.name,
        secret.version_id,
        secret.stages,
        secret.is_binary,
    )
    assert datetime(2020, 9, 13, 12, 26, 40, 123000, tzinfo=UTC) == secret.created


def test_a_secret_of_bytes_is_no_text():
    secret = read(SecretString=None, SecretBinary="AP8=")
    assert (b"\0\xff", True) == (secret.value, secret.is_binary)
    with pytest.raises(InvalidInputError, match="use its `value`"):
        _ = secret.text


@pytest.mark.parametrize("form", [repr, str, "{}".format, "%s".__mod__, lambda s: repr([s])])
def test_the_value_is_never_shown(form):
    shown = form(read())
    assert "hunter" not in shown
    assert "name='wifi'" in shown
    assert "<hidden>" in shown


def test_the_value_is_not_in_an_error_either():
    with pytest.raises(InvalidInputError, match="is no JSON") as caught:
        read(SecretString="hunter2").json()
    assert caught.value.__suppress_context__
    assert "hunter" not in str(caught.value)


def test_a_value_is_not_pickled():
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(read())


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("wifi", "AWSCURRENT", None), ASKED),
        (("wifi", "blue", None), b'{"SecretId": "wifi", "VersionStage": "blue"}'),
        (("wifi", "AWSCURRENT", "1"), b'{"SecretId": "wifi", "VersionId": "1"}'),
    ],
)
def test_a_request_has_a_label_or_an_id(arguments, asked):
    assert asked == request(*arguments)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("", "AWSCURRENT", None), "must be its name or ARN"),
        ((None, "AWSCURRENT", None), "must be its name or ARN"),
        ((["wifi"], "AWSCURRENT", None), "must be its name or ARN"),
        (("wifi", "blue", "1"), "either a stage or a version_id"),
    ],
)
def test_a_bad_request_is_not_sent(arguments, why):
    with pytest.raises(InvalidInputError, match=why):
        request(*arguments)


def test_what_is_not_found_says_where_to_look():
    payload = b'{"Status": 404, "Message": "Resource not found"}'
    with pytest.raises(SecretNotFoundError, match=r"GGSecretManager\.log says why") as caught:
        read_answer(payload, ASKED)
    assert ("wifi", "AWSCURRENT") == (caught.value.secret, caught.value.stage)
    with pytest.raises(LookupError, match="id '7'"):
        read_answer(payload, request("wifi", "AWSCURRENT", "7"))


def test_another_refusal_is_an_error_of_its_own():
    with pytest.raises(SecretError, match=r"Internal error \(500\)") as caught:
        read_answer(b'{"Status": 500, "Message": "Internal error"}', ASKED)
    assert not isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hunter2",
        b"[]",
        b"7",
        b"{}",
        json.dumps({**ANSWER, "CreatedDate": "today"}).encode(),
        json.dumps({**ANSWER, "SecretBinary": 7}).encode(),
        json.dumps({**ANSWER, "SecretString": 7}).encode(),
    ],
)
def test_what_is_no_secret_is_no_answer(payload):
    with pytest.raises(RemoteProtocolError, match="something else than a secret") as caught:
        read_answer(payload, ASKED)
    assert caught.value.__suppress_context__


def test_a_client_invokes_the_service(core):
    core.script = lambda frame: [result(frame, json.dumps(ANSWER).encode())]
    assert isinstance(Client().secret("wifi"), SecretValue)
    [frame] = core.wait(1)
    assert (b"arn:aws:lambda:::function:GGSecretManager:1", ASKED) == (frame.topic, frame.payload)


def test_so_does_the_one_for_asyncio(core):
    core.script = lambda frame: [result(frame, json.dumps(ANSWER).encode())]
    secret = asyncio.run(AsyncClient().secret("wifi", version_id="1"))
    assert "1" == secret.version_id
    assert request("wifi", "AWSCURRENT", "1") == core.wait(1)[0].payload

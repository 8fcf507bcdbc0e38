# SPDX-License-Identifier: Apache-2.0
"""`client("secretsmanager")`."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from fake_core import result, verdict

import greengrasssdk
from greengrass_sdk._native import Flag, Status
from greengrass_sdk.model.arn import SECRETS_ARN
from greengrasssdk.Lambda import InvocationException
from greengrasssdk.SecretsManager import SecretsManagerError

SECRET = {
    "ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:wifi-abc",
    "Name": "wifi",
    "VersionId": "v1",
    "SecretString": "hidden",
    "VersionStages": ["AWSCURRENT"],
    "CreatedDate": 1_600_000_000_000,
}


@pytest.fixture
def client():
    return greengrasssdk.client("secretsmanager")


def answer(document, flags=0):
    return lambda frame: [result(frame, json.dumps(document).encode(), flags)]


def test_a_secret_comes_with_its_date(core, client):
    core.script = answer(SECRET)
    got = client.get_secret_value(SecretId="wifi", VersionStage="AWSPREVIOUS")
    created = datetime.fromtimestamp(1_600_000_000)  # noqa: DTZ006 - as in V1
    assert {**SECRET, "CreatedDate": created} == got
    (frame,) = core.wait(1)
    assert (SECRETS_ARN.encode(), b"") == (frame.topic, frame.context)
    request = {"SecretId": "wifi", "VersionStage": "AWSPREVIOUS"}
    assert request == json.loads(frame.payload)


def test_the_stage_is_sent_only_if_it_is_given(core, client):
    core.script = answer(SECRET)
    client.get_secret_value(SecretId="wifi")
    assert b'{"SecretId": "wifi"}' == core.wait(1)[0].payload


def test_arguments_are_checked_in_the_words_of_v1(client):
    text = '^Parameter "SecretId" is a required parameter but was not provided\\.$'
    with pytest.raises(ValueError, match=text):
        client.get_secret_value()
    with pytest.raises(SecretsManagerError, match=r"^Query by VersionId is not yet supported$"):
        client.get_secret_value(SecretId="wifi", VersionId="v1")


def test_an_error_in_the_answer_is_a_secrets_manager_error(core, client):
    core.script = answer({"Status": 404, "Message": "Resource not found"})
    with pytest.raises(SecretsManagerError) as caught:
        client.get_secret_value(SecretId="wifi")
    assert (
        "Request for secret value returned error code 404 with message Resource not found"
        == str(caught.value)
    )


def test_a_service_that_broke_is_a_secrets_manager_error(core, client):
    core.script = answer("boom", Flag.UNHANDLED)
    with pytest.raises(SecretsManagerError, match='FunctionError "Unhandled"'):
        client.get_secret_value(SecretId="wifi")


def test_a_core_without_the_service_says_so(core, client):
    core.script = lambda frame: [verdict(frame, Status.NOT_FOUND, "no GGSecretManager here")]
    with pytest.raises(InvocationException, match="due to no GGSecretManager here"):
        client.get_secret_value(SecretId="wifi")

# SPDX-License-Identifier: Apache-2.0
"""
Secrets: what functions get of them.

Ref: Greengrass V1 guide, "Deploy secrets to the AWS IoT Greengrass core", "How to create a secret
resource"; SDK 1.6 SecretsManager.Client.get_secret_value
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import greengrasssdk
from greengrass_sdk import AsyncClient, Client, SecretNotFoundError
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from greengrass_sdk.testing import Greengrass

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:greengrass-Test-abcdef"
NOT_FOUND = "Request for secret value returned error code 404 with message Resource not found"
VALUE = "hunter2, which stands nowhere else"


def v1(event, context):
    """Ask as AWS's SDK does; return the answer, or what was raised."""
    try:
        answer = greengrasssdk.client("secretsmanager").get_secret_value(**event)
    except (greengrasssdk.SecretsManager.SecretsManagerError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    created = answer.pop("CreatedDate")
    return {**answer, "created": [type(created).__name__, created.timestamp(), str(created.tzinfo)]}


def ours(event, context):
    """Ask as ours does, both ways; return the value."""

    async def ask():
        return await AsyncClient().secret(**event)

    try:
        secret = Client().secret(**event)
    except SecretNotFoundError as error:
        return f"{type(error).__name__} {error.secret}"
    assert secret.value == asyncio.run(ask()).value
    print(secret)  # noqa: T201 - shows that it shows nothing
    return secret.text


def silent(event, context):
    """Ask for what it may not read."""
    return v1(event, context)


def add(greengrass: Greengrass, **options: Any) -> None:
    greengrass.add_secret("Test", VALUE, **options)
    for handler in (v1, ours):
        greengrass.add_function(handler.__name__, handler, secrets=["Test"])
    greengrass.add_function("silent", silent)


def ask(greengrass: Greengrass, name: str = "v1", **event: Any) -> Any:
    return greengrass.invoke(name, event).json()


def test_a_secret_is_read_by_its_name_and_its_arn(greengrass):
    """GG-SE-01."""
    add(greengrass, arn=ARN)
    for identifier in ("Test", "greengrass-Test", ARN):
        answer = ask(greengrass, SecretId=identifier)
        assert (VALUE, ARN, "greengrass-Test", ["AWSCURRENT"]) == (
            answer["SecretString"],
            answer["ARN"],
            answer["Name"],
            answer["VersionStages"],
        )
        assert VALUE == ask(greengrass, "ours", id=identifier)


def test_bytes_come_as_text_in_base64(greengrass):
    """GG-SE-02."""
    greengrass.add_secret("Test", b"\0\xff")
    greengrass.add_function("v1", v1, secrets=["Test"])
    answer = ask(greengrass, SecretId="Test")
    assert ("AP8=", False) == (answer["SecretBinary"], "SecretString" in answer)


def test_the_time_of_creation_is_a_local_datetime_without_a_zone(greengrass):
    """GG-SE-03."""
    add(greengrass)
    kind, created, zone = ask(greengrass, SecretId="Test")["created"]
    assert ("datetime", "None") == (kind, zone)
    assert abs(created - greengrass.now.timestamp()) < 300


def test_the_current_version_may_always_be_read_and_others_by_labels_of_the_group(greengrass):
    """GG-SE-04."""
    add(greengrass, stages=["blue"])
    greengrass.add_secret("Test", "now")
    assert "now" == ask(greengrass, SecretId="Test")["SecretString"]
    assert "now" == ask(greengrass, SecretId="Test", VersionStage="AWSCURRENT")["SecretString"]
    assert VALUE == ask(greengrass, SecretId="Test", VersionStage="blue")["SecretString"]
    greengrass.add_secret("Test", "newer")
    for stage in ("AWSPREVIOUS", "green"):  # the first is there, and not in the group
        assert f"SecretsManagerError: {NOT_FOUND}" == ask(
            greengrass, SecretId="Test", VersionStage=stage
        )


@pytest.mark.parametrize("identifier", ["Test", "greengrass-Test", ARN, "none"])
def test_what_is_not_granted_is_not_there(greengrass, identifier):
    """GG-SE-05."""
    add(greengrass, arn=ARN)
    assert f"SecretsManagerError: {NOT_FOUND}" == ask(greengrass, "silent", SecretId=identifier)


def test_whoever_is_no_function_reads_nothing(greengrass):
    """GG-SE-06."""
    add(greengrass)
    service = "arn:aws:lambda:::function:GGSecretManager"
    for name in (service, f"{service}:1"):
        answer = greengrass.invoke(name, {"SecretId": "Test"})
        assert {"Status": 404, "Message": "Resource not found"} == answer.json()


def test_nobody_is_believed_who_he_says_he_is(greengrass):
    """GG-SE-07."""
    add(greengrass)
    arn = greengrass.function("v1").arn
    forged = {"custom": {"source": arn, "subject": "Test"}, "client": arn, "MY_FUNCTION_ARN": arn}
    answer = greengrass.invoke(
        "arn:aws:lambda:::function:GGSecretManager:1", {"SecretId": "Test"}, client_context=forged
    )
    assert 404 == answer.json()["Status"]


def test_a_version_is_asked_for_by_its_id_in_ours_and_not_in_v1s(greengrass):
    """GG-SE-08."""
    add(greengrass)
    version = ask(greengrass, SecretId="Test")["VersionId"]
    assert VALUE == ask(greengrass, "ours", id="Test", version_id=version)
    assert "SecretNotFoundError Test" == ask(greengrass, "ours", id="Test", version_id="x")
    assert "SecretsManagerError: Query by VersionId is not yet supported" == ask(
        greengrass, SecretId="Test", VersionId=version
    )
    assert 'ValueError: Parameter "SecretId" is a required parameter but was not provided.' == ask(
        greengrass
    )


def test_a_new_value_is_read_at_once(greengrass):
    """GG-SE-09."""
    add(greengrass, stages=["AWSCURRENT", "blue"])
    assert VALUE == ask(greengrass, "ours", id="Test")
    greengrass.add_secret("Test", "new")
    assert "new" == ask(greengrass, "ours", id="Test")
    assert VALUE == ask(greengrass, "ours", id="Test", stage="blue")


def test_a_secret_stands_once_in_a_group_and_what_a_function_names_must_be_there(
    greengrass, tmp_path
):
    """GG-SE-10."""
    group = 'schema = 1\ngroup = { name = "g", core = "c" }\n'
    twice = f'[secrets.a]\narn = "{ARN}"\n[secrets.b]\narn = "{ARN}"\n'
    missing = '[functions.f]\ncode = "."\nhandler = "f.h"\nsecrets = ["none"]\n'
    for text, why in ((twice, "stands once in a group"), (missing, "there is no secret 'none'")):
        (tmp_path / "group.toml").write_text(group + text)
        with pytest.raises(ConfigError, match=why):
            greengrass.load(tmp_path)


def test_nothing_shows_a_value(greengrass):
    """GG-SE-11."""
    add(greengrass)
    assert VALUE == ask(greengrass, "ours", id="Test")
    [record] = greengrass.logs("ours")
    assert ("name='Test'" in record.message, "hunter" in record.message) == (True, False)

# SPDX-License-Identifier: Apache-2.0
"""Copies of secrets of AWS Secrets Manager, for which moto stands."""

import sys

import pytest

from greengrass_sdk.core.secrets import aws
from greengrass_sdk.errors import SecretError, SecretNotFoundError

boto3 = pytest.importorskip("boto3", reason="the package boto3 is not installed")
moto = pytest.importorskip("moto", reason="the package moto is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
REGION = "eu-west-1"


@pytest.fixture
def secrets(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with moto.mock_aws():
        yield boto3.client("secretsmanager", region_name=REGION)


def test_the_current_version_is_fetched_as_it_is(secrets):
    made = secrets.create_secret(Name="greengrass-Test", SecretString='{"test":"abcdefghi"}')
    [found] = aws.fetch("greengrass-Test", ["AWSCURRENT"], region=REGION)
    assert b'{"test":"abcdefghi"}' == found.value
    assert made["ARN"] == found.arn
    version = found.version
    assert ("greengrass-Test", made["VersionId"], ("AWSCURRENT",), False) == (
        version.secret,
        version.id,
        version.stages,
        version.binary,
    )
    described = secrets.get_secret_value(SecretId="greengrass-Test")
    assert int(described["CreatedDate"].timestamp() * 1000) == version.created_ms


def test_bytes_stay_bytes_and_a_secret_may_get_another_name(secrets):
    made = secrets.create_secret(Name="s", SecretBinary=b"\0\xff")
    [found] = aws.fetch(made["ARN"], ["AWSCURRENT"], name="wifi", region=REGION)
    assert (b"\0\xff", "wifi", True) == (found.value, found.version.secret, found.version.binary)


def test_other_labels_come_too_and_the_same_version_comes_once(secrets):
    first = secrets.create_secret(Name="s", SecretString="one")["VersionId"]
    second = secrets.put_secret_value(
        SecretId="s", SecretString="two", VersionStages=["AWSCURRENT", "blue"]
    )["VersionId"]
    found = aws.fetch("s", ["AWSCURRENT", "AWSPREVIOUS", "blue"], region=REGION)
    assert {
        second: (("AWSCURRENT", "blue"), b"two"),
        first: (("AWSPREVIOUS",), b"one"),
    } == {each.version.id: (each.version.stages, each.value) for each in found}


@pytest.mark.parametrize("stage", ["AWSCURRENT", "nope"])
def test_what_aws_does_not_have_is_not_found(secrets, stage):
    if stage == "nope":
        secrets.create_secret(Name="s", SecretString="one")
    with pytest.raises(SecretNotFoundError, match="AWS gives no secret 's'") as caught:
        aws.fetch("s", [stage], region=REGION)
    assert ("s", stage) == (caught.value.secret, caught.value.stage)


def test_without_a_region_the_error_says_so(monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SecretError, match="region"):
        aws.fetch("s", ["AWSCURRENT"])


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SecretError, match=r"pip install 'greengrass-core\[aws\]'"):
        aws.fetch("s", ["AWSCURRENT"])


def test_no_value_is_shown(secrets):
    secrets.create_secret(Name="s", SecretString="hunter2")
    assert "hunter2" not in repr(aws.fetch("s", ["AWSCURRENT"], region=REGION))

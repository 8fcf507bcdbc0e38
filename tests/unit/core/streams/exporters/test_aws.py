# SPDX-License-Identifier: Apache-2.0
"""What exports to AWS share."""

from __future__ import annotations

import pytest
from fake_exports import setting

from greengrass_sdk.core.streams.exporters import aws as module
from greengrass_sdk.core.streams.exporters.exporter import ExportError

pytestmark = pytest.mark.sockets  # moto looks at the host's when it is imported


@pytest.mark.parametrize(
    ("variables", "prefix"), [({}, True), ({"AWS_ENDPOINT_URL": "http://localhost:5000"}, False)]
)
def test_a_client_tries_once_in_the_region_of_the_group(aws, monkeypatch, variables, prefix):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = module.client("kinesis", setting(region="eu-west-1", timeout_s=7.0))
    config = client.meta.config
    assert ("eu-west-1", 7.0, 7.0, prefix) == (
        client.meta.region_name,
        config.connect_timeout,
        config.read_timeout,
        config.inject_host_prefix,
    )
    assert 1 == config.retries["total_max_attempts"]
    client.close()


def test_a_service_that_boto3_does_not_know_is_told(aws):
    with pytest.raises(ExportError, match="this boto3 knows no telegraphy"):
        module.client("telegraphy", setting())


def test_a_region_that_is_none_is_told(aws):
    with pytest.raises(ExportError, match=r"kinesis: .*region"):
        module.client("kinesis", setting(region="not a region"))


def test_credentials_that_are_missing_are_told(monkeypatch, tmp_path):
    """They are looked for when something is sent."""
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert boto3 is not None
    client = module.client("kinesis", setting())
    with pytest.raises(Exception, match="credentials") as error:
        client.put_records(StreamName="K", Records=[{"Data": b"x", "PartitionKey": "k"}])
    told = module.failure("kinesis", error.value, done=2)
    assert ("kinesis: Unable to locate credentials", 2) == (str(told), told.done)
    client.close()


def test_the_code_of_an_error_is_found():
    error = Exception("no")
    assert "" == module.error_code(error)
    error.response = {"Error": {"Code": "NoSuchBucket"}}  # type: ignore[attr-defined]  # as boto3
    assert "NoSuchBucket" == module.error_code(error)

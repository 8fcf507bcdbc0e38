# SPDX-License-Identifier: Apache-2.0
"""What stands for AWS: moto, in the same process; nothing leaves it."""

from __future__ import annotations

import pytest


@pytest.fixture
def aws(monkeypatch):
    """Return clients of boto3 that speak with moto."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with moto.mock_aws():
        yield lambda service: boto3.client(service, region_name="us-east-1")

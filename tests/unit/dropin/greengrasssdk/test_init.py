# SPDX-License-Identifier: Apache-2.0
"""The package under AWS's name."""

from __future__ import annotations

import pytest

import greengrasssdk


def test_versions_and_names_are_those_of_1_6_1():
    assert ("1.6.1", "1.5") == (greengrasssdk.__version__, greengrasssdk.INTERFACE_VERSION)
    assert callable(greengrasssdk.client)
    for name in greengrasssdk.__all__:
        assert getattr(greengrasssdk, name) is not None
        assert name in dir(greengrasssdk)


def test_modules_are_attributes_before_the_first_client():
    assert issubclass(greengrasssdk.SecretsManager.SecretsManagerError, Exception)
    assert issubclass(greengrasssdk.IoTDataPlane.ShadowError, Exception)
    assert issubclass(greengrasssdk.Lambda.InvocationException, Exception)
    assert issubclass(greengrasssdk.stream_manager.StreamManagerException, Exception)
    assert greengrasssdk.StreamingBody is greengrasssdk.Lambda.StreamingBody


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'S3'"):
        greengrasssdk.S3  # noqa: B018 - the access is the test

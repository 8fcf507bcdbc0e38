# SPDX-License-Identifier: Apache-2.0
"""The names of the package, imported when they are used."""

from __future__ import annotations

import pytest

from greengrass_sdk import client


def test_every_exported_name_can_be_had():
    for name in client.__all__:
        assert name == getattr(client, name).__name__
        assert name in dir(client)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        client.Server  # noqa: B018 - the access is the test

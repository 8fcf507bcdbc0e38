# SPDX-License-Identifier: Apache-2.0
"""Calls of services by address."""

from __future__ import annotations

import pytest
from fake_core import result, verdict

from greengrass_ipc_python_sdk.ipc_facade import (
    GreengrassRuntimeException,
    GreengrassServiceClient,
    GreengrassServiceMessage,
)
from greengrass_sdk._native import Flag, Status

ADDRESS = "arn:aws:lambda:us-east-1:aws:function:GG-ML-INF-image-classification-service"
ASK = GreengrassServiceMessage(b"", b"question")


def test_a_response_is_returned(core):
    output = GreengrassServiceClient().call(ADDRESS, ASK)
    assert (("", b"question"), None) == output
    assert ADDRESS.encode() == core.wait(1)[0].topic


def test_an_error_of_the_service_is_returned(core):
    core.script = lambda frame: [result(frame, b"no", Flag.HANDLED)]
    assert (None, ("", b"no")) == GreengrassServiceClient().call(ADDRESS, ASK)


def test_a_service_that_broke_is_raised(core):
    core.script = lambda frame: [result(frame, b"", Flag.UNHANDLED)]
    with pytest.raises(GreengrassRuntimeException, match="Unhandled"):
        GreengrassServiceClient().call(ADDRESS, ASK)


def test_a_service_that_is_not_there_is_raised(core):
    core.script = lambda frame: [verdict(frame, Status.NOT_FOUND, "no such service")]
    with pytest.raises(GreengrassRuntimeException, match="no such service"):
        GreengrassServiceClient().call(ADDRESS, ASK)

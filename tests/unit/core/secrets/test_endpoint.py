# SPDX-License-Identifier: Apache-2.0
"""The secret service as an endpoint of the core."""

from typing import Any

import pytest

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.core.secrets.endpoint import SecretEndpoint

ADDRESSES = {3: "reader", 4: "other"}


class Service:
    def __init__(self):
        self.asked = []

    def answer(self, caller, payload):
        self.asked.append((caller, payload))
        if payload == b"bug":
            raise RuntimeError("hunter2 is no text")
        return b"for " + caller.encode()


@pytest.fixture
def given():
    """Return what was answered: numbers and payloads."""
    return []


@pytest.fixture
def endpoint(given):
    service: Any = Service()
    endpoint = SecretEndpoint(service, ADDRESSES.__getitem__)
    endpoint.answer = lambda number, payload: given.append((number, payload))
    return endpoint


def item(number, source, payload=b"{}", kind=Kind.INVOKE, flags=0):
    return Send(1, kind, flags, source, number, b"GGSecretManager", b'{"custom": {}}', payload)


def test_each_item_is_answered_for_who_asked_in_its_order(endpoint, given):
    endpoint.take([item(1, 3), item(2, 4)])
    assert [(1, b"for reader"), (2, b"for other")] == given


def test_what_nobody_waits_for_is_not_even_looked_up(endpoint, given):
    endpoint.take([item(1, 3, flags=Flag.EVENT), item(2, 3, kind=Kind.MESSAGE)])
    assert ([(1, b""), (2, b"")], []) == (given, endpoint.service.asked)


def test_a_bug_ends_its_item_only(endpoint, given, caplog):
    endpoint.take([item(1, 3, b"bug"), item(2, 4)])
    assert (2, b"for other") == given[1]
    assert b'"Status": 500' in given[0][1]
    assert b"hunter2" not in given[0][1]
    assert "a bug of ours" in caplog.text


def test_a_caller_that_is_not_known_gets_an_error(endpoint, given):
    endpoint.take([item(1, 99)])
    assert b'"Status": 500' in given[0][1]

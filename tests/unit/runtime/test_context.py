# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
import pickle
import time
from typing import Any

import pytest

from greengrass_sdk.runtime.context import (
    ClientContext,
    FunctionFacts,
    LambdaContext,
    parse_client_context,
)

ARN = "arn:aws:lambda:us-east-1:000000000000:function:led:3"


def facts(**changes):
    values = {
        "arn": ARN,
        "name": "led",
        "version": "3",
        "timeout_s": 3.0,
        "memory_kib": 16384,
        "stream": "abc",
        **changes,
    }
    return FunctionFacts(**values)


def test_the_context_has_what_v1_and_lambda_give():
    client = ClientContext({"subject": "a/b"})
    context = LambdaContext(facts(boot=bytes(range(8))), 1, client)
    assert type(context).__name__ == "LambdaContext"
    assert ARN == context.invoked_function_arn
    identifier = "00010203-0405-8607-8000-000000000001"
    assert ("led", "3", identifier) == (
        context.function_name,
        context.function_version,
        context.aws_request_id,
    )
    assert context.identity is None
    assert client is context.client_context
    assert context.memory_limit_in_mb == 16
    assert context.log_group_name == "/aws/lambda/led"
    assert context.log_stream_name.endswith("/[3]abc")
    assert len("2026/11/21/[3]abc") == len(context.log_stream_name)
    assert identifier in repr(context)
    assert "a/b" in repr(context)


def test_a_message_has_its_topic_as_the_subject():
    context = LambdaContext(facts(), 1, "wärme/\udcff".encode("utf-8", "surrogateescape"))
    assert context.client_context is not None
    assert context.client_context is context.client_context
    assert {"subject": "wärme/\ufffd"} == context.client_context.custom


def test_what_was_put_on_the_context_stays():
    context: Any = LambdaContext(facts(), 1, None)
    context.function_name = "mine"
    assert ("mine", "3") == (context.function_name, context.function_version)
    assert not hasattr(context, "nothing")
    with pytest.raises(AttributeError, match="'LambdaContext' object has no attribute 'nothing'"):
        _ = context.nothing


def test_a_context_can_be_copied():
    context = copy.copy(LambdaContext(facts(), 1, b"a/b"))
    assert "led" == context.function_name
    assert "led" == pickle.loads(pickle.dumps(vars(context)))["function_name"]


def test_libraries_may_put_attributes_on_the_context():
    context: Any = LambdaContext(facts(), 1, None)
    context.extra = 1
    assert context.extra == 1


def test_the_remaining_time_counts_down_to_zero(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    context = LambdaContext(facts(timeout_s=2.5), 1, None)
    assert context.get_remaining_time_in_millis() == 2500
    now = 102.0
    assert context.get_remaining_time_in_millis() == 500
    now = 110.0
    assert context.get_remaining_time_in_millis() == 0


def test_a_function_without_a_limit_sees_the_memory_of_the_host():
    assert facts(memory_kib=None).memory_limit_in_mb > 16


@pytest.mark.parametrize("data", [b"", b"null"])
def test_no_client_context_is_none(data):
    assert parse_client_context(data) is None


def test_a_client_context_has_custom_env_and_client():
    data = {
        "custom": {"subject": "x", "n": 1},
        "env": {"locale": "de"},
        "client": {"app_title": "remote", "installation_id": "i"},
    }
    context = parse_client_context(json.dumps(data).encode())
    assert context is not None
    assert data["custom"] == context.custom
    assert data["env"] == context.env
    assert context.client is not None
    assert ("remote", "i", None) == (
        context.client.app_title,
        context.client.installation_id,
        context.client.app_version_name,
    )


def test_what_a_client_context_lacks_is_empty():
    context = parse_client_context(b"{}")
    assert context is not None
    assert ({}, {}, None) == (context.custom, context.env, context.client)


@pytest.mark.parametrize("data", [b"[1]", b"{", b'"text"', b"\xff"])
def test_a_client_context_that_is_no_object_raises(data):
    with pytest.raises(ValueError):
        parse_client_context(data)

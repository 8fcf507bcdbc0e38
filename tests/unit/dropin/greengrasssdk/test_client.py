# SPDX-License-Identifier: Apache-2.0
"""`greengrasssdk.client(name)`."""

from __future__ import annotations

import socket

import pytest

import greengrasssdk
from greengrass_sdk import CoreUnavailableError


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("iot-data", "greengrasssdk.IoTDataPlane"),
        ("lambda", "greengrasssdk.Lambda"),
        ("secretsmanager", "greengrasssdk.SecretsManager"),
    ],
)
def test_a_client_is_had_by_name_without_a_core(name, module):
    assert module == type(greengrasssdk.client(name)).__module__


def test_a_client_takes_the_arguments_of_its_class():
    assert greengrasssdk.client("lambda", endpoint="localhost", port=8000)


def test_an_unknown_name_is_refused_in_the_words_of_v1():
    with pytest.raises(Exception, match=r"^Client type 's3' is not recognized\.$") as caught:
        greengrasssdk.client("s3")
    assert Exception is type(caught.value)


@pytest.mark.sockets
def test_the_stream_manager_is_refused_where_none_listens(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STREAM_MANAGER_SERVER_PORT", str(unused.getsockname()[1]))
        with pytest.raises(ConnectionRefusedError):
            greengrasssdk.client("streammanager")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("iot-data", lambda client: client.publish(topic="t")),
        ("iot-data", lambda client: client.get_thing_shadow(thingName="T")),
        ("secretsmanager", lambda client: client.get_secret_value(SecretId="s")),
        (
            "lambda",
            lambda client: client.invoke(
                FunctionName="arn:aws:lambda:us-east-1:123456789012:function:f:1"
            ),
        ),
    ],
    ids=["publish", "shadow", "secret", "invoke"],
)
def test_outside_a_core_the_first_call_names_the_test_fixture(name, call):
    with pytest.raises(CoreUnavailableError, match="fixture `greengrass`") as caught:
        call(greengrasssdk.client(name))
    assert isinstance(caught.value, greengrasssdk.Lambda.InvocationException)
    assert str(caught.value).startswith("Failed to invoke function due to ")

# SPDX-License-Identifier: Apache-2.0
"""Tests as most users write them, without types; checkers must find nothing to complain about."""

import greengrasssdk
from greengrass_sdk.testing import FakeCore

client = greengrasssdk.client("iot-data")


def window(event, context):
    client.publish(topic="window", payload="open" if event["celsius"] > 21 else "closed")


def test_a_warm_room_gets_air(greengrass):
    greengrass.add_function("climate", window)
    greengrass.subscribe("cloud", "temperature", "climate")
    greengrass.deliver("temperature", {"celsius": 24})
    assert greengrass.published("window").payloads == [b"open"]


def test_without_the_plugin():
    with FakeCore() as core:
        core.add_function("climate", window)
        core.invoke("climate", {"celsius": 24})
        assert core.published("window").one().text == "open"

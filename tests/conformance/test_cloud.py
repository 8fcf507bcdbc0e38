# SPDX-License-Identifier: Apache-2.0
"""
What waits for the cloud.

The double has a link that fails; the cloud of a core is a stand-in without one.

Ref: Greengrass V1 guide, "MQTT message queue for cloud targets"
"""

from __future__ import annotations

import pytest

import greengrasssdk

client = greengrasssdk.client("iot-data")
pytestmark = pytest.mark.parametrize("greengrass_world", ["fake"])
LARGE = 128 * 1024
QUEUE = 2_621_440  # bytes, 2.5 MB


def report(event, context):
    client.publish(topic=f"report/{event}", payload=b"x" * LARGE)


@pytest.fixture
def cut_off(greengrass):
    greengrass.add_function("report", report)
    greengrass.add_function("local", lambda event, context: None, encoding="binary")
    greengrass.subscribe("report", "report/#", "local")
    greengrass.subscribe("report", "report/#", "cloud")
    greengrass.cloud.down()


@pytest.mark.usefixtures("cut_off")
def test_messages_for_the_cloud_wait_and_local_ones_do_not(greengrass):
    """GG-CL-01: they leave in their order."""
    for number in range(3):
        greengrass.invoke("report", number)
    assert [("local",)] * 3 == [message.targets for message in greengrass.published()]
    assert [] == greengrass.cloud.received
    greengrass.cloud.up()
    assert ["report/0", "report/1", "report/2"] == [m.subject for m in greengrass.cloud.received]


@pytest.mark.usefixtures("cut_off")
def test_the_oldest_messages_are_replaced_when_the_queue_is_full(greengrass):
    """GG-CL-02"""
    kept = QUEUE // LARGE
    for number in range(kept + 2):
        greengrass.invoke("report", number)
    greengrass.cloud.up()
    expected = [f"report/{number}" for number in range(2, kept + 2)]
    assert expected == [message.subject for message in greengrass.cloud.received]

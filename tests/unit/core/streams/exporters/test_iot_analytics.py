# SPDX-License-Identifier: Apache-2.0
"""
Exports to IoT Analytics, which AWS has ended: its client is by script.

What boto3 was told of the service: `batch_put_message(channelName, messages)`, entries for errors.
"""

from __future__ import annotations

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters import aws as shared
from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.iot_analytics import AnalyticsExporter
from greengrass_sdk.model.stream import IoTAnalyticsConfig

pytestmark = pytest.mark.sockets  # moto looks at the host's when it is imported


class Channel:
    def __init__(self):
        self.batches = []
        self.refused = {}
        self.error = None

    def batch_put_message(self, *, channelName, messages):  # noqa: N803 - boto3's
        if self.error is not None:
            raise self.error
        self.batches.append((channelName, messages))
        return {
            "batchPutMessageErrorEntries": [
                {"messageId": messages[at]["messageId"], "errorCode": code, "errorMessage": "no"}
                for at, code in self.refused.items()
            ]
        }

    def close(self):
        self.batches.append("closed")


@pytest.fixture
def channel(monkeypatch):
    channel = Channel()
    monkeypatch.setattr(shared, "client", lambda service, given: channel)
    return channel


def test_messages_are_put_with_ids_of_their_own(channel):
    exporter = AnalyticsExporter(IoTAnalyticsConfig("a", "C", "plant-"), setting())
    exporter.send(messages(2))
    exporter.send(messages(1))
    exporter.close()
    (name, batch), (_, again), closed = channel.batches
    assert ("C", [b"0000", b"0001"], "closed") == (name, [one["payload"] for one in batch], closed)
    ids = [one["messageId"] for one in batch]
    assert 2 == len(set(ids))
    assert ids[0] == again[0]["messageId"]  # the same message has the same id
    assert all(one.startswith("plant-") and len(one) <= 128 for one in ids)


def test_what_was_refused_comes_again_from_the_first_on(channel):
    channel.refused = {3: "ThrottlingException", 1: "InternalFailure"}
    exporter = AnalyticsExporter(IoTAnalyticsConfig("a", "C"), setting())
    with pytest.raises(ExportError, match="iotanalytics: InternalFailure: no") as error:
        exporter.send(messages(5))
    assert 1 == error.value.done


def test_a_channel_that_is_not_there_is_told(channel):
    channel.error = Exception("odd")
    exporter = AnalyticsExporter(IoTAnalyticsConfig("a", "C"), setting())
    with pytest.raises(ExportError, match=r"^iotanalytics: odd$"):
        exporter.send(messages(1))
    channel.error.response = {"Error": {"Code": "ResourceNotFoundException"}}
    with pytest.raises(ExportError, match=r"^export channel C doesn't exist$"):
        exporter.send(messages(1))


def test_a_boto3_without_the_service_says_so(aws):
    import boto3

    if "iotanalytics" in boto3.session.Session().get_available_services():
        pytest.skip("this boto3 still knows the service")
    with pytest.raises(ExportError, match="this boto3 knows no iotanalytics: AWS has ended it"):
        AnalyticsExporter(IoTAnalyticsConfig("a", "C"), setting())

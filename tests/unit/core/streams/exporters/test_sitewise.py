# SPDX-License-Identifier: Apache-2.0
"""Exports to SiteWise: boto3's own client, its answers by script and checked against its model."""

from __future__ import annotations

import json

import pytest
from fake_exports import setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.sitewise import SiteWiseExporter
from greengrass_sdk.model.stream import IoTSiteWiseConfig, Message

pytestmark = pytest.mark.sockets  # moto looks at the host's when it is imported


def entry(number, **more):
    value = {"value": {"doubleValue": 1.5}, "timestamp": {"timeInSeconds": 1000}, "quality": "GOOD"}
    document = {
        "entryId": "mine",
        "propertyAlias": f"/plant/{number}",
        "propertyValues": [value],
        **more,
    }
    return Message("s", number, 0, json.dumps(document).encode())


def sent(number, position):
    return {
        "entryId": str(position),
        "propertyAlias": f"/plant/{number}",
        "propertyValues": [
            {
                "value": {"doubleValue": 1.5},
                "timestamp": {"timeInSeconds": 1000},
                "quality": "GOOD",
            }
        ],
    }


def refused(position, code):
    return {
        "entryId": str(position),
        "errors": [{"errorCode": code, "errorMessage": "no", "timestamps": []}],
    }


@pytest.fixture
def exporter(aws):
    exporter = SiteWiseExporter(IoTSiteWiseConfig("w"), setting())
    yield exporter
    exporter.close()


@pytest.fixture
def sitewise(exporter):
    from botocore.stub import Stubber

    with Stubber(exporter._client) as stub:
        yield lambda entries, errors=(): stub.add_response(
            "batch_put_asset_property_value", {"errorEntries": list(errors)}, {"entries": entries}
        )
        stub.assert_no_pending_responses()


def test_each_message_is_an_entry_with_an_id_of_its_own(exporter, sitewise):
    sitewise([sent(0, 0), sent(1, 1)])
    exporter.send([entry(0), entry(1)])


@pytest.mark.parametrize(
    "payload",
    [
        b"no json",
        b"[]",
        b"5",
        b'{"entryId": "e"}',
        b'{"entryId": "e", "propertyValues": [{"value": 5}]}',
        b"[" * 100_000,
        json.dumps({"entryId": "a/b", "propertyValues": [{}]}).encode(),
    ],
    ids=range(7),
)
def test_what_is_no_entry_is_skipped_and_logged(exporter, sitewise, caplog, payload):
    sitewise([sent(1, 1)])
    exporter.send([Message("s", 0, 0, payload), entry(1)])
    assert any("message 0 is skipped" in text for text in caplog.messages)


def test_a_batch_of_nothing_but_noise_arrives(exporter):
    exporter.send([Message("s", 0, 0, b"noise")])


def test_what_sitewise_will_never_take_is_skipped_and_the_rest_arrived(exporter, sitewise, caplog):
    sitewise([sent(0, 0), sent(1, 1)], [refused(0, "TimestampOutOfRangeException")])
    exporter.send([entry(0), entry(1)])
    assert any("TimestampOutOfRangeException: no" in text for text in caplog.messages)


def test_what_may_pass_is_tried_again(exporter, sitewise):
    sitewise([sent(0, 0), sent(1, 1)], [refused(1, "ThrottlingException")])
    with pytest.raises(ExportError, match="iotsitewise: ThrottlingException: no") as error:
        exporter.send([entry(0), entry(1)])
    assert 1 == error.value.done


def test_a_service_that_fails_is_told(exporter, monkeypatch):
    def fail(**_):
        raise OSError("no network")

    monkeypatch.setattr(exporter._client, "batch_put_asset_property_value", fail)
    with pytest.raises(ExportError, match=r"^iotsitewise: no network$"):
        exporter.send([entry(0)])

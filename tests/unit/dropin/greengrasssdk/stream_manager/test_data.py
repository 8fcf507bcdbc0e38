# SPDX-License-Identifier: Apache-2.0
"""What goes to and comes from a client; its names and ranges are tested against AWS's package."""

from __future__ import annotations

from greengrasssdk.stream_manager import data


def test_what_describe_tells_becomes_records():
    info = data.MessageStreamInfo.from_dict(
        {
            "definition": {"name": "s", "strategyOnFull": 1},
            "storageStatus": {"oldestSequenceNumber": 1, "newestSequenceNumber": 5},
            "exportStatuses": [{"exportConfigIdentifier": "k", "errorMessage": "no"}],
        }
    )
    assert data.StrategyOnFull.OverwriteOldestData is info.definition.strategy_on_full
    assert isinstance(info.storage_status, data.MessageStreamInfo.storageStatus)
    assert 5 == info.storage_status.newest_sequence_number
    (status,) = info.export_statuses
    assert ("k", "no", None) == (
        status.export_config_identifier,
        status.error_message,
        status.last_export_time,
    )


def test_exports_are_awss_kinds():
    assert ["http", "iot_analytics", "kinesis", "iot_sitewise", "s3_task_executor"] == list(
        data.ExportDefinition.fields
    )
    exports = data.ExportDefinition(iot_sitewise=[data.IoTSiteWiseConfig("i")])
    assert {"IotSitewise": [{"identifier": "i"}]} == exports.as_dict()

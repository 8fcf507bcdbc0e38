# SPDX-License-Identifier: Apache-2.0
"""What goes to and comes from a `StreamManagerClient`."""

from __future__ import annotations

from greengrass_sdk.client.streamlink import shapes
from greengrasssdk.stream_manager.records import Enumeration, Record

__all__ = [
    "AssetPropertyValue",
    "EventType",
    "ExportDefinition",
    "ExportFormat",
    "HTTPConfig",
    "IoTAnalyticsConfig",
    "IoTSiteWiseConfig",
    "KinesisConfig",
    "Message",
    "MessageStreamDefinition",
    "MessageStreamInfo",
    "Operation",
    "Persistence",
    "PutAssetPropertyValueEntry",
    "Quality",
    "ReadMessagesOptions",
    "ResponseStatusCode",
    "S3ExportTaskDefinition",
    "S3ExportTaskExecutorConfig",
    "Status",
    "StatusConfig",
    "StatusContext",
    "StatusLevel",
    "StatusMessage",
    "StrategyOnFull",
    "TimeInNanos",
    "Variant",
    "VersionInfo",
]


# --- the protocol -----------------------------------------------------------


class VersionInfo(Enumeration):
    """The protocol's version."""

    PROTOCOL_VERSION = "1.1.0"


class Operation(Enumeration):
    """What a frame of the protocol is about."""

    Unknown = 0
    Connect = 1
    CreateMessageStream = 2
    DeleteMessageStream = 3
    AppendMessage = 4
    ReadMessages = 5
    ConnectResponse = 6
    CreateMessageStreamResponse = 7
    DeleteMessageStreamResponse = 8
    AppendMessageResponse = 9
    ReadMessagesResponse = 10
    ListStreams = 11
    ListStreamsResponse = 12
    DescribeMessageStream = 13
    DescribeMessageStreamResponse = 14
    UpdateMessageStream = 15
    UpdateMessageStreamResponse = 16
    UnknownOperationError = 17


class ResponseStatusCode(Enumeration):
    """How a request ended: `status` of an exception."""

    Success = 0
    UnknownFailure = 1
    Unauthorized = 2
    InvalidRequest = 3
    RequestPayloadTooLarge = 4
    ResourceNotFound = 5
    ServerTimeout = 6
    ResponsePayloadTooLarge = 7
    UnsupportedConnectVersion = 8
    UnexpectedOperation = 9
    UnsupportedProtocolVersion = 10
    InvalidProtocolVersion = 11
    FailedToConnect = 12
    NotEnoughMessages = 13
    MessageStoreReadError = 14
    OutOfMemoryError = 15
    UpdateFailed = 16
    UpdateNotAllowed = 17
    UnknownOperation = 18


# --- exports ----------------------------------------------------------------


class ExportFormat(Enumeration):
    """How messages are sent over HTTP."""

    RAW_NOT_BATCHED = 0
    JSON_BATCHED = 1


class StatusLevel(Enumeration):
    """How much of an export's status is told."""

    ERROR = 0
    WARN = 1
    INFO = 2
    DEBUG = 3
    TRACE = 4


class HTTPConfig(Record, of=shapes.HTTPConfig, kinds={"export_format": ExportFormat}):
    """POSTs messages to a server."""


class IoTAnalyticsConfig(Record, of=shapes.IoTAnalyticsConfig):
    """Sends messages to a channel of IoT Analytics."""


class KinesisConfig(Record, of=shapes.KinesisConfig):
    """Sends messages to a Kinesis data stream."""


class IoTSiteWiseConfig(Record, of=shapes.IoTSiteWiseConfig):
    """Sends values of asset properties to SiteWise."""


class StatusConfig(Record, of=shapes.StatusConfig, kinds={"status_level": StatusLevel}):
    """Where the status of export tasks is told."""


class S3ExportTaskExecutorConfig(
    Record, of=shapes.S3ExportTaskExecutorConfig, kinds={"status_config": StatusConfig}
):
    """Uploads files to S3."""


class ExportDefinition(
    Record,
    of=shapes.ExportDefinition,
    only=("http", "iot_analytics", "kinesis", "iot_sitewise", "s3_task_executor"),
    kinds={
        "http": HTTPConfig,
        "iot_analytics": IoTAnalyticsConfig,
        "kinesis": KinesisConfig,
        "iot_sitewise": IoTSiteWiseConfig,
        "s3_task_executor": S3ExportTaskExecutorConfig,
    },
):
    """The destinations of a stream."""


# --- streams ----------------------------------------------------------------


class StrategyOnFull(Enumeration):
    """What an append to a full stream does."""

    RejectNewData = 0
    OverwriteOldestData = 1


class Persistence(Enumeration):
    """Where the messages of a stream are."""

    File = 0
    Memory = 1


class MessageStreamDefinition(
    Record,
    of=shapes.MessageStreamDefinition,
    kinds={
        "strategy_on_full": StrategyOnFull,
        "persistence": Persistence,
        "export_definition": ExportDefinition,
    },
    defaults={"max_size": 268435456, "stream_segment_size": 16777216},
):
    """A stream."""


class ReadMessagesOptions(
    Record,
    of=shapes.ReadMessagesOptions,
    defaults={"min_message_count": 1, "read_timeout_millis": 0},
):
    """What is read."""


class Message(Record, of=shapes.Message):
    """A message of a stream."""


class _StorageStatus(Record, of=shapes.StorageStatus):
    """What a stream holds."""


class _ExportStatus(Record, of=shapes.ExportStatus):
    """How far an export is."""


_StorageStatus.__name__, _ExportStatus.__name__ = "storageStatus", "exportStatuses"


class MessageStreamInfo(
    Record,
    of=shapes.MessageStreamInfo,
    kinds={
        "definition": MessageStreamDefinition,
        "storage_status": _StorageStatus,
        "export_statuses": _ExportStatus,
    },
):
    """What a stream is, holds and has exported."""

    storageStatus = _StorageStatus
    exportStatuses = _ExportStatus


# --- messages of exports -----------------------------------------------------


class Status(Enumeration):
    """How far an export task is."""

    Success = 0
    Failure = 1
    InProgress = 2
    Warning = 3
    Canceled = 4


class EventType(Enumeration):
    """What a status message is about."""

    S3Task = 0


class S3ExportTaskDefinition(Record, of=shapes.S3ExportTaskDefinition):
    """A file to upload."""


class StatusContext(
    Record, of=shapes.StatusContext, kinds={"s3_export_task_definition": S3ExportTaskDefinition}
):
    """Which task a status message is about."""


class StatusMessage(
    Record,
    of=shapes.StatusMessage,
    kinds={
        "event_type": EventType,
        "status_level": StatusLevel,
        "status": Status,
        "status_context": StatusContext,
    },
):
    """What became of an export task."""


class Quality(Enumeration):
    """How good a value of SiteWise is."""

    GOOD = "GOOD"
    BAD = "BAD"
    UNCERTAIN = "UNCERTAIN"


class TimeInNanos(Record, of=shapes.TimeInNanos):
    """A moment."""


class Variant(Record, of=shapes.Variant):
    """A value: one of the four."""


class AssetPropertyValue(
    Record,
    of=shapes.AssetPropertyValue,
    kinds={"value": Variant, "timestamp": TimeInNanos, "quality": Quality},
):
    """A value at a moment."""


class PutAssetPropertyValueEntry(
    Record, of=shapes.PutAssetPropertyValueEntry, kinds={"property_values": AssetPropertyValue}
):
    """Values of one property of an asset."""

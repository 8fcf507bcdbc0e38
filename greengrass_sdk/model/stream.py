# SPDX-License-Identifier: Apache-2.0
"""
Streams in AWS's words: definitions, destinations of exports, messages, what describe tells.

Names, defaults, ranges and texts are those of `stream_manager` 1.1; the destinations MQTT, Kafka,
NATS and file are ours. See `shape` for what all of them can do.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from greengrass_sdk.errors import InvalidStreamRequestError
from greengrass_sdk.model.shape import Shape, attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "DESTINATIONS",
    "AssetPropertyValue",
    "CustomConfig",
    "EventType",
    "ExportConfig",
    "ExportDefinition",
    "ExportFormat",
    "ExportStatus",
    "FileConfig",
    "HTTPConfig",
    "IoTAnalyticsConfig",
    "IoTSiteWiseConfig",
    "KafkaConfig",
    "KinesisConfig",
    "MQTTConfig",
    "Message",
    "MessageStreamDefinition",
    "MessageStreamInfo",
    "NATSConfig",
    "Persistence",
    "PutAssetPropertyValueEntry",
    "Quality",
    "ReadMessagesOptions",
    "S3ExportTaskDefinition",
    "S3ExportTaskExecutorConfig",
    "Status",
    "StatusConfig",
    "StatusContext",
    "StatusLevel",
    "StatusMessage",
    "StorageStatus",
    "StrategyOnFull",
    "TimeInNanos",
    "Variant",
    "check_name",
    "check_payload",
]

_LONG = (1 << 63) - 1
_INT = (1 << 31) - 1
_MILLIS = 9223372036854  # of a duration, as AWS bounds it
_NAME = r"^[\w ,.\-_]*$"
_NAME_SIZES = (1, 255)
_TEXT = r"[^\u0000-\u001F\u007F]+"
_BUCKET = (
    r"(?=^.{3,63}$)(?!^(\d+\.)+\d+$)"
    r"(^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])$)"
)
_KEY = r"""^([^\\\{ \}%\`\[\]\"\'\>\<\~\#\^\?\|]|!\{[a-zA-Z]+:[a-zA-Z\/]+\})*$"""


class StrategyOnFull(IntEnum):
    """What an append to a full stream does."""

    RejectNewData = 0
    OverwriteOldestData = 1


class Persistence(IntEnum):
    """Where the messages of a stream are."""

    File = 0
    Memory = 1


class ExportFormat(IntEnum):
    """How messages are sent over HTTP."""

    RAW_NOT_BATCHED = 0
    JSON_BATCHED = 1


class StatusLevel(IntEnum):
    """How much of an export's status is told."""

    ERROR = 0
    WARN = 1
    INFO = 2
    DEBUG = 3
    TRACE = 4


class Status(IntEnum):
    """How far an export task is."""

    Success = 0
    Failure = 1
    InProgress = 2
    Warning = 3
    Canceled = 4


class EventType(IntEnum):
    """What a status message is about."""

    S3Task = 0


class Quality(str, Enum):  # noqa: UP042 - StrEnum is the same, and is not AWS's
    """How good a value of SiteWise is."""

    GOOD = "GOOD"
    BAD = "BAD"
    UNCERTAIN = "UNCERTAIN"


# Destinations of exports.


class ExportConfig(Shape):
    """What all destinations have: `identifier` is unique in its stream."""

    identifier: str | None = attribute(
        str, default=None, required=True, sizes=_NAME_SIZES, pattern=_NAME
    )


class HTTPConfig(ExportConfig):
    """POSTs messages to a server: each for itself, or many as a JSON list."""

    uri: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)
    export_format: ExportFormat | None = attribute(ExportFormat, default=None)


class IoTAnalyticsConfig(ExportConfig):
    """Sends messages to a channel of IoT Analytics."""

    iot_channel: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    iot_msg_id_prefix: str | None = attribute(str, default=None, sizes=(0, 32))
    batch_size: int | None = attribute(int, default=None, low=1, high=100)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class KinesisConfig(ExportConfig):
    """Sends messages to a Kinesis data stream."""

    kinesis_stream_name: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class IoTSiteWiseConfig(ExportConfig):
    """Sends messages, which are values of asset properties, to SiteWise."""

    batch_size: int | None = attribute(int, default=None, low=1, high=10)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class StatusConfig(Shape):
    """Where the status of export tasks is told: a stream that must exist first."""

    status_level: StatusLevel | None = attribute(StatusLevel, default=None)
    status_stream_name: str | None = attribute(str, default=None, sizes=_NAME_SIZES, pattern=_NAME)


class S3ExportTaskExecutorConfig(ExportConfig):
    """Uploads files to S3; each message is an `S3ExportTaskDefinition` as JSON."""

    size_threshold_for_multipart_upload_bytes: int | None = attribute(
        int, default=None, low=5242880
    )
    priority: int | None = attribute(int, default=None, low=1, high=10)
    disabled: bool | None = attribute(bool, default=None)
    status_config: StatusConfig | None = attribute(StatusConfig, default=None)


class MQTTConfig(ExportConfig):
    """Publishes each message on a topic of an MQTT broker, as `mqtt://host:1883`."""

    url: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    topic: str | None = attribute(str, default=None, required=True, sizes=(1, 256))
    qos: int | None = attribute(int, default=None, low=0, high=1)
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class KafkaConfig(ExportConfig):
    """Produces each message to a topic of Kafka; `servers` is `host:9092,...`."""

    servers: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    topic: str | None = attribute(str, default=None, required=True, sizes=(1, 249))
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class NATSConfig(ExportConfig):
    """Publishes each message on a subject that a JetStream of NATS keeps."""

    url: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    subject: str | None = attribute(str, default=None, required=True, sizes=(1, 255))
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class FileConfig(ExportConfig):
    """Appends each message to a file, as a line of JSON."""

    path: str | None = attribute(str, default=None, required=True, sizes=(1, None))
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class CustomConfig(ExportConfig):
    """Sends messages by an exporter that was installed; `settings` are whatever it takes."""

    exporter: str | None = attribute(str, default=None, required=True, sizes=(1, 255))
    settings: dict[str, Any] | None = attribute(dict, default=None)
    batch_size: int | None = attribute(int, default=None, low=1, high=500)
    batch_interval_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    priority: int | None = attribute(int, default=None, low=1, high=10)
    start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    disabled: bool | None = attribute(bool, default=None)


class ExportDefinition(Shape):
    """The destinations of a stream: the first five are AWS's, the others ours."""

    http: list[HTTPConfig] | None = attribute(HTTPConfig, default=None, many=True)
    iot_analytics: list[IoTAnalyticsConfig] | None = attribute(
        IoTAnalyticsConfig, default=None, many=True
    )
    kinesis: list[KinesisConfig] | None = attribute(KinesisConfig, default=None, many=True)
    iot_sitewise: list[IoTSiteWiseConfig] | None = attribute(
        IoTSiteWiseConfig, default=None, many=True, key="IotSitewise"
    )
    s3_task_executor: list[S3ExportTaskExecutorConfig] | None = attribute(
        S3ExportTaskExecutorConfig, default=None, many=True
    )
    mqtt: list[MQTTConfig] | None = attribute(MQTTConfig, default=None, many=True)
    kafka: list[KafkaConfig] | None = attribute(KafkaConfig, default=None, many=True)
    nats: list[NATSConfig] | None = attribute(NATSConfig, default=None, many=True)
    file: list[FileConfig] | None = attribute(FileConfig, default=None, many=True)
    custom: list[CustomConfig] | None = attribute(CustomConfig, default=None, many=True)

    def configs(self) -> list[tuple[str, ExportConfig]]:
        """Return all destinations, each with the name of its kind, as `kinesis`."""
        return [(kind, config) for kind in DESTINATIONS for config in getattr(self, kind) or ()]

    def invalid(self) -> str:
        """Return what is wrong; identifiers are unique in a stream."""
        if text := super().invalid():
            return text
        seen: set[str | None] = set()
        for _, config in self.configs():
            if config.identifier in seen:
                return f"Property identifier must be unique, but {config.identifier} is there twice"
            seen.add(config.identifier)
        return ""


DESTINATIONS = tuple(ExportDefinition.attributes)


# Streams.


class MessageStreamDefinition(Shape):
    """A stream: its name, its bounds, where it lives and where it is exported to."""

    name: str | None = attribute(str, default=None, required=True, sizes=_NAME_SIZES, pattern=_NAME)
    max_size: int | None = attribute(int, default=268435456, low=1024, high=_LONG)
    stream_segment_size: int | None = attribute(int, default=16777216, low=1024, high=_INT)
    time_to_live_millis: int | None = attribute(int, default=None, low=60000, high=_MILLIS)
    strategy_on_full: StrategyOnFull | None = attribute(StrategyOnFull, default=None, required=True)
    persistence: Persistence | None = attribute(Persistence, default=Persistence.File)
    flush_on_write: bool | None = attribute(bool, default=False)
    export_definition: ExportDefinition | None = attribute(ExportDefinition, default=None)


class ReadMessagesOptions(Shape):
    """
    What is read.

    From `desired_start_sequence_number`, or the oldest that is left, between `min_message_count`
    and `max_message_count` messages; for the first of them it waits `read_timeout_millis`.
    """

    desired_start_sequence_number: int | None = attribute(int, default=None, low=0, high=_LONG)
    min_message_count: int | None = attribute(int, default=1, low=1, high=_INT)
    max_message_count: int | None = attribute(int, default=None, low=1, high=_INT)
    read_timeout_millis: int | None = attribute(int, default=0, low=0, high=_MILLIS)

    def invalid(self) -> str:
        """Return what is wrong; there is no maximum below the minimum."""
        if text := super().invalid():
            return text
        low, high = self.min_message_count, self.max_message_count
        if low is not None and high is not None and low > high:
            return "min_message_count must be less than or equal to max_message_count"
        return ""


class Message(Shape):
    """A message of a stream. `ingest_time` is in milliseconds since 1970."""

    stream_name: str = attribute(str, default=None, required=True)
    sequence_number: int = attribute(int, default=None)
    ingest_time: int = attribute(int, default=None)
    payload: bytes = attribute(bytes, default=None, required=True)

    def __init__(
        self, stream_name: str, sequence_number: int, ingest_time: int, payload: bytes
    ) -> None:
        self.stream_name = stream_name
        self.sequence_number = sequence_number
        self.ingest_time = ingest_time
        self.payload = payload

    def __repr__(self) -> str:
        """Show the size, not the content: payloads are never logged."""
        return (
            f"Message(stream_name={self.stream_name!r}, sequence_number={self.sequence_number},"
            f" ingest_time={self.ingest_time}, payload=<{len(self.payload)} bytes>)"
        )


class StorageStatus(Shape):
    """What a stream holds; an empty one has a newest number below its oldest."""

    oldest_sequence_number: int = attribute(int, default=None)
    newest_sequence_number: int = attribute(int, default=None)
    total_bytes: int = attribute(int, default=None)


class ExportStatus(Shape):
    """How far an export is; `last_exported_sequence_number` is -1 before the first."""

    export_config_identifier: str = attribute(str, default=None)
    last_exported_sequence_number: int = attribute(int, default=-1, required=True)
    last_export_time: int | None = attribute(int, default=None)
    error_message: str | None = attribute(str, default=None)
    exported_bytes_from_stream: int = attribute(int, default=0)
    exported_messages_count: int = attribute(int, default=0)


class MessageStreamInfo(Shape):
    """What describe tells."""

    definition: MessageStreamDefinition = attribute(
        MessageStreamDefinition, default=None, required=True
    )
    storage_status: StorageStatus = attribute(StorageStatus, default=None, required=True)
    export_statuses: list[ExportStatus] = attribute(ExportStatus, default=None, many=True)


# Bodies of messages that exports understand or write.


class S3ExportTaskDefinition(Shape):
    """A file to upload: `input_url` is `file:///...`, or a pattern with wildcards."""

    input_url: str | None = attribute(str, default=None, required=True)
    bucket: str | None = attribute(str, default=None, required=True, sizes=(3, 63), pattern=_BUCKET)
    key: str | None = attribute(str, default=None, required=True, sizes=(1, 1024), pattern=_KEY)
    user_metadata: dict[str, str] | None = attribute(dict, default=None)


class StatusContext(Shape):
    """Which task a status message is about."""

    s3_export_task_definition: S3ExportTaskDefinition | None = attribute(
        S3ExportTaskDefinition, default=None
    )
    export_identifier: str | None = attribute(str, default=None)
    stream_name: str | None = attribute(str, default=None)
    sequence_number: int | None = attribute(int, default=None)


class StatusMessage(Shape):
    """What became of an export task."""

    event_type: EventType | None = attribute(EventType, default=None, required=True)
    status_level: StatusLevel | None = attribute(StatusLevel, default=None)
    status: Status | None = attribute(Status, default=None, required=True)
    status_context: StatusContext | None = attribute(StatusContext, default=None)
    message: str | None = attribute(str, default=None)
    timestamp_epoch_ms: int | None = attribute(int, default=None)


class TimeInNanos(Shape):
    """A moment, as SiteWise has it."""

    time_in_seconds: int | None = attribute(
        int, default=None, required=True, low=1, high=31556889864403199
    )
    offset_in_nanos: int | None = attribute(int, default=None, low=0, high=999999999)


class Variant(Shape):
    """A value of SiteWise: one of the four."""

    string_value: str | None = attribute(str, default=None, sizes=(1, 1024), pattern=_TEXT)
    integer_value: int | None = attribute(int, default=None, low=0, high=_INT)
    double_value: float | None = attribute(float, default=None)
    boolean_value: bool | None = attribute(bool, default=None)


class AssetPropertyValue(Shape):
    """A value of SiteWise at a moment."""

    value: Variant | None = attribute(Variant, default=None, required=True)
    timestamp: TimeInNanos | None = attribute(TimeInNanos, default=None, required=True)
    quality: Quality | None = attribute(Quality, default=None)


class PutAssetPropertyValueEntry(Shape):
    """Values of one property of an asset."""

    entry_id: str | None = attribute(
        str, default=None, required=True, sizes=(1, 64), pattern=r"^[a-zA-Z0-9_-]+$"
    )
    asset_id: str | None = attribute(str, default=None)
    property_id: str | None = attribute(str, default=None)
    property_alias: str | None = attribute(str, default=None, sizes=(1, 2048), pattern=_TEXT)
    property_values: list[AssetPropertyValue] | None = attribute(
        AssetPropertyValue, default=None, required=True, many=True, sizes=(1, 10)
    )


class _Named(Shape):
    name: str | None = attribute(str, default=None, required=True, sizes=_NAME_SIZES, pattern=_NAME)


class _Append(Shape):
    payload: bytes | None = attribute(bytes, default=None, required=True, sizes=(1, None))


def check_name(name: object) -> str:
    """
    Return the name of a stream.

    Raises:
        InvalidStreamRequestError: It cannot be one.
    """
    if text := _Named.attributes["name"].invalid(name):
        raise InvalidStreamRequestError(text)
    return str(name)


def check_payload(payload: object) -> bytes:
    """
    Return the payload of a message.

    Raises:
        InvalidStreamRequestError: It is empty, or no bytes.
    """
    if text := _Append.attributes["payload"].invalid(payload):
        raise InvalidStreamRequestError(text)
    return payload  # type: ignore[return-value]  # it was just checked

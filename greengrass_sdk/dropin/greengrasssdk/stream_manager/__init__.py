# SPDX-License-Identifier: Apache-2.0
"""
Streams of messages that survive: `StreamManagerClient`, and what goes to and comes from it.

* `streammanagerclient`: the client.
* `data`: definitions, exports, messages, what is read and told.
* `exceptions`: what it raises.
* `util`: records as JSON, for messages that exports understand.
"""

from __future__ import annotations

from greengrasssdk.stream_manager.data import (
    AssetPropertyValue,
    EventType,
    ExportDefinition,
    ExportFormat,
    HTTPConfig,
    IoTAnalyticsConfig,
    IoTSiteWiseConfig,
    KinesisConfig,
    MessageStreamDefinition,
    Persistence,
    PutAssetPropertyValueEntry,
    Quality,
    ReadMessagesOptions,
    S3ExportTaskDefinition,
    S3ExportTaskExecutorConfig,
    Status,
    StatusConfig,
    StatusContext,
    StatusLevel,
    StatusMessage,
    StrategyOnFull,
    TimeInNanos,
    Variant,
)
from greengrasssdk.stream_manager.exceptions import (
    ClientException,
    ConnectFailedException,
    InvalidRequestException,
    MessageStoreReadErrorException,
    NotEnoughMessagesException,
    RequestPayloadTooLargeException,
    ResourceNotFoundException,
    ResponsePayloadTooLargeException,
    ServerOutOfMemoryException,
    ServerTimeoutException,
    StreamManagerException,
    UnauthorizedException,
    UnknownFailureException,
    UnknownOperationException,
    UpdateFailedException,
    UpdateNotAllowedException,
    ValidationException,
)
from greengrasssdk.stream_manager.streammanagerclient import SDK_VERSION, StreamManagerClient
from greengrasssdk.stream_manager.util import Util

__all__ = [
    "SDK_VERSION",
    "AssetPropertyValue",
    "ClientException",
    "ConnectFailedException",
    "EventType",
    "ExportDefinition",
    "ExportFormat",
    "HTTPConfig",
    "InvalidRequestException",
    "IoTAnalyticsConfig",
    "IoTSiteWiseConfig",
    "KinesisConfig",
    "MessageStoreReadErrorException",
    "MessageStreamDefinition",
    "NotEnoughMessagesException",
    "Persistence",
    "PutAssetPropertyValueEntry",
    "Quality",
    "ReadMessagesOptions",
    "RequestPayloadTooLargeException",
    "ResourceNotFoundException",
    "ResponsePayloadTooLargeException",
    "S3ExportTaskDefinition",
    "S3ExportTaskExecutorConfig",
    "ServerOutOfMemoryException",
    "ServerTimeoutException",
    "Status",
    "StatusConfig",
    "StatusContext",
    "StatusLevel",
    "StatusMessage",
    "StrategyOnFull",
    "StreamManagerClient",
    "StreamManagerException",
    "TimeInNanos",
    "UnauthorizedException",
    "UnknownFailureException",
    "UnknownOperationException",
    "UpdateFailedException",
    "UpdateNotAllowedException",
    "Util",
    "ValidationException",
    "Variant",
]

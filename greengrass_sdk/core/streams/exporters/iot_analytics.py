# SPDX-License-Identifier: Apache-2.0
"""
IoT Analytics: BatchPutMessage. The id of a message is the prefix, the stream and its number.

Ref: Greengrass V1 guide, "Export configurations"
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from greengrass_sdk.core.streams.exporters import aws
from greengrass_sdk.core.streams.exporters.exporter import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import IoTAnalyticsConfig, Message

__all__ = ["AnalyticsExporter"]


class AnalyticsExporter:
    """One channel."""

    def __init__(self, config: IoTAnalyticsConfig, setting: Setting) -> None:
        self._channel = config.iot_channel or ""
        stream = hashlib.sha256(setting.stream.encode()).hexdigest()[:16]
        self._prefix = f"{config.iot_msg_id_prefix or ''}{stream}-"
        self._client = aws.client("iotanalytics", setting)

    def send(self, messages: Sequence[Message]) -> None:
        """Put messages."""
        ids = [f"{self._prefix}{message.sequence_number}" for message in messages]
        batch = [
            {"messageId": number, "payload": message.payload}
            for number, message in zip(ids, messages, strict=True)
        ]
        try:
            answer = self._client.batch_put_message(channelName=self._channel, messages=batch)
        except Exception as error:
            if aws.error_code(error) == "ResourceNotFoundException":
                raise ExportError(f"export channel {self._channel} doesn't exist") from error
            raise aws.failure("iotanalytics", error) from error
        errors = {
            one.get("messageId"): one for one in answer.get("batchPutMessageErrorEntries", ())
        }
        for number, identifier in enumerate(ids):
            if one := errors.get(identifier):
                text = f"iotanalytics: {one.get('errorCode')}: {one.get('errorMessage')}"
                raise ExportError(text, done=number)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

# SPDX-License-Identifier: Apache-2.0
"""
IoT SiteWise: BatchPutAssetPropertyValue. Each message is a `PutAssetPropertyValueEntry` as JSON.

Messages that are none, and values that SiteWise refuses for what they are, are skipped and logged:
they would never arrive.

Ref: Greengrass V1 guide, "Export configurations"
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from greengrass_sdk.core.streams.exporters import aws
from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.errors import StreamError
from greengrass_sdk.model.stream import PutAssetPropertyValueEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import IoTSiteWiseConfig, Message

__all__ = ["SiteWiseExporter"]

log = logging.getLogger(__name__)

# What the same values will meet again, however often they are sent.
_FOR_GOOD = frozenset(
    {
        "AccessDeniedException",
        "ConflictingOperationException",
        "InvalidRequestException",
        "ResourceNotFoundException",
        "TimestampOutOfRangeException",
    }
)


class SiteWiseExporter:
    """The assets of one account."""

    def __init__(self, config: IoTSiteWiseConfig, setting: Setting) -> None:
        del config  # the messages name assets and properties
        self._stream = setting.stream
        self._client = aws.client("iotsitewise", setting)

    def send(self, messages: Sequence[Message]) -> None:
        """Put values."""
        entries = []
        for number, message in enumerate(messages):
            try:
                values = PutAssetPropertyValueEntry.from_dict(json.loads(message.payload)).check()
            except (ValueError, AttributeError, TypeError, RecursionError, StreamError) as error:
                self._skip(message, str(error))
                continue
            # Their ids need not differ between messages; those of a request must.
            entries.append({**values.as_dict(), "entryId": str(number)})
        if entries:
            self._put(messages, entries)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _put(self, messages: Sequence[Message], entries: Sequence[dict[str, Any]]) -> None:
        try:
            answer = self._client.batch_put_asset_property_value(entries=entries)
        except Exception as error:
            raise aws.failure("iotsitewise", error) from error
        refused = {one["entryId"]: one["errors"] for one in answer.get("errorEntries", ())}
        for number, message in enumerate(messages):
            for one in refused.get(str(number), ()):
                text = f"{one.get('errorCode')}: {one.get('errorMessage')}"
                if one.get("errorCode") not in _FOR_GOOD:
                    raise ExportError(f"iotsitewise: {text}", done=number)
                self._skip(message, text)

    def _skip(self, message: Message, why: str) -> None:
        log.error(
            "stream %s: message %d is skipped: %s", self._stream, message.sequence_number, why
        )

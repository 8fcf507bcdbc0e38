# SPDX-License-Identifier: Apache-2.0
"""
Kinesis Data Streams: PutRecords, with the name of the stream as partition key.

With one key all messages go to one shard, which keeps their order.

Ref: Greengrass V1 guide, "Export configurations"; "Check for errors": the text for a stream that
does not exist
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from greengrass_sdk.core.streams.exporters import aws
from greengrass_sdk.core.streams.exporters.exporter import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import KinesisConfig, Message

__all__ = ["RECORD_BYTES", "KinesisExporter"]

log = logging.getLogger(__name__)

RECORD_BYTES = 1024 * 1024  # of a record, its key included


class KinesisExporter:
    """One Kinesis stream."""

    def __init__(self, config: KinesisConfig, setting: Setting) -> None:
        self._stream = config.kinesis_stream_name or ""
        self._key = setting.stream
        self._client = aws.client("kinesis", setting)

    def send(self, messages: Sequence[Message]) -> None:
        """Put records; those that Kinesis never takes are skipped, and logged."""
        limit = RECORD_BYTES - len(self._key.encode())
        fitting = []
        for number, message in enumerate(messages):
            if len(message.payload) <= limit:
                fitting.append((number, message))
            else:
                log.error(
                    "stream %s: message %d is skipped: it has %d bytes, Kinesis takes %d",
                    *(self._key, message.sequence_number, len(message.payload), limit),
                )
        if fitting:
            self._put(fitting)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _put(self, numbered: Sequence[tuple[int, Message]]) -> None:
        records = [{"Data": message.payload, "PartitionKey": self._key} for _, message in numbered]
        try:
            answer = self._client.put_records(StreamName=self._stream, Records=records)
        except Exception as error:
            if aws.error_code(error) == "ResourceNotFoundException":
                raise ExportError(f"export stream {self._stream} doesn't exist") from error
            raise aws.failure("kinesis", error) from error
        if answer.get("FailedRecordCount"):
            raise self._refused(numbered, answer["Records"])

    def _refused(
        self, numbered: Sequence[tuple[int, Message]], results: Sequence[dict[str, Any]]
    ) -> ExportError:
        """Return what the first record that was refused means; what follows it comes again."""
        for (number, _), result in zip(numbered, results, strict=True):
            if code := result.get("ErrorCode"):
                text = f"kinesis: {code}: {result.get('ErrorMessage', '')}"
                return ExportError(text, done=number)
        return ExportError("kinesis: records failed, and it does not say which")

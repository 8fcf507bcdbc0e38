# SPDX-License-Identifier: Apache-2.0
"""
S3: each message is a task to upload a file, an `S3ExportTaskDefinition` as JSON.

A file from a threshold on goes up in parts. What a task can never do, for its text is none or its
file is not there, ends it; what may pass, a network, a bucket that nobody may write to, is tried
again, in order. How tasks fare is told on the status stream, if the export names one.

Ref: Greengrass Core 1.11, "Export configurations": S3 export tasks, their status; not in the guide
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from greengrass_sdk.core.streams.exporters import aws, s3files
from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line
from greengrass_sdk.errors import StreamError
from greengrass_sdk.model.stream import (
    EventType,
    S3ExportTaskDefinition,
    Status,
    StatusContext,
    StatusLevel,
    StatusMessage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import Message, S3ExportTaskExecutorConfig

__all__ = ["S3Exporter"]

log = logging.getLogger(__name__)

_THRESHOLD_BYTES = 5 * 1024 * 1024
_PARTS = 10_000  # of an upload; S3 takes no more


def _task_of(payload: bytes) -> S3ExportTaskDefinition:
    """
    Return the task that a message is.

    Raises:
        ValueError: It is none.
        StreamError: One of its properties is not valid.
    """
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the message is no S3 task in JSON: {one_line(error)}") from error
    if not isinstance(document, dict):
        raise ValueError("the message is no S3 task: it is no JSON object")
    return S3ExportTaskDefinition.from_dict(document).check()


class S3Exporter:
    """The tasks of one stream."""

    def __init__(self, config: S3ExportTaskExecutorConfig, setting: Setting) -> None:
        self._config = config
        self._setting = setting
        self._threshold = config.size_threshold_for_multipart_upload_bytes or _THRESHOLD_BYTES
        self._client = aws.client("s3", setting)

    def send(self, messages: Sequence[Message]) -> None:
        """Do tasks, one after the other."""
        for number, message in enumerate(messages):
            try:
                self._do(message)
            except ExportError as error:
                raise ExportError(str(error), done=number) from error

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    # --- a task -----------------------------------------------------------------

    def _do(self, message: Message) -> None:
        task: S3ExportTaskDefinition | None = None
        try:
            task = _task_of(message.payload)
            metadata = s3files.check_metadata(task.user_metadata)
            key = s3files.expand(task.key or "", time.time())
            path = s3files.path_of(task.input_url or "", self._setting.read_only_dirs)
            file = path.open("rb")
        except (ValueError, TypeError, StreamError) as error:
            self._end(message, task, Status.Failure, one_line(error))
            return
        except OSError as error:
            text = f"{error.filename}: {error.strerror}"
            self._end(message, task, Status.Failure, text)
            return
        with file:
            self._tell(message, task, Status.InProgress, StatusLevel.DEBUG, "uploading")
            try:
                self._upload(file, task.bucket or "", key, metadata)
            except ExportError as error:
                self._tell(message, task, Status.Warning, StatusLevel.WARN, str(error))
                raise
        self._end(message, task, Status.Success, f"uploaded to s3://{task.bucket}/{key}")

    def _upload(self, file: BinaryIO, bucket: str, key: str, metadata: dict[str, str]) -> None:
        where = {"Bucket": bucket, "Key": key}
        size = file.seek(0, 2)
        file.seek(0)
        try:
            if size < self._threshold:
                self._setting.pause(size)
                self._client.put_object(**where, Body=file, Metadata=metadata)
            else:
                self._upload_parts(file, size, where, metadata)
        except ExportError:
            raise
        except Exception as error:
            raise aws.failure("s3", error) from error

    def _upload_parts(
        self, file: BinaryIO, size: int, where: dict[str, str], metadata: dict[str, str]
    ) -> None:
        part_bytes = max(self._setting.part_bytes, -(-size // _PARTS))
        upload = self._client.create_multipart_upload(**where, Metadata=metadata)["UploadId"]
        parts: list[dict[str, Any]] = []
        try:
            while data := file.read(part_bytes):
                if self._setting.stopping.is_set():
                    raise ExportError("s3: the core stops; the file is uploaded anew")
                self._setting.pause(len(data))
                number = len(parts) + 1
                answer = self._client.upload_part(
                    **where, UploadId=upload, PartNumber=number, Body=data
                )
                parts.append({"ETag": answer["ETag"], "PartNumber": number})
            self._client.complete_multipart_upload(
                **where, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            self._abort(where, upload)
            raise

    def _abort(self, where: dict[str, str], upload: str) -> None:
        try:
            self._client.abort_multipart_upload(**where, UploadId=upload)
        except Exception as error:  # noqa: BLE001 - the upload has failed already
            log.warning(
                "s3: parts of %s are left in bucket %s: %s", where["Key"], where["Bucket"], error
            )

    # --- its status ------------------------------------------------------------------

    def _end(
        self, message: Message, task: S3ExportTaskDefinition | None, status: Status, text: str
    ) -> None:
        if status is Status.Failure:
            log.error(
                "stream %s: task %d failed: %s", message.stream_name, message.sequence_number, text
            )
        level = StatusLevel.INFO if status is Status.Success else StatusLevel.ERROR
        self._tell(message, task, status, level, text)

    def _tell(
        self,
        message: Message,
        task: S3ExportTaskDefinition | None,
        status: Status,
        level: StatusLevel,
        text: str,
    ) -> None:
        wanted = self._config.status_config
        if wanted is None or wanted.status_stream_name is None:
            return
        lowest = StatusLevel.INFO if wanted.status_level is None else wanted.status_level
        if level > lowest:
            return
        told = StatusMessage(
            event_type=EventType.S3Task,
            status_level=level,
            status=status,
            status_context=StatusContext(
                s3_export_task_definition=task,
                export_identifier=self._config.identifier,
                stream_name=message.stream_name,
                sequence_number=message.sequence_number,
            ),
            message=text,
            timestamp_epoch_ms=time.time_ns() // 1_000_000,
        )
        self._setting.append(wanted.status_stream_name, json.dumps(told.as_dict()).encode())

# SPDX-License-Identifier: Apache-2.0
"""Records as JSON."""

from __future__ import annotations

import pytest

from greengrasssdk.stream_manager import (
    ExportDefinition,
    MessageStreamDefinition,
    S3ExportTaskDefinition,
    Util,
    ValidationException,
)

TASK = S3ExportTaskDefinition(
    input_url="file:///a",
    bucket="bucket",
    key="k/!{timestamp:yyyy/MM/dd}",
    user_metadata={"a": "b"},
)


def test_a_task_goes_to_json_and_back():
    written = Util.validate_and_serialize_to_json_bytes(TASK)
    assert (
        b'{"inputUrl": "file:///a", "bucket": "bucket", "key": "k/!{timestamp:yyyy/MM/dd}", '
        b'"userMetadata": {"a": "b"}}'
    ) == written
    again = Util.deserialize_json_bytes_to_obj(written, S3ExportTaskDefinition)
    assert TASK.as_dict() == again.as_dict()


def test_an_invalid_record_is_not_written():
    with pytest.raises(ValidationException, match="Property bucket is required, but was None"):
        Util.validate_and_serialize_to_json_bytes(S3ExportTaskDefinition(input_url="x", key="k"))


def test_empty_lists_are_left_out():
    definition = MessageStreamDefinition.from_dict({"name": "s", "strategyOnFull": 0})
    definition.export_definition = ExportDefinition(http=[], kinesis=[])
    written = Util.validate_and_serialize_to_json_bytes(definition)
    assert written.endswith(b'"exportDefinition": {}}')

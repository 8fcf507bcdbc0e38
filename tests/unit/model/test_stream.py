# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from greengrass_sdk.errors import InvalidStreamRequestError
from greengrass_sdk.model.stream import (
    DESTINATIONS,
    ExportDefinition,
    FileConfig,
    HTTPConfig,
    KinesisConfig,
    Message,
    MessageStreamDefinition,
    ReadMessagesOptions,
    S3ExportTaskDefinition,
    StrategyOnFull,
    check_name,
    check_payload,
)

REJECT = StrategyOnFull.RejectNewData


def test_a_definition_has_the_defaults_of_the_sdk_and_its_names_on_the_wire() -> None:
    definition = MessageStreamDefinition("readings", strategy_on_full=REJECT)
    assert "" == definition.invalid()
    assert {
        "name": "readings",
        "maxSize": 268435456,
        "streamSegmentSize": 16777216,
        "strategyOnFull": 0,
        "persistence": 0,
        "flushOnWrite": False,
    } == definition.as_dict()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "Property name must have a minimum length of 1, but found length of 0"),
        ({"name": "a/b"}, r"Property name must match regex ^[\w ,.\-_]*$"),
        ({"name": "x" * 256}, "must have a maximum length of 255, but found length of 256"),
        ({"max_size": 1023}, "Property max_size must be at least 1024"),
        ({"max_size": 1 << 63}, "Property max_size must be at most 9223372036854775807"),
        ({"stream_segment_size": 1 << 31}, "stream_segment_size must be at most 2147483647"),
        ({"time_to_live_millis": 59999}, "Property time_to_live_millis must be at least 60000"),
        ({"strategy_on_full": None}, "Property strategy_on_full is required, but was None"),
    ],
)
def test_a_definition_outside_of_its_ranges_is_invalid(
    changes: dict[str, object], text: str
) -> None:
    definition = MessageStreamDefinition("readings", strategy_on_full=REJECT)
    assert text in definition.replaced(**changes).invalid()


def test_every_destination_has_an_identifier_first_and_the_name_it_has_on_the_wire() -> None:
    wire = [declared.key for declared in ExportDefinition.attributes.values()]
    assert [
        *("http", "iotAnalytics", "kinesis", "IotSitewise", "s3TaskExecutor"),
        *("mqtt", "kafka", "nats", "file", "custom"),
    ] == wire
    for declared in ExportDefinition.attributes.values():
        kind: Any = declared.kind
        assert "identifier" == next(iter(kind.attributes))
        assert "Property identifier is required, but was None" == kind().invalid()


def test_destinations_are_listed_with_their_kinds() -> None:
    kinesis, file = KinesisConfig("a", "k"), FileConfig("b", "/x")
    definition = ExportDefinition(kinesis=[kinesis], file=[file])
    assert [("kinesis", kinesis), ("file", file)] == definition.configs()
    assert {"kinesis", "file"} < set(DESTINATIONS)


def test_two_destinations_of_a_stream_have_two_identifiers() -> None:
    definition = ExportDefinition(kinesis=[KinesisConfig("a", "k")], http=[HTTPConfig("a", "u")])
    assert "Property identifier must be unique, but a is there twice" == definition.invalid()


def test_a_batch_size_is_bounded_by_its_destination() -> None:
    definition = ExportDefinition(http=[HTTPConfig("a", "u", batch_size=501)])
    assert (
        "Property http[0] is invalid because Property batch_size must be at most 500"
        == definition.invalid()
    )


def test_a_reader_does_not_ask_for_fewer_than_it_needs() -> None:
    text = "min_message_count must be less than or equal to max_message_count"
    assert text == ReadMessagesOptions(0, 3, 2).invalid()
    assert "" == ReadMessagesOptions(0, 2, 2).invalid()
    assert "min_message_count must be at least 1" in ReadMessagesOptions(0, 0).invalid()


@pytest.mark.parametrize("bucket", ["ab", "A-bucket", "1.2.3.4", "under_score"])
def test_a_bucket_has_the_name_that_s3_allows(bucket: str) -> None:
    assert "bucket" in S3ExportTaskDefinition("file:///x", bucket, "key").invalid()


def test_a_key_of_s3_may_have_a_pattern_of_time() -> None:
    key = "logs/!{timestamp:yyyy/MM/dd}/x"
    assert "" == S3ExportTaskDefinition("file:///x", "my-bucket", key).invalid()
    assert "key" in S3ExportTaskDefinition("file:///x", "my-bucket", "a{b}").invalid()


def test_a_message_shows_its_size_and_not_its_content() -> None:
    message = Message("readings", 1, 2, b"secret")
    assert "secret" not in repr(message)
    assert {
        "streamName": "readings",
        "sequenceNumber": 1,
        "ingestTime": 2,
        "payload": b"secret",
    } == message.as_dict()
    assert message == Message.from_dict(message.as_dict())


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("text", "Property payload is invalid because it must be of type bytes"),
        (b"", "Property payload must have a minimum length of 1, but found length of 0"),
        (None, "Property payload is required, but was None"),
    ],
)
def test_a_payload_is_some_bytes(payload: object, text: str) -> None:
    with pytest.raises(InvalidStreamRequestError) as caught:
        check_payload(payload)
    assert text == str(caught.value)
    assert b"x" == check_payload(b"x")


def test_a_name_is_checked_alone_too() -> None:
    assert "a b,c.d-e_f" == check_name("a b,c.d-e_f")
    with pytest.raises(InvalidStreamRequestError, match="must match regex"):
        check_name("a#b")

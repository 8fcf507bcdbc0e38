# SPDX-License-Identifier: Apache-2.0
"""Exports to Kinesis, which is moto's."""

from __future__ import annotations

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.kinesis import RECORD_BYTES, KinesisExporter
from greengrass_sdk.model.stream import KinesisConfig, Message

pytestmark = pytest.mark.sockets  # moto looks at the host's when it is imported


@pytest.fixture
def kinesis(aws):
    client = aws("kinesis")
    client.create_stream(StreamName="K", ShardCount=3)
    return client


@pytest.fixture
def exporter(aws):
    exporter = KinesisExporter(KinesisConfig("k", "K"), setting())
    yield exporter
    exporter.close()


def records(kinesis):
    """Return what each shard with records holds."""
    found = []
    for shard in kinesis.list_shards(StreamName="K")["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName="K", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        if got := kinesis.get_records(ShardIterator=iterator)["Records"]:
            found.append([(record["PartitionKey"], record["Data"]) for record in got])
    return found


def test_messages_arrive_in_order_in_one_shard(kinesis, exporter):
    exporter.send(messages(30))
    exporter.send(messages(5, first=30))
    (shard,) = records(kinesis)
    assert [("s", b"%04d" % number) for number in range(35)] == shard


def test_a_stream_that_is_not_there_is_told_in_the_words_of_the_guide(exporter):
    with pytest.raises(ExportError, match=r"^export stream K doesn't exist$"):
        exporter.send(messages(1))


def test_a_message_that_kinesis_never_takes_is_skipped_and_logged(kinesis, exporter, caplog):
    large = Message("s", 1, 0, bytes(RECORD_BYTES))
    exporter.send([*messages(1), large, *messages(1, first=2)])
    (shard,) = records(kinesis)
    assert [b"0000", b"0002"] == [data for _, data in shard]
    assert any("message 1 is skipped: it has 1048576 bytes" in text for text in caplog.messages)
    exporter.send([large])


def test_records_that_were_refused_come_again_from_the_first_on(exporter, monkeypatch):
    refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
    answer = {"FailedRecordCount": 2, "Records": [{}, refused, {}, refused]}
    monkeypatch.setattr(exporter._client, "put_records", lambda **_: answer)
    with pytest.raises(ExportError, match="ThroughputExceededException: slow down") as error:
        exporter.send([Message("s", 0, 0, bytes(RECORD_BYTES)), *messages(4, first=1)])
    assert 2 == error.value.done  # the one that was skipped counts
    answer["Records"] = [{}, {}, {}, {}]
    with pytest.raises(ExportError, match="does not say which"):
        exporter.send(messages(4))


def test_another_error_of_aws_is_one_line(exporter, monkeypatch):
    def fail(**_):
        raise OSError("Could not connect\nto the endpoint")

    monkeypatch.setattr(exporter._client, "put_records", fail)
    with pytest.raises(ExportError, match=r"^kinesis: Could not connect to the endpoint$"):
        exporter.send(messages(1))

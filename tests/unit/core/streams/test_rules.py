# SPDX-License-Identifier: Apache-2.0

import pytest

from greengrass_sdk.core.streams import rules
from greengrass_sdk.errors import InvalidStreamRequestError, StreamUpdateError
from greengrass_sdk.model.stream import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    Persistence,
    S3ExportTaskExecutorConfig,
    StatusConfig,
    StrategyOnFull,
)


def definition(**options):
    given = {"strategy_on_full": StrategyOnFull.RejectNewData, **options}
    return MessageStreamDefinition("readings", **given)


def exporting(start):
    config = KinesisConfig("k", "kinesis", start_sequence_number=start)
    return definition(export_definition=ExportDefinition(kinesis=[config]))


def test_what_a_request_leaves_out_gets_its_default():
    bare = MessageStreamDefinition.from_dict({"name": "readings", "strategyOnFull": 1})
    bare.max_size = bare.persistence = None
    found = rules.check_definition(bare)
    assert (268435456, 16777216, Persistence.File, False) == (
        found.max_size,
        found.stream_segment_size,
        found.persistence,
        found.flush_on_write,
    )


def test_a_definition_that_is_not_valid_is_refused():
    with pytest.raises(InvalidStreamRequestError, match="max_size must be at least 1024"):
        rules.check_definition(definition(max_size=1))


def test_the_stream_for_the_status_of_exports_must_exist():
    config = S3ExportTaskExecutorConfig("s3", status_config=StatusConfig(None, "status"))
    wanted = definition(export_definition=ExportDefinition(s3_task_executor=[config]))
    with pytest.raises(InvalidStreamRequestError, match="status stream status of export s3"):
        rules.check_status_streams(wanted, {"other"})
    rules.check_status_streams(wanted, {"status"})


def test_a_stream_without_exports_needs_no_other_stream():
    rules.check_status_streams(definition(), ())


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ({}, {"persistence": Persistence.Memory}, "its persistence cannot change"),
        ({}, {"max_size": 4999, "stream_segment_size": 1024}, "below the 5000 bytes"),
        ({}, {"stream_segment_size": 268435456}, "must be below max_size"),
        ({}, {"max_size": 6000}, "max_size 6000 is below stream_segment_size 16777216"),
    ],
)
def test_an_update_that_breaks_a_rule_is_not_allowed(old, new, text):
    with pytest.raises(StreamUpdateError, match=text) as caught:
        rules.check_update(definition(**old), definition(**new), 5000, 10)
    assert (17, "readings") == (caught.value.status, caught.value.stream)


@pytest.mark.parametrize(
    "new",
    [
        {},
        {"max_size": 16777216},
        {"max_size": 5000, "stream_segment_size": 1024},
        {"strategy_on_full": StrategyOnFull.OverwriteOldestData, "time_to_live_millis": 60000},
        {"flush_on_write": True},
    ],
)
def test_an_update_that_breaks_none_is_allowed(new):
    rules.check_update(definition(), definition(**new), 5000, 10)


def test_a_small_stream_that_was_made_with_the_default_segment_size_may_be_updated():
    small = {"max_size": 10_000}
    rules.check_update(definition(**small), definition(**small, flush_on_write=True), 5000, 10)


@pytest.mark.parametrize(
    ("before", "start", "allowed"),
    [(None, 9, False), (None, 8, True), (None, 0, True), (None, None, True), (9, 9, True)],
)
def test_an_export_that_begins_anew_begins_before_the_newest_message(before, start, allowed):
    old = definition() if before is None else exporting(before)
    if allowed:
        rules.check_update(old, exporting(start), 0, 10)
        return
    with pytest.raises(StreamUpdateError, match="must be below the newest sequence number, 9"):
        rules.check_update(old, exporting(start), 0, 10)


@pytest.mark.parametrize(
    ("max_size", "segment", "used"),
    [
        (10_000, 2_000, 2_000),
        (10_000, 16777216, 2_500),
        (10_000, 10_000, 2_500),
        (1024, 1024, 256),
    ],
)
def test_segments_are_smaller_than_their_stream(max_size, segment, used):
    wanted = definition(max_size=max_size, stream_segment_size=segment)
    assert used == rules.segment_bytes(wanted)


def test_a_stream_in_memory_ends_with_the_core():
    assert rules.is_in_memory(definition(persistence=Persistence.Memory))
    assert not rules.is_in_memory(definition())

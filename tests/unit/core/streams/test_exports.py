# SPDX-License-Identifier: Apache-2.0

import pytest

from greengrass_sdk.core.streams.exports import Exports
from greengrass_sdk.core.streams.store import MemoryStore
from greengrass_sdk.errors import StreamNotFoundError
from greengrass_sdk.model.stream import (
    ExportDefinition,
    ExportStatus,
    HTTPConfig,
    KinesisConfig,
    MessageStreamDefinition,
    StrategyOnFull,
)


def definition(*configs):
    exports = ExportDefinition(
        kinesis=[c for c in configs if isinstance(c, KinesisConfig)],
        http=[c for c in configs if isinstance(c, HTTPConfig)],
    )
    return MessageStreamDefinition(
        "readings",
        strategy_on_full=StrategyOnFull.RejectNewData,
        export_definition=exports,
    )


@pytest.fixture
def store():
    return MemoryStore()


def test_every_export_that_is_not_disabled_is_a_task():
    exports = Exports(
        definition(KinesisConfig("a", "k"), HTTPConfig("b", "http://x", disabled=True)), None, 0
    )
    assert [("readings", "kinesis", "a")] == [
        (task.stream, task.kind, task.identifier) for task in exports.tasks()
    ]
    assert ["b", "a"] == [each.export_config_identifier for each in exports.statuses()]


def test_a_stream_without_exports_has_no_tasks():
    plain = MessageStreamDefinition("readings", strategy_on_full=StrategyOnFull.RejectNewData)
    exports = Exports(plain, None, 0)
    assert ([], []) == (exports.tasks(), exports.statuses())


def test_an_export_begins_with_the_first_message_or_where_it_is_told():
    exports = Exports(
        definition(KinesisConfig("a", "k"), KinesisConfig("b", "k", start_sequence_number=5)),
        None,
        0,
    )
    assert (0, 5) == (exports.position("a"), exports.position("b"))


def test_an_export_goes_on_where_it_was(store):
    exports = Exports(definition(KinesisConfig("a", "k")), store, 1)
    exports.advance("a", 4, 5, 50, 1000)
    exports.advance("a", 6, 2, 20, 2000)
    again = Exports(definition(KinesisConfig("a", "k")), store, 1)
    assert [ExportStatus("a", 6, 2000, None, 70, 7)] == again.statuses()


def test_an_export_never_goes_back(store):
    exports = Exports(definition(KinesisConfig("a", "k")), store, 1)
    exports.advance("a", 4, 5, 50, 1000)
    exports.advance("a", 3, 1, 10, 1000)
    assert 5 == exports.position("a")


def test_why_an_export_stands_still_is_told_until_it_goes_on():
    exports = Exports(definition(KinesisConfig("a", "k")), None, 0)
    exports.report("a", "export stream k doesn't exist")
    assert ["export stream k doesn't exist"] == [s.error_message for s in exports.statuses()]
    exports.advance("a", 0, 1, 1, 1)
    assert [None] == [s.error_message for s in exports.statuses()]


def test_what_a_status_tells_does_not_change_afterwards():
    exports = Exports(definition(KinesisConfig("a", "k")), None, 0)
    [before] = exports.statuses()
    exports.report("a", "later")
    assert before.error_message is None


def test_messages_that_the_stream_has_lost_are_exported_again(store):
    """A power cut may take what was not flushed; its numbers are given to other messages."""
    exports = Exports(definition(KinesisConfig("a", "k")), store, 1)
    exports.advance("a", 9, 10, 100, 1000)
    exports.clamp(8)
    assert 8 == exports.position("a")
    assert 8 == Exports(definition(KinesisConfig("a", "k")), store, 1).position("a")


def test_an_export_that_has_not_begun_may_begin_later_than_the_newest_message():
    exports = Exports(definition(KinesisConfig("a", "k", start_sequence_number=50)), None, 0)
    exports.clamp(8)
    assert 50 == exports.position("a")


def test_an_export_that_is_left_out_is_forgotten(store):
    exports = Exports(definition(KinesisConfig("a", "k"), KinesisConfig("b", "k")), store, 1)
    exports.advance("a", 4, 5, 50, 1000)
    exports.advance("b", 4, 5, 50, 1000)
    exports.change(definition(KinesisConfig("b", "k")))
    exports.change(definition(KinesisConfig("a", "k"), KinesisConfig("b", "k")))
    assert (0, 5) == (exports.position("a"), exports.position("b"))


def test_an_export_with_another_start_begins_there():
    exports = Exports(definition(KinesisConfig("a", "k")), None, 0)
    exports.advance("a", 9, 10, 100, 1000)
    exports.change(definition(KinesisConfig("a", "k", start_sequence_number=3)))
    assert 3 == exports.position("a")
    exports.advance("a", 9, 7, 70, 1000)
    exports.change(definition(KinesisConfig("a", "k", start_sequence_number=3, batch_size=1)))
    assert 10 == exports.position("a")


def test_an_export_that_is_not_there_is_not_found():
    exports = Exports(definition(), None, 0)
    with pytest.raises(StreamNotFoundError, match="stream readings has no export a"):
        exports.report("a", None)

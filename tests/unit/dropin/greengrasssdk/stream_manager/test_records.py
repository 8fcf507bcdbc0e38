# SPDX-License-Identifier: Apache-2.0
"""How records behave; that they are AWS's is tested against AWS's package."""

from __future__ import annotations

import inspect

import pytest

from greengrasssdk.stream_manager.data import (
    ExportDefinition,
    KinesisConfig,
    Message,
    MessageStreamDefinition,
    StrategyOnFull,
)
from greengrasssdk.stream_manager.records import problem


def test_a_constructor_takes_keywords_and_checks_nothing():
    assert 5 == MessageStreamDefinition(name=5).name
    positional = MessageStreamDefinition("s", 1)
    assert ("s", 1) == (positional.name, positional.max_size)
    with pytest.raises(TypeError, match="'nme'"):
        MessageStreamDefinition(nme="s")
    with pytest.raises(TypeError, match="number of arguments"):
        KinesisConfig(*range(20))


def test_help_shows_the_properties():
    assert "(name=None, max_size=268435456" in str(inspect.signature(MessageStreamDefinition))


def test_assigning_a_wrong_type_is_a_type_error():
    definition = MessageStreamDefinition()
    for name, value, text in (
        ("name", None, "name must be str"),
        ("max_size", "x", "max_size must be int"),
        ("strategy_on_full", 1, "strategy_on_full must be StrategyOnFull"),
    ):
        with pytest.raises(TypeError, match=text):
            setattr(definition, name, value)
    definition.max_size = None
    assert definition.max_size is None
    exports = ExportDefinition()
    with pytest.raises(TypeError, match="kinesis must be list"):
        exports.kinesis = KinesisConfig()
    with pytest.raises(TypeError, match="kinesis list values must be KinesisConfig"):
        exports.kinesis = [5]
    exports.kinesis = [KinesisConfig("k")]
    assert {"kinesis": [{"identifier": "k"}]} == exports.as_dict()


def test_the_wire_has_numbers_and_no_none():
    definition = MessageStreamDefinition(name="s", strategy_on_full=StrategyOnFull.RejectNewData)
    wire = definition.as_dict()
    assert {
        "name": "s",
        "maxSize": 1 << 28,
        "streamSegmentSize": 1 << 24,
        "strategyOnFull": 0,
    } == wire
    again = MessageStreamDefinition.from_dict({**wire, "isNewer": True})
    assert StrategyOnFull.RejectNewData is again.strategy_on_full
    assert wire == again.as_dict()


def test_a_message_can_be_printed():
    message = Message(stream_name="s", sequence_number=1, ingest_time=2, payload=bytes(100))
    assert repr([message]).startswith("[<Class Message. stream_name: 's', sequence_number: 1,")
    assert len(repr(message)) < 200


@pytest.mark.parametrize(
    ("exports", "text"),
    [
        (ExportDefinition(kinesis=[KinesisConfig("k", "K")]), ""),
        (ExportDefinition(kinesis=5), "kinesis is invalid because it must be of type list"),
        (ExportDefinition(kinesis=[5]), "kinesis[0] is invalid because it must be of type"),
        (ExportDefinition(kinesis=[KinesisConfig("k")]), "kinesis[0] is invalid because Property"),
    ],
    ids=range(4),
)
def test_lists_are_looked_into(exports, text):
    found = problem(exports)
    assert text in found
    assert bool(text) == bool(found)


def test_what_is_no_record_has_no_problem():
    assert "" == problem(5)

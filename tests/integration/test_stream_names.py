# SPDX-License-Identifier: Apache-2.0
"""The drop-in's stream manager against AWS's own package: names, defaults, ranges, texts."""

from __future__ import annotations

import enum
import importlib
import inspect
import subprocess
import sys
import warnings

import pytest

import greengrasssdk.stream_manager as ours
from greengrasssdk.stream_manager import data, exceptions
from greengrasssdk.stream_manager.records import Record

pytestmark = [pytest.mark.needs_network, pytest.mark.timeout(120)]

# What AWS calls internal: its requests and responses.
INTERNAL = ("Request", "Response", "MessageFrame", "TraceableRequest", "UnknownOperationError")
CLASSES = [name for name in data.__all__ if issubclass(getattr(data, name), Record)]
ENUMERATIONS = [name for name in data.__all__ if issubclass(getattr(data, name), enum.Enum)]


@pytest.fixture(scope="module")
def theirs(registry, tmp_path_factory):
    """Return AWS's package, from PyPI."""
    folder = tmp_path_factory.mktemp("aws")
    install = ["install", "-q", "--no-deps", "--target", folder, "stream-manager==1.1.1"]
    subprocess.run([registry, *install], check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in its patterns
            stream_manager = importlib.import_module("stream_manager")
    finally:
        sys.path.remove(str(folder))
    return stream_manager


def values_for(kind, table):
    """Return values around the bounds of a property."""
    low, high = table.get("minimum"), table.get("maximum")
    short, long = table.get("minLength"), table.get("maxLength")
    found = []
    if kind is int:
        found += [bound + step for bound in (low, high) if bound is not None for step in (-1, 0, 1)]
        found += [5]
    elif kind is str:
        found += ["", "a", "a b,c.d-e_f", "a/b", "ü", "x" * (long or 10), "x" * ((long or 10) + 1)]
        found += ["x" * short] if short else []
        found += ["bucket-1", "192.168.1.1", "Bucket", "k/!{timestamp:yyyy}/x", "k k"]
    elif kind is bool:
        found += [True, False]
    elif kind is float:
        found += [1.5]
    return found


def test_the_package_has_the_same_names(theirs):
    modules = {"data", "exceptions", "streammanagerclient", "util", "utilinternal"}
    names = {name for name in vars(theirs) if not name.startswith("_")} - modules
    assert names == set(ours.__all__)
    assert theirs.SDK_VERSION == ours.SDK_VERSION


def test_the_records_have_the_same_names(theirs):
    public = {
        name
        for name, value in vars(theirs.data).items()
        if inspect.isclass(value)
        and value.__module__ == theirs.data.__name__
        and not name.endswith(INTERNAL)
    }
    assert public | {"ResponseStatusCode"} == set(data.__all__) | {"ResponseStatusCode"}


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_an_enumeration_has_the_same_members(theirs, name):
    one, other = getattr(theirs.data, name), getattr(data, name)
    assert {each.name: each.value for each in one} == {each.name: each.value for each in other}
    member = next(iter(other))
    assert repr(next(iter(one))) == repr(member)
    assert member is other.from_dict(member.as_dict())


@pytest.mark.parametrize("name", CLASSES)
def test_a_record_has_the_same_properties_and_defaults(theirs, name):
    one, other = getattr(theirs.data, name), getattr(data, name)
    expected = [(each.name, each.default) for each in inspect.signature(one).parameters.values()]
    assert expected == [
        (each.name, each.default) for each in inspect.signature(other).parameters.values()
    ]
    assert repr(one()) == repr(other())


@pytest.mark.parametrize("name", CLASSES)
def test_a_property_has_the_same_key_and_takes_the_same_values(theirs, name):
    one, other = getattr(theirs.data, name), getattr(data, name)
    for key, types in one._types_map.items():
        if types["type"] not in (int, str, bool, float):
            continue
        for value in values_for(types["type"], one._validations_map.get(key, {})):
            filled, same = one(**{key: value}), other(**{key: value})
            assert filled.as_dict() == same.as_dict()
            field = other.fields[key]
            alone = type(
                "Alone",
                (),
                {
                    "_types_map": {key: types},
                    "_validations_map": {key: one._validations_map.get(key, {})},
                    key: value,
                },
            )()
            expected = theirs.utilinternal.UtilInternal.is_invalid(alone) or ""
            got = field.problem(value)
            assert expected.partition(" regex ")[0] == got.partition(" regex ")[0], (key, value)
        with pytest.raises(TypeError) as refused:
            setattr(one(), key, object())
        with pytest.raises(TypeError, match=f"^{refused.value}$"):
            setattr(other(), key, object())


def test_a_whole_definition_is_the_same_on_the_wire(theirs):
    def definition(sm):
        return sm.MessageStreamDefinition(
            name="s",
            strategy_on_full=sm.StrategyOnFull.OverwriteOldestData,
            export_definition=sm.ExportDefinition(
                kinesis=[sm.KinesisConfig(identifier="k", kinesis_stream_name="K", batch_size=5)],
                iot_sitewise=[sm.IoTSiteWiseConfig(identifier="i")],
                s3_task_executor=[
                    sm.S3ExportTaskExecutorConfig(
                        identifier="3",
                        status_config=sm.StatusConfig(
                            status_level=sm.StatusLevel.DEBUG, status_stream_name="t"
                        ),
                    )
                ],
            ),
        )

    one, other = definition(theirs), definition(ours)
    assert one.as_dict() == other.as_dict()
    assert repr(one) == repr(other)
    again = data.MessageStreamDefinition.from_dict({**other.as_dict(), "newer": 1})
    assert one.as_dict() == again.as_dict()
    json_of = ours.Util.validate_and_serialize_to_json_bytes(other)
    assert theirs.Util.validate_and_serialize_to_json_bytes(one) == json_of


@pytest.mark.parametrize(
    "change",
    [
        lambda sm: {"name": None},
        lambda sm: {"strategy_on_full": None},
        lambda sm: {"strategy_on_full": 1},
        lambda sm: {"flush_on_write": "yes"},
        lambda sm: {"export_definition": sm.ExportDefinition(http=[sm.HTTPConfig("h")])},
        lambda sm: {"export_definition": sm.ExportDefinition(http=["h"])},
        lambda sm: {"export_definition": sm.KinesisConfig("k", "K")},
        lambda sm: {"export_definition": sm.ExportDefinition(kinesis=[sm.KinesisConfig("k", "")])},
    ],
    ids=range(8),
)
def test_an_invalid_definition_has_the_same_text(theirs, change):
    def text(sm):
        values = {"name": "s", "strategy_on_full": sm.StrategyOnFull.RejectNewData, **change(sm)}
        with pytest.raises(sm.ValidationException) as refused:
            sm.Util.validate_and_serialize_to_json_bytes(sm.MessageStreamDefinition(**values))
        return refused.value.message

    assert text(theirs) == text(ours)


def test_exceptions_have_the_same_bases(theirs):
    def bases(module, name):
        return [base.__name__ for base in getattr(module, name).__mro__]

    for name in exceptions.__all__:
        assert bases(theirs.exceptions, name) == bases(exceptions, name)
        made = getattr(exceptions, name)("m", 5, "r")
        assert ("m", 5, "r", "m") == (made.message, made.status, made.request_id, str(made))


def test_the_client_has_the_same_arguments(theirs):
    def arguments(cls, method):
        return [
            (each.name, each.default)
            for each in inspect.signature(getattr(cls, method)).parameters.values()
        ]

    one, other = theirs.StreamManagerClient, ours.StreamManagerClient
    for method in (name for name in vars(one) if not name.startswith("_")):
        assert arguments(one, method) == arguments(other, method), method
    assert arguments(one, "__init__") == arguments(other, "__init__")

# SPDX-License-Identifier: Apache-2.0
"""Which class serves which kind."""

from __future__ import annotations

import builtins
from importlib import metadata

import pytest
from fake_exports import setting

from greengrass_sdk.core.streams.exporters import registry
from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.model.stream import (
    DESTINATIONS,
    CustomConfig,
    FileConfig,
    KafkaConfig,
    NATSConfig,
)


class Own:
    """An exporter of somebody else's."""

    def __init__(self, config, given):
        if config.settings == {"bad": True}:
            raise ExportError("bad settings")
        self.settings = config.settings


class Entry:
    def __init__(self, name, value):
        self.name, self._value = name, value

    def load(self):
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


@pytest.fixture
def installed(monkeypatch):
    entries = [Entry("own", Own), Entry("broken", SyntaxError("oops"))]

    def entry_points(*, group, name=None):
        assert registry.GROUP == group
        return [each for each in entries if name in (None, each.name)]

    monkeypatch.setattr(metadata, "entry_points", entry_points)


def test_every_kind_of_destination_has_a_batch_and_a_class():
    assert set(DESTINATIONS) == set(registry.BATCHES)
    assert set(DESTINATIONS) - {"custom"} == set(registry._OURS)


def test_ours_are_made(tmp_path):
    made = registry.make("file", FileConfig("f", "a.jsonl"), setting(tmp_path))
    assert "FileExporter" == type(made).__name__


@pytest.mark.usefixtures("installed")
def test_another_is_found_by_its_entry_point():
    made = registry.make("custom", CustomConfig("c", "own", {"a": 1}), setting())
    assert {"a": 1} == made.settings  # type: ignore[attr-defined]  # it is an Own


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("missing", None, "no exporter missing is installed .* there are: broken, own"),
        ("broken", None, "exporter broken cannot be loaded: oops"),
        ("own", {"bad": True}, "bad settings"),
    ],
)
def test_another_that_cannot_be_had_is_told(name, settings, text):
    with pytest.raises(ExportError, match=text):
        registry.make("custom", CustomConfig("c", name, settings), setting())


@pytest.mark.parametrize(
    ("kind", "config", "package", "extra"),
    [
        ("kafka", KafkaConfig("k", "h:1", "t"), "kafka", "kafka"),
        ("nats", NATSConfig("n", "nats://h", "s"), "nats", "nats"),
    ],
)
def test_a_missing_package_is_told_with_its_extra(monkeypatch, kind, config, package, extra):
    load = builtins.__import__

    def importing(name, *rest, **more):
        if name.split(".")[0] == package:
            raise ImportError(name=package)
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ExportError, match=rf"{package} is not .* greengrass-core\[{extra}\]"):
        registry.make(kind, config, setting())

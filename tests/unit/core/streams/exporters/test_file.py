# SPDX-License-Identifier: Apache-2.0
"""Exports to a file of JSON lines."""

from __future__ import annotations

import json
import os

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.file import FileExporter
from greengrass_sdk.model.stream import FileConfig, Message


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(path):
    return [line["sequenceNumber"] for line in lines(path)]


@pytest.fixture
def exporter(tmp_path):
    return FileExporter(FileConfig("f", "out/readings.jsonl"), setting(tmp_path))


def test_each_message_is_a_line(exporter, tmp_path):
    assert tmp_path / "out/readings.jsonl" == exporter.path
    exporter.send([Message("s", 0, 5, "grün".encode()), Message("s", 1, 6, b"\xff\x00\n")])
    exporter.send(messages(1, first=2))
    exporter.close()
    assert [
        {"streamName": "s", "sequenceNumber": 0, "ingestTime": 5}
        | {"payload": "grün", "encoding": "utf-8"},
        {"streamName": "s", "sequenceNumber": 1, "ingestTime": 6}
        | {"payload": "/wAK", "encoding": "base64"},
        {"streamName": "s", "sequenceNumber": 2, "ingestTime": 1_000_002}
        | {"payload": "0002", "encoding": "utf-8"},
    ] == lines(exporter.path)


@pytest.mark.parametrize("torn", [b'{"sequenceNum', b"x" * 200_000])
def test_a_line_that_a_crash_left_unfinished_is_cut_off(exporter, torn):
    exporter.send(messages(2))
    with exporter.path.open("ab") as other:
        other.write(torn)
    exporter.send(messages(1, first=2))
    assert [0, 1, 2] == numbers(exporter.path)


def test_a_file_without_a_line_is_begun(exporter):
    exporter.path.parent.mkdir()
    exporter.path.write_bytes(b"torn")
    exporter.send(messages(1))
    assert [0] == numbers(exporter.path)


def test_a_file_that_was_moved_away_is_begun_anew(exporter, tmp_path):
    exporter.send(messages(2))
    exporter.path.rename(tmp_path / "old")
    exporter.send(messages(2, first=2))
    assert [0, 1] == numbers(tmp_path / "old")
    assert [2, 3] == numbers(exporter.path)


def test_a_disk_that_refuses_is_told_and_leaves_no_torn_line(exporter, monkeypatch):
    exporter.send(messages(1))
    write = os.pwrite

    def full(descriptor, data, at):
        if at > 150:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:60], at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ExportError, match=r"readings\.jsonl: No space left on device"):
        exporter.send(messages(5, first=1))
    monkeypatch.undo()
    exporter.send(messages(5, first=1))
    found = numbers(exporter.path)
    assert 5 == found[-1]
    assert list(range(6)) == sorted(set(found))


def test_a_path_that_is_a_folder_is_told(tmp_path):
    exporter = FileExporter(FileConfig("f", str(tmp_path)), setting(tmp_path))
    with pytest.raises(ExportError, match="Is a directory"):
        exporter.send(messages(1))

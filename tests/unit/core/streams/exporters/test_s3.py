# SPDX-License-Identifier: Apache-2.0
"""Uploads to S3, which is moto's: tasks, parts, and what is told of them."""

from __future__ import annotations

import json

import pytest
from fake_exports import setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.s3 import S3Exporter
from greengrass_sdk.model.stream import (
    Message,
    S3ExportTaskExecutorConfig,
    StatusConfig,
    StatusLevel,
)

pytestmark = pytest.mark.sockets  # moto looks at the host's when it is imported

MIB = 1024 * 1024


@pytest.fixture
def s3(aws):
    client = aws("s3")
    client.create_bucket(Bucket="bucket")
    return client


@pytest.fixture
def told():
    return []


@pytest.fixture
def export(aws, told):
    made = []

    def make(level=StatusLevel.DEBUG, status_stream="status", threshold=None, **more):
        given = setting(append=lambda stream, data: told.append((stream, json.loads(data))), **more)
        config = S3ExportTaskExecutorConfig("3", threshold)
        config.status_config = StatusConfig(level, status_stream)
        exporter = S3Exporter(config, given)
        made.append(exporter)
        return exporter

    yield make
    for exporter in made:
        exporter.close()


def task(path, number=0, **changes):
    document = {"inputUrl": f"file://{path}", "bucket": "bucket", "key": "a/b.csv", **changes}
    return Message("s", number, 0, json.dumps(document).encode())


def statuses(told):
    return [(document["status"], document["statusLevel"]) for _, document in told]


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "input file.csv"
    file.write_bytes(b"some,readings\n")
    return file


def test_a_file_is_uploaded_with_its_metadata(s3, export, file):
    path = str(file).replace(" ", "%20")
    export().send([task(path, userMetadata={"origin": "plant"})])
    found = s3.get_object(Bucket="bucket", Key="a/b.csv")
    assert (b"some,readings\n", {"origin": "plant"}) == (found["Body"].read(), found["Metadata"])


def test_the_time_stands_in_the_key(s3, export, file):
    export().send([task(file, key="in/!{timestamp:yyyy}/x")])
    (one,) = s3.list_objects_v2(Bucket="bucket")["Contents"]
    assert one["Key"].startswith("in/2")
    assert one["Key"].endswith("/x")


def test_its_progress_is_told(s3, export, file, told):
    export().send([task(file, 7)])
    assert ["status", "status"] == [stream for stream, _ in told]
    assert [(2, 3), (0, 2)] == statuses(told)  # InProgress at DEBUG, Success at INFO
    _, done = told[1]
    assert (0, "uploaded to s3://bucket/a/b.csv") == (done["eventType"], done["message"])
    assert {
        "exportIdentifier": "3",
        "streamName": "s",
        "sequenceNumber": 7,
        "s3ExportTaskDefinition": {
            "inputUrl": f"file://{file}",
            "bucket": "bucket",
            "key": "a/b.csv",
        },
    } == done["statusContext"]
    assert done["timestampEpochMs"] > 1_600_000_000_000


@pytest.mark.parametrize(
    ("level", "expected"), [(None, [(0, 2)]), (StatusLevel.WARN, []), (StatusLevel.ERROR, [])]
)
def test_no_more_is_told_than_asked_for(s3, export, file, told, level, expected):
    export(level).send([task(file)])
    assert expected == statuses(told)


def test_nothing_is_told_without_a_status_stream(s3, export, file, told):
    export(status_stream=None).send([task(file)])
    exporter = export()
    exporter._config.status_config = None
    exporter.send([task(file)])
    assert [] == told


@pytest.mark.parametrize("size", [5 * MIB, 12 * MIB + 1])
def test_a_large_file_goes_up_in_parts(s3, export, file, size):
    content = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    file.write_bytes(content)
    paused: list[int] = []
    export(pause=paused.append).send([task(file)])
    found = s3.get_object(Bucket="bucket", Key="a/b.csv")
    assert content == found["Body"].read()
    assert f"-{len(paused)}" in found["ETag"]
    assert size == sum(paused)
    assert all(part == 5 * MIB for part in paused[:-1])


def test_the_threshold_is_the_exports_own(s3, export, file):
    file.write_bytes(bytes(6 * MIB))
    export(threshold=8 * MIB).send([task(file)])
    assert "-" not in s3.get_object(Bucket="bucket", Key="a/b.csv")["ETag"]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"no json", "the message is no S3 task in JSON: Expecting value"),
        (b"5", "the message is no S3 task: it is no JSON object"),
        (b"{}", "Property input_url is required, but was None"),
        (b'{"inputUrl": "file:///a", "bucket": "B", "key": "k"}', "Property bucket must have a"),
        (b'{"inputUrl": "http://h/a", "bucket": "bucket", "key": "k"}', "no file of this host"),
        (b'{"inputUrl": "file:///none/x", "bucket": "bucket", "key": "k"}', "No such file"),
        (
            b'{"inputUrl": "file:///etc/passwd", "bucket": "bucket", "key": "!{day:dd}"}',
            "placeholder 'day'",
        ),
        (
            b'{"inputUrl": "file:///a", "bucket": "bucket", "key": "k", "userMetadata": {"a": 1}}',
            "userMetadata must be texts",
        ),
        (b"[" * 100_000, "the message is no S3 task in JSON: maximum recursion"),
    ],
    ids=range(9),
)
def test_a_task_that_can_never_be_done_fails_and_the_next_one_is_done(
    s3, export, file, told, payload, text, caplog
):
    export().send([Message("s", 0, 0, payload), task(file, 1)])
    assert [(1, 0), (2, 3), (0, 2)] == statuses(told)
    assert text in told[0][1]["message"]
    assert any("task 0 failed" in line for line in caplog.messages)
    s3.get_object(Bucket="bucket", Key="a/b.csv")


def test_a_bucket_that_is_not_there_is_tried_again_in_order(aws, export, file, told):
    with pytest.raises(ExportError, match=r"s3: .*NoSuchBucket") as error:
        export().send([Message("s", 0, 0, b"never"), task(file, 1), task(file, 2)])
    assert 1 == error.value.done
    assert [(1, 0), (2, 3), (3, 1)] == statuses(told)  # Failure, InProgress, Warning


def test_parts_of_a_failed_upload_are_not_left_behind(s3, export, file, monkeypatch):
    file.write_bytes(bytes(6 * MIB))
    exporter = export()

    def fail(**_):
        raise OSError("no network")

    monkeypatch.setattr(exporter._client, "upload_part", fail)
    with pytest.raises(ExportError, match=r"^s3: no network$"):
        exporter.send([task(file)])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


def test_an_upload_that_cannot_be_taken_back_is_logged(s3, export, file, monkeypatch, caplog):
    file.write_bytes(bytes(6 * MIB))
    exporter = export()

    def fail(**_):
        raise OSError("no network")

    for name in ("upload_part", "abort_multipart_upload"):
        monkeypatch.setattr(exporter._client, name, fail)
    with pytest.raises(ExportError):
        exporter.send([task(file)])
    assert "s3: parts of a/b.csv are left in bucket bucket: no network" in caplog.messages


def test_a_core_that_stops_ends_an_upload(s3, export, file):
    file.write_bytes(bytes(6 * MIB))
    exporter = export()
    exporter._setting.stopping.set()
    with pytest.raises(ExportError, match="the core stops"):
        exporter.send([task(file)])


def test_a_file_outside_of_the_folders_is_not_read(s3, export, file, tmp_path, told):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    link = allowed / "link"
    link.symlink_to(file)
    inside = allowed / "inside"
    inside.write_bytes(b"x")
    exporter = export(read_only_dirs=(allowed,))
    exporter.send([task(file), task(link), task(inside)])
    assert [1, 1, 2, 0] == [document["status"] for _, document in told]

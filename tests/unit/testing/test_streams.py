# SPDX-License-Identifier: Apache-2.0
"""Streams of the double: the service itself on virtual time, exports to look at."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from greengrass_sdk import Client, errors
from greengrass_sdk.model.stream import (
    ExportDefinition,
    ExportFormat,
    FileConfig,
    HTTPConfig,
    KinesisConfig,
)
from greengrass_sdk.testing import FakeCore

client = Client()
seen: list[Any] = []


@pytest.fixture
def core():
    seen.clear()
    with FakeCore(start=1000.0) as core:
        yield core


def kinesis(**options):
    return ExportDefinition(kinesis=[KinesisConfig("k", "kinesis", **options)])


def appends(event, context):
    stream = client.stream("readings")
    seen.append(stream.append(event))
    return len(stream.read())


def waits(event, context):
    import time

    before = time.time()
    try:
        messages = client.stream("readings").read(0, timeout_s=event)
    except errors.NotEnoughMessagesError:
        messages = []
    seen.append((time.time() - before, [message.payload for message in messages]))


def test_functions_append_and_tests_look(core):
    core.add_function("writer", appends)
    core.stream("readings").create()
    core.invoke("writer", {"celsius": 21})
    assert 2 == core.invoke("writer", {"celsius": 22}).json()
    assert [0, 1] == seen
    found = core.stream("readings").read()
    assert [{"celsius": 21}, {"celsius": 22}] == [json.loads(m.payload) for m in found]
    assert {1000_000} == {message.ingest_time for message in found}


def test_a_function_that_waits_for_a_message_waits_in_virtual_time(core):
    core.add_function("reader", waits, timeout_s=60)
    core.stream("readings").create()
    core.invoke("reader", 30)
    assert [(30.0, [])] == seen


def later(act):
    """Return a handler that does something after five seconds."""

    def handler(event, context):
        import time

        time.sleep(5)
        act(client.stream("readings"))

    return handler


def together(core, act, *readers, **options):
    """Have functions that read, and one that acts five seconds later, begin at once."""
    core.add_function("actor", later(act), timeout_s=60)
    for number, reader in enumerate(readers):
        core.add_function(f"reader{number}", reader, timeout_s=60, **options)
        core.subscribe("cloud", "go", f"reader{number}")
    core.subscribe("cloud", "go", "actor")
    core.stream("readings").create()
    core.deliver("go", 30)


def test_a_function_that_waits_hears_of_a_message(core):
    together(core, lambda stream: stream.append(b"hello"), waits)
    assert [(5.0, [b"hello"])] == seen


def test_many_may_wait_at_once(core):
    together(core, lambda stream: stream.append(b"x"), *[waits] * 5)
    assert [(5.0, [b"x"])] * 5 == seen


def test_a_reader_hears_that_its_stream_is_deleted(core):
    def hears(event, context):
        try:
            client.stream("readings").read(0, timeout_s=30)
        except errors.StreamNotFoundError as error:
            seen.append(str(error))

    together(core, lambda stream: stream.delete(), hears)
    assert ["stream readings doesn't exist"] == seen


def test_errors_are_those_of_a_core(core):
    stream = core.stream("readings")
    with pytest.raises(errors.StreamNotFoundError):
        stream.append(b"x")
    stream.create(max_size=1024)
    with pytest.raises(errors.InvalidStreamRequestError, match="already exists"):
        stream.create()
    with pytest.raises(errors.StreamPayloadTooLargeError):
        stream.append(b"x" * 2000)
    assert 0 == stream.verify()["messages"]
    stream.update(flush_on_write=True)
    stream.delete()


def test_messages_expire_in_virtual_time(core):
    stream = core.stream("readings")
    stream.create(time_to_live_millis=60_000)
    stream.append(b"x")
    core.advance(minutes=2)
    with pytest.raises(errors.NotEnoughMessagesError):
        stream.read()


def test_exports_are_recorded_in_batches(core):
    stream = core.stream("readings")
    stream.create(export_definition=kinesis(batch_size=2))
    stream.append_many([b"a", b"b", b"c"])
    assert [("readings", "k", "kinesis", [b"a", b"b"]), ("readings", "k", "kinesis", [b"c"])] == [
        (each.stream, each.identifier, each.kind, each.payloads) for each in core.exports()
    ]
    [status] = stream.describe().export_statuses
    assert (2, 3) == (status.last_exported_sequence_number, status.exported_messages_count)
    assert [] == core.exports("other")


def test_a_batch_that_is_not_full_leaves_after_its_interval(core):
    stream = core.stream("readings")
    stream.create(export_definition=kinesis(batch_size=2, batch_interval_millis=60_000))
    stream.append(b"a")
    core.advance(59)
    assert [] == core.exports()
    core.advance(1)
    assert [[b"a"]] == [each.payloads for each in core.exports()]
    stream.append_many([b"b", b"c", b"d"])
    assert [[b"a"], [b"b", b"c"]] == [each.payloads for each in core.exports()]


def test_an_export_of_higher_priority_leaves_first(core):
    exports = ExportDefinition(
        kinesis=[KinesisConfig("later", "x"), KinesisConfig("first", "x", priority=1)]
    )
    stream = core.stream("readings")
    stream.create(export_definition=exports)
    stream.append(b"a")
    assert ["first", "later"] == [each.identifier for each in core.exports()]


class Server(HTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[bytes] = []
        self.statuses: list[int] = []


class Receiver(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.received.append(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def http(server, **options):
    uri = f"http://127.0.0.1:{server.server_port}/"
    config = HTTPConfig("h", uri, export_format=ExportFormat.RAW_NOT_BATCHED, **options)
    return ExportDefinition(http=[config])


@pytest.mark.sockets
def test_exports_of_a_kind_are_really_sent_if_a_test_wants_it(core, server):
    core.send_exports("http")
    stream = core.stream("readings")
    stream.create(export_definition=http(server))
    stream.append_many([b"a", b"b"])
    assert [[b"a", b"b"]] == [each.payloads for each in core.exports()]
    assert [b"a", b"b"] == server.received
    stream.delete()


@pytest.mark.sockets
def test_an_export_that_fails_is_tried_again_in_virtual_time(core, server, caplog):
    core.send_exports("http")
    stream = core.stream("readings")
    stream.create(export_definition=http(server))
    server.statuses[:] = [500, 500]
    stream.append(b"a")
    assert [] == core.exports()
    assert "500" in stream.describe().export_statuses[0].error_message
    core.advance(10)
    assert [b"a"] == server.received
    assert stream.describe().export_statuses[0].error_message is None


def test_a_kind_that_nobody_knows_is_refused(core):
    with pytest.raises(errors.InvalidInputError, match="no exports of kind 'pigeon'"):
        core.send_exports("pigeon")


def test_a_file_is_written_where_the_test_says(core, tmp_path):
    core.send_exports("file")
    stream = core.stream("readings")
    path = tmp_path / "out.jsonl"
    stream.create(export_definition=ExportDefinition(file=[FileConfig("f", str(path))]))
    stream.append(b"a")
    assert 1 == len(core.exports())
    assert 1 == len(path.read_text().splitlines())


def test_a_group_file_without_a_stream_manager_has_none(core, tmp_path):
    (tmp_path / "group.toml").write_text('schema = 1\n[group]\nname = "g"\ncore = "c"\n')
    core.load(tmp_path)
    with pytest.raises(errors.StreamsDisabledError, match="enabled = true"):
        core.stream("readings").create()
    assert [] == core.exports()

# SPDX-License-Identifier: Apache-2.0
"""Exports to a real HTTP server that answers, fails, slows down and goes away."""

from __future__ import annotations

import base64
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.http import HTTPExporter
from greengrass_sdk.model.stream import ExportFormat, HTTPConfig

pytestmark = pytest.mark.sockets


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fate = self.server.fates.pop(0) if self.server.fates else 200
        if fate == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.server.requests.append((self.path, dict(self.headers), body))
        if fate == "slow":
            self.server.go.wait(10)
            fate = 200
        close = fate == "close"
        self.send_response(200 if close else fate)
        answer = b"" if fate == 204 else b"an  answer\nin lines"
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        if close:  # without a word
            self.close_connection = True

    def log_message(self, *arguments):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.fates = []
        self.go = threading.Event()


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.go.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def export(server):
    made = []

    def make(path="/in?x=1", login="", timeout_s=5.0, **more):
        uri = f"http://{login}127.0.0.1:{server.server_port}{path}"
        exporter = HTTPExporter(HTTPConfig("h", uri, **more), setting(timeout_s=timeout_s))
        made.append(exporter)
        return exporter

    yield make
    for exporter in made:
        exporter.close()


def test_each_message_is_a_post_with_its_payload(server, export):
    exporter = export()
    exporter.send(messages(2))
    exporter.send(messages(1, first=2))
    assert [b"0000", b"0001", b"0002"] == [body for _, _, body in server.requests]
    path, headers, _ = server.requests[1]
    assert "/in?x=1" == path
    assert ("s", "1", "1000001", "application/octet-stream") == (
        headers["X-Stream-Name"],
        headers["X-Sequence-Number"],
        headers["X-Ingest-Time"],
        headers["Content-Type"],
    )


def test_a_batch_is_a_json_list(server, export):
    export(export_format=ExportFormat.JSON_BATCHED).send(messages(2))
    ((_, headers, body),) = server.requests
    assert "application/json" == headers["Content-Type"]
    assert [
        {
            "streamName": "s",
            "sequenceNumber": number,
            "ingestTime": 1_000_000 + number,
            "payload": base64.b64encode(b"%04d" % number).decode(),
        }
        for number in range(2)
    ] == json.loads(body)


def test_a_login_in_the_uri_is_sent_and_never_told(server, export):
    server.fates = [403]
    with pytest.raises(ExportError) as error:
        export(login="me:secret@").send(messages(1))
    assert (
        "Basic " + base64.b64encode(b"me:secret").decode() == server.requests[0][1]["Authorization"]
    )
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("status", [201, 204])
def test_any_success_is_an_acknowledgement(server, export, status):
    server.fates = [status]
    export().send(messages(1))


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_another_status_is_told_with_what_the_server_said(server, export, status):
    server.fates = [200, 200, status]
    with pytest.raises(ExportError) as error:
        export().send(messages(5))
    assert 2 == error.value.done
    assert str(error.value).endswith(f" answered {status} an answer in lines")


def test_a_connection_that_was_closed_meanwhile_is_made_anew(server, export):
    exporter = export()
    server.fates = ["close"]
    exporter.send(messages(1))
    exporter.send(messages(2, first=1))
    assert 3 == len(server.requests)


def test_a_server_that_drops_the_connection_is_told(server, export):
    exporter = export()
    server.fates = [200, "drop", "drop"]
    with pytest.raises(ExportError) as error:
        exporter.send(messages(3))
    assert 1 == error.value.done
    exporter.send(messages(2, first=1))
    assert [b"0000", b"0001", b"0002"] == [body for _, _, body in server.requests]


def test_a_server_that_is_too_slow_is_told(server, export):
    server.fates = ["slow"]
    with pytest.raises(ExportError, match="timed out"):
        export(timeout_s=0.05).send(messages(1))


def test_nobody_listening_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        exporter = HTTPExporter(HTTPConfig("h", f"http://127.0.0.1:{port}/"), setting())
        with pytest.raises(ExportError, match=f"http://127.0.0.1:{port}: .*refused"):
            exporter.send(messages(1))


@pytest.mark.parametrize("uri", ["ftp://host/", "host:80", "http://", "http://host:99999/"])
def test_what_is_no_uri_is_told(uri):
    with pytest.raises(ExportError, match="no URI"):
        HTTPExporter(HTTPConfig("h", uri), setting())


def test_https_is_verified(server):
    uri = f"https://127.0.0.1:{server.server_port}/"
    exporter = HTTPExporter(HTTPConfig("h", uri), setting(timeout_s=0.5))
    with pytest.raises(ExportError, match=r"(?i)ssl|timed out"):
        exporter.send(messages(1))
    exporter.close()

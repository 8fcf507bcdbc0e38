# SPDX-License-Identifier: Apache-2.0
"""Exports to NATS where there is no server, or none that keeps; a real one: test_stream_exports."""

from __future__ import annotations

import socket
import threading

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.nats import NATSExporter
from greengrass_sdk.model.stream import NATSConfig

pytest.importorskip("nats")
pytestmark = pytest.mark.sockets


class Server:
    """NATS without JetStream: nobody answers a publish, and the server says so."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self.socket.getsockname()[1]}"
        self.published = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()

    def _serve(self):
        try:
            one, _ = self.socket.accept()
        except OSError:
            return
        with one, one.makefile("rb") as reader:
            one.sendall(
                b'INFO {"server_id":"x","version":"2.10.0","headers":true,'
                b'"max_payload":1048576}\r\n'
            )
            while line := reader.readline():
                command, *rest = line.decode().split()
                if command == "PING":
                    one.sendall(b"PONG\r\n")
                elif command == "HPUB":
                    subject, reply, _, size = rest
                    self.published.append((subject, reader.read(int(size) + 2)))
                    one.sendall(f"HMSG {reply} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n".encode())


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def test_a_subject_that_nobody_keeps_is_told(server):
    exporter = NATSExporter(NATSConfig("n", server.url, "plant.readings"), setting(timeout_s=2.0))
    with pytest.raises(ExportError, match="no JetStream keeps subject plant") as error:
        exporter.send(messages(2))
    exporter.close()
    assert 0 == error.value.done
    subject, message = server.published[0]
    assert "plant.readings" == subject
    assert b"Nats-Msg-Id: s:0\r\n" in message
    assert not exporter._thread.is_alive()


def test_a_server_that_is_not_there_is_told_and_leaves_no_thread():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{unused.getsockname()[1]}"
        before = threading.active_count()
        with pytest.raises(ExportError, match=r"refused|Connect call failed"):
            NATSExporter(NATSConfig("n", url, "s"), setting(timeout_s=1.0))
        assert before == threading.active_count()

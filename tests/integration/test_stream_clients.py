# SPDX-License-Identifier: Apache-2.0
"""
The stream manager as its clients see it: AWS's, unmodified, and ours.

AWS's are installed from their registries: PyPI `stream-manager`, `greengrasssdk` 1.6.1 in the zip
of a function, npm `aws-greengrass-core-sdk`. All have the same conversation.

Ref: Greengrass V1 guide, "Use StreamManagerClient to work with streams"
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from projects import write_project
from running_core import EVENT_S, RunningCore
from stream_conversation import EXPECTED

from greengrass_sdk import Client

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(180)]

SUPPORT = Path(__file__).parents[1] / "support"
HANDLER = """
    import greengrasssdk.stream_manager as sm
    from stream_conversation import converse

    client = sm.StreamManagerClient()


    def handler(event, context):
        over_port = event.get("port")
        own = sm.StreamManagerClient(port=over_port) if over_port else client
        return [sm.__file__, converse(sm, own, event["name"])]
"""
PYTHON_CLIENT = """
    import asyncio
    import json
    import sys

    import stream_manager as sm
    from stream_conversation import converse

    client = sm.StreamManagerClient(request_timeout=float(sys.argv[1]))
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            if command == "converse":
                answer = converse(sm, client, *arguments)
            elif command == "append":
                answer = client.append_message(arguments[0], arguments[1].encode())
            elif command == "create":
                definition = sm.MessageStreamDefinition(
                    name=arguments[0], strategy_on_full=sm.StrategyOnFull.OverwriteOldestData
                )
                answer = client.create_message_stream(definition)
            elif command == "wait":
                least, ms = arguments[1:]
                options = sm.ReadMessagesOptions(min_message_count=least, read_timeout_millis=ms)
                answer = len(client.read_messages(arguments[0], options))
            elif command == "list":
                answer = client.list_streams()
        except asyncio.TimeoutError:
            answer = "TimeoutError"
        except (sm.StreamManagerException, ConnectionError) as error:
            answer = type(error).__name__
        print(json.dumps(answer), flush=True)
"""
NODE_CLIENT = """
    const sm = require('aws-greengrass-core-sdk/stream-manager');
    const quiet = { error() {}, debug() {}, info() {}, warn() {} };
    const name = process.argv[2];
    const told = [];
    async function ask(call) {
        try {
            const answer = await call();
            told.push(Array.isArray(answer) ? answer.length : typeof answer === 'object' ? 'object'
                : answer === undefined ? null : answer);
            return answer;
        } catch (error) {
            told.push(error.constructor.name);
        }
    }
    function definition(given = name) {
        return new sm.MessageStreamDefinition().withName(given)
            .withStrategyOnFull(sm.StrategyOnFull.RejectNewData);
    }
    const client = new sm.StreamManagerClient({ logger: quiet, onErrorCb: (error) => {
        console.log(JSON.stringify(String(error)));
        process.exit(1);
    }, onConnectCb: async () => {
        await ask(() => client.deleteMessageStream(name));
        await ask(() => client.createMessageStream(definition()));
        await ask(() => client.createMessageStream(definition()));
        await ask(() => client.createMessageStream(definition('a/b')));
        const appends = [];
        for (let number = 0; number < 20; number += 1) {
            appends.push(client.appendMessage(name, Buffer.alloc(100000, number)));
        }
        told.push(await Promise.all(appends));
        const options = new sm.ReadMessagesOptions().withDesiredStartSequenceNumber(5)
            .withMinMessageCount(3).withMaxMessageCount(4).withReadTimeoutMillis(500);
        const messages = await ask(() => client.readMessages(name, options));
        told.push(messages.map((message) => [message.sequenceNumber, message.payload[99999]]));
        options.withMinMessageCount(99).withMaxMessageCount(99);
        await ask(() => client.readMessages(name, options));
        told.push((await client.listStreams()).includes(name));
        const info = await ask(() => client.describeMessageStream(name));
        told.push([info.storageStatus.oldestSequenceNumber, info.storageStatus.newestSequenceNumber,
            info.definition.maxSize]);
        await ask(() => client.updateMessageStream(definition().withMaxSize(2 ** 40)));
        told.push((await client.describeMessageStream(name)).definition.maxSize);
        await ask(() => client.appendMessage(name, Buffer.alloc(0)));
        await ask(() => client.deleteMessageStream(name));
        await ask(() => client.describeMessageStream(name));
        console.log(JSON.stringify(told));
        client.close();
    } });
"""
NODE_EXPECTED = [
    "ResourceNotFoundException",
    None,
    "InvalidRequestException",
    "ValidationException",
    list(range(20)),
    4,
    [[number, number] for number in range(5, 9)],
    "NotEnoughMessagesException",
    True,
    "object",
    [0, 19, 268435456],
    None,
    2**40,
    "ValidationException",
    None,
    "ResourceNotFoundException",
]


@pytest.fixture(scope="module")
def packages(registry, tmp_path_factory):
    """Return a folder with AWS's two Python packages; `cbor2` is this environment's."""
    folder = tmp_path_factory.mktemp("packages")
    for name, version in (("greengrasssdk", "1.6.1"), ("stream-manager", "1.1.1")):
        install = ["install", "-q", "--no-deps", "--target", folder / name, f"{name}=={version}"]
        subprocess.run([registry, *install], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """Return a folder with AWS's package for Node."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run(
        [*install, "aws-greengrass-core-sdk@1.7.0"], check=False, capture_output=True, timeout=120
    )
    if done.returncode:
        pytest.skip("npm reaches no package registry")
    return folder / "node_modules"


def project_in(folder, packages=None, port=0):
    functions = {"native": {"handler": "main.handler", "timeout_s": 60, "pinned": True}}
    code = {
        "main": HANDLER,
        "stream_conversation": (SUPPORT / "stream_conversation.py").read_text(),
    }
    project = write_project(
        folder, code, functions, clients=["tester"], streams={"enabled": True, "port": port}
    )
    if packages is not None:
        zipped = folder / "zip"
        shutil.copytree(packages / "greengrasssdk", zipped)
        for file in (project / "code").iterdir():
            shutil.copy(file, zipped)
        archive = shutil.make_archive(str(folder / "vendored"), "zip", zipped)
        with (project / "group.toml").open("a") as group:
            group.write(
                f'\n[functions.vendored]\ncode = {json.dumps(archive)}\nhandler = "main.handler"\n'
                'sdk = "bundled"\ntimeout_s = 60\npinned = true\n'
            )
    return project


def port_of(core):
    message = core.log(None, "the stream manager listens on ")["message"]
    return int(message.rpartition(":")[2])


def environment_of(core, port, **more):
    token = (core.root / "ggc/var/state/tokens/tester").read_text()
    return {
        **os.environ,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        "STREAM_MANAGER_SERVER_PORT": str(port),
        **more,
    }


@pytest.fixture(scope="module")
def core(packages, tmp_path_factory):
    with RunningCore(project_in(tmp_path_factory.mktemp("streams"), packages)) as running:
        yield running


@pytest.fixture(scope="module")
def tester(core):
    with Client(root=core.root, name="tester") as client:
        yield client


class PythonClient:
    """AWS's Python client in a process of its own."""

    def __init__(self, packages, environment, request_timeout_s=60.0):
        path = os.pathsep.join([str(packages / "stream-manager"), str(SUPPORT)])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", textwrap.dedent(PYTHON_CLIENT), str(request_timeout_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": path},
        )

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._process.kill()
        self._process.communicate()

    def send(self, *command):
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def answer(self):
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.stderr.read())
        return json.loads(line)

    def ask(self, *command):
        self.send(*command)
        return self.answer()


def test_a_function_with_our_sdk_has_the_conversation(tester):
    file, told = tester.invoke("native", {"name": "native"}).json()
    assert "dropin" in file
    assert EXPECTED == told


def test_a_function_with_our_sdk_has_it_over_the_port(core, tester):
    assert EXPECTED == tester.invoke("native", {"name": "tcp", "port": port_of(core)}).json()[1]


@pytest.mark.needs_network
def test_a_function_with_awss_sdk_has_it(tester):
    file, told = tester.invoke("vendored", {"name": "vendored"}).json()
    assert "function:vendored:1/" in file
    assert EXPECTED == told


@pytest.mark.needs_network
def test_two_of_awss_clients_have_it_at_once(core, packages):
    environment = environment_of(core, port_of(core))
    with (
        PythonClient(packages, environment) as first,
        PythonClient(packages, environment) as second,
    ):
        first.send("converse", "first")
        second.send("converse", "second")
        assert EXPECTED == first.answer()
        assert EXPECTED == second.answer()


@pytest.mark.needs_network
def test_awss_client_for_node_has_one(core, node_modules):
    environment = environment_of(core, port_of(core), NODE_PATH=str(node_modules))
    done = subprocess.run(
        ["node", "-e", textwrap.dedent(NODE_CLIENT), "-", "node"],
        env=environment,
        capture_output=True,
        timeout=EVENT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert NODE_EXPECTED == json.loads(done.stdout)


@pytest.mark.needs_network
@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_client_without_a_token_is_refused(core, packages, token):
    environment = environment_of(core, port_of(core), AWS_CONTAINER_AUTHORIZATION_TOKEN=token)
    with (
        PythonClient(packages, environment) as client,
        pytest.raises(AssertionError, match="ConnectFailedException"),
    ):
        client.ask("list")


def test_no_stranger_harms_the_server(core, tester):
    """All that the fuzzer knows, on connections of their own; what they leave open is closed."""
    port = port_of(core)
    inputs = sorted((Path(__file__).parents[1] / "fuzz/corpus/streams").iterdir())
    before = core.status()["pid"]
    for file in inputs:
        with socket.create_connection(("127.0.0.1", port), 10) as stranger:
            stranger.settimeout(0.2)
            with contextlib.suppress(OSError):
                stranger.sendall(file.read_bytes()[1:])
                stranger.shutdown(socket.SHUT_WR)
                answer = b""
                while data := stranger.recv(65536):
                    answer += data
                assert len(answer) < 10_000
    assert len(inputs) > 20
    assert before == core.status()["pid"]
    assert EXPECTED == tester.invoke("native", {"name": "unharmed", "port": port}).json()[1]


@pytest.mark.needs_network
def test_a_long_read_that_finds_nothing_leaves_the_client_usable(core, packages):
    """Its own timeout is no longer than the read: the answer must come first."""
    with PythonClient(packages, environment_of(core, port_of(core)), 1.0) as client:
        assert client.ask("create", "slow") is None
        assert "NotEnoughMessagesException" == client.ask("wait", "slow", 5, 1000)
        assert 0 == client.ask("append", "slow", "a")


@pytest.mark.needs_network
def test_a_request_that_takes_longer_than_its_timeout_leaves_the_client_usable(core, packages):
    with PythonClient(packages, environment_of(core, port_of(core)), 1.0) as client:
        assert client.ask("create", "stopped") is None
        core.process.send_signal(signal.SIGSTOP)
        try:
            assert "TimeoutError" == client.ask("append", "stopped", "while it was stopped")
        finally:
            core.process.send_signal(signal.SIGCONT)
        core.log(None, "may have waited too long")
        assert isinstance(client.ask("append", "stopped", "after"), int)
        assert "stopped" in client.ask("list")


@pytest.mark.needs_network
def test_a_client_outlives_the_server(packages, tmp_path):
    """It connects again by itself, and what was acknowledged is there."""
    project = project_in(tmp_path)
    with RunningCore(project) as first:
        port = port_of(first)
        environment = environment_of(first, port)
        client = PythonClient(packages, environment)
        client.__enter__()
        assert client.ask("create", "kept") is None
        assert 0 == client.ask("append", "kept", "a")
    with client:
        assert client.ask("append", "kept", "b") in ("ConnectionRefusedError", "TimeoutError")
        text = (project / "group.toml").read_text().replace("port = 0", f"port = {port}")
        (project / "group.toml").write_text(text)
        with RunningCore(project) as second:
            assert port == port_of(second)
            assert 1 == client.ask("append", "kept", "c")
            assert ["kept"] == client.ask("list")


@pytest.mark.needs_network
def test_a_read_hears_of_the_servers_end_by_its_own_timeout(packages, tmp_path):
    project = project_in(tmp_path)
    with RunningCore(project) as core:
        client = PythonClient(packages, environment_of(core, port_of(core)), 3.0)
        client.__enter__()
        assert client.ask("create", "s") is None
        client.send("wait", "s", 5, 3000)
        core.wait_for_status(lambda status: True)
    with client:
        assert client.answer() in ("TimeoutError", "NotEnoughMessagesException")


@pytest.mark.needs_network
def test_the_settings_of_a_group_are_kept(packages, tmp_path):
    """Another port and place, and no token asked for."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    project = project_in(tmp_path / "project", port=port)
    text = (project / "group.toml").read_text()
    settings = f'authenticate_client = false\nstore_dir = "{tmp_path}/data"\n'
    (project / "group.toml").write_text(text.replace("[streams]\n", f"[streams]\n{settings}"))
    with RunningCore(project) as core, Client(root=core.root, name="tester") as tester:
        assert port == port_of(core)
        environment = environment_of(core, port, AWS_CONTAINER_AUTHORIZATION_TOKEN="")
        with PythonClient(packages, environment) as client:
            assert client.ask("create", "s") is None
            assert 0 == client.ask("append", "s", "a")
        assert b"a" == tester.stream("s").read()[0].payload
        assert any(path.is_file() for path in (tmp_path / "data").rglob("*"))


def test_a_group_without_streams_refuses_the_connection(tmp_path):
    code = """
        import greengrasssdk.stream_manager as sm

        def handler(event, context):
            try:
                sm.StreamManagerClient()
            except ConnectionRefusedError as error:
                return str(error)
    """
    project = write_project(tmp_path, {"main": code}, {"main": {"timeout_s": 20}}, clients=["t"])
    with RunningCore(project) as core, Client(root=core.root, name="t") as client:
        assert "[streams]" in client.invoke("main", {}).json()

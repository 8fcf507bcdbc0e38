# SPDX-License-Identifier: Apache-2.0
import asyncio
import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from greengrass_sdk import _native
from greengrass_sdk._native import FrameDecoder, Kind, TopicIndex, encode_frame
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import Route
from greengrass_sdk.core.ipc import listener as module
from greengrass_sdk.core.ipc.listener import Client, Listener
from greengrass_sdk.core.ipc.tools import Tools
from greengrass_sdk.core.router.driver import RouterDriver
from greengrass_sdk.errors import ConfigError
from greengrass_sdk.wire import control

if TYPE_CHECKING:
    from greengrass_sdk._native._py.router.events import Send

TOOL, PANEL, SERVICE = 1, 2, 3


class FakeTools(Tools):
    """Answers every request with its name."""

    def __init__(self) -> None:
        """Need nothing."""

    def ask(self, request, answer):
        answer({"ok": True, "asked": request["op"]})


class Bench:
    def __init__(self, folder, make=Router):
        loop = asyncio.get_running_loop()
        machine = make(work_items=10, topic_payload_bytes=100, invoke_payload_bytes=100)
        machine.define_peer_target(PANEL, queue_items=1, queue_bytes=100)
        rings = None if make is Router else machine
        self.driver = RouterDriver(machine, loop, rings=rings)
        self.driver.serve(TOOL, lambda _: None)
        self.listener = Listener(
            loop,
            self.driver,
            FakeTools(),
            {"panel": Client("panel", PANEL, "arn:panel", "panel-token")},
            {
                "version": 1,
                "boot": bytes(8),
                "strict": False,
                "features": [],
                "limits": {"topic_payload_bytes": 100, "invoke_payload_bytes": 100},
            },
            "tool-token",
            TOOL,
        )
        self.path = folder / "ipc.sock"
        self.listener.open(self.path)
        self.peers = []

    def connect(self):
        peer = Peer(self.path)
        self.peers.append(peer)
        return peer

    def close(self):
        for peer in self.peers:
            peer.sock.close()
        self.listener.close()
        self.driver.close()


class Peer:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        folder = os.open(path.parent, os.O_PATH)
        self.sock.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        self.sock.setblocking(False)
        self.decoder = FrameDecoder()

    def say(self, message, number=1):
        payload = control.encode(message)
        self.sock.sendall(encode_frame(Kind.CONTROL, id=number, payload=payload))

    def hello(self, role="client", token="panel-token", name="panel", **changes):
        self.say({**control.Hello(role, token, name=name, pid=1).to_wire(), **changes})

    async def hear(self):
        """Return the next control message, None at the end."""
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(BlockingIOError):
                    data = self.sock.recv(65536)
                    if not data:
                        return None
                    if frames := self.decoder.feed(data):
                        return control.decode(frames[0].payload)
                await asyncio.sleep(0)


@pytest.fixture
def scenario(tmp_path):
    def run(play, **options):
        async def play_all():
            bench = Bench(tmp_path, **options)
            try:
                await play(bench)
            finally:
                bench.close()

        asyncio.run(play_all())

    return run


def test_a_declared_client_with_its_token_is_welcome(scenario):
    async def play(bench):
        peer = bench.connect()
        peer.hello()
        welcome = await peer.hear()
        assert ("welcome", PANEL, "arn:panel") == (
            welcome["op"],
            welcome["endpoint"],
            welcome["address"],
        )
        assert ["panel"] == list(bench.listener.connected)
        peer.sock.close()
        while bench.listener.connected:
            await asyncio.sleep(0)

    scenario(play)


async def _welcome_with_descriptors(peer):
    """Return a welcome, and the descriptors that came with it."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(BlockingIOError):
                data, descriptors, _, _ = socket.recv_fds(peer.sock, 65536, 3)
                (frame,) = peer.decoder.feed(data)
                return control.decode(frame.payload), descriptors
            await asyncio.sleep(0)


@pytest.mark.skipif(_native.impl != "c", reason="rings are in the extension")
def test_a_client_that_can_is_on_rings_after_the_welcome(scenario):
    from greengrass_sdk._native import _plane as plane, _ring as ring

    async def play(bench):
        heard: list[Send] = []
        bench.driver.serve(SERVICE, heard.append)
        index = TopicIndex()
        index.add(PANEL, b"up", 0)
        bench.driver.machine.install_routes(index, [Route("up", SERVICE)])
        bench.driver.start()
        peer = bench.connect()
        peer.hello(features=["ring"])
        welcome, descriptors = await _welcome_with_descriptors(peer)
        assert (["ring"], PANEL) == (welcome["features"], welcome["endpoint"])
        channel = ring.RingChannel(peer.sock, *descriptors)
        channel.send(Kind.PUBLISH, endpoint=PANEL, topic=b"up", payload=b"over the ring")
        while not heard:
            await asyncio.sleep(0)
        assert b"over the ring" == heard[0].payload
        assert ["panel"] == list(bench.listener.connected)
        channel.close()
        while bench.listener.connected:
            await asyncio.sleep(0)

    scenario(play, make=plane.Plane)


@pytest.mark.skipif(_native.impl != "c", reason="rings are in the extension")
@pytest.mark.parametrize("changes", [{}, {"features": ["other"]}])
def test_a_client_that_does_not_say_ring_stays_on_its_socket(scenario, changes):
    from greengrass_sdk._native import _plane as plane

    async def play(bench):
        peer = bench.connect()
        peer.hello(**changes)
        welcome, descriptors = await _welcome_with_descriptors(peer)
        assert ([], []) == (welcome["features"], descriptors)

    scenario(play, make=plane.Plane)


def test_a_tool_of_the_owner_is_answered(scenario):
    async def play(bench):
        peer = bench.connect()
        peer.hello("tool", "tool-token", None)
        assert TOOL == (await peer.hear())["endpoint"]
        peer.say({"op": "status"}, number=2)
        assert {"ok": True, "asked": "status"} == await peer.hear()

    scenario(play)


@pytest.mark.parametrize(
    ("hello", "code", "text"),
    [
        ({"token": "wrong"}, "Authorization", "the token is not the one of client 'panel'"),
        ({"name": "ghost"}, "Authorization", r"no [clients.ghost] in the group; declared: panel"),
        ({"version": 2}, "ProtocolVersion", "protocol version 2 is not spoken here"),
        ({"role": "tool", "token": "x"}, "Authorization", "the tool token is not this core's"),
    ],
)
def test_a_hello_that_is_not_good_is_refused_with_its_reason(scenario, hello, code, text):
    async def play(bench):
        peer = bench.connect()
        peer.hello(**hello)
        refused = await peer.hear()
        assert ("refused", code) == (refused["op"], refused["code"])
        assert text in refused["message"]
        assert await peer.hear() is None

    scenario(play)


def test_a_second_connection_of_a_client_is_refused(scenario):
    async def play(bench):
        first, second = bench.connect(), bench.connect()
        first.hello()
        await first.hear()
        second.hello()
        assert "connected already (pid " in (await second.hear())["message"]

    scenario(play)


@pytest.mark.parametrize("rings", [False, True])
def test_a_client_that_closed_may_connect_again_at_once(scenario, rings):
    """Whether or not the core was told of the end before it reads the next hello."""
    make = pytest.importorskip("greengrass_sdk._native._plane").Plane if rings else Router

    async def play(bench):
        if rings:
            bench.driver.start()
        peer = bench.connect()
        for _ in range(20):
            peer.hello(features=[control.RING] if rings else [])
            assert "welcome" == (await peer.hear())["op"]
            peer.sock.close()
            peer = bench.connect()

    scenario(play, make=make)


def test_a_tool_of_another_user_is_refused(scenario, monkeypatch):
    monkeypatch.setattr("greengrass_sdk.core.ipc.listener.os.geteuid", lambda: 4711)
    monkeypatch.setattr(module, "_ROOT", 4712)

    async def play(bench):
        peer = bench.connect()
        peer.hello("tool", "tool-token", None)
        assert "only the owner of this core (uid 4711)" in (await peer.hear())["message"]

    scenario(play)


def test_a_connection_that_says_nothing_is_closed(scenario, monkeypatch):
    monkeypatch.setattr(module, "_HELLO_S", 0.01)

    async def play(bench):
        assert await bench.connect().hear() is None

    scenario(play)


def test_garbage_instead_of_a_hello_ends_the_connection(scenario):
    async def play(bench):
        peer = bench.connect()
        peer.sock.sendall(encode_frame(Kind.CONTROL, payload=b"\xc1"))
        assert await peer.hear() is None
        other = bench.connect()
        other.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await other.hear() is None

    scenario(play)


def test_too_many_connections_without_a_hello_are_refused(scenario, monkeypatch):
    monkeypatch.setattr(module, "_UNKNOWN_PEERS", 1)

    async def play(bench):
        first = bench.connect()
        assert await bench.connect().hear() is None
        first.hello()
        assert "welcome" == (await first.hear())["op"]
        later = bench.connect()
        later.hello("tool", "tool-token", None)
        assert "welcome" == (await later.hear())["op"]

    scenario(play)


def test_the_socket_is_the_owners_and_goes_with_the_listener(tmp_path):
    async def play():
        bench = Bench(tmp_path)
        assert 0o600 == stat.S_IMODE(bench.path.stat().st_mode)
        bench.close()
        bench.listener.close()
        assert not bench.path.exists()

    asyncio.run(play())


def test_a_path_longer_than_a_socket_address_works(tmp_path, scenario):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)

    async def play():
        bench = Bench(deep)
        peer = bench.connect()
        peer.hello()
        assert "welcome" == (await peer.hear())["op"]
        bench.close()

    asyncio.run(play())


def test_a_stale_socket_is_replaced(tmp_path):
    (tmp_path / "ipc.sock").write_text("")

    async def play():
        Bench(tmp_path).close()

    asyncio.run(play())


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path):
    async def play():
        with pytest.raises(ConfigError, match=r"cannot listen at .*; check the folder.s owner"):
            Bench(tmp_path / "missing")

    asyncio.run(play())

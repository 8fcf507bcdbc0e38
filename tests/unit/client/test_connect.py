# SPDX-License-Identifier: Apache-2.0
"""Finding cores and connecting to them."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fake_core import ADDRESS, BOOT, ENDPOINT, ListeningCore, answered

from greengrass_sdk import _native
from greengrass_sdk._native import Frame, FrameDecoder, Kind, encode_frame
from greengrass_sdk.client import connect
from greengrass_sdk.errors import (
    AuthorizationError,
    CoreUnavailableError,
    InvalidInputError,
    RemoteProtocolError,
)
from greengrass_sdk.wire import control


@contextmanager
def running(root, pid=None):
    """Hold the lock of a root, and register it, as a core does."""
    lock = connect.write_dir(root) / "var" / "state" / "core.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    if pid is not None:
        connect.running_dir().mkdir(parents=True, exist_ok=True)
        (connect.running_dir() / str(pid)).write_text(f"{root}\n")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- finding


def test_cores_register_in_the_runtime_folder_of_the_user(monkeypatch, tmp_path):
    assert tmp_path / "run" / "greengrass" == connect.running_dir()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert tmp_path / f"greengrass-{os.geteuid()}" == connect.running_dir()


def test_a_core_runs_while_it_holds_its_lock(tmp_path):
    assert not connect.is_running(tmp_path)
    with running(tmp_path):
        assert connect.is_running(tmp_path)
    assert not connect.is_running(tmp_path)


def test_the_running_cores_are_those_registered_that_hold_their_lock(tmp_path):
    assert [] == connect.running_cores()
    dead = tmp_path / "dead"
    with running(dead, 3):
        pass
    one, two = tmp_path / "one", tmp_path / "two"
    (connect.running_dir() / "README").write_text("no core")
    (connect.running_dir() / "5").write_text("relative/path")
    with running(two, 20), running(one, 4):
        assert [(4, one), (20, two)] == connect.running_cores()


def test_a_core_that_ends_while_it_is_looked_up_is_not_listed(tmp_path):
    with running(tmp_path / "one", 4):
        (connect.running_dir() / "5").symlink_to("gone")
        assert [(4, tmp_path / "one")] == connect.running_cores()


def test_a_folder_of_somebody_else_is_not_trusted(tmp_path, monkeypatch):
    with running(tmp_path / "one", 4):
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert [] == connect.running_cores()


def test_the_core_is_the_one_that_was_named_then_the_nearest_then_the_only_one(
    tmp_path, monkeypatch
):
    with running(tmp_path / "only", 4):
        assert tmp_path / "only" == connect.find_core()
        with running(tmp_path / ".greengrass"):
            assert tmp_path / ".greengrass" == connect.find_core()
            monkeypatch.setenv("GREENGRASS_ROOT", "from/environment")
            assert tmp_path / "from" / "environment" == connect.find_core()
            assert Path("/named") == connect.find_core("/named")


def test_none_or_several_cores_are_an_error_that_helps(tmp_path):
    with pytest.raises(CoreUnavailableError, match="greengrass run FOLDER"):
        connect.find_core()
    with running(tmp_path / "one", 1), running(tmp_path / "two", 2):
        with pytest.raises(CoreUnavailableError) as caught:
            connect.find_core()
        assert f"  {tmp_path / 'one'} (pid 1)\n  {tmp_path / 'two'} (pid 2)" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        (json.dumps({"writeDirectory": "/elsewhere"}), "/elsewhere"),
        (json.dumps({"writeDirectory": "relative"}), None),
        (json.dumps({"coreThing": {}}), None),
        ('{"writeDirectory": 5}', None),
        ('["writeDirectory"]', None),
        ('{"writeDirectory": ', None),
        (b"\xff", None),
    ],
)
def test_the_write_directory_of_the_core_is_where_its_socket_is(tmp_path, text, folder):
    (tmp_path / "config").mkdir()
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "config" / "config.json").write_bytes(data)
    assert Path(folder) if folder else tmp_path / "ggc" == connect.write_dir(tmp_path)


# --- connecting


def test_a_client_says_who_it_is_and_is_told_who_it_is(tmp_path):
    with ListeningCore(tmp_path / "root") as listening:
        session = connect.connect_client(listening.root, "probe")
        (hello,) = listening.connections[0].wait(1)
        session.channel.close()
    said = control.parse_hello(control.decode(hello.payload))
    assert ("client", "probe", "probe's token", os.getpid()) == (
        *(said.role, said.name, said.token, said.pid),
    )
    assert (ENDPOINT, ADDRESS, BOOT) == (session.endpoint, session.identity, session.boot)
    assert (131_072, False) == (session.topic_payload_bytes, session.strict)


class Scripted(ListeningCore):
    """A core that answers a hello with bytes and descriptors, then ends the connection or stays."""

    def __init__(self, root, answer=b"", descriptors=(), *, stays=True):
        self.answer, self.descriptors, self.stays = answer, descriptors, stays
        self.hellos, self.sockets = [], []
        super().__init__(root)

    def _run(self):
        with suppress(OSError):
            sock, _ = self._sock.accept()
            self.sockets.append(sock)
            self.hellos += FrameDecoder().feed(sock.recv(65536))
            if self.answer:
                socket.send_fds(sock, [self.answer], self.descriptors)
            if not self.stays:
                sock.close()

    def __exit__(self, *failure):
        super().__exit__(*failure)
        for sock in self.sockets:
            sock.close()


def said(*features):
    """Return the bytes of a welcome."""
    limits = {"topic_payload_bytes": 5, "invoke_payload_bytes": 6}
    words = control.Welcome(BOOT, ENDPOINT, ADDRESS, limits=limits, features=features)
    return encode_frame(Kind.CONTROL, id=1, payload=control.encode(words.to_wire()))


def open_descriptors():
    return set(Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(_native.impl != "c", reason="rings are in the extension")
def test_a_client_goes_on_over_the_rings_that_come_with_its_welcome(tmp_path):
    from greengrass_sdk._native import _port as port
    from greengrass_sdk._native._lib import lib

    segment, memory = port.create(65536, 65536)
    event = os.eventfd(0, os.EFD_NONBLOCK)
    with Scripted(tmp_path / "root", said("ring"), [memory, event]) as listening:
        session = connect.connect_client(listening.root, "probe")
        hello = control.parse_hello(control.decode(listening.hellos[0].payload))
        ours = port.Port(
            listening.sockets.pop(), segment, side=lib.GG_SIDE_CORE, event=-1, max_frame=100
        )
        session.channel.send(Kind.PUBLISH, topic=b"a", payload=b"1")
        assert [b"1"] == [frame.payload for frame in ours.receive()[0]]
        session.channel.close()
    for descriptor in (memory, event):
        os.close(descriptor)
    assert (("ring",), True) == (hello.features, session.is_short)


def test_a_tool_asks_for_no_rings(tmp_path):
    with Scripted(tmp_path / "root", said()) as listening:
        connect.connect_tool(listening.root).channel.close()
        hello = control.parse_hello(control.decode(listening.hellos[0].payload))
    assert () == hello.features


@pytest.mark.parametrize(("features", "count"), [(("ring",), 0), ((), 2), (("ring",), 1)])
def test_a_welcome_and_descriptors_that_do_not_match_are_refused(tmp_path, features, count):
    given = [os.eventfd(0) for _ in range(count)]
    with Scripted(tmp_path / "root", said(*features), given) as listening:
        before = open_descriptors()
        with pytest.raises(RemoteProtocolError, match="descriptors"):
            connect.connect_client(listening.root, "probe")
        assert 1 == len(open_descriptors() - before)  # the listener's end of the connection
    for descriptor in given:
        os.close(descriptor)


def test_memory_that_is_none_is_refused_and_closed(tmp_path):
    pytest.importorskip("greengrass_sdk._native._port")
    given = [os.eventfd(0), os.eventfd(0)]
    with Scripted(tmp_path / "root", said("ring"), given) as listening:
        before = open_descriptors()
        with pytest.raises(RemoteProtocolError, match="shared memory"):
            connect.connect_client(listening.root, "probe")
        assert 1 == len(open_descriptors() - before)
    for descriptor in given:
        os.close(descriptor)


def test_what_comes_right_behind_a_welcome_is_kept(tmp_path):
    message = encode_frame(Kind.MESSAGE, topic=b"a", payload=b"early")
    with Scripted(tmp_path / "root", said() + message) as listening:
        session = connect.connect_tool(listening.root)
        frame = session.channel.receive(10.0)
        assert frame is not None
        assert b"early" == frame.payload
        session.channel.close()


@pytest.mark.parametrize("answer", [b"", said()[:9], said()[:40]])
def test_a_core_that_ends_before_its_welcome_is_unavailable(tmp_path, answer):
    with (
        Scripted(tmp_path / "root", answer, stays=False) as listening,
        pytest.raises(CoreUnavailableError, match="the core ended the connection"),
    ):
        connect.connect_tool(listening.root)


def test_a_tool_proves_that_it_reads_the_owners_files(tmp_path):
    with ListeningCore(tmp_path / "root") as listening:
        connect.connect_tool(listening.root).channel.close()
        (hello,) = listening.connections[0].wait(1)
    said = control.parse_hello(control.decode(hello.payload))
    assert ("tool", None, "the owner's token") == (said.role, said.name, said.token)


def test_a_root_may_be_longer_than_a_socket_address(tmp_path):
    root = tmp_path / ("long" * 40)
    with ListeningCore(root) as listening:
        assert len(str(root)) > 108
        connect.connect_tool(listening.root).channel.close()


def refuse(frame):
    return [answered(frame, {"op": "refused", "code": "Authorization", "message": "go away"})]


def test_a_refusal_is_raised_as_the_error_it_names(tmp_path):
    with (
        ListeningCore(tmp_path / "root", refuse) as listening,
        pytest.raises(AuthorizationError, match="go away"),
    ):
        connect.connect_tool(listening.root)


@pytest.mark.parametrize(
    "answer",
    [
        lambda frame: Frame(Kind.RESULT, id=frame.id),
        lambda frame: answered(frame, {"op": "hello"}),
        lambda frame: Frame(Kind.CONTROL, id=frame.id, payload=b"\xc1"),
    ],
    ids=["a frame of another kind", "a map of another kind", "no map"],
)
def test_a_welcome_that_is_none_is_told_apart(tmp_path, answer):
    with (
        ListeningCore(tmp_path / "root", lambda frame: [answer(frame)]) as listening,
        pytest.raises(RemoteProtocolError),
    ):
        connect.connect_tool(listening.root)


def test_a_core_that_does_not_answer_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(connect, "_HELLO_S", 0.01)
    with (
        ListeningCore(tmp_path / "root", lambda _: None) as listening,
        pytest.raises(CoreUnavailableError, match="did not answer within"),
    ):
        connect.connect_tool(listening.root)


def test_a_root_without_a_core_is_unavailable(tmp_path):
    state = tmp_path / "ggc" / "var" / "state"
    state.mkdir(parents=True)
    with pytest.raises(CoreUnavailableError, match="no core is running at"):
        connect.connect_tool(tmp_path)
    with pytest.raises(CoreUnavailableError, match="no core is running at"):
        connect.connect_tool(tmp_path / "nowhere")


def test_a_project_that_is_given_for_its_root_is_told_apart(tmp_path):
    (tmp_path / ".greengrass").mkdir()
    with pytest.raises(CoreUnavailableError, match=rf"root of that project is {tmp_path}/\.green"):
        connect.connect_tool(tmp_path)


def test_a_client_that_is_not_declared_is_told_how(tmp_path):
    with ListeningCore(tmp_path / "root") as listening:
        with pytest.raises(AuthorizationError, match=r"add \[clients.other\]"):
            connect.connect_client(listening.root, "other")
        with pytest.raises(InvalidInputError, match="must be letters"):
            connect.connect_client(listening.root, "../tool.token")


@pytest.mark.parametrize(("data", "words"), [(b"", "is empty"), (b"\xff", "cannot read")])
def test_a_token_that_is_none_is_told_apart(tmp_path, data, words):
    with ListeningCore(tmp_path / "root") as listening:
        token = listening.root / "ggc" / "var" / "state" / "tool.token"
        token.write_bytes(data)
        with pytest.raises(AuthorizationError, match=words):
            connect.connect_tool(listening.root)
        token.unlink()
        with pytest.raises(AuthorizationError, match="is missing"):
            connect.connect_tool(listening.root)


def test_the_core_of_another_user_is_told_apart(tmp_path, monkeypatch):
    def denied(*_arguments):
        raise PermissionError(13, "Permission denied")

    with ListeningCore(tmp_path / "root") as listening:
        monkeypatch.setattr(os, "open", denied)
        with pytest.raises(AuthorizationError, match="belongs to another user"):
            connect._open_socket(listening.root, listening.root / "ggc")
        monkeypatch.undo()
    assert stat.S_ISSOCK((tmp_path / "root" / "ggc" / "ipc.sock").stat().st_mode)

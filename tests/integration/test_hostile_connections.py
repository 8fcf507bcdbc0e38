# SPDX-License-Identifier: Apache-2.0
"""
Strangers at the core's socket: silent, many, and with a token that is not theirs.

Meanwhile healthy functions exchange messages (support/bystanders.py) and commands are answered.

Ref: docs/explanation/processes.md
"""

from __future__ import annotations

import os
import subprocess
import sys

import bystanders
import pytest
from bystanders import Bystanders
from leftovers import Footprint, eventually
from projects import write_project
from raw_client import RawClient, connect, hello
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk._native import Kind, encode_frame
from greengrass_sdk.wire import control

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

UID = 54321  # of nobody on this host
UNKNOWN = 64  # connections that may be silent at once


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    project = write_project(
        tmp_path_factory.mktemp("strangers"),
        {"bystanders": bystanders.CODE},
        bystanders.functions(),
        clients=["tester", "other", bystanders.CLIENT],
        rows=bystanders.ROWS,
    )
    env = {} if os.geteuid() == 0 else {"GREENGRASS_DEBUGGABLE": "1"}
    with RunningCore(project, env=env) as running:
        running.wait(lambda event: event.get("state") == "running", count=2)
        yield running


@pytest.fixture(scope="module")
def healthy(core):
    healthy = Bystanders(core.root)
    yield healthy
    healthy.stop()


@pytest.fixture(scope="module")
def footprint(core, healthy):
    core.status()
    return Footprint.settled(core.process.pid)


@pytest.fixture(autouse=True)
def nobody_else_notices(core, healthy, footprint):
    yield
    healthy.check()
    footprint.check(core.process.pid)
    with Client(root=core.root, name="tester") as client:
        assert {"a": 1} == client.invoke("first", {"a": 1}).json()


def hangs_up(sock):
    """Wait until the core ends the connection."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


def test_who_does_not_say_hello_is_sent_away(core):
    """One that never speaks, some that stop within a hello, some that say something else first."""
    half = hello("client", "token", "tester")[:-1]
    kinds = (Kind.PUBLISH, Kind.INVOKE, Kind.RESULT, Kind.READY)
    rude = [encode_frame(kind, endpoint=1, topic=b"bystander/in") for kind in kinds]
    socks = []
    try:
        for words in (b"", half, half[:7], *rude):
            socks.append(connect(core.root))
            socks[-1].sendall(words)
        for sock in socks:
            hangs_up(sock)
    finally:
        for sock in socks:
            sock.close()
    core.log(None, "said nothing for 5 s; closed")


def test_control_frames_that_are_no_hello_end_the_connection(core):
    for payload in (b"", b"\xc1", control.encode({"op": "status"}), os.urandom(1000)):
        with connect(core.root) as rude:
            rude.sendall(encode_frame(Kind.CONTROL, id=1, payload=payload))
            hangs_up(rude)


def test_silent_connections_are_bounded(core):
    crowd = [connect(core.root) for _ in range(UNKNOWN + 20)]
    try:
        for sock in crowd[UNKNOWN:]:
            hangs_up(sock)
        core.log(None, "have not said hello; one more is refused")
    finally:
        for sock in crowd:
            sock.close()
    assert core.process.pid == core.status()["pid"]  # there is room for commands again


@pytest.mark.parametrize("count", [10_000])
def test_ten_thousand_connections(core, healthy, count):
    """Most are gone before they are accepted."""
    for number in range(count):
        with connect(core.root) as sock:
            if number % 3 == 0:
                sock.sendall(b"x")
            if number % 100 == 0:
                healthy.check()
    records = [event for event in core.events if event["event"] == "log"]
    assert len(records) < count, "a record for each would fill the log"


def test_a_wrong_token_is_refused_and_named(core):
    for role, name in (("tool", None), ("client", "tester")):
        with connect(core.root) as thief:
            thief.sendall(hello(role, "0" * 64, name))
            hangs_up(thief)
    core.log(None, "the tool token is not this core's")
    core.log(None, "the token is not the one of client 'tester'")


def test_a_client_speaks_for_nobody_else(core):
    with RawClient(core.root, "tester") as tester, RawClient(core.root, "other") as other:
        tester.send(
            Kind.PUBLISH, endpoint=other.endpoint, topic=b"bystander/in", payload=b'"forged"'
        )
        hangs_up(tester.sock)
    core.log(None, "(tester) was cut off: it spoke for endpoint ")


# Imports what it needs, then becomes another user, who knows the token.
THIEF = """
import os, socket, sys
uid, folder, data = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
sock = socket.socket(socket.AF_UNIX)
sock.connect(f"/proc/self/fd/{folder}/ipc.sock")
sock.sendall(data)
answer = b""
while data := sock.recv(65536):
    answer += data
sys.stdout.buffer.write(answer)
"""


@pytest.mark.needs_root
def test_a_stolen_tool_token_is_of_no_use_to_another_user(core):
    """Even where the mode of the socket was opened: the kernel tells who connects."""
    token = (core.root / "ggc" / "var" / "state" / "tool.token").read_text()
    sock = core.root / "ggc" / "ipc.sock"
    mode = sock.stat().st_mode
    folder = os.open(core.root / "ggc", os.O_RDONLY)
    sock.chmod(0o666)
    (core.root / "ggc").chmod(0o755)
    try:
        done = subprocess.run(
            [sys.executable, "-c", THIEF, str(UID), str(folder), hello("tool", token).hex()],
            pass_fds=[folder],
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(folder)
        sock.chmod(mode)
    assert 0 == done.returncode, done.stderr.decode()
    assert b"refused" in done.stdout
    assert b"only the owner of this core (uid 0) or root may do that" in done.stdout
    core.log(None, "only the owner of this core (uid 0) or root may do that")


@pytest.mark.needs_root
def test_the_socket_itself_is_closed_to_other_users(core):
    token = (core.root / "ggc" / "var" / "state" / "tool.token").read_text()
    folder = os.open(core.root / "ggc", os.O_RDONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", THIEF, str(UID), str(folder), hello("tool", token).hex()],
            pass_fds=[folder],
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(folder)
    assert b"PermissionError" in done.stderr
    assert b"" == done.stdout


def test_a_client_that_reads_nothing_delays_nobody(core, healthy):
    """Results of 300 calls wait for it; then it goes on reading and has all of them."""
    with RawClient(core.root, "tester") as deaf:
        for number in range(1, 301):
            deaf.send(Kind.INVOKE, id=number, topic=b"first", payload=b'"' + b"x" * 10_000 + b'"')
        healthy.check()
        eventually(lambda: healthy.received > 1000, "the others go on")
        answers = [deaf.receive() for _ in range(300)]
    assert list(range(1, 301)) == sorted(answer.id for answer in answers)

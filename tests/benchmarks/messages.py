# SPDX-License-Identifier: Apache-2.0
"""
Round trips and throughput through the public client, as ratios to a plain Unix socket.

Both are measured in alternation, each round in another order, after a round that does not count.
Throughput has one window for all: at most 512 messages on their way, one acknowledgement for every
256; a run that loses a message is an error.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import floors
from groups import MeasuredCore, write_group
from report import Row, row
from rounds import alternate

from greengrass_sdk import Client
from greengrass_sdk.errors import RequestTimeoutError

if TYPE_CHECKING:
    import socket

BYTES = 64
ROUNDS = 9
QUICK_ROUNDS = 2
CALLS = 1000
QUICK_CALLS = 50
MESSAGES = 20 * 1024
QUICK_MESSAGES = 1024
WINDOW = 512
ACK = 256

_HERE = str(Path(__file__).parent)
_PAYLOAD = b"x" * BYTES


def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Return the rows of round trips and of throughput."""
    path = write_group(
        folder,
        ["echo"],
        'handler = "main.echo"\nencoding = "binary"\npinned = true',
        clients=("source", "sink"),
        rows=[("source", "data", "sink"), ("sink", "ack", "source"), ("sink", "go", "source")],
    )
    with MeasuredCore(path) as core:
        trips = _round_trips(core, quick=quick)
        rates = _throughput(core, quick=quick)
    return [*trips, *rates]


# --- round trips -----------------------------------------------------------------


def _round_trips(core: MeasuredCore, *, quick: bool) -> list[Row]:
    calls = QUICK_CALLS if quick else CALLS
    with core.client("sink") as client, floors.unix_echo(BYTES) as sock:
        found = alternate(
            {
                "invoke": lambda: _invoke_us(client, calls),
                "socket": lambda: _echo_us(sock, calls),
            },
            QUICK_ROUNDS if quick else ROUNDS,
        )
    p50 = {case: [statistics.median(spans) for spans in found[case]] for case in found}
    p99 = {case: [statistics.quantiles(s, n=100)[98] for s in found[case]] for case in found}
    name, floor = f"invoke and its result, {BYTES} B", "socket"
    return [
        row(f"{name}, p50", "us", p50["invoke"], floor=floor, ratio=_ratio(p50)),
        row(f"{name}, p99", "us", p99["invoke"], floor=floor, ratio=_ratio(p99)),
        row(f"floor: Unix socket to another CPU and back, {BYTES} B, p50", "us", p50["socket"]),
        row(f"floor: Unix socket to another CPU and back, {BYTES} B, p99", "us", p99["socket"]),
    ]


def _ratio(found: dict[str, list[float]]) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(map(float.__truediv__, found["invoke"], found["socket"]))


def _invoke_us(client: Client, calls: int) -> list[float]:
    spans = []
    for _ in range(calls):
        asked = time.perf_counter_ns()
        answer = client.invoke("echo", _PAYLOAD)
        spans.append((time.perf_counter_ns() - asked) / 1e3)
        assert answer.payload == _PAYLOAD
    return spans


def _echo_us(sock: socket.socket, calls: int) -> list[float]:
    spans = []
    with floors.on_first_cpu():
        for _ in range(calls):
            asked = time.perf_counter_ns()
            sock.sendall(_PAYLOAD)
            answer = floors.read(sock, BYTES)
            spans.append((time.perf_counter_ns() - asked) / 1e3)
            assert answer == _PAYLOAD
    return spans


# --- throughput --------------------------------------------------------------------


def _throughput(core: MeasuredCore, *, quick: bool) -> list[Row]:
    messages = QUICK_MESSAGES if quick else MESSAGES
    code = (
        f"import sys; sys.path.insert(0, {_HERE!r}); import messages as m; m.be_source(sys.argv[1])"
    )
    source = subprocess.Popen([sys.executable, "-c", code, core.root], stdout=subprocess.PIPE)
    assert source.stdout is not None
    try:
        source.stdout.readline()  # it is connected
        with core.client("sink") as sink, floors.unix_source(BYTES, WINDOW, ACK) as sock:
            found = alternate(
                {
                    "publish": lambda: _routed_rate(sink, messages),
                    "socket": lambda: _socket_rate(sock, messages),
                },
                QUICK_ROUNDS if quick else ROUNDS,
            )
    finally:
        source.kill()
        source.wait()
        source.stdout.close()
    ratio = statistics.median(map(float.__truediv__, found["socket"], found["publish"]))
    return [
        row(f"publish 1 to 1, {BYTES} B", "1/s", found["publish"], floor="socket", ratio=ratio),
        row(f"floor: Unix socket, one write each, {BYTES} B", "1/s", found["socket"]),
    ]


def _routed_rate(sink: Client, messages: int) -> float:
    started = time.perf_counter()
    sink.publish("go", str(messages))
    seen = 0
    while seen < messages:
        for message in sink.receive_many(timeout_s=10.0):
            assert len(message.payload) == BYTES
            seen += 1
            if seen % ACK == 0:
                sink.publish("ack", b"")
    return messages / (time.perf_counter() - started)


def _socket_rate(sock: socket.socket, messages: int) -> float:
    started = time.perf_counter()
    sock.sendall(messages.to_bytes(4, "little"))
    seen = 0
    while seen < messages:
        assert len(floors.read(sock, BYTES)) == BYTES
        seen += 1
        if seen % ACK == 0:
            sock.sendall(b"a")
    return messages / (time.perf_counter() - started)


def be_source(root: str) -> None:
    """Publish as many messages as the sink asks for; runs in a process of its own."""
    with Client(root=root, name="source") as client:
        with contextlib.suppress(RequestTimeoutError):
            client.receive(timeout_s=0.0)  # connects
        print("connected", flush=True)
        unacknowledged = 0
        while True:
            request = client.receive()
            if request.topic == "ack":
                unacknowledged -= ACK
                continue
            for _ in range(int(request.payload)):
                while unacknowledged >= WINDOW:
                    answer = client.receive()
                    assert answer.topic == "ack"
                    unacknowledged -= ACK
                client.publish("data", _PAYLOAD)
                unacknowledged += 1

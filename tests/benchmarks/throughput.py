# SPDX-License-Identifier: Apache-2.0
"""
Routed messages: one source, the core, and one or four consumers, beside C and the peers.

One window for all, see `window`. Sources are functions; consumers are functions, or programs that
are declared as clients.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peers.kit import CONSUMERS, FAN, ONE, LostError
from peers.live import PUBSUB
from report import AIM, MUST, Row, aim, beside, must, row
from rounds import alternate
from service import Service, binary, write_plane_group
from setting import void_if_lost
from window import ACK, acknowledgement

from greengrass_sdk import AsyncClient, Client

if TYPE_CHECKING:
    from setting import Setting

SMALL, LARGE = 64, 65536
DOCUMENT = (
    '{"device": "pump-17", "size": 131, "values": [21.5, 3.25, 1013.0, 0.75], "status": "running",'
    ' "serial": "A4711-08", "alarm": false}'
)
PROGRAMS = {"program": "Client", "coroutine": "AsyncClient"}
FANNED = ["program", *(f"program{number}" for number in range(1, CONSUMERS))]
THEIRS: dict[str, dict[str, Any]] = {
    "one": {"topic": ONE, "size": SMALL, "consumers": 1},
    "fan": {"topic": FAN, "size": SMALL, "consumers": CONSUMERS},
    "large": {"topic": ONE, "size": LARGE, "consumers": 1},
}
OURS = {
    **THEIRS,
    "one, greengrasssdk": {**THEIRS["one"], "sdk": True},
    "large program": {**THEIRS["large"], "topic": "program/data"},
    "fan programs": {**THEIRS["fan"], "topic": "program/fan"},
    "json": {
        "topic": "documents/data",
        "size": len(DOCUMENT),
        "payload": DOCUMENT,
        "consumers": 1,
    },
    **{program: {**THEIRS["one"], "topic": f"{program}/data"} for program in PROGRAMS},
}
FLOORS = ("relay/ring/64", "relay/window/64", "relay/ring/65536", "relay/window/65536")
_HERE = str(Path(__file__).parent)


def measure(setting: Setting) -> list[Row]:
    """Return the rows of all throughputs."""
    assert len(DOCUMENT) == 131
    with (
        _Plane(setting.folder / "default", "") as core,
        # Four times the window is more than the core takes on at once by default.
        _Plane(setting.folder / "fan", "[limits]\nwork_items = 4096\n") as wide,
        setting.peers.live(PUBSUB) as live,
    ):
        setting.notes["functions"] = "rings" if core.rings() else "stream sockets"
        cases = {}
        for case, how in OURS.items():
            plane = wide if case.startswith("fan") else core
            take = partial(plane.rate, seconds=setting.seconds, **how)
            cases[case] = void_if_lost(case, take)
        for name, peer in live.items():
            for what, how in THEIRS.items():
                case = f"{name} {what}"
                take = partial(peer.rate, seconds=setting.seconds, **how)
                cases[case] = void_if_lost(case, take)
        cases |= setting.floors.values(*FLOORS)
        found = alternate(cases, setting.rounds)
    return [*_small(found), *_large(found), *_peers(found, list(live))]


def _small(found: dict[str, list[float]]) -> list[Row]:
    def judged(name: str, case: str) -> Row:
        ours = found[case]
        return row(
            name,
            "1/s",
            ours,
            *(
                beside(ours, found.get(f"{peer} one"), peer, MUST, at_least=times)
                for peer, times in (("zenoh", 2), ("zmq", 5), ("mosquitto", 25))
            ),
            beside(ours, found.get("C relay/ring/64"), "C relay", AIM, at_least=3 / 32),
            beside(ours, found.get("C relay/window/64"), "C relay in the window"),
            beside(ours, found.get("nats one"), "nats"),
        )

    def fanned(name: str, case: str) -> Row:
        fan = found[case]
        return row(
            name,
            "1/s",
            fan,
            beside(fan, found.get("zmq fan"), "zmq", MUST, at_least=4),
            beside(fan, found.get("zmq fan"), "zmq", AIM, at_least=7),
            beside(fan, found.get("zenoh fan"), "zenoh"),
            beside(fan, found.get("nats fan"), "nats"),
            beside(fan, found.get("mosquitto fan"), "mosquitto"),
        )

    return [
        judged("1 to 1, 64 B, to a function's handler", "one"),
        *(
            judged(f"1 to 1, 64 B, to {api}.receive_many of a program", program)
            for program, api in PROGRAMS.items()
        ),
        row(
            "1 to 1, 64 B, published by greengrasssdk",
            "1/s",
            found["one, greengrasssdk"],
            beside(found["one, greengrasssdk"], found["one"], "published by Client"),
        ),
        fanned("1 to 4, 64 B, to each of four functions", "fan"),
        fanned("1 to 4, 64 B, to Client.receive_many of each of four programs", "fan programs"),
        row(
            "JSON handler calls, a document of 131 B",
            "1/s",
            found["json"],
            must(at_least=150_000),
            aim(at_least=300_000),
        ),
    ]


def _large(found: dict[str, list[float]]) -> list[Row]:
    rows = []
    for name, case in (
        ("1 to 1, 64 KiB, to a function's handler", "large"),
        ("1 to 1, 64 KiB, to Client.receive_many of a program", "large program"),
    ):
        ours = found[case]
        rows.append(
            row(
                name,
                "GB/s",
                [rate * LARGE / 1e9 for rate in ours],
                must(at_least=4),
                beside(ours, found.get("zmq large"), "zmq", MUST, at_least=3),
                aim(at_least=10),
                beside(ours, found.get("C relay/ring/65536"), "C relay"),
                beside(ours, found.get("zenoh large"), "zenoh"),
            )
        )
    return rows


def _peers(found: dict[str, list[float]], names: list[str]) -> list[Row]:
    rows = [
        row(f"{name}: {what}", "1/s", found[f"{name} {case}"])
        for what, case in (("1 to 1, 64 B", "one"), ("1 to 4, 64 B, each", "fan"))
        for name in names
    ]
    rows += [
        row(f"{name}: 1 to 1, 64 KiB", "GB/s", [rate * LARGE / 1e9 for rate in found[case]])
        for name in names
        for case in (f"{name} large",)
    ]
    for size, unit in ((SMALL, "1/s"), (LARGE, "GB/s")):
        for kind, what in (("ring", "relay"), ("window", "relay in the window")):
            if rates := found.get(f"C relay/{kind}/{size}"):
                shown = rates if size == SMALL else [rate * LARGE / 1e9 for rate in rates]
                rows.append(row(f"floor: C {what}, {size} B", unit, shown))
    return rows


class _Plane:
    """A core and the programs at it; both start anew after a loss, which leaves counts behind."""

    def __init__(self, folder: Path, limits: str) -> None:
        self._group = _group(folder, limits)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._core = self._stack.enter_context(Service(self._group))
            for number, name in enumerate(FANNED):
                self._start(name, "Client", number)
            self._start("coroutine", PROGRAMS["coroutine"], 0)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def _start(self, name: str, api: str, number: int) -> None:
        """Start a consumer that is no function."""
        code = (
            f"import sys; sys.path.insert(0, {_HERE!r}); import throughput;"
            f" throughput.be_{api.lower()}(sys.argv[1], sys.argv[2], {number})"
        )
        command = [sys.executable, "-P", "-c", code, str(self._core.root), name]
        process = self._stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def rings(self) -> bool:
        """Whether the functions have rings; otherwise they have plain sockets."""
        return self._core.rings("sink0")

    def rate(self, **command: Any) -> float:
        """Return the rate of the source."""
        try:
            return self._core.rate("source", **command)
        except LostError:
            self._stack.close()
            self.__enter__()
            raise


def _group(folder: Path, limits: str) -> Path:
    sinks = [f"sink{number}" for number in range(CONSUMERS)]
    functions = {"source": binary("source"), "documents": 'handler = "plane.documents"\n'}
    for number, name in enumerate(sinks):
        functions[name] = binary("sink", f'environment = {{CONSUMER = "{number}"}}\n')
    programs = [*FANNED, "coroutine"]
    rows = [
        ("bench", "go/source", "source"),
        ("source", "done", "bench"),
        ("source", ONE, "sink0"),
        ("source", "documents/data", "documents"),
        *(("source", FAN, name) for name in sinks),
        *(("source", f"{program}/data", program) for program in PROGRAMS),
        *(("source", "program/fan", program) for program in FANNED),
        *((name, "ack", "source") for name in (*sinks, "documents", *programs)),
    ]
    return write_plane_group(folder, functions, rows, clients=programs, limits=limits)


def be_client(root: str, name: str, number: int) -> None:
    """Take messages as a program with the blocking client does."""
    with Client(root=root, name=name) as client:
        client.publish("hello", b"")  # connects
        print("ready", flush=True)
        seen = size = 0
        while True:
            for message in client.receive_many():
                size += len(message.payload)
                seen += 1
                if seen == ACK:
                    client.publish("ack", acknowledgement(number, size))
                    seen = size = 0


def be_asyncclient(root: str, name: str, number: int) -> None:
    """Take messages as a program on asyncio does."""
    import asyncio

    asyncio.run(_be_asyncclient(root, name, number))


async def _be_asyncclient(root: str, name: str, number: int) -> None:
    async with AsyncClient(root=root, name=name) as client:
        await client.publish("hello", b"")  # connects
        print("ready", flush=True)
        seen = size = 0
        while True:
            for message in await client.receive_many():
                size += len(message.payload)
                seen += 1
                if seen == ACK:
                    await client.publish("ack", acknowledgement(number, size))
                    seen = size = 0

# SPDX-License-Identifier: Apache-2.0
"""
AWS's client of streams, unmodified, and a stub server that answers it at once.

The stub keeps nothing: an append is answered with a number, a read with the same messages each
time, as bytes that were made before. It blocks on one socket, so it is woken as soon as can be.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from peers.kit import SkippedError, commands, ready

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "stream-manager==1.1.1"
STREAM = "aws"
RECORD = b"x" * 1024
READ = 100
KEPT = 100 * READ  # records that are read
_ID_AT, _ID_BYTES = 13, 36  # of a request, behind its operation
_ID = bytes(_ID_BYTES)
_CONNECT, _APPEND, _READ = 1, 4, 5
_SPOKEN = {
    "protocolVersion": "1.1.0",
    "supportedProtocolVersions": ["1.1.0"],
    "serverVersion": "1",
    "clientIdentifier": "bench",
}


def install(cache: Path) -> Path:
    """Return the folder with AWS's package, without what it depends on."""
    folder = cache / "aws-streams"
    if not (folder / "stream_manager").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        done = subprocess.run([*command, str(folder), PACKAGE], check=False, capture_output=True)
        if done.returncode:
            raise SkippedError(f"{PACKAGE} does not install")
    return folder


# In children.


def stub(port: str) -> None:
    """Answer one client after the other."""
    import cbor2

    def frame(operation: int, body: dict[str, Any]) -> bytes:
        data: bytes = cbor2.dumps({"requestId": _ID.decode(), "status": 0, **body})
        return (len(data) + 1).to_bytes(4, "big") + bytes((operation,)) + data

    message = {"streamName": STREAM, "ingestTime": int(time.time() * 1000), "payload": RECORD}
    numbers = range(KEPT // 2, KEPT // 2 + READ)
    answers = {
        _CONNECT: b"\1" + frame(6, _SPOKEN),
        _APPEND: frame(9, {"sequenceNumber": 1 << 40}),
        _READ: frame(10, {"messages": [{**message, "sequenceNumber": n} for n in numbers]}),
    }
    whole = {operation: answer.split(_ID) for operation, answer in answers.items()}
    with socket.create_server(("127.0.0.1", int(port))) as listening:
        ready()
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _serve(connection, whole)


def _serve(connection: socket.socket, whole: dict[int, list[bytes]]) -> None:
    data = b""
    begun = 1  # the byte of the version
    while more := connection.recv(262_144):
        data += more
        while len(data) - begun >= 5:
            end = begun + 4 + int.from_bytes(data[begun : begun + 4], "big")
            if len(data) < end:
                break
            at = begun + 5 + _ID_AT
            before, after = whole[data[begun + 4]]
            connection.sendall(before + data[at : at + _ID_BYTES] + after)
            data, begun = data[end:], 0


def client(*ports: str) -> None:
    """Append to and read from the servers on these ports, as told."""
    import stream_manager  # type: ignore[import-not-found]  # in a folder of its own

    made = [_Client(stream_manager, int(port)) for port in ports]
    ready()
    for command in commands():
        call = getattr(made[command["server"]], command["what"])
        rate = _rate(call, command["seconds"])
        sys.stdout.write(f'{{"rate": {rate}}}\n')
        sys.stdout.flush()


class _Client:
    """AWS's client of one server."""

    def __init__(self, package: Any, port: int) -> None:
        self._package = package
        self._made = package.StreamManagerClient(port=port)
        self._start = 0

    def append(self) -> None:
        """Append a record."""
        self._made.append_message(STREAM, RECORD)

    def read(self) -> None:
        """Read on, from the beginning again at the end."""
        self._read(self._start)
        self._start = (self._start + READ) % KEPT

    def reread(self) -> None:
        """Read the same records each time."""
        self._read(0)

    def _read(self, start: int) -> None:
        options = self._package.ReadMessagesOptions(
            desired_start_sequence_number=start, min_message_count=READ, max_message_count=READ
        )
        self._made.read_messages(STREAM, options)


def _rate(call: Any, seconds: float) -> float:
    for _ in range(10):
        call()
    done, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < seconds:
        call()
        done += 1
    return done / taken

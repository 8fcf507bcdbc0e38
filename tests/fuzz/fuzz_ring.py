# SPDX-License-Identifier: Apache-2.0
"""
A port of the core whose peer is the input: `python tests/fuzz/fuzz_ring.py [corpus folder]`.

The script is that of `native/fuzz/fuzz_ring.c`, which looks at C alone; here the frames are made
too. Whatever the peer writes is a frame, or an error that names what it did.
"""

from __future__ import annotations

import os
import socket
import sys

from greengrass_sdk._native import MAX_FRAME
from greengrass_sdk._native._lib import lib
from greengrass_sdk._native._port import OutgoingFrame, Port, create
from greengrass_sdk.errors import RemoteProtocolError

CAPACITY = 65536
LINE = 128
# Offsets in the control page: up.tail, down.head, down.taken, core.word, ... as in fuzz_ring.c.
WORDS = (1, 4, 4, 6, 5, 6, 1, 2, 3, 5)
SECOND = {2, 5, 6, 9}  # which of them are the second word of their line


def one_input(data: bytes) -> None:
    segment, fd = create(CAPACITY, CAPACITY)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    port = Port(ours, segment, side=lib.GG_SIDE_CORE, event=-1, max_frame=MAX_FRAME)
    try:
        run(port, fd, data)
    except RemoteProtocolError as error:
        if not str(error):
            raise AssertionError("an error without words") from error
    finally:
        port.close()
        theirs.close()
        os.close(fd)


def run(port: Port, fd: int, data: bytes) -> None:
    page = os.sysconf("SC_PAGESIZE")
    at = 0

    def draw(count: int) -> int:
        nonlocal at
        piece, at = data[at : at + count], at + count
        return int.from_bytes(piece, "little")

    while at < len(data):
        step = draw(1) % 8
        if step in {0, 1}:
            number = draw(1) % len(WORDS)
            where = WORDS[number] * LINE + 4 * (number in SECOND)
            value = draw(4) if step == 0 else _read(fd, where) + draw(2)
            os.pwrite(fd, (value & 0xFFFFFFFF).to_bytes(4, "little"), where)
        elif step == 2:
            offset, length = draw(2), draw(1)
            piece, at = data[at : at + length], at + length
            os.pwrite(fd, piece, page + offset % (CAPACITY - 255))
        elif step in {3, 4}:
            _receive(port)
        elif step == 5:
            port.send(OutgoingFrame(2, 0, 0, 1, b"a/b", b"", bytes(draw(2) % 30000)))
        elif step == 7:
            _put(fd, page, draw(1))
    _receive(port)


def _read(fd: int, where: int) -> int:
    return int.from_bytes(os.pread(fd, 4, where), "little")


def _put(fd: int, page: int, size: int) -> None:
    tail = _read(fd, LINE)
    header = (24 + size).to_bytes(4, "little") + bytes([1]) + bytes(19)
    os.pwrite(fd, header[: CAPACITY - tail % CAPACITY], page + tail % CAPACITY)
    os.pwrite(fd, (tail + 24 + size & 0xFFFFFFFF).to_bytes(4, "little"), LINE)


def _receive(port: Port) -> None:
    frames, _ = port.receive()
    for frame in frames:
        if len(frame.payload) > CAPACITY // 2 or len(frame.topic) > 512:
            raise AssertionError(f"a frame that cannot be: {frame!r}")
    frames.clear()


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

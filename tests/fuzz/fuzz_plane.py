# SPDX-License-Identifier: Apache-2.0
"""
A plane with its thread, one of whose workers is the input: `python tests/fuzz/fuzz_plane.py`.

The script is that of `native/fuzz/fuzz_plane.c`, which needs no thread and finds the same again;
here the thread runs, and what it tells Python is made into outputs. What needs a port of the worker
(a frame, a read) is left out: the script writes the segment, the socket and the eventfd.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import sys
from time import monotonic
from typing import TYPE_CHECKING

from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._plane import Plane
from greengrass_sdk._native._py.router.events import CutOff
from greengrass_sdk._native._py.router.state import CORE, FunctionRules
from greengrass_sdk._native._ring import RingChannel

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPACITY = 65536
LINE = 128
UP = 4096
# Offsets in the control page: up.tail, down.head, down.taken, core.word, ... as in fuzz_plane.c.
WORDS = (1, 4, 4, 6, 5, 6, 1, 2, 3, 5)
SECOND = {2, 5, 6, 9}  # which of them are the second word of their line
HOSTILE, HONEST = 11, 12


def one_input(data: bytes) -> None:
    plane = Plane(work_items=64, topic_payload_bytes=CAPACITY, invoke_payload_bytes=CAPACITY)
    rules = FunctionRules(True, 3.0, 1, 60.0, 1000, 1 << 24)
    plane.define_function(1, rules, [b"hostile"])
    plane.define_function(2, rules, [b"honest"])
    plane.start()
    with contextlib.ExitStack() as stack:
        stack.callback(plane.shut_down)
        theirs, segment, event = connect(plane, HOSTILE)
        stack.callback(theirs.close)
        stack.callback(os.close, event)
        memory = stack.enter_context(mmap.mmap(segment, 0))
        os.close(segment)
        honest = RingChannel(*connect(plane, HONEST))
        stack.callback(honest.close)
        honest.send(Kind.READY, 0, 2)
        run(plane, iter(data), memory, theirs, event)
        plane.detach(HOSTILE, b"", monotonic())
        plane.receive(CORE, Frame(Kind.INVOKE, Flag.EVENT, 0, 1, b"honest"), monotonic())
        if honest.receive(10.0) is None:
            raise AssertionError("the other worker was not served")


def connect(plane: Plane, peer: int) -> tuple[socket.socket, int, int]:
    ours, theirs = socket.socketpair()
    segment, event = plane.connect(peer, ours, CAPACITY)
    plane.attach_worker(peer, peer - 10, monotonic())
    return theirs, segment, event


def draw(script: Iterator[int], size: int) -> int:
    return int.from_bytes((next(script, 0) for _ in range(size)), "little")


def run(
    plane: Plane, script: Iterator[int], memory: mmap.mmap, sock: socket.socket, event: int
) -> None:
    sock.setblocking(False)
    for drawn in script:
        operation = drawn % 12
        if operation in {0, 1}:
            word = draw(script, 1) % len(WORDS)
            at = WORDS[word] * LINE + 4 * (word in SECOND)
            value = draw(script, 4 if operation == 0 else 2)
            if operation == 1:
                value += int.from_bytes(memory[at : at + 4], "little")
            memory[at : at + 4] = (value % 2**32).to_bytes(4, "little")
        elif operation == 2:
            offset = UP + draw(script, 2)
            piece = bytes(next(script, 0) for _ in range(draw(script, 1)))
            memory[offset : offset + len(piece)] = piece
        elif operation == 5:
            payload = bytes(draw(script, 2))
            invocation = Frame(Kind.INVOKE, Flag.EVENT, 0, 1, b"hostile", b"", payload)
            plane.receive(CORE, invocation, monotonic())
        elif operation == 6:
            piece = bytes(next(script, 0) for _ in range(draw(script, 1)))
            with contextlib.suppress(OSError):
                sock.send(piece)
        elif operation == 10:
            plane.drain(HOSTILE)
        elif operation in {3, 11}:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(event, 1)
        for output in plane.step(monotonic()):
            if isinstance(output, CutOff) and (output.peer != HOSTILE or not output.reason):
                raise AssertionError(output)


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

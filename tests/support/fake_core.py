# SPDX-License-Identifier: Apache-2.0
"""
The other end of a channel: a thread that reads frames and answers them by a script.

Without a script it does what a core does with one function that echoes: it accepts what is
published, returns payloads to those who invoke, welcomes those who say hello.
"""

from __future__ import annotations

import contextlib
import os
import socket
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, Self

from greengrass_sdk._native import Flag, Frame, FrameDecoder, Kind, Status, encode_frame
from greengrass_sdk._native._py.channel import StreamChannel
from greengrass_sdk.client.session import Session
from greengrass_sdk.wire import control

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Script = Callable[[Frame], "list[Frame] | None"]

BOOT = bytes(range(8))
ENDPOINT = 7
ADDRESS = "arn:aws:lambda:us-east-1:000000000000:function:probe:1"
WAIT_S = 10.0


class FakeCore:
    """
    One connection, seen from the core.

    `channel` is the peer's end. `frames` is what arrived; `wait(n)` waits until there are n.
    """

    def __init__(self, script: Script | None = None, *, reading: bool = True) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._start(ours, script, reading=reading)
        self.theirs = theirs
        self.channel = StreamChannel(theirs)

    def _start(self, ours: socket.socket, script: Script | None, *, reading: bool) -> None:
        self.sock = ours
        self.script = script or echo
        self.frames: list[Frame] = []
        self.failure: BaseException | None = None
        self.ended = False
        self._news = Condition()
        self._may_read = Event()
        if reading:
            self._may_read.set()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        decoder = FrameDecoder()
        try:
            while True:
                self._may_read.wait()
                data = self.sock.recv(65536)
                if not data:
                    break
                for frame in decoder.feed(data):
                    with self._news:
                        self.frames.append(frame)
                        self._news.notify_all()
                    for answer in self.script(frame) or ():
                        self.send(answer)
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised by `wait` and at the end
            self.failure = error
        with self._news:
            self.ended = True
            self._news.notify_all()

    def read(self) -> None:
        """Begin to read, if it was created without."""
        self._may_read.set()

    def send(self, frame: Frame) -> None:
        self.send_bytes(encoded(frame))

    def send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def message(self, topic: str, payload: bytes, id: int = 0) -> None:
        self.send(Frame(Kind.MESSAGE, 0, ENDPOINT, id, topic.encode(), b"", payload))

    def wait(self, count: int) -> list[Frame]:
        """Return the frames once so many have arrived."""
        with self._news:
            done = self._news.wait_for(lambda: len(self.frames) >= count or self.ended, WAIT_S)
        assert self.failure is None, f"the peer broke the protocol: {self.failure!r}"
        assert done, f"{len(self.frames)} frames, not {count}"
        return list(self.frames)

    def session(self, **changes: Any) -> Session:
        """Return a session over the channel, as a function's worker has it."""
        values = {"endpoint": ENDPOINT, "boot": BOOT, "identity": ADDRESS}
        return Session(self.channel, **{**values, **changes})

    def hang_up(self) -> None:
        """End the connection from the core's side."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._may_read.set()
        if hasattr(self, "channel"):
            self.channel.close()
        self.hang_up()
        self._thread.join(WAIT_S)
        self.sock.close()
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        assert self.failure is None, f"the peer broke the protocol: {self.failure!r}"


class ListeningCore:
    """A core's socket below a root, and its tokens; `connections` are FakeCores."""

    def __init__(self, root: Path, script: Script | None = None) -> None:
        self.root = root
        self.script = script
        self.connections: list[FakeCore] = []
        state = root / "ggc" / "var" / "state"
        (state / "tokens").mkdir(parents=True)
        (state / "tokens" / "probe").write_text("probe's token\n")
        (state / "tool.token").write_text("the owner's token")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(root / "ggc", os.O_RDONLY)
        try:
            self._sock.bind(f"/proc/self/fd/{folder}/ipc.sock")
        finally:
            os.close(folder)
        self._sock.listen()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._sock.accept()
                connection = FakeCore.__new__(FakeCore)
                self.connections.append(connection)
                connection._start(sock, self.script, reading=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join(WAIT_S)
        for connection in self.connections:
            connection.close()


def encoded(frame: Frame) -> bytes:
    """Return a frame as bytes."""
    return encode_frame(
        *(frame.kind, frame.flags, frame.endpoint, frame.id),
        *(frame.topic, frame.context, frame.payload),
    )


def work_id(number: int) -> bytes:
    return number.to_bytes(8, "little")


def verdict(to: Frame, status: int = Status.OK, text: str = "", *, work: int = 0) -> Frame:
    return Frame(Kind.VERDICT, status, to.endpoint, to.id, b"", work_id(work), text.encode())


def result(to: Frame, payload: bytes, flags: int = 0, *, work: int = 42) -> Frame:
    return Frame(Kind.RESULT, flags, to.endpoint, to.id, b"", work_id(work), payload)


def echo(frame: Frame) -> list[Frame] | None:
    """Answer as a core would whose only function returns what it gets."""
    if frame.kind == Kind.PUBLISH and frame.flags & Flag.ANSWER:
        return [verdict(frame)]
    if frame.kind == Kind.INVOKE:
        event = frame.flags & Flag.EVENT
        return [verdict(frame, work=42) if event else result(frame, frame.payload)]
    if frame.kind == Kind.CONTROL:
        return [answered(frame, welcome(control.decode(frame.payload)))]
    return None


def welcome(message: dict[str, Any]) -> dict[str, Any]:
    """Welcome everybody; answer tools with what they asked."""
    if message.get("op") != "hello":
        return {"ok": True, "asked": message}
    limits = {"topic_payload_bytes": 131072, "invoke_payload_bytes": 6291456}
    return control.Welcome(BOOT, ENDPOINT, ADDRESS, limits=limits).to_wire()


def answered(to: Frame, message: dict[str, Any]) -> Frame:
    return Frame(Kind.CONTROL, 0, 0, to.id, b"", b"", control.encode(message))

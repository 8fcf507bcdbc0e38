# SPDX-License-Identifier: Apache-2.0
"""
One end of a channel in shared memory: the binding of `native/include/gg/port.h`.

A port is given whole frames and gives whole batches; what it needs of the socket (descriptors of
large messages, control frames, the end of the peer) is read here as well. Like a stream's
:mod:`greengrass_sdk._native._py.link`, it must survive a Python signal handler at any place, by the
same three rules; :class:`_Inflow` is what can be read again, and what a step publishes.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from io import FileIO
from itertools import starmap
from struct import Struct

from greengrass_sdk._native import FrameDecoder, Kind
from greengrass_sdk._native._lib import ffi, lib
from greengrass_sdk._native._py.frames import Frame, encode_header, flat
from greengrass_sdk._native._py.lent import read_lent
from greengrass_sdk.errors import (
    CoreUnavailableError,
    LimitExceededError,
    NativeError,
    RemoteProtocolError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from cffi import FFI

    from greengrass_sdk._native._abc import Lane
    from greengrass_sdk._native._py.exchange import Buffer

    Arguments: TypeAlias = tuple[Any, ...]

__all__ = ["BATCH_BYTES", "FOREVER", "OutgoingFrame", "Port", "create", "failure"]

FOREVER = 2**63 - 1
"""The deadline that never comes."""

_BATCH = 64
BATCH_BYTES = 262144
"""At most in a batch: bytes objects that live at once. More would leave the processor's caches."""

_READ_BYTES = 65536
_FDS_BYTES = socket.CMSG_SPACE(4 * 4)
_RECEIVE = (_READ_BYTES, _FDS_BYTES, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_view = Struct("=QIIIIIIIBBxx")  # struct gg_port_view
_REFERENCE_BYTES, _LENT_BYTES = 8, 16  # gg/bulk.h
_int = Struct("=i")
_OK = lib.GG_OK
_AGAIN = lib.GG_AGAIN
_send = lib.gg_port_send
_receive = lib.gg_port_receive_batch
_release = lib.gg_port_release
_hear = lib.gg_port_hear
_BROKEN = frozenset((lib.GG_ERING, lib.GG_ETORN, lib.GG_ESEGMENT, lib.GG_EBULK))


def failure(what: str, status: int) -> Exception:
    """Return the error for a status that is none of the expected ones."""
    if status == lib.GG_ESYSTEM:
        number = ffi.errno
        return OSError(number, f"{what}: {os.strerror(number)}")
    reason = bytes(ffi.string(lib.gg_strerror(status))).decode()  # type: ignore[arg-type]  # char *
    if status in {lib.GG_ECLOSED, lib.GG_EFORKED}:
        return CoreUnavailableError(f"{what}: {reason}")
    if status in _BROKEN or lib.GG_EFIELDS <= status <= lib.GG_ELENGTH:
        return RemoteProtocolError(f"{what}: {reason}")
    return NativeError(f"{what} failed with status {status}: {reason}", status=status)


def create(up_bytes: int, down_bytes: int) -> tuple[FFI.CData, int]:
    """
    Return a new segment with rings of these sizes, and its descriptor for the other end.

    The segment is for one :class:`Port` of the core, the descriptor is the caller's to close.
    """
    segment, fd = ffi.new("struct gg_segment *"), ffi.new("int *")
    status = lib.gg_segment_create(segment, up_bytes, down_bytes, fd)
    if status != _OK:
        raise failure("creating shared memory", status)
    return segment, fd[0]


class OutgoingFrame:
    """A frame on its way out: the arguments for C, and what each attempt reported."""

    __slots__ = ("_buffers", "arguments", "size", "status")

    def __init__(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: Buffer,
        payload: Buffer,
    ) -> None:
        context, payload = flat(context), flat(payload)
        if len(payload) > lib.GG_BULK_MOST:
            raise LimitExceededError(
                f"a payload has {len(payload)} bytes, the limit is {lib.GG_BULK_MOST}"
            )
        # Checks the fields, with the words for what is wrong.
        encode_header(kind, flags, endpoint, id, len(topic), len(context), len(payload))
        self._buffers = (context, payload)
        self.arguments: Arguments = (
            *(kind, flags, endpoint, id, topic, len(topic)),
            *(_pointer(context), len(context), _pointer(payload), len(payload)),
            0,
        )
        self.size = 24 + len(topic) + len(context) + len(payload)
        self.status: list[int] = []

    @property
    def done(self) -> bool:
        return _OK in self.status

    @property
    def begun(self) -> bool:
        return False

    def freeze(self) -> None:
        """Stop referring to memory of the caller, who no longer waits until it is written."""
        context, payload = map(bytes, self._buffers)
        self.arguments = (
            *self.arguments[:6],
            *(context, len(context), payload, len(payload)),
            0,
        )
        self._buffers = (context, payload)


class _Inflow:
    """What was received and not handed out. A step that decodes publishes a new one."""

    __slots__ = (
        "broken",
        "descriptors",
        "ended",
        "heard",
        "owned",
        "packets",
        "ready",
        "status",
        "tail",
    )

    def __init__(
        self,
        ready: Iterable[Frame] = (),
        tail: bytes = b"",
        descriptors: dict[int, FileIO] | None = None,
        *,
        ended: bool = False,
        broken: Exception | None = None,
    ) -> None:
        self.ready = deque(ready)
        self.ended = ended  # the socket
        self.broken = broken  # what is wrong with what came behind `ready`
        self.tail = tail  # the beginning of a frame on the socket
        self.descriptors = descriptors or {}  # of large messages whose reference has not come
        # What the system and C reported, stored by the call that got it:
        self.status: list[int] = []
        self.heard: list[int] = []
        self.packets: list[tuple[Any, ...]] = []
        self.owned: dict[int, FileIO] = {}


class Port:
    """
    One end; not for two threads at once, except `handle` in calls of C.

    Args:
        sock: Of the connection, not blocking. The port reads it and closes it.
        segment: A mapped one of :func:`create`, or the descriptor of one, which is closed.
        event: What a worker rings; closed with the port. -1 in the core.
        spin_ns: How long a thread that waits for a reply may spin; 0 never.
    """

    __slots__ = (
        "_event",
        "_inflow",
        "_max_frame",
        "_receive_arguments",
        "_view_bytes",
        "_views",
        "handle",
        "memory",
        "sock",
    )

    def __init__(
        self,
        sock: socket.socket,
        segment: FFI.CData | int,
        *,
        side: int,
        event: int,
        max_frame: int,
        spin_ns: int = 0,
    ) -> None:
        self.sock = sock
        self._event = event
        self._max_frame = max_frame
        if isinstance(segment, int):
            segment = _attach(segment)
        handle = ffi.new("struct gg_port *")
        status = lib.gg_port_init(handle, segment, side, event, sock.fileno(), spin_ns)
        if status != _OK:
            raise failure("opening a channel", status)
        self.handle = handle
        size = ffi.new("uint32_t *")
        data = lib.gg_port_data(self.handle, size)
        self.memory = ffi.buffer(data, size[0])
        self._views = ffi.new("struct gg_port_view[]", _BATCH)
        self._view_bytes = memoryview(ffi.buffer(self._views))
        self._receive_arguments = (self.handle, self._views, _BATCH, BATCH_BYTES, 0, 0)
        self._inflow = _Inflow()

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.close()
            lib.gg_port_free(self.handle)

    def send(self, frame: OutgoingFrame) -> int:
        """Try to send; return GG_OK or GG_AGAIN, raise what else happened."""
        status = frame.status
        attempt = starmap(_send, ((self.handle, *frame.arguments),))
        if _OK not in status:
            status.extend(attempt)
        if _OK in status:
            return _OK
        if status[-1] != _AGAIN:
            raise failure("sending to the core", status[-1])
        return _AGAIN

    @property
    def ended(self) -> bool:
        """Whether the socket has ended, or the peer was found out: nobody will wake us any more."""
        return self._inflow.ended or self._inflow.broken is not None

    def receive(
        self, lane: Lane | None = None, *, read_socket: bool = False
    ) -> tuple[deque[Frame], bool]:
        """
        Return the frames that nobody was given yet, and whether there will be no more.

        A lane takes those that need no socket.

        The caller removes each frame when it is handed out; what it leaves comes again.

        Raises:
            RemoteProtocolError: The peer broke the contract.
        """
        inflow = self._inflow
        if inflow.ready:
            return inflow.ready, False
        if inflow.broken is not None:
            raise inflow.broken
        over = inflow.ended  # before this look at the ring, so that nothing is left there
        if lane is not None and not inflow.status and lane.take(inflow.ready):
            return inflow.ready, False
        # Of the batch before; nothing is done twice.
        if self._inflow is inflow and not inflow.status:
            _release(self.handle)
        attempt = starmap(_receive, (self._receive_arguments,))
        if self._inflow is inflow and not inflow.status:
            inflow.status.extend(attempt)
        heard = map(_hear, (self.handle,))
        if self._inflow is inflow and not inflow.heard:
            inflow.heard.extend(heard)
        if self._inflow is not inflow:
            return self._inflow.ready, False
        count = inflow.status[-1]
        if count < 0 and count != _AGAIN:
            raise failure("the ring of the core", count)
        views = self._view_bytes[: max(count, 0) * _view.size]
        bulk = any(view[6] for view in _view.iter_unpack(views))
        if read_socket or bulk or inflow.heard[-1] == 1:
            self._read_socket(inflow)
        ended = inflow.ended or any(not packet[0] for packet in inflow.packets)
        if count > 0 or inflow.packets:
            self._publish(inflow, views, ended=ended)
        elif self._inflow is inflow:
            self._inflow = _Inflow((), inflow.tail, inflow.descriptors, ended=ended)
        return self._inflow.ready, over and count == _AGAIN

    def has_come(self, lane: Lane) -> bool:
        """Whether there are frames that can be received at once; there may be others."""
        inflow = self._inflow
        if inflow.status or inflow.broken is not None:
            return False
        return bool(inflow.ready) or lane.take(inflow.ready)

    def take_work(self, lane: Lane, batch: list[Frame]) -> bool:
        """Extend `batch` by what lies in the ring if all of it is work; `receive` has the rest."""
        inflow = self._inflow
        if inflow.ready or inflow.status or inflow.ended or inflow.broken is not None:
            return False
        return lane.take(inflow.ready, batch) and bool(batch)

    def _read_socket(self, inflow: _Inflow) -> None:
        """Take everything that has arrived on the socket."""
        while self._inflow is inflow:
            before = len(inflow.packets)
            attempt = starmap(self.sock.recvmsg, (_RECEIVE,))
            try:
                if self._inflow is inflow and len(inflow.packets) == before:
                    inflow.packets.extend(attempt)
            except BlockingIOError:
                return
            except OSError:
                inflow.ended = True
                return
            if not inflow.packets[-1][0]:
                return

    def _publish(self, inflow: _Inflow, views: memoryview, *, ended: bool) -> None:
        """Make frames of what was received, up to the first that is bad."""
        descriptors = dict(inflow.descriptors)
        frames: list[Frame] = []
        used: list[int] = []
        tail, broken = inflow.tail, None
        try:
            if inflow.packets:
                tail = self._decode_socket(inflow, descriptors, frames)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the connection
            broken = error
        try:
            self._decode_ring(views, descriptors, used, frames)
        except Exception as error:  # noqa: BLE001 - the same
            broken = broken or error
        spent = [descriptors.pop(number) for number in used]
        published = _Inflow(frames, tail, descriptors, ended=ended, broken=broken)
        if self._inflow is inflow:  # else a signal handler has read on, in the same memory
            self._inflow = published
        if self._inflow is published and not published.status:
            _release(self.handle)
        for descriptor in spent:
            descriptor.close()

    def _decode_ring(
        self,
        views: memoryview,
        descriptors: dict[int, FileIO],
        used: list[int],
        frames: list[Frame],
    ) -> None:
        """Append the frames of a batch, and the numbers of the descriptors that were read."""
        memory = self.memory
        for (
            number,
            topic,
            context,
            payload,
            end,
            endpoint,
            size,
            bulk,
            kind,
            flags,
        ) in _view.iter_unpack(views):
            if size:
                content = _content(descriptors.get(bulk), size, memory[payload:end])
                used.append(bulk)
            else:
                content = memory[payload:end]
            frames.append(
                Frame(
                    kind,
                    flags,
                    endpoint,
                    number,
                    memory[topic:context],
                    memory[context:payload],
                    content,
                )
            )

    def _decode_socket(
        self, inflow: _Inflow, descriptors: dict[int, FileIO], frames: list[Frame]
    ) -> bytes:
        """Append the control frames, collect the descriptors by number; return what is left."""
        fresh: list[FileIO] = []
        for _, ancillary, flags, _ in inflow.packets:
            if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
                raise RemoteProtocolError(
                    "the socket brought more descriptors than one message has"
                )
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fresh += self._own(inflow, content)
        data = inflow.tail + b"".join([packet[0] for packet in inflow.packets])
        decoder = FrameDecoder(self._max_frame)
        numbers: list[int] = []
        for frame in decoder.feed(data):
            if frame.kind != Kind.CONTROL or frame.payload:
                frames.append(frame)
            elif frame.id:  # 0: it only made the socket readable
                numbers.append(frame.id)
        if len(numbers) != len(fresh):
            raise RemoteProtocolError(
                f"{len(fresh)} descriptors of large messages came for {len(numbers)} numbers"
            )
        descriptors.update(zip(numbers, fresh, strict=True))
        return data[len(data) - decoder.pending :]

    def _own(self, inflow: _Inflow, content: bytes) -> list[FileIO]:
        """Return objects that own these descriptors, the same each time."""
        mine = []
        for (fd,) in _int.iter_unpack(content[: len(content) // 4 * 4]):
            attempt = zip((fd,), map(FileIO, (fd,)), strict=True)
            if fd not in inflow.owned:
                inflow.owned.update(attempt)
            mine.append(inflow.owned[fd])
        return mine

    def close(self) -> None:
        """Give everything back. May be called twice; no thread waits here any more."""
        lib.gg_port_close(self.handle)
        self.sock.close()
        event, self._event = self._event, -1
        if event != -1:
            os.close(event)
        inflow, self._inflow = self._inflow, _Inflow()
        for descriptor in (*inflow.descriptors.values(), *inflow.owned.values()):
            descriptor.close()


def _attach(fd: int) -> FFI.CData:
    segment = ffi.new("struct gg_segment *")
    try:
        status = lib.gg_segment_attach(segment, fd)
        if status != _OK:
            raise failure("attaching to shared memory", status)
    finally:
        os.close(fd)
    return segment


def _content(descriptor: FileIO | None, size: int, inline: bytes) -> bytes:
    """Return the payload of a large message. May happen twice for the same one."""
    if descriptor is not None and len(inline) > _REFERENCE_BYTES:
        head, offset = inline[:-_LENT_BYTES], int.from_bytes(inline[-8:], "little")
        return read_lent(descriptor.fileno(), offset, size, head)
    if descriptor is None or lib.gg_bulk_check(descriptor.fileno(), size) != _OK:
        raise failure("a large message of the core", lib.GG_EBULK)
    parts = []
    at = 0
    while at < size:
        parts.append(os.pread(descriptor.fileno(), size - at, at))
        at += len(parts[-1])
        if not parts[-1]:
            raise failure("a large message of the core", lib.GG_EBULK)
    return b"".join(parts)


def _pointer(data: bytes | memoryview) -> bytes | FFI.CData:
    """Return what C takes for it."""
    return data if isinstance(data, bytes) else ffi.from_buffer(data)

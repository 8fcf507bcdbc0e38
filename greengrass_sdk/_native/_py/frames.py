# SPDX-License-Identifier: Apache-2.0
"""
The frame: what travels between a worker, a client and the core.

A frame is a 24-byte little-endian header, then topic, context and payload back to back::

    0        4     5      6            8               12         16   24
    | length | kind | flags | topic len | context len   | endpoint | id | topic | context | payload
      u32      u8     u8      u16         u32             u32        u64

`length` is the whole frame, header included, so the payload is what is left. `endpoint` names the
endpoint of a peer that carries many. What `id`, `topic` and `context` mean depends on the kind; see
:class:`Kind`. Nothing here looks into context or payload.

Everything a peer writes may be hostile: :func:`explain` is the one list of what a header must hold
and the words for what is wrong; the C implementation checks the same and borrows the words.
"""

from __future__ import annotations

from struct import Struct

from greengrass_sdk.errors import InvalidInputError, LocalProtocolError, RemoteProtocolError

__all__ = [
    "HEADER_BYTES",
    "MAX_CONTEXT",
    "MAX_FRAME",
    "MAX_TOPIC",
    "Carry",
    "Flag",
    "Frame",
    "FrameDecoder",
    "FrameError",
    "Kind",
    "Status",
    "check_max_frame",
    "encode_frame",
    "encode_header",
    "explain",
    "flat",
    "request_id",
]

HEADER_BYTES = 24
MAX_TOPIC = 512
MAX_CONTEXT = 64 * 1024
# The largest payload of an invocation, 6 MiB, beside the largest context and topic.
MAX_FRAME = 6 * 1024 * 1024 + 128 * 1024
_MAX_LENGTH = 2**32 - 1
_MAX_ID = 2**64 - 1
_UUID_ID = 2**62 - 1
_UUID_VARIANT = 2**63

_header = Struct("<IBBHIIQ")
_length = Struct("<I")
_unpack_header = _header.unpack_from
_unpack_length = _length.unpack_from
_pack_header = _header.pack


class Kind:
    """
    What a frame is (a u8).

    ======== ============== ==================================================================
    PUBLISH  peer to core   topic, payload; `id` is the caller's number when ANSWER is set
    MESSAGE  core to peer   topic is the subject; `id` is the work id, 0 when nobody waits
    INVOKE   both           topic is the function (to a worker: the qualified ARN), context the
                            client context; `id` is the caller's number, to a worker the work id
    RESULT   both           from a worker: `id` is the work id; to a caller: its number, context
                            is the work id in 8 bytes little-endian
    VERDICT  core to peer   flags is a Status, context as in RESULT, payload is text for people
    READY    worker to core the import is finished, or FAILED with an error document
    CONTROL  both           payload is a msgpack map; `id` pairs request and answer
    ======== ============== ==================================================================
    """

    PUBLISH = 1
    MESSAGE = 2
    INVOKE = 3
    RESULT = 4
    VERDICT = 5
    READY = 6
    CONTROL = 7


class Flag:
    """Bits of a frame's flags. Each kind has its own, so the same bit returns under other names."""

    # PUBLISH: deliver to all targets or to none; answer with a VERDICT.
    ALL_OR_EXCEPTION = 1
    ANSWER = 2
    # INVOKE: as an event, nobody waits for the result.
    EVENT = 1
    # RESULT: the handler raised; the worker broke; it broke because it ran too long.
    HANDLED = 1
    UNHANDLED = 2
    TIMEOUT = 4
    # READY: the import failed.
    FAILED = 1


class Status:
    """What a VERDICT says; it stands in the flags byte."""

    OK = 0
    NOT_FOUND = 1
    QUEUE_FULL = 2
    NO_ROUTE = 3
    TOO_LARGE = 4
    INVALID = 5
    STOPPING = 6
    DENIED = 7


# The flags that each kind may carry; the other bits are reserved and must be 0. A VERDICT's three
# bits are its Status.
_FLAGS = {
    Kind.PUBLISH: Flag.ALL_OR_EXCEPTION | Flag.ANSWER,
    Kind.MESSAGE: 0,
    Kind.INVOKE: Flag.EVENT,
    Kind.RESULT: Flag.HANDLED | Flag.UNHANDLED | Flag.TIMEOUT,
    Kind.VERDICT: 7,
    Kind.READY: Flag.FAILED,
    Kind.CONTROL: 0,
}
# Reserved bits by kind, for every value of the kind byte. An unknown kind reserves bit 8, which
# `flags | _ANY` always has: one look-up tells whether kind and flags are right.
_ANY = 0x100
_RESERVED = tuple(0xFF & ~_FLAGS[kind] if kind in _FLAGS else _ANY for kind in range(256))


class Frame:
    """One frame, decoded. `topic`, `context` and `payload` are bytes of their own."""

    __slots__ = ("context", "endpoint", "flags", "id", "kind", "payload", "topic")

    def __init__(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        id: int = 0,
        topic: bytes = b"",
        context: bytes = b"",
        payload: bytes = b"",
    ) -> None:
        self.kind = kind
        self.flags = flags
        self.endpoint = endpoint
        self.id = id
        self.topic = topic
        self.context = context
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return self.as_tuple() == other.as_tuple()

    __hash__ = None  # type: ignore[assignment]  # frames are mutable

    def __repr__(self) -> str:
        """Show sizes, not contents: payloads are never logged."""
        return (
            f"Frame(kind={self.kind}, flags={self.flags}, endpoint={self.endpoint}, id={self.id},"
            f" topic={self.topic!r}, context=<{len(self.context)} bytes>,"
            f" payload=<{len(self.payload)} bytes>)"
        )

    def as_tuple(self) -> tuple[int, int, int, int, bytes, bytes, bytes]:
        """Return the fields in the order of the arguments."""
        return (
            self.kind,
            self.flags,
            self.endpoint,
            self.id,
            self.topic,
            self.context,
            self.payload,
        )


def flat(data: bytes | bytearray | memoryview) -> bytes | memoryview:
    """Return any buffer as bytes, without a copy where it lies in one piece."""
    if isinstance(data, bytes):
        return data
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous and view.nbytes else bytes(view)


class FrameError(RemoteProtocolError):
    """
    Raised when a peer sends bytes that are no frame.

    `reason` says which rule was broken, `frames` holds what was decoded from the same call before
    the bad frame.
    """

    def __init__(self, reason: str = "", frames: list[Frame] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.frames: list[Frame] = [] if frames is None else frames


def check_max_frame(max_frame: int) -> int:
    """Return `max_frame`; raise InvalidInputError when no frame could have that length."""
    if not HEADER_BYTES <= max_frame <= _MAX_LENGTH:
        raise InvalidInputError(
            f"max_frame is {max_frame}; it must be {HEADER_BYTES} to {_MAX_LENGTH} bytes"
        )
    return max_frame


def explain(header: bytes | bytearray | memoryview, max_frame: int) -> str | None:
    """Return what is wrong with the first 24 bytes of a frame, or None."""
    length, kind, flags, topic, context, _endpoint, _id = _unpack_header(header)
    if length < HEADER_BYTES:
        return f"length {length} is less than the {HEADER_BYTES} bytes of the header"
    if length > max_frame:
        return f"length {length} is more than the {max_frame} bytes that are allowed"
    if kind not in _FLAGS:
        return f"kind {kind} is unknown"
    if flags & _RESERVED[kind]:
        return f"flags {flags:#04x} are not all defined for kind {kind}"
    if topic > MAX_TOPIC:
        return f"topic of {topic} bytes is longer than {MAX_TOPIC}"
    if context > MAX_CONTEXT:
        return f"context of {context} bytes is longer than {MAX_CONTEXT}"
    if topic + context > length - HEADER_BYTES:
        return f"topic ({topic}) and context ({context}) do not fit into length {length}"
    return None


def _scan(data: bytes, start: int, max_frame: int, frames: list[Frame]) -> int:
    """
    Append the whole frames of `data` from `start` on; return where the first incomplete one begins.

    Raises:
        FrameError: A header breaks a rule of :func:`explain`.
    """
    size = len(data)
    unpack, reserved, append = _unpack_header, _RESERVED, frames.append
    while size - start >= HEADER_BYTES:
        length, kind, flags, topic_size, context_size, endpoint, number = unpack(data, start)
        topic_at = start + HEADER_BYTES
        context_at = topic_at + topic_size
        payload_at = context_at + context_size
        end = start + length
        if (
            payload_at > end
            or length > max_frame
            or (flags | _ANY) & reserved[kind]
            or topic_size > MAX_TOPIC
            or context_size > MAX_CONTEXT
        ):
            reason = explain(data[start:topic_at], max_frame)
            raise FrameError(str(reason), frames)
        if end > size:
            break
        append(
            Frame(
                kind,
                flags,
                endpoint,
                number,
                data[topic_at:context_at],
                data[context_at:payload_at],
                data[payload_at:end],
            )
        )
        start = end
    return start


def _decode_one(data: bytearray) -> Frame:
    """Return the frame that fills `data` and whose header is valid; its payload is copied once."""
    _length, kind, flags, topic_size, context_size, endpoint, number = _unpack_header(data)
    context_at = HEADER_BYTES + topic_size
    payload_at = context_at + context_size
    with memoryview(data) as view:
        return Frame(
            kind,
            flags,
            endpoint,
            number,
            bytes(view[HEADER_BYTES:context_at]),
            bytes(view[context_at:payload_at]),
            bytes(view[payload_at:]),
        )


class Carry:
    """
    The beginning of a frame whose rest has not arrived yet.

    Both decoders use it: a large frame is collected here in amortised constant time a byte, and
    its header is checked as soon as it is complete, before anything is collected on its word.
    """

    __slots__ = ("_buffer", "_max_frame")

    def __init__(self, max_frame: int) -> None:
        self._buffer = bytearray()
        self._max_frame = max_frame

    def __len__(self) -> int:
        return len(self._buffer)

    def start(self, data: bytes, at: int) -> None:
        """Keep `data` from `at` on as the beginning of a frame."""
        self._buffer = bytearray(memoryview(data)[at:])

    def complete(self, data: bytes) -> tuple[Frame | None, int]:
        """
        Add what the carried frame still needs; return it once whole, and how much it took.

        Raises:
            FrameError: The header breaks a rule of :func:`explain`.
        """
        buffer = self._buffer
        taken = 0
        if len(buffer) < HEADER_BYTES:
            taken = HEADER_BYTES - len(buffer)
            buffer += data[:taken]
            if len(buffer) < HEADER_BYTES:
                return None, len(data)
            reason = explain(buffer, self._max_frame)
            if reason is not None:
                self._buffer = bytearray()
                raise FrameError(reason)
        missing = _unpack_length(buffer)[0] - len(buffer)
        buffer += memoryview(data)[taken : taken + missing]
        if len(data) - taken < missing:
            return None, len(data)
        self._buffer = bytearray()
        return _decode_one(buffer), taken + missing


class FrameDecoder:
    """Decode the byte stream of one peer; see :class:`greengrass_sdk._native._abc.FrameDecoder`."""

    __slots__ = ("_carry", "_dead", "_max_frame")

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = check_max_frame(max_frame)
        self._carry = Carry(max_frame)
        self._dead: str | None = None

    @property
    def pending(self) -> int:
        return len(self._carry)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        if self._dead is not None:
            raise FrameError(self._dead)
        data = bytes(data)
        frames: list[Frame] = []
        start = 0
        try:
            if self._carry:
                frame, start = self._carry.complete(data)
                if frame is None:
                    return frames
                frames.append(frame)
            start = _scan(data, start, self._max_frame, frames)
        except FrameError as error:
            self._dead = error.reason
            raise
        if start < len(data):
            self._carry.start(data, start)
        return frames


def encode_header(
    kind: int,
    flags: int,
    endpoint: int,
    id: int,
    topic_len: int,
    context_len: int,
    payload_len: int,
) -> bytes:
    """
    Return the 24 bytes that precede topic, context and payload of these lengths.

    Raises:
        LocalProtocolError: A field breaks the format; the receiver would end the connection.
    """
    try:
        header = _pack_header(
            HEADER_BYTES + topic_len + context_len + payload_len,
            kind,
            flags,
            topic_len,
            context_len,
            endpoint,
            id,
        )
        valid = topic_len <= MAX_TOPIC and context_len <= MAX_CONTEXT
        if valid and not (flags | _ANY) & _RESERVED[kind]:
            return header
        reason = explain(header, _MAX_LENGTH)
    except Exception as error:  # struct.error, which the module does not import by name
        raise LocalProtocolError(
            f"cannot encode a frame of kind {kind}, flags {flags}, endpoint {endpoint}, id {id},"
            f" topic of {topic_len}, context of {context_len}, payload of {payload_len} bytes:"
            f" {error}"
        ) from error
    raise LocalProtocolError(f"cannot encode a frame: {reason}")


def encode_frame(
    kind: int,
    flags: int = 0,
    endpoint: int = 0,
    id: int = 0,
    topic: bytes = b"",
    context: bytes = b"",
    payload: bytes = b"",
) -> bytes:
    """
    Return a whole frame; a sender that can pass several buffers uses :func:`encode_header` instead.

    Raises:
        LocalProtocolError: As :func:`encode_header`.
    """
    header = encode_header(kind, flags, endpoint, id, len(topic), len(context), len(payload))
    return b"".join((header, topic, context, payload))


def request_id(boot: bytes, work_id: int) -> str:
    """
    Return the text form of a work id: a UUID of version 8 that is unique across starts of the core.

    Args:
        boot: 8 random bytes, drawn once per start of the core.
        work_id: 0 to 2**62-1; the two bits above give way to the UUID's variant.
    """
    try:
        first = _firsts[boot]
    except KeyError:
        first = _first_of_uuid(boot)
    last = f"{work_id & _UUID_ID | _UUID_VARIANT:016x}"
    return f"{first}{last[:4]}-{last[4:]}"


_firsts: dict[bytes, str] = {}


def _first_of_uuid(boot: bytes) -> str:
    """Return what the request ids of one start of the core have in common, and remember it."""
    if len(boot) != 8:
        raise InvalidInputError(f"boot has {len(boot)} bytes; it must have 8")
    text = boot.hex()
    first = f"{text[:8]}-{text[8:12]}-8{text[13:]}-"
    _firsts.clear()
    _firsts[bytes(boot)] = first
    return first

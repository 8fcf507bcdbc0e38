# SPDX-License-Identifier: Apache-2.0
"""
The stream manager's protocol: frames of CBOR over TCP, both ends of it, without any I/O.

::

    client: 01 | frame(Connect)            one byte of version, once
    server: 01 | frame(ConnectResponse)
    then frames in both directions; an answer names the request that it belongs to

    frame = int32 length, of what follows | int8 operation | CBOR map

`ServerSession` and `ClientSession` turn bytes into events. What is asked for most is read by
:mod:`greengrass_sdk.wire.streamrequests`.

AWS's clients cannot take an answer to a request that they gave up: their reader dies of it. An
answer that may be late is therefore sent by `fail_safely`, as an operation that they do not know:
it fails the request if that is still open, and is skipped if it is not.

Ref: unspecified by the guide; as the clients of AWS speak it
"""

from __future__ import annotations

from greengrass_sdk.errors import RemoteProtocolError
from greengrass_sdk.wire import cbor
from greengrass_sdk.wire.streammessages import encode_answer, head_of
from greengrass_sdk.wire.streamrequests import parse_append, parse_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from greengrass_sdk.wire.blocks import Buffer

__all__ = [
    "CONNECT_BYTES",
    "MAX_FRAME",
    "PROTOCOLS",
    "RESPONSES",
    "Call",
    "ClientSession",
    "Close",
    "FrameDecoder",
    "Operation",
    "Oversize",
    "Send",
    "ServerSession",
    "StreamStatus",
    "encode_frame",
]

CONNECT_VERSION = 1
PROTOCOLS = ("1.1.0", "1.0.0")
MAX_FRAME = 1 << 30  # what clients keep to; a server takes less
_HEAD = 5  # length and operation
CONNECT_BYTES = 65_536  # of the first frame, from whom nobody knows yet
_PREFIX = 4096  # of a frame that is too large: its request's id stands there
_ID_CHARS = 255


class Operation:
    """What a frame is about."""

    UNKNOWN = 0
    CONNECT = 1
    CREATE = 2
    DELETE = 3
    APPEND = 4
    READ = 5
    CONNECT_RESPONSE = 6
    CREATE_RESPONSE = 7
    DELETE_RESPONSE = 8
    APPEND_RESPONSE = 9
    READ_RESPONSE = 10
    LIST = 11
    LIST_RESPONSE = 12
    DESCRIBE = 13
    DESCRIBE_RESPONSE = 14
    UPDATE = 15
    UPDATE_RESPONSE = 16
    UNKNOWN_OPERATION_ERROR = 17


class StreamStatus:
    """How a request ended. Clients know no other number, and break at one."""

    SUCCESS = 0
    UNKNOWN_FAILURE = 1
    UNAUTHORIZED = 2
    INVALID_REQUEST = 3
    REQUEST_TOO_LARGE = 4
    NOT_FOUND = 5
    SERVER_TIMEOUT = 6
    RESPONSE_TOO_LARGE = 7
    UNSUPPORTED_CONNECT_VERSION = 8
    UNEXPECTED_OPERATION = 9
    UNSUPPORTED_PROTOCOL = 10
    INVALID_PROTOCOL = 11
    FAILED_TO_CONNECT = 12
    NOT_ENOUGH_MESSAGES = 13
    READ_ERROR = 14
    OUT_OF_MEMORY = 15
    UPDATE_FAILED = 16
    UPDATE_NOT_ALLOWED = 17
    UNKNOWN_OPERATION = 18


RESPONSES = {
    Operation.CREATE: Operation.CREATE_RESPONSE,
    Operation.DELETE: Operation.DELETE_RESPONSE,
    Operation.APPEND: Operation.APPEND_RESPONSE,
    Operation.READ: Operation.READ_RESPONSE,
    Operation.LIST: Operation.LIST_RESPONSE,
    Operation.DESCRIBE: Operation.DESCRIBE_RESPONSE,
    Operation.UPDATE: Operation.UPDATE_RESPONSE,
}
_SINCE_1_1 = frozenset({Operation.UPDATE})
_BYTE = 255
# The parts of an answer to an append: three keys, the second one's value a success.
_APPENDED_ID = bytes((Operation.APPEND_RESPONSE, 0xA3)) + b"\x69requestId\x78"
_APPENDED_NUMBER = b"\x66status\x00\x6esequenceNumber\x1b"
# Those of an answer to a read.
_READ_ID = bytes((Operation.READ_RESPONSE, 0xA3)) + b"\x69requestId\x79"
_READ_ID_AT = 4 + len(_READ_ID) + 2  # in the frame
_READ_MESSAGES = b"\x66status\x00\x68messages"
_QUICK: dict[int, Callable[[bytes], dict[str, Any] | None]] = {
    Operation.APPEND: parse_append,
    Operation.READ: parse_read,
}


def encode_frame(operation: int, body: dict[str, Any]) -> bytes:
    """Return a frame, whole: it must be sent by one write."""
    payload = cbor.encode(body)
    return (len(payload) + 1).to_bytes(4, "big") + bytes((operation,)) + payload


class Oversize:
    """A frame larger than its receiver takes: how it begins is all that was kept."""

    __slots__ = ("length", "prefix")

    def __init__(self, prefix: bytes, length: int) -> None:
        self.prefix = prefix
        self.length = length

    def request_id(self) -> str | None:
        """Return the id that AWS's clients put first; None if this begins otherwise."""
        key = b"\x69requestId"
        at = self.prefix.find(key, 0, len(key) + 9)
        if at < 0:
            return None
        head = self.prefix[at + len(key) :]
        if head[:1] == b"\x78":
            text = head[2 : 2 + head[1]] if len(head) > 1 else b""
        elif head and 0x60 <= head[0] < 0x78:
            text = head[1 : 1 + head[0] - 0x60]
        else:
            return None
        return text.decode("utf-8", "replace") or None


class FrameDecoder:
    """
    Cuts bytes into frames; holds no more than one frame and what follows it in the same bytes.

    Attributes:
        max_frame: The largest frame that is taken, of what follows its length.
        version: The first byte of the connection; None until it came.
        broken: Why no frame comes after those that came; empty while there may be more.
    """

    __slots__ = ("_buffer", "_needed", "_skip", "_skipped", "broken", "max_frame", "version")

    def __init__(self, max_frame: int) -> None:
        self.max_frame = max_frame
        self.version: int | None = None
        self.broken = ""
        self._buffer = bytearray()
        self._needed = _HEAD
        self._skip = 0  # bytes to come of a frame that is too large
        self._skipped: list[tuple[int, bytes | Oversize]] = []

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer or self._skip)

    def feed(self, data: bytes) -> list[tuple[int, bytes | Oversize]]:
        """Return the frames that `data` completes: operation and payload."""
        if self.version is None and data:
            self.version = data[0]
            if self.version != CONNECT_VERSION:
                self.broken = f"the connection begins with version {self.version}"
            data = data[1:]
        frames: list[tuple[int, bytes | Oversize]] = []
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._skipped and not self._skip:
            frames, self._skipped = self._skipped, []
        self._buffer += data
        at = 0
        while not self.broken and len(self._buffer) - at >= self._needed:
            at = self._take(at, frames)
        if at:
            del self._buffer[:at]
        return frames

    def _take(self, at: int, frames: list[tuple[int, bytes | Oversize]]) -> int:
        """Take the frame that begins at `at`; return where the next one does."""
        buffer = self._buffer
        length = int.from_bytes(buffer[at : at + 4], "big", signed=True)
        if not 1 <= length <= MAX_FRAME:
            self.broken = f"a frame says that it has {length} bytes"
            return at
        kept = length if length <= self.max_frame else min(length, _PREFIX)
        if len(buffer) - at < 4 + kept:
            self._needed = 4 + kept
            return at
        self._needed = _HEAD
        operation, payload = buffer[at + 4], bytes(memoryview(buffer)[at + _HEAD : at + 4 + kept])
        at += 4 + kept
        if length <= self.max_frame:
            frames.append((operation, payload))
            return at
        skipped = min(length - kept, len(buffer) - at)
        self._skip = length - kept - skipped
        ended = self._skipped if self._skip else frames
        ended.append((operation, Oversize(payload, length)))
        return at + skipped


# --- events ------------------------------------------------------------------


class Call:
    """A request of a connected client, which waits for its answer; `size` is that of its frame."""

    __slots__ = ("body", "operation", "request_id", "size")

    def __init__(
        self, operation: int, request_id: str, body: dict[str, Any], size: int = 0
    ) -> None:
        self.operation = operation
        self.request_id = request_id
        self.body = body
        self.size = size

    def answer_append(self, number: int) -> bytes:
        """Return `answer(0, sequenceNumber=number)`, written by hand: it is what is sent most."""
        request_id = self.request_id.encode()
        if len(request_id) > _BYTE:
            return self.answer(StreamStatus.SUCCESS, sequenceNumber=number)
        return b"".join(
            (
                (len(request_id) + 46).to_bytes(4, "big"),
                _APPENDED_ID,
                bytes((len(request_id),)),
                request_id,
                _APPENDED_NUMBER,
                number.to_bytes(8, "big"),
            )
        )

    def answer_read(self, stream: str, blocks: Buffer) -> bytearray:
        """Return `answer(0, messages=...)`, of messages in blocks that follow each other."""
        request_id = self.request_id.encode()
        size = len(request_id).to_bytes(2, "big")
        before = b"".join((_READ_ID, size, request_id, _READ_MESSAGES))
        return encode_answer(before, head_of(stream), blocks)

    def adopt(self, answer: bytearray) -> bool:
        """Make what `answer_read` of another request returned this one's; False: it cannot be."""
        request_id = self.request_id.encode()
        if int.from_bytes(answer[_READ_ID_AT - 2 : _READ_ID_AT], "big") != len(request_id):
            return False
        answer[_READ_ID_AT : _READ_ID_AT + len(request_id)] = request_id
        return True

    def answer(self, status: int, message: str | None = None, **fields: Any) -> bytes:
        """Return the frame that answers it."""
        body: dict[str, Any] = {"requestId": self.request_id, "status": status, **fields}
        if message is not None:
            body["errorMessage"] = message
        operation = RESPONSES.get(self.operation, Operation.UNKNOWN_OPERATION_ERROR)
        return encode_frame(operation, body)

    def fail_safely(self, message: str) -> bytes:
        """Return a frame that ends it with a failure, and harms no client that gave it up."""
        body = {"requestId": self.request_id, "status": StreamStatus.SERVER_TIMEOUT}
        return encode_frame(Operation.UNKNOWN, {**body, "errorMessage": message})


class Send:
    """Bytes that the owner of the session must send now, by one write."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Close:
    """The connection must end, after what was to be sent; `reason` is for the log."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class ServerSession:
    """
    The server's end of one connection.

    Args:
        authenticate: Returns whether a token, or its absence, may use the server.
        identifier: Names the client, in answers and in the log.
        version: The server's own, for people.
        max_frame: The largest request.

    Attributes:
        protocol: What was agreed upon; None before.
        sdk: The version that the client says it has, for the log.
        closed: Whether a `Close` was given.
    """

    __slots__ = (
        "_authenticate",
        "_decoder",
        "_identifier",
        "_max",
        "_version",
        "closed",
        "protocol",
        "sdk",
    )

    def __init__(
        self,
        authenticate: Callable[[str | None], bool],
        *,
        identifier: str,
        version: str,
        max_frame: int,
    ) -> None:
        self.protocol: str | None = None
        self.sdk = "?"
        self._authenticate = authenticate
        self._identifier = identifier
        self._version = version
        self._max = max_frame
        self._decoder = FrameDecoder(min(CONNECT_BYTES, max_frame))
        self.closed = False

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return self._decoder.pending

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._decoder.unfinished

    def receive(self, data: bytes) -> list[Call | Send | Close]:
        """Take bytes; nothing comes after a `Close`."""
        if self.closed:
            return []
        if self.protocol is not None and (quick := self._whole(data)) is not None:
            return [quick]
        events: list[Call | Send | Close] = []
        try:
            for operation, payload in self._decoder.feed(data):
                if self.protocol is None:
                    events += self._connect(operation, payload)
                else:
                    events.append(self._call(operation, payload))
                if isinstance(events[-1], Close):
                    return events
        except RemoteProtocolError as error:
            return [*events, self._end(str(error))]
        if self._decoder.version not in (None, CONNECT_VERSION):
            text = f"connect version {self._decoder.version} is not supported, only 1"
            events += self._refuse(StreamStatus.UNSUPPORTED_CONNECT_VERSION, text)
        elif self._decoder.broken:
            events.append(self._end(self._decoder.broken))
        return events

    def _whole(self, data: bytes) -> Call | None:
        """Return the usual request that `data` is, if it is one frame and nothing else."""
        if (
            len(data) < _HEAD
            or int.from_bytes(data[:4], "big") != len(data) - 4
            or len(data) - 4 > self._max
            or self._decoder.unfinished
        ):
            return None
        return _usual(data[4], data[_HEAD:])

    def _end(self, reason: str) -> Close:
        self.closed = True
        return Close(reason)

    # --- the handshake -----------------------------------------------------

    def _connect(self, operation: int, payload: bytes | Oversize) -> list[Call | Send | Close]:
        if operation != Operation.CONNECT:
            return self._refuse(
                StreamStatus.UNEXPECTED_OPERATION, f"operation {operation} came before Connect"
            )
        if isinstance(payload, Oversize):
            return [self._end(f"a Connect of {payload.length} bytes")]
        body = cbor.decode(payload)
        request_id = _request_id(body)
        token = body.get("authToken")
        if not self._authenticate(token if isinstance(token, str) else None):
            return self._refuse(
                StreamStatus.UNAUTHORIZED, "the client has no token of this core", request_id
            )
        wanted = body.get("protocolVersion")
        if not isinstance(wanted, str) or not _is_version(wanted):
            return self._refuse(
                StreamStatus.INVALID_PROTOCOL, f"{wanted!r:.80} is no protocol version", request_id
            )
        others = body.get("otherSupportedProtocolVersions")
        offered = [wanted, *(others if isinstance(others, list) else ())]
        agreed = next((version for version in PROTOCOLS if version in offered), None)
        if agreed is None:
            return self._refuse(
                StreamStatus.UNSUPPORTED_PROTOCOL,
                f"protocol {wanted} is not supported, only {', '.join(PROTOCOLS)}",
                request_id,
            )
        self.protocol = agreed
        self.sdk = f"{body.get('sdkVersion')!s:.40}"
        self._decoder.max_frame = self._max
        answer = self._connect_response(request_id, StreamStatus.SUCCESS)
        return [Send(answer)]

    def _refuse(
        self, status: int, message: str, request_id: str | None = None
    ) -> list[Call | Send | Close]:
        answer = self._connect_response(request_id, status, message)
        return [Send(answer), self._end(message)]

    def _connect_response(
        self, request_id: str | None, status: int, message: str | None = None
    ) -> bytes:
        body: dict[str, Any] = {
            "status": status,
            "serverVersion": self._version,
            "supportedProtocolVersions": list(PROTOCOLS),
        }
        if request_id is not None:
            body["requestId"] = request_id
        if message is not None:
            body["errorMessage"] = message
        else:
            body |= {"protocolVersion": self.protocol, "clientIdentifier": self._identifier}
        return bytes((CONNECT_VERSION,)) + encode_frame(Operation.CONNECT_RESPONSE, body)

    # --- requests ----------------------------------------------------------

    def _call(self, operation: int, payload: bytes | Oversize) -> Call | Send:
        if isinstance(payload, Oversize):
            request_id = payload.request_id()
            if request_id is None:
                raise RemoteProtocolError(f"a request of {payload.length} bytes, without an id")
            text = f"the request has {payload.length} bytes; the limit is {self._max}"
            call = Call(operation, request_id, {})
            return Send(call.answer(StreamStatus.REQUEST_TOO_LARGE, text))
        if (quick := _usual(operation, payload)) is not None:
            return quick
        body = cbor.decode(payload)
        request_id = _request_id(body)
        if request_id is None:
            raise RemoteProtocolError("a request without an id")
        call = Call(operation, request_id, body, len(payload))
        if operation in RESPONSES:
            if operation not in _SINCE_1_1 or self.protocol != "1.0.0":
                return call
            text = f"operation {operation} is not part of protocol {self.protocol}"
        elif operation == Operation.CONNECT:
            text = "the client is connected already"
            return Send(call.answer(StreamStatus.UNEXPECTED_OPERATION, text))
        else:
            text = f"there is no operation {operation}"
        return Send(call.answer(StreamStatus.UNKNOWN_OPERATION, text))


class ClientSession:
    """The client's end of one connection."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = FrameDecoder(MAX_FRAME)

    def hello(self, request_id: str, token: str | None, sdk_version: str) -> bytes:
        """Return the first bytes of the connection."""
        body: dict[str, Any] = {
            "requestId": request_id,
            "protocolVersion": PROTOCOLS[0],
            "otherSupportedProtocolVersions": list(PROTOCOLS[1:]),
            "sdkVersion": sdk_version,
        }
        if token is not None:
            body["authToken"] = token
        return bytes((CONNECT_VERSION,)) + encode_frame(Operation.CONNECT, body)

    def receive(self, data: bytes) -> list[tuple[int, dict[str, Any]]]:
        """
        Return the answers that `data` completes.

        Raises:
            RemoteProtocolError: The server does not speak this protocol.
        """
        frames = self._decoder.feed(data)
        if self._decoder.broken:
            raise RemoteProtocolError(f"no stream manager answers: {self._decoder.broken}")
        return [
            (operation, cbor.decode(payload, items=len(payload)))
            for operation, payload in frames
            if isinstance(payload, bytes)
        ]


def _usual(operation: int, payload: bytes) -> Call | None:
    """Return a request that looks exactly as AWS's clients write it."""
    parse = _QUICK.get(operation)
    body = parse(payload) if parse is not None else None
    return None if body is None else Call(operation, body["requestId"], body, len(payload))


def _request_id(body: dict[str, Any]) -> str | None:
    found = body.get("requestId")
    return found if isinstance(found, str) and 0 < len(found) <= _ID_CHARS else None


def _is_version(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts)

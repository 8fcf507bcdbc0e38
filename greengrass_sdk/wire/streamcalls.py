# SPDX-License-Identifier: Apache-2.0
"""
What clients of ours ask of the stream manager, and its answers: payloads of an invocation.

    request     operation, flags (u8 each), size of the name (u16), name, then by the operation:
    APPEND      count (u32), body of a block
    READ        start (u64), least, most, timeout in ms, most bytes (u32 each); flag UNCHECKED
    VERIFY      start (u64)
    CREATE, UPDATE   the definition as JSON, with AWS's names
    answer      0, then by the operation:
    APPEND      first sequence number (u64), count (u32); if not all were taken, an error
    READ        blocks, without checksums
    LIST, DESCRIBE, VERIFY   JSON
    error       1, then JSON: code, message, stream, next
    stored      2, only to READ with UNCHECKED: salt of the checksums (u32), first sequence number
                and that after the last (u64 each), blocks as on disk, which nobody has looked at;
                on rings they are lent: the client reads them, by a descriptor of the file

Numbers are little-endian. Operations have the numbers of AWS's protocol.
"""

from __future__ import annotations

from struct import Struct, error

from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    RemoteProtocolError,
    StreamError,
    StreamReadError,
    error_from_code,
)
from greengrass_sdk.wire.blocks import QUICK, bare_parts, parse_blocks, run_of_blocks, stop_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from greengrass_sdk.wire.blocks import Block, Buffer

    M = TypeVar("M")
    T = TypeVar("T")

__all__ = [
    "APPEND",
    "CREATE",
    "DELETE",
    "DESCRIBE",
    "LIST",
    "READ",
    "READ_FLAGS",
    "SEPARATE",
    "UNCHECKED",
    "UPDATE",
    "VERIFY",
    "Call",
    "answer_append",
    "answer_blocks",
    "answer_error",
    "answer_json",
    "answer_stored",
    "check",
    "checked",
    "is_sound",
    "read_append",
    "read_blocks",
    "read_json",
    "read_messages",
    "read_stop",
    "request",
    "request_append",
    "request_definition",
    "request_read",
    "request_verify",
    "stored_head",
]

CREATE, DELETE, APPEND, READ, LIST, DESCRIBE, UPDATE = 2, 3, 4, 5, 11, 13, 15
VERIFY = 64  # ours
SEPARATE = 1
"""A flag of APPEND: those messages that find room stay, also if others do not."""

UNCHECKED = 1
"""A flag of READ: an answer may be `stored`, and who asks looks at the checksums, `is_sound`."""

READ_FLAGS = UNCHECKED if QUICK else 0
"""Those of a READ by this process: what it does slowly is left to the core."""

_HEAD = Struct("<BBH")
_COUNT = Struct("<I")
_START = Struct("<Q")
_READ = Struct("<QIIII")
_APPENDED = Struct("<BQI")
_STORED = Struct("<BIQQ")
_OK, _ERROR, _STORED_TAG = b"\0", b"\1", b"\2"
_LONG, _INT = (1 << 63) - 1, (1 << 31) - 1


class Call:
    """A request, taken apart: `body` is what follows the name."""

    __slots__ = ("body", "flags", "name", "operation")

    def __init__(self, operation: int, flags: int, name: str, body: memoryview) -> None:
        self.operation = operation
        self.flags = flags
        self.name = name
        self.body = body

    @classmethod
    def parse(cls, payload: Buffer) -> Call:
        """
        Take a request apart.

        Raises:
            InvalidStreamRequestError: It is none.
        """
        try:
            operation, flags, size = _HEAD.unpack_from(payload)
            end = _HEAD.size + size
            if end > len(payload):
                raise ValueError("its name is cut off")
            name = bytes(payload[_HEAD.size : end]).decode()
        except (error, ValueError) as problem:
            raise InvalidStreamRequestError(f"no request to the stream manager: {problem}") from (
                problem
            )
        return cls(operation, flags, name, memoryview(payload)[end:])

    def batch(self) -> tuple[int, memoryview]:
        """Return count and body of an append; whether they fit, the stream looks."""
        if len(self.body) < _COUNT.size:
            raise InvalidStreamRequestError("the append is cut off", stream=self.name)
        (count,) = _COUNT.unpack_from(self.body)
        return count, self.body[_COUNT.size :]

    def window(self) -> tuple[int, int, int, float, int]:
        """Return start, least, most, timeout in seconds and most bytes of a read."""
        if len(self.body) != _READ.size:
            raise InvalidStreamRequestError("the read is cut off", stream=self.name)
        start, least, most, timeout_ms, max_bytes = _READ.unpack(self.body)
        if not 1 <= least <= most:
            raise InvalidStreamRequestError(
                "min_message_count must be less than or equal to max_message_count",
                stream=self.name,
            )
        return start, least, most, timeout_ms / 1000, max_bytes

    def start(self) -> int:
        """Return where a verification begins."""
        if len(self.body) != _START.size:
            raise InvalidStreamRequestError("the request is cut off", stream=self.name)
        (start,) = _START.unpack(self.body)
        return int(start)

    def json(self) -> Any:
        """Return the JSON of the body."""
        import json

        try:
            return json.loads(bytes(self.body))
        except (ValueError, RecursionError) as problem:
            raise InvalidStreamRequestError(
                f"the definition is no JSON: {problem}", stream=self.name
            ) from problem


# Requests.


def request(operation: int, name: str = "", body: Buffer = b"", flags: int = 0) -> bytes:
    """Return a request."""
    raw = name.encode()
    return b"".join((_HEAD.pack(operation, flags, len(raw)), raw, body))


def request_append(name: str, payloads: Sequence[Buffer], flags: int = 0) -> bytes:
    """Return a request to append messages."""
    raw, count = name.encode(), len(payloads)
    head = _HEAD.pack(APPEND, flags, len(raw))
    sizes = Struct(f"<{count + 1}I").pack(count, *map(len, payloads))
    return b"".join((head, raw, sizes, *payloads))


def request_read(
    name: str,
    start: int,
    least: int,
    most: int,
    timeout_s: float,
    max_bytes: int,
    flags: int = 0,
) -> bytes:
    """Return a request to read."""
    if not 0 <= start <= _LONG or not 1 <= least <= most <= _INT:
        raise InvalidStreamRequestError(
            f"cannot read {least} to {most} messages from {start} on: start is at least 0, and"
            f" the counts are 1 to {_INT}, the least not above the most",
            stream=name,
        )
    timeout_ms = min(max(int(timeout_s * 1000), 0), _INT)
    return request(READ, name, _READ.pack(start, least, most, timeout_ms, max_bytes), flags)


def checked(request: bytes) -> bytes:
    """Return a request to read the same, but for UNCHECKED."""
    return request[:1] + bytes((request[1] & ~UNCHECKED,)) + request[2:]


def request_verify(name: str, start: int) -> bytes:
    """Return a request to read a piece of a stream, and tell what is damaged."""
    return request(VERIFY, name, _START.pack(start))


def request_definition(operation: int, name: str, definition: dict[str, Any]) -> bytes:
    """Return a request to create or update."""
    import json

    return request(operation, name, json.dumps(definition).encode())


# Answers.


def answer_append(first: int, count: int, refused: StreamError | None = None) -> bytes:
    """Return the answer to an append."""
    said = b"" if refused is None else answer_error(refused)
    return _APPENDED.pack(0, first, count) + said


def answer_blocks(blocks: Sequence[Block]) -> bytes:
    """Return the answer to a read."""
    return answer_stored(bare_parts(blocks))


def answer_stored(parts: Sequence[Buffer]) -> bytes:
    """Return the answer to a read: blocks in parts, as they are sent or stored."""
    return b"".join((_OK, *parts))


def stored_head(salt: int, first: int, stop: int) -> bytes:
    """Return what comes before blocks as on disk in the answer to a read."""
    return _STORED.pack(2, salt, first, stop)


def answer_json(document: object) -> bytes:
    """Return an answer."""
    import json

    return _OK + json.dumps(document).encode()


def answer_error(problem: StreamError) -> bytes:
    """Return what was wrong."""
    import json

    document: dict[str, object] = {
        "code": problem.code,
        "message": str(problem),
        "stream": problem.stream,
    }
    if isinstance(problem, StreamReadError):
        document["next"] = problem.next_sequence_number
    return _ERROR + json.dumps(document).encode()


def read_append(answer: Buffer) -> tuple[int, int, StreamError | None]:
    """Return first, count, and why there are not more."""
    check(answer)
    try:
        _, first, count = _APPENDED.unpack_from(answer)
    except error as problem:
        raise RemoteProtocolError(f"the answer to an append is cut off: {problem}") from problem
    rest = answer[_APPENDED.size :]
    return first, count, _error(rest) if len(rest) else None


def is_sound(answer: Buffer) -> bool:
    """Return whether an answer is what was meant: of one that is stored, nobody had looked."""
    if not _is_stored(answer):
        return bytes(answer[:1]) != _STORED_TAG
    _, salt, first, stop = _STORED.unpack_from(answer)
    blocks = memoryview(answer)[_STORED.size :]
    return run_of_blocks(blocks, salt, max(stop - first, 0))[:3] == (len(blocks), first, stop)


def read_blocks(answer: Buffer) -> list[Block]:
    """Return what was read."""
    return _read(answer, lambda blocks: list(parse_blocks(blocks)))


def read_stop(answer: Buffer) -> int:
    """Return the sequence number after the last message that was read."""
    return _read(answer, stop_of)


def read_messages(answer: Buffer, name: str, reader: Callable[[str, Buffer], list[M]]) -> list[M]:
    """Return what was read as messages, which `blocks.reader` makes."""
    return _read(answer, lambda blocks: reader(name, blocks))


def _read(answer: Buffer, parse: Callable[[Buffer], T]) -> T:
    check(answer)
    try:
        return parse(memoryview(answer)[_STORED.size if _is_stored(answer) else 1 :])
    except ValueError as problem:
        raise RemoteProtocolError(f"the answer to a read: {problem}") from problem


def read_json(answer: Buffer) -> Any:
    """Return the document of an answer; None if it has none."""
    import json

    check(answer)
    return json.loads(bytes(answer[1:])) if len(answer) > 1 else None


def check(answer: Buffer) -> None:
    """
    Raise the error that an answer is.

    Raises:
        StreamError: What was wrong.
        RemoteProtocolError: Nobody can read it.
    """
    if bytes(answer[:1]) != _OK and not _is_stored(answer):
        raise _error(answer)


def _is_stored(answer: Buffer) -> bool:
    return len(answer) >= _STORED.size and bytes(answer[:1]) == _STORED_TAG


def _error(answer: Buffer) -> StreamError:
    import json

    try:
        document = json.loads(bytes(answer[1:]))
        found = error_from_code(document["code"], document["message"])
    except (ValueError, LookupError, TypeError) as problem:
        raise RemoteProtocolError("the stream manager's answer cannot be read") from problem
    if not isinstance(found, StreamError):
        found = StreamError(str(found))
    found.stream = document.get("stream", "")
    if isinstance(found, StreamReadError):
        found.next_sequence_number = document.get("next")
    return found

# SPDX-License-Identifier: Apache-2.0
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from greengrass_sdk._native._py.frames import Frame

class Lane:
    def __init__(
        self,
        port: int,
        calls: tuple[int, ...],
        owner: object,
        frame: type[Frame],
        outgoing: Sequence[object],
    ) -> None: ...
    def send(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: bytes | bytearray | memoryview,
        payload: bytes | bytearray | memoryview,
        wait: bool = False,
        /,
    ) -> bool: ...
    def publish(
        self,
        topic: str,
        payload: object,
        endpoint: int,
        topic_bytes: int,
        payload_bytes: int,
        /,
    ) -> bool: ...
    def answer(
        self,
        flags: int,
        endpoint: int,
        id: int,
        payload: bytes | bytearray | memoryview,
        more: bool,
        /,
    ) -> bool: ...
    def take(self, frames: deque[Frame], work: list[Frame] | None = None, /) -> bool: ...
    def close(self) -> None: ...
    def idle(self) -> bool: ...

_M = TypeVar("_M")

class Messages(Generic[_M]):
    def __init__(self, frame: type[Frame], kind: int, message: type[_M]) -> None: ...
    def of(self, frames: list[Frame], /) -> list[_M]: ...

class Records(Generic[_M]):
    def __init__(self, message: type[_M]) -> None: ...
    def of(self, name: str, data: bytes | bytearray | memoryview, /) -> list[_M]: ...

def cbor_of_blocks(
    before: bytes, head: bytes, data: bytes | bytearray | memoryview, /
) -> bytearray: ...
def crc32(data: bytes | bytearray | memoryview, value: int = 0, /) -> int: ...
def crc32_is_fast() -> bool: ...
def keep_freed(size: int, /) -> None: ...
def read_lent(descriptor: int, offset: int, size: int, head: bytes, /) -> bytes: ...
def run_of_blocks(
    data: bytes | bytearray | memoryview, salt: int, count: int, /
) -> tuple[int, int, int, int]: ...
def stop_of_blocks(data: bytes | bytearray | memoryview, /) -> int: ...

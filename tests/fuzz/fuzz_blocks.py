# SPDX-License-Identifier: Apache-2.0
"""
Fuzz what a stream finds on its disk: `nox -s fuzz -- blocks tests/fuzz/corpus/blocks`.

The input is the size of an index (one byte), the index, and a segment behind its header. Oracle:
opening never fails; what is read lies between the numbers of the segment, in order, once; appending
goes on; and what was read then is read again after the next opening.
"""

from __future__ import annotations

import contextlib
import sys

from greengrass_sdk.core.storage.files import MemoryFiles
from greengrass_sdk.core.storage.log import SegmentLog
from greengrass_sdk.core.storage.segment import Segment, index_name, log_name
from greengrass_sdk.wire.blocks import encode_body, parse_blocks

FIRST = 7
ALL = 1 << 30


def content(log: SegmentLog) -> list[tuple[int, bytes]]:
    """Return all messages that can be read, with their numbers."""
    found: list[tuple[int, bytes]] = []
    start = log.oldest
    while start < log.next:
        blocks, gap = log.read(start, ALL, ALL)
        for block in blocks:
            found += enumerate(block.payloads(), block.first)
            start = block.stop
        if gap is not None:
            if not start <= gap.first < gap.stop <= log.next:
                raise AssertionError(f"{gap} from {start} on")
            start = gap.stop
        elif not blocks:
            raise AssertionError(f"nothing from {start} on, and {log.next} is the next")
    return found


def one_input(data: bytes) -> None:
    """Open a log whose bytes are `data`."""
    files = MemoryFiles()
    Segment.create(files, FIRST)
    behind = 1 + data[0] if data else 0
    index, rest = data[1:behind], data[behind:]
    if index:
        files.open(index_name(FIRST)).write(0, index)
    file = files.open(log_name(FIRST))
    file.write(file.size, rest)
    log = SegmentLog.open(files, 1 << 20)
    found = content(log)
    numbers = [number for number, _ in found]
    if numbers != sorted(set(numbers)) or any(not FIRST <= n < log.next for n in numbers):
        raise AssertionError(f"numbers {numbers} of a segment from {FIRST} to {log.next}")
    if log.next < 1 << 62:
        log.put(1, encode_body([b"more"]), 0)
        log.commit()
        found.append((log.next - 1, b"more"))
    again = SegmentLog.open(files, 1 << 20)
    if content(again) != found:
        raise AssertionError("what was read is not what is read")
    with contextlib.suppress(ValueError):
        for block in parse_blocks(data):
            block.payloads()


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing Python needs atheris: pip install atheris")
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

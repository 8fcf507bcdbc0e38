# SPDX-License-Identifier: Apache-2.0

import errno
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.core.storage.files import FolderFiles, MemoryFiles
from greengrass_sdk.core.storage.segment import (
    SEGMENT_HEADER_BYTES,
    Gap,
    Segment,
    index_name,
    log_name,
)
from greengrass_sdk.wire.blocks import HEADER_BYTES, encode_body, run_of_blocks

LIMIT = 1 << 20
SMALL = HEADER_BYTES + 5  # one message of one byte


def fill(segment, *payloads):
    for payload in payloads:
        segment.put(1, encode_body([payload]), 1000)
        segment.commit(LIMIT)


def letters(segment, start=None):
    found: list[Any] = []
    for item in segment.read(segment.first if start is None else start):
        found += [(item.first, item.stop)] if isinstance(item, Gap) else item.payloads()
    return found


def segment_with(*payloads, first=0):
    files = MemoryFiles()
    segment = Segment.create(files, first)
    fill(segment, *payloads)
    return files, segment


def offset_of(number):
    return SEGMENT_HEADER_BYTES + number * SMALL


def raw(files, first=0):
    return files.open(log_name(first))


def test_what_is_put_can_be_read_after_its_commit():
    _, segment = segment_with(b"a", b"b", first=10)
    assert [b"a", b"b"] == letters(segment)
    assert (12, 1000) == (segment.next, segment.newest_ms)


def test_reading_begins_with_the_block_that_holds_a_number():
    files = MemoryFiles()
    segment = Segment.create(files, 0)
    segment.put(2, encode_body([b"a", b"b"]), 0)
    segment.put(2, encode_body([b"c", b"d"]), 0)
    segment.commit(LIMIT)
    assert [b"c", b"d"] == letters(segment, 3)
    assert [] == letters(segment, 4)


def test_reading_goes_on_where_a_reader_was():
    _, segment = segment_with(*(bytes([65 + n]) for n in range(26)))
    position, found = 0, b""
    while position < segment.next:
        block = next(iter(segment.read(position)))
        found += b"".join(block.payloads())
        position = block.stop
    assert b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" == found


def sealed_and_reopened():
    """Return files with a segment of a hundred blocks; it, sealed, and as it is opened again."""
    files = MemoryFiles()
    segment = Segment.create(files, 0)
    for number in range(100):
        fill(segment, b"%4d" % number + b"x" * 2000)
    segment.seal()
    segment.save_index()
    return files, (segment, Segment.open(files, 0))


def test_an_index_leads_to_the_middle_of_a_large_segment():
    _, segments = sealed_and_reopened()
    for reopened in segments:
        assert all(b"%4d" % n == letters(reopened, n)[0][:4] for n in range(100))


def test_where_blocks_are_is_known_without_reading_them():
    files, segments = sealed_and_reopened()
    for reopened in segments:
        start = 0
        while start < 100:
            extent = reopened.extent(start, 100, 70_000)
            assert extent is not None
            data = bytes(raw(files).data[extent.offset : extent.offset + extent.size])
            assert (extent.size, start, extent.stop, 1000) == run_of_blocks(data, extent.salt, 100)
            assert extent.stop == 100 or extent.size > 35_000
            start = extent.stop


def test_where_blocks_are_is_not_known_of_what_begins_no_entry_or_is_too_much():
    _, segment = segment_with(b"a", b"b", b"c")
    assert segment.extent(1, 9, LIMIT) is None
    assert segment.extent(3, 9, LIMIT) is None
    assert segment.extent(0, 2, LIMIT) is None
    assert segment.extent(0, 9, 2 * SMALL) is None
    assert [b"a"] == next(segment.read(0)).payloads()  # a reader was there
    assert (1, 3, 2 * SMALL) == attrgetter("first", "stop", "size")(segment.extent(1, 9, LIMIT))
    assert Segment.create(MemoryFiles(), 0).extent(0, 9, LIMIT) is None


def test_a_segment_opened_again_is_the_same():
    files, segment = segment_with(b"a", b"b")
    opened = Segment.open(files, 0)
    assert [b"a", b"b"] == letters(opened)
    assert (segment.next, segment.used, 1000, 0, []) == (
        opened.next,
        opened.used,
        opened.newest_ms,
        opened.cut_bytes,
        opened.gaps,
    )


def test_a_sealed_segment_is_opened_by_its_index():
    files, segment = segment_with(b"a", b"b")
    segment.seal()
    segment.save_index()
    opened = Segment.open(files, 0)
    assert (True, 2, segment.used) == (opened.sealed, opened.next, opened.used)
    assert [b"a", b"b"] == letters(opened)


@pytest.mark.parametrize("damage", ["cut", "changed", "shorter log", "longer log", "empty"])
def test_an_index_that_does_not_fit_is_not_believed(damage):
    files, segment = segment_with(b"a", b"b")
    segment.seal()
    segment.save_index()
    index = files.open(index_name(0))
    if damage == "cut":
        index.truncate(index.size - 1)
    elif damage == "changed":
        index.write(20, b"\xff")
    elif damage == "empty":
        index.truncate(0)
    elif damage == "shorter log":
        raw(files).truncate(offset_of(1))
    else:
        raw(files).write(segment.used, b"\0")
    opened = Segment.open(files, 0)
    assert not opened.sealed
    assert (1 if damage == "shorter log" else 2) == opened.next


def test_zeros_behind_the_last_block_are_room_and_no_tail():
    files, segment = segment_with(b"a")
    raw(files).write(segment.used, b"\0" * 100)
    opened = Segment.open(files, 0)
    assert (0, [b"a"], opened.used) == (opened.cut_bytes, letters(opened), raw(files).size)


@given(st.integers(1, SMALL - 1))
def test_a_torn_tail_is_cut_and_told(kept):
    files, _ = segment_with(b"a", b"b")
    raw(files).truncate(offset_of(1) + kept)
    opened = Segment.open(files, 0)
    assert (1, [b"a"], []) == (opened.next, letters(opened), opened.gaps)
    assert 0 < opened.cut_bytes <= kept
    fill(opened, b"c")
    assert [b"a", b"c"] == letters(Segment.open(files, 0))


@given(st.integers(0, SMALL - 1))
def test_damage_between_good_blocks_loses_only_what_was_there(position):
    files, segment = segment_with(b"a", b"b", b"c")
    at = offset_of(1) + position
    raw(files).write(at, bytes([raw(files).read(at, 1)[0] ^ 0x55]))
    for damaged in (segment, Segment.open(files, 0)):
        assert [b"a", (1, 2), b"c"] == letters(damaged)
        assert [(1, 2), b"c"] == letters(damaged, 1)
        assert [b"c"] == letters(damaged, 2)
        assert [Gap(1, 2)] == damaged.gaps
        assert 3 == damaged.next


def test_damage_at_the_end_is_told_while_the_segment_is_open():
    files, segment = segment_with(b"a", b"b")
    raw(files).write(offset_of(1) + 10, b"XX")
    assert [b"a", (1, 2)] == letters(segment)
    assert [(1, 2)] == letters(segment, 1)


def test_a_file_that_is_cut_while_it_is_open_is_damaged_from_there_on():
    files, segment = segment_with(b"a", b"b", b"c")
    raw(files).truncate(offset_of(2) + HEADER_BYTES)
    assert [b"a", b"b", (2, 3)] == letters(segment)


def test_a_damaged_header_of_the_segment_costs_nothing():
    files, _ = segment_with(b"a")
    raw(files).write(0, b"XXXX")
    assert [b"a"] == letters(Segment.open(files, 0))
    assert [b"a"] == letters(Segment.open(files, 0))


def test_a_segment_that_was_hardly_made_is_empty():
    files = MemoryFiles()
    files.open(log_name(7))
    opened = Segment.open(files, 7)
    assert (7, SEGMENT_HEADER_BYTES) == (opened.next, opened.used)
    fill(opened, b"a")
    assert [b"a"] == letters(Segment.open(files, 7))


def test_what_looks_like_a_block_inside_of_a_message_is_none():
    files, segment = segment_with(b"a")
    inner = raw(files).read(SEGMENT_HEADER_BYTES, SMALL)
    other = Segment.create(files, 1)
    fill(other, b"p" + inner, b"b")
    raw(files, 1).write(SEGMENT_HEADER_BYTES + 8, b"\xff")
    assert [(1, 2), b"b"] == letters(Segment.open(files, 1))
    assert [b"a"] == letters(segment)


def test_a_block_with_numbers_that_are_taken_is_no_part_of_the_segment():
    files, segment = segment_with(b"a", b"b")
    first = raw(files).read(offset_of(0), SMALL)
    raw(files).write(segment.used, first)
    opened = Segment.open(files, 0)
    assert (2, [b"a", b"b"]) == (opened.next, letters(opened))
    assert opened.cut_bytes > 0


class Refusing:
    """A file that refuses to write more than it has room for, as a full disk does."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, offset, *parts):
        data = b"".join(parts)
        fits = self.room - offset
        self.file.write(offset, data[: max(fits, 0)])
        if fits < len(data):
            raise OSError(errno.ENOSPC, "full")


def test_a_write_that_fails_leaves_everything_as_it_was():
    files, segment = segment_with(b"a")
    segment._open_file = Refusing(raw(files), segment.used + SMALL + 7)
    segment.put(1, encode_body([b"b"]), 0)
    segment.put(1, encode_body([b"c"]), 0)
    with pytest.raises(OSError, match="full"):
        segment.commit(LIMIT)
    assert (1, offset_of(1), [b"a"]) == (segment.next, segment.used, letters(segment))
    segment.rest()
    fill(segment, b"d")
    assert [b"a", b"d"] == letters(Segment.open(files, 0))


def test_a_segment_takes_no_room_ahead_where_there_is_none():
    class Tight(Refusing):
        def allocate(self, size):
            if size > self.room:
                raise OSError(errno.ENOSPC, "full")

    files, segment = segment_with(b"a")
    segment._open_file = Tight(raw(files), segment.used + SMALL)
    fill(segment, b"b")
    with pytest.raises(OSError, match="full"):
        fill(segment, b"c")
    assert [b"a", b"b"] == letters(segment)


def test_a_segment_takes_room_ahead_and_returns_it_when_it_is_sealed(tmp_path):
    segment = Segment.create(FolderFiles(tmp_path), 0)
    fill(segment, b"a")
    path = tmp_path / log_name(0)
    assert LIMIT == path.stat().st_size
    segment.seal()
    assert offset_of(1) == path.stat().st_size


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_recovered_to_something_that_stays(data, header):
    files = MemoryFiles()
    if header:
        Segment.create(files, 0)
    raw(files).write(raw(files).size, data)
    opened = Segment.open(files, 0)
    content = letters(opened)
    fill(opened, b"z")
    assert [*content, b"z"] == letters(Segment.open(files, 0))

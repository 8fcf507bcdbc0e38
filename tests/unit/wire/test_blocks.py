# SPDX-License-Identifier: Apache-2.0

import struct
import zlib

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.model.stream import Message
from greengrass_sdk.wire.blocks import (
    HEADER_BYTES,
    MAGIC,
    Block,
    bare_parts,
    count_of,
    crc32,
    encode_body,
    encode_header,
    parse_block,
    parse_blocks,
    parse_size,
    reader,
    run_in_python,
    run_of_blocks,
    sizes_of,
    stop_in_python,
    stop_of,
)

PAYLOADS = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8)


def block_of(*payloads, first=0, time=0):
    return Block(first, time, len(payloads), encode_body(payloads))


def written(block, salt=0):
    return block.header(salt) + bytes(block.body)


@given(PAYLOADS, st.integers(0, 1 << 63), st.integers(0, 1 << 63), st.integers(0, (1 << 32) - 1))
def test_what_is_written_is_read(payloads, first, time, salt):
    block = block_of(*payloads, first=first, time=time)
    found = parse_block(b"before" + written(block, salt) + b"after", 6, salt)
    assert found is not None
    assert (first, time, len(payloads)) == (found.first, found.ingest_time, found.count)
    assert payloads == found.payloads()
    assert len(written(block)) == block.size == found.size


def test_a_block_is_no_block_with_another_salt():
    assert parse_block(written(block_of(b"a"), 1), 0, 2) is None


@given(PAYLOADS, st.data())
def test_a_block_with_a_changed_bit_is_none(payloads, data):
    raw = bytearray(written(block_of(*payloads)))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    assert parse_block(raw) is None


@given(PAYLOADS, st.data())
def test_a_block_that_is_cut_is_none(payloads, data):
    raw = written(block_of(*payloads))
    assert parse_block(raw[: data.draw(st.integers(0, len(raw) - 1))]) is None


@given(PAYLOADS, st.integers(0, 9), st.integers(0, 9))
def test_a_part_holds_the_messages_between_two_numbers(payloads, low, length):
    block = block_of(*payloads, first=100)
    low = min(low, len(payloads) - 1)
    part = block.part(100 + low, 100 + low + length + 1)
    assert payloads[low : low + length + 1] == part.payloads()
    assert (100 + low, min(100 + low + length + 1, block.stop)) == (part.first, part.stop)


def test_all_of_a_block_is_the_block_itself():
    block = block_of(b"a", b"b", first=5)
    assert block is block.part(0, 100)


@pytest.mark.parametrize(
    ("body", "count", "text"),
    [
        (b"", 0, "cannot hold 0 messages"),
        (struct.pack("<I", 1) + b"a", 2, "cannot hold 2 messages"),
        (struct.pack("<I", 2) + b"a", 1, "do not fill"),
        (struct.pack("<I", 1) + b"ab", 1, "do not fill"),
        (struct.pack("<II", 0, 1) + b"a", 2, "is empty"),
        (struct.pack("<II", 0xFFFFFFFF, 2) + b"a", 2, "do not fill"),
    ],
)
def test_a_body_that_is_none_is_refused(body, count, text):
    with pytest.raises(ValueError, match=text):
        sizes_of(body, count)


def test_a_checksum_does_not_make_a_body_of_nonsense_a_block():
    body = struct.pack("<I", 7) + b"a"
    assert parse_block(encode_header(0, 0, 1, body) + body) is None


def test_a_size_is_told_by_a_header_alone():
    block = block_of(b"abc")
    assert block.size == parse_size(block.header())
    assert 0 == parse_size(b"\0" * HEADER_BYTES)
    assert 0 == parse_size(MAGIC)


def test_blocks_that_follow_each_other_are_read_in_their_order():
    blocks = [block_of(b"a", b"b"), block_of(b"c", first=2)]
    found = list(parse_blocks(b"".join(map(written, blocks))))
    assert [[b"a", b"b"], [b"c"]] == [block.payloads() for block in found]
    assert [0, 2] == [block.first for block in found]


@pytest.mark.parametrize("tail", [b"x", b"x" * HEADER_BYTES, MAGIC + b"\xff" * HEADER_BYTES])
def test_what_follows_blocks_must_be_blocks(tail):
    with pytest.raises(ValueError, match="cut off"):
        list(parse_blocks(written(block_of(b"a")) + tail))


# What is in C as well.

RUNS = pytest.mark.parametrize("run", [run_of_blocks, run_in_python], ids=["chosen", "python"])
READERS = pytest.mark.parametrize(
    "read", [reader(Message), reader(Message, native=False)], ids=["chosen", "python"]
)


def in_a_row(sizes, salt=0, first=0):
    """Return blocks of so many messages that follow each other."""
    raw = b""
    for size in sizes:
        raw += written(block_of(*[b"x"] * size, first=first, time=first * 10), salt)
        first += size
    return raw


@given(st.binary(max_size=300), st.integers(0, (1 << 32) - 1))
def test_checksums_are_those_of_zip(data, value):
    assert zlib.crc32(data, value) == crc32(data, value)
    assert zlib.crc32(data * 50) == crc32(memoryview(data * 50))


@RUNS
def test_a_run_is_of_blocks_that_follow_each_other(run):
    raw = in_a_row([3, 2], 7) + in_a_row([1], 7, first=6)
    assert (len(in_a_row([3, 2])), 0, 5, 30) == run(raw, 7, 100)


@RUNS
def test_a_run_ends_before_it_has_too_many_messages(run):
    raw = in_a_row([3, 2])
    assert [0, 3, 3, 5] == [run(raw, 0, count)[2] for count in (2, 3, 4, 5)]


@RUNS
@pytest.mark.parametrize("data", [b"", b"GGb1", b"x" * 100, memoryview(b"GGb1" + bytes(28))])
def test_what_is_no_block_is_no_run(run, data):
    assert (0, 0, 0, 0) == run(data, 0, 100)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_runs_are_the_same_in_c_and_python_whatever_is_damaged(sizes, data):
    raw = bytearray(in_a_row(sizes))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(0, 255))
    count = data.draw(st.integers(0, 20))
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    assert run_in_python(cut, 0, count) == run_of_blocks(cut, 0, count)


@READERS
def test_a_reader_makes_messages_of_blocks(read):
    raw = b"".join(bare_parts([block_of(b"a", b"bb", first=5, time=9), block_of(b"c", first=1)]))
    expected = [
        Message("s", 5, 9, b"a"),
        Message("s", 6, 9, b"bb"),
        Message("s", 1, 0, b"c"),
    ]
    assert expected == read("s", memoryview(raw))
    assert [] == read("s", b"")


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.data())
def test_readers_in_c_and_python_take_and_refuse_the_same(sizes, data):
    raw = bytearray(in_a_row(sizes))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(0, 255))
    cut = raw[: data.draw(st.integers(0, len(raw)))]
    found: list[list[Message] | None] = []
    for native in (True, False):
        try:
            found.append(reader(Message, native=native)("s", cut))
        except ValueError:
            found.append(None)
    assert found[0] == found[1]


@pytest.mark.parametrize("stop", [stop_of, stop_in_python], ids=["chosen", "python"])
def test_blocks_tell_where_to_read_on(stop):
    raw = in_a_row([3, 2], first=7)
    assert 12 == stop(memoryview(raw))
    for bad in (b"", raw[:-1], raw + b"x"):
        with pytest.raises(ValueError, match="block"):
            stop(bad)


def test_a_header_tells_its_count():
    raw = in_a_row([3])
    assert (3, 0) == (count_of(raw, 0), count_of(raw, len(raw) - HEADER_BYTES + 1))

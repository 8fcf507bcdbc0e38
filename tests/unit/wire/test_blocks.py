# SPDX-License-Identifier: Apache-2.0

import struct

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.wire.blocks import (
    HEADER_BYTES,
    MAGIC,
    Block,
    encode_body,
    encode_header,
    parse_block,
    parse_blocks,
    parse_size,
    sizes_of,
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

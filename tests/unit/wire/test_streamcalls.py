# SPDX-License-Identifier: Apache-2.0

import contextlib
import struct

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk._native import companion
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    RemoteProtocolError,
    StreamError,
    StreamFullError,
    StreamReadError,
)
from greengrass_sdk.wire import streamcalls as calls
from greengrass_sdk.wire.blocks import Block, encode_body, sizes_of


def test_an_append_has_its_messages_as_the_body_of_a_block():
    call = calls.Call.parse(calls.request_append("réa", [b"one", b"two"], calls.SEPARATE))
    assert (calls.APPEND, calls.SEPARATE, "réa") == (call.operation, call.flags, call.name)
    count, body = call.batch()
    assert (2, encode_body([b"one", b"two"])) == (count, bytes(body))
    assert (3, 3) == sizes_of(body, count)


def test_a_read_says_from_where_how_many_and_how_long():
    call = calls.Call.parse(calls.request_read("r", 7, 1, 9, 1.5, 1000))
    assert (7, 1, 9, 1.5, 1000) == call.window()


@pytest.mark.parametrize(
    ("start", "least", "most"), [(-1, 1, 1), (0, 0, 1), (0, 2, 1), (0, 1, 1 << 31), (1 << 63, 1, 1)]
)
def test_a_read_outside_of_its_bounds_is_not_asked(start, least, most):
    with pytest.raises(InvalidStreamRequestError):
        calls.request_read("r", start, least, most, 0, 0)


def test_a_definition_goes_as_json():
    call = calls.Call.parse(calls.request_definition(calls.CREATE, "r", {"name": "r"}))
    assert {"name": "r"} == call.json()


def test_a_verification_begins_at_a_number():
    assert 5 == calls.Call.parse(calls.request_verify("r", 5)).start()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_are_refused(payload):
    try:
        call = calls.Call.parse(payload)
    except InvalidStreamRequestError:
        return
    for take in (call.batch, call.window, call.start, call.json):
        with contextlib.suppress(InvalidStreamRequestError):
            take()


def test_json_that_is_too_deep_is_refused():
    call = calls.Call.parse(calls.request(calls.CREATE, "r", b"[" * 100_000))
    with pytest.raises(InvalidStreamRequestError, match="no JSON"):
        call.json()


def test_the_answer_to_an_append_tells_the_first_number_and_how_many():
    assert (7, 2, None) == calls.read_append(calls.answer_append(7, 2))


def test_an_append_that_was_taken_in_part_tells_why():
    answer = calls.answer_append(7, 2, StreamFullError("full", stream="r"))
    first, count, refused = calls.read_append(answer)
    assert isinstance(refused, StreamFullError)
    assert (7, 2, "full", "r") == (first, count, str(refused), refused.stream)


def test_blocks_are_read_as_they_were_answered():
    blocks = [Block(3, 9, 2, encode_body([b"a", b"b"])), Block(5, 9, 1, encode_body([b"c"]))]
    found = calls.read_blocks(calls.answer_blocks(blocks))
    assert [(3, 9, [b"a", b"b"]), (5, 9, [b"c"])] == [
        (block.first, block.ingest_time, block.payloads()) for block in found
    ]


def test_a_document_is_read_as_it_was_answered():
    assert ["a"] == calls.read_json(calls.answer_json(["a"]))
    assert calls.read_json(calls.answer_json(None)) is None


@pytest.mark.parametrize("read", [calls.read_append, calls.read_blocks, calls.read_json])
def test_an_error_is_raised_with_what_it_knows(read):
    error = StreamReadError("damaged", stream="r", next_sequence_number=9)
    with pytest.raises(StreamReadError, match="damaged") as caught:
        read(calls.answer_error(error))
    assert ("r", 9) == (caught.value.stream, caught.value.next_sequence_number)


def test_an_error_of_a_newer_core_is_a_stream_error():
    answer = b'\1{"code": "Newer", "message": "text"}'
    with pytest.raises(StreamError, match="text"):
        calls.read_json(answer)


@pytest.mark.parametrize("answer", [b"", b"\2", b"\1x", b"\1[]", b"\1{}"])
def test_an_answer_that_is_none_is_the_fault_of_the_core(answer):
    with pytest.raises(RemoteProtocolError):
        calls.read_json(answer)


def test_answers_that_are_cut_off_are_the_fault_of_the_core():
    with pytest.raises(RemoteProtocolError, match="append"):
        calls.read_append(b"\0" + struct.pack("<Q", 1))
    with pytest.raises(RemoteProtocolError, match="read"):
        calls.read_blocks(b"\0xyz")


def stored(*blocks, salt=7, first=0, stop=None):
    data = b"".join(each.header(salt) + each.body for each in blocks)
    return calls.stored_head(salt, first, blocks[-1].stop if stop is None else stop) + data


TWO = Block(0, 5, 2, encode_body([b"a", b"b"])), Block(2, 6, 1, encode_body([b"c"]))


def test_an_answer_may_have_blocks_as_they_are_stored():
    answer = stored(*TWO)
    calls.check(answer)
    assert calls.is_sound(answer)
    assert 3 == calls.read_stop(answer)
    found = [block.payloads() for block in calls.read_blocks(answer)]
    assert [[b"a", b"b"], [b"c"]] == found


@pytest.mark.parametrize("position", range(1, len(stored(*TWO))))
def test_stored_blocks_that_were_changed_are_found_out(position):
    answer = bytearray(stored(*TWO))
    answer[position] ^= 1
    assert not calls.is_sound(answer)


@pytest.mark.parametrize("size", range(1, len(stored(*TWO))))
def test_stored_blocks_that_were_cut_off_are_found_out(size):
    assert not calls.is_sound(stored(*TWO)[:size])


@pytest.mark.parametrize(
    "answer",
    [
        stored(*TWO, first=1),
        stored(*TWO, stop=4),
        stored(*TWO, first=9, stop=3),
        stored(TWO[0]) + b"\0",
        stored(TWO[0], Block(3, 6, 1, encode_body([b"c"]))),
    ],
    ids=["other first", "other stop", "nonsense", "more", "gap"],
)
def test_stored_blocks_that_are_not_those_that_were_meant_are_found_out(answer):
    assert not calls.is_sound(answer)


def test_what_the_core_has_checked_is_sound():
    assert calls.is_sound(calls.answer_blocks(TWO))
    assert calls.is_sound(calls.answer_error(StreamError("no")))


def test_a_read_can_be_asked_again_to_be_checked_in_the_core():
    request = calls.request_read("r", 7, 1, 9, 1.5, 1000, calls.UNCHECKED)
    assert calls.UNCHECKED == calls.Call.parse(request).flags
    assert calls.request_read("r", 7, 1, 9, 1.5, 1000) == calls.checked(request)


def test_only_who_is_quick_at_it_looks_at_checksums_itself():
    fast = companion()
    quick = fast is not None and fast.crc32_is_fast()
    assert (calls.UNCHECKED if quick else 0) == calls.READ_FLAGS

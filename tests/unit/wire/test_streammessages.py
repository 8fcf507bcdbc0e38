# SPDX-License-Identifier: Apache-2.0

import cbor2
import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.wire.blocks import Block, bare_parts, encode_body
from greengrass_sdk.wire.streammessages import encode_answer, encode_in_python, head_of
from greengrass_sdk.wire.streams import Call, Operation

ENCODERS = pytest.mark.parametrize(
    "encode", [encode_answer, encode_in_python], ids=["chosen", "python"]
)


def blocks_of(*lists, first=0):
    blocks = []
    for payloads in lists:
        blocks.append(Block(first, 1000 + first, len(payloads), encode_body(payloads)))
        first += len(payloads)
    return b"".join(bare_parts(blocks))


def message(name, number, time, payload):
    return {"streamName": name, "sequenceNumber": number, "ingestTime": time, "payload": payload}


def listed(encode, name, blocks):
    """Return the messages of an answer."""
    answer = encode(b"before", head_of(name), blocks)
    assert (len(answer) - 4).to_bytes(4, "big") + b"before" == answer[:10]
    return cbor2.loads(answer[10:])


@ENCODERS
@pytest.mark.parametrize("name", ["s", "Größe", "n" * 255])
def test_messages_are_a_list_of_maps_in_cbor(encode, name):
    found = listed(encode, name, blocks_of([b"a", b"bb" * 40], [b"c" * 70_000], first=5))
    expected = [
        message(name, 5, 1005, b"a"),
        message(name, 6, 1005, b"bb" * 40),
        message(name, 7, 1007, b"c" * 70_000),
    ]
    assert expected == found


@ENCODERS
def test_no_messages_are_an_empty_list(encode):
    assert [] == listed(encode, "s", b"")


@ENCODERS
def test_what_is_no_block_is_refused(encode):
    with pytest.raises(ValueError, match="a block is cut off"):
        encode(b"", head_of("s"), blocks_of([b"a"])[:-1])


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=9), min_size=1), max_size=3),
    st.text(max_size=9),
)
def test_messages_are_the_same_in_c_and_python(lists, name):
    parts = (b"before", head_of(name), blocks_of(*lists))
    assert encode_in_python(*parts) == encode_answer(*parts)


@pytest.mark.parametrize("request_id", ["some-id", "ü" * 255])
def test_an_answer_to_a_read_is_the_one_that_any_encoder_would_write(request_id):
    call = Call(Operation.READ, request_id, {})
    payloads = [b"a", b"b"]
    frame = call.answer_read("s", blocks_of(payloads))
    messages = [message("s", number, 1000, payload) for number, payload in enumerate(payloads)]
    length, operation = int.from_bytes(frame[:4], "big"), frame[4]
    assert (len(frame) - 4, Operation.READ_RESPONSE) == (length, operation)
    assert {"requestId": request_id, "status": 0, "messages": messages} == cbor2.loads(frame[5:])

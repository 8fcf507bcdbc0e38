# SPDX-License-Identifier: Apache-2.0
"""What is taken apart without a decoder is what the decoder would make of it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.errors import RemoteProtocolError
from greengrass_sdk.wire import cbor
from greengrass_sdk.wire.streamrequests import parse_append, parse_read

ids = st.from_regex(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", fullmatch=True
)
numbers = st.integers(0, 2**64 - 1) | st.integers(0, 300)
keys = ("desiredStartSequenceNumber", "minMessageCount", "maxMessageCount", "readTimeoutMillis")
# In this order; each of them may be there.
options = st.fixed_dictionaries({}, optional=dict.fromkeys(keys, numbers)).map(
    lambda found: {key: found[key] for key in keys if key in found}
)


def decoded(data):
    try:
        return cbor.decode(data)
    except RemoteProtocolError:
        return None


@given(ids, st.text(min_size=1, max_size=30), st.binary(max_size=400) | st.just(bytes(70_000)))
def test_an_append_is_read_as_the_decoder_would(request_id, name, payload):
    body = {"requestId": request_id, "name": name, "payload": payload}
    quick = parse_append(cbor.encode(body))
    assert quick == body or (quick is None and len(name.encode()) > 23)


@given(ids, st.text(max_size=60), options)
def test_a_read_is_read_as_the_decoder_would(request_id, name, asked):
    body = {"requestId": request_id, "streamName": name, "readMessagesOptions": asked}
    assert body == parse_read(cbor.encode(body))


@pytest.mark.parametrize(
    "name", ["s" * 255, "readMessagesOptions", "\x73readMessagesOptions\0" * 3]
)
def test_a_read_may_be_of_a_stream_of_any_name(name):
    body = {"requestId": "u" * 36, "streamName": name, "readMessagesOptions": {}}
    assert body == parse_read(cbor.encode(body))


@pytest.mark.parametrize(
    "asked",
    [
        {"maxMessageCount": 1, "minMessageCount": 1},
        {"minMessageCount": -1},
        {"minMessageCount": None},
        {"other": 1},
    ],
)
def test_a_read_that_is_written_otherwise_is_left_to_the_decoder(asked):
    body = {"requestId": "u" * 36, "streamName": "s", "readMessagesOptions": asked}
    assert None is parse_read(cbor.encode(body))


def test_a_read_whose_options_are_fewer_than_it_says_is_left_to_the_decoder():
    body = {"requestId": "u" * 36, "streamName": "s", "readMessagesOptions": {"minMessageCount": 1}}
    data = cbor.encode(body)
    assert body == parse_read(data)
    assert None is parse_read(data.replace(b"Options\xa1", b"Options\xa2"))


APPEND = cbor.encode({"requestId": "u" * 36, "name": "s", "payload": b"x" * 20})
READ = cbor.encode(
    {
        "requestId": "u" * 36,
        "streamName": "s" * 30,
        "readMessagesOptions": dict.fromkeys(keys, 300),
    }
)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_what_is_no_such_append_is_left_to_the_decoder(noise, at):
    data = APPEND[:at] + noise + APPEND[at + len(noise) :]
    quick = parse_append(data)
    if quick is not None:
        assert decoded(data) == quick


@given(st.binary(max_size=4), st.integers(0, len(READ)))
def test_what_is_no_such_read_is_left_to_the_decoder(noise, at):
    data = READ[:at] + noise + READ[at + len(noise) :]
    quick = parse_read(data)
    if quick is not None:
        assert decoded(data) == quick

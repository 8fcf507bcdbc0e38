# SPDX-License-Identifier: Apache-2.0
"""CBOR from strangers: what is let through, and what never reaches the decoder."""

from __future__ import annotations

import builtins

import cbor2
import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.errors import ConfigError, RemoteProtocolError
from greengrass_sdk.wire import cbor

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=300)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=10), values, max_size=5))
def test_a_map_comes_back_as_it_was(value):
    assert value == cbor.decode(cbor.encode(value))


def test_what_other_encoders_write_is_read():
    """Java's writes maps of unknown length; long strings may come in chunks."""
    data = bytes.fromhex("bf 61 61 9f 01 02 ff 61 62 5f 41 78 42 7979 ff 61 63 7f 61 7a ff ff")
    assert {"a": [1, 2], "b": b"xyy", "c": "z"} == cbor.decode(data)


@pytest.mark.parametrize(
    ("hexadecimal", "why"),
    [
        ("", "no CBOR map"),
        ("80", "no CBOR map"),
        ("01", "no CBOR map"),
        ("a1 61 61", "ends too early"),
        ("a1 61 61 62 61", "ends too early"),
        ("a1 61 61 1b 01", "ends too early"),
        ("bf 61 61", "ends too early"),
        ("bf 61 61 ff", "key without a value"),
        ("a1 61 61 01 00", "bytes follow"),
        ("a1 01 61 61", "a key in the CBOR is no text"),
        ("bf 01 61 61 ff", "a key in the CBOR is no text"),
        ("a1 61 61 d9 0102 01", "tag"),
        ("a1 61 61 d8 1c 80", "tag"),
        ("a1 61 61 d8 1d 00", "tag"),
        ("a1 61 61 c2 41 01", "tag"),
        ("a1 61 61 1c", "begins with 0x1c"),
        ("a1 61 61 1f", "begins with 0x1f"),
        ("a1 61 61 ff", "begins with 0xff"),
        ("a1 61 61 5f 61 61 ff", "chunk of another kind"),
        ("a1 61 61 5f 5f ff ff", "chunk of another kind"),
        ("a1 61 61 5f 41", "ends too early"),
        ("a1 61 61 5f 41 61", "ends too early"),
        ("a1 61 61 61 ff", "no CBOR"),
    ],
)
def test_a_malformed_message_is_refused(hexadecimal, why):
    with pytest.raises(RemoteProtocolError, match=why):
        cbor.decode(bytes.fromhex(hexadecimal))


@pytest.mark.parametrize("opening", ["9b 0000ffffffffffff", "bb 0000ffffffffffff", "9a 40000000"])
def test_a_length_beyond_the_message_is_refused_before_it_is_allocated(opening, monkeypatch):
    monkeypatch.setattr(cbor2, "loads", lambda data: pytest.fail("it reached the decoder"))
    with pytest.raises(RemoteProtocolError, match="too early"):
        cbor.decode(bytes.fromhex("a1 61 61" + opening) + bytes(50))


@pytest.mark.parametrize("length", ["5b 7fffffffffffffff", "7b 7fffffffffffffff", "5a ffffffff"])
def test_a_string_beyond_the_message_is_refused_before_it_is_allocated(length, monkeypatch):
    monkeypatch.setattr(cbor2, "loads", lambda data: pytest.fail("it reached the decoder"))
    with pytest.raises(RemoteProtocolError, match="too early"):
        cbor.decode(bytes.fromhex("a1 61 61" + length) + bytes(50))


@pytest.mark.parametrize("container", [b"\x81", b"\x9f", b"\xa1\x61a", b"\xbf\x61a"])
def test_nesting_is_bounded(container):
    with pytest.raises(RemoteProtocolError, match="nested too deep"):
        cbor.decode(b"\xa1\x61a" + container * 100_000)


def test_the_number_of_items_is_bounded():
    fitting = {"a": [0] * (cbor.ITEMS - 3)}
    assert fitting == cbor.decode(cbor.encode(fitting))
    with pytest.raises(RemoteProtocolError, match="too many items"):
        cbor.decode(cbor.encode({"a": [0] * (cbor.ITEMS - 2)}))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_refused(data):
    try:
        value = cbor.decode(data)
    except RemoteProtocolError:
        return
    assert isinstance(value, dict)


@given(st.binary(max_size=60))
def test_the_check_agrees_with_the_decoder_about_where_a_map_ends(data):
    try:
        cbor.check(data)
    except RemoteProtocolError:
        return
    with pytest.raises((cbor2.CBORDecodeError, ValueError)):
        cbor2.loads(data[:-1])


def test_a_missing_decoder_is_named_with_its_extra(monkeypatch):
    load = builtins.__import__

    def importing(name, *rest, **more):
        if name == "cbor2":
            raise ImportError(name)
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ConfigError, match=r"pip install greengrass-core\[streams\]"):
        cbor.require()

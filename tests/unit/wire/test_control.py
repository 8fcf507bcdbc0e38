# SPDX-License-Identifier: Apache-2.0
"""Control messages: conversations that work, and everything that is refused."""

from __future__ import annotations

from contextlib import suppress

import msgpack  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.errors import (
    AuthorizationError,
    GreengrassError,
    LocalProtocolError,
    QueueFullError,
    RemoteProtocolError,
)
from greengrass_sdk.wire import control

BOOT = bytes(range(8))
HELLO = control.Hello("client", "token", name="probe", pid=7, features=["x"]).to_wire()
WELCOME = control.Welcome(BOOT, 3, "arn", limits={"topic_payload_bytes": 5}, strict=True).to_wire()


# --- maps

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner), max_leaves=10
)


@given(st.dictionaries(st.text("abc"), values))
def test_a_map_comes_back_as_it_was(message):
    assert message == control.decode(control.encode(message))


@given(st.binary())
def test_arbitrary_bytes_are_a_map_or_a_protocol_error(payload):
    with suppress(RemoteProtocolError):
        assert isinstance(control.decode(payload), dict)


def nested(depth):
    value: object = 1
    for _ in range(depth):
        value = [value]
    return {"a": value}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "is no msgpack"),
        (b"\xc1", "is no msgpack"),
        (b"\x80\x80", "is no msgpack"),
        (b"\x81\xa1a", "is no msgpack"),
        (b"\x81\xa1\xff\x01", "is no msgpack"),
        (msgpack.packb([1]), "of type list, it must be a map"),
        (msgpack.packb(None), "missing, it must be a map"),
        (msgpack.packb({1: 2}), "is no msgpack"),
        (msgpack.packb({"a": {b"b": 2}}), "a key is of type bytes"),
        (msgpack.packb({"a": [msgpack.ExtType(5, b"")]}), r"a\[0\] is of type ExtType"),
        (msgpack.packb({"a": msgpack.Timestamp(1)}), "a is of type Timestamp"),
        (msgpack.packb(nested(16)), "more than 16 lists and maps"),
        (b"\x81\xa1a" + b"\x91" * 5000 + b"\x01", "is no msgpack"),
    ],
)
def test_a_payload_that_is_no_good_map_is_refused(payload, words):
    with pytest.raises(RemoteProtocolError, match=words):
        control.decode(payload)


@pytest.mark.parametrize("value", [object(), {1: 2}, "\ud800", 2**64, nested(20)])
def test_what_the_peer_would_refuse_is_not_sent(value):
    with pytest.raises(LocalProtocolError, match="cannot encode"):
        control.encode({"a": value})


# --- hello and welcome


def test_a_hello_is_read_as_it_was_written():
    hello = control.parse_hello(control.decode(control.encode(HELLO)))
    assert HELLO == hello.to_wire()
    assert "Hello(role='client', name='probe', pid=7)" == repr(hello)


def test_a_tool_has_no_name():
    assert control.parse_hello(control.Hello("tool", "t").to_wire()).name is None


def test_keys_of_a_newer_peer_are_ignored():
    assert 7 == control.parse_hello({**HELLO, "shared_memory": True}).pid


@pytest.mark.parametrize(
    "change",
    [
        {"op": "goodbye"},
        {"op": 5},
        {"role": "core"},
        {"role": None},
        {"token": None},
        {"token": "x" * 1025},
        {"name": 5},
        {"name": "x" * 257},
        {"pid": -1},
        {"pid": True},
        {"pid": "7"},
        {"version": 2**32},
        {"version": None},
        {"features": None},
        {"features": [1]},
        {"features": ["x"] * 65},
        {"features": ["x" * 257]},
    ],
)
def test_a_hello_with_a_wrong_value_is_refused(change):
    with pytest.raises(RemoteProtocolError):
        control.parse_hello({**HELLO, **change})


def test_a_welcome_is_read_as_it_was_written():
    welcome = control.parse_welcome(control.decode(control.encode(WELCOME)))
    assert WELCOME == welcome.to_wire()
    assert "Welcome(endpoint=3, address='arn')" == repr(welcome)


def test_an_older_core_says_nothing_of_spinning():
    older = {key: value for key, value in WELCOME.items() if key != "spin_ns"}
    assert 0 == control.parse_welcome(older).spin_ns


@pytest.mark.parametrize(
    "change",
    [
        {"op": None},
        {"boot": b"short"},
        {"boot": "textual!"},
        {"endpoint": -1},
        {"address": b"arn"},
        {"limits": None},
        {"limits": {"topic_payload_bytes": "5"}},
        {"limits": {str(number): 1 for number in range(65)}},
        {"strict": 1},
        {"version": None},
        {"features": {}},
        {"spin_ns": -1},
        {"spin_ns": None},
    ],
)
def test_a_welcome_with_a_wrong_value_is_refused(change):
    with pytest.raises(RemoteProtocolError):
        control.parse_welcome({**WELCOME, **change})


def test_a_refusal_is_raised():
    with pytest.raises(AuthorizationError, match="no"):
        control.parse_welcome({"op": "refused", "code": "Authorization", "message": "no"})
    with pytest.raises(RemoteProtocolError, match="'code' is missing"):
        control.parse_welcome({"op": "refused"})


# --- answers


def test_an_answer_is_what_it_holds_beside_ok():
    assert {"a": 1} == control.parse_answer({"ok": True, "a": 1})


def test_an_error_is_raised_by_its_code():
    with pytest.raises(QueueFullError, match="full"):
        control.parse_answer({"ok": False, "code": "QueueFull", "message": "full"})
    with pytest.raises(GreengrassError, match="new") as caught:
        control.parse_answer({"ok": False, "code": "OfTheFuture", "message": "new"})
    assert "OfTheFuture" == caught.value.code


@pytest.mark.parametrize("ok", [None, 1, "true"])
def test_an_answer_that_is_none_is_refused(ok):
    with pytest.raises(RemoteProtocolError, match="it must be a bool"):
        control.parse_answer({"ok": ok})

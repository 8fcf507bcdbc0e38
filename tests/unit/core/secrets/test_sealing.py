# SPDX-License-Identifier: Apache-2.0
"""Values under a data key."""

import os

import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from greengrass_sdk.core.secrets.keys import WrongKeyError
from greengrass_sdk.core.secrets.sealing import DataKey
from greengrass_sdk.core.secrets.store import Version

KEY = DataKey(bytes(32))
VERSION = Version("wifi", "1", ("AWSCURRENT",), 0)


@given(st.binary(min_size=1, max_size=200))
def test_what_was_sealed_opens_again(value):
    sealed = KEY.seal(VERSION, value)
    assert value == KEY.open(VERSION, sealed)
    assert len(value) + 28 == len(sealed)


def test_the_same_value_is_never_sealed_alike():
    assert KEY.seal(VERSION, b"x") != KEY.seal(VERSION, b"x")


@pytest.mark.parametrize(
    "change",
    [{"secret": "wif"}, {"secret": "wifi1", "id": ""}, {"id": "2"}, {"binary": True}],
)
def test_it_opens_as_no_other_version_and_no_other_kind(change):
    sealed = KEY.seal(VERSION, b"hunter2")
    with pytest.raises(WrongKeyError, match="is damaged"):
        KEY.open(evolve(VERSION, **change), sealed)


def test_labels_and_time_may_change():
    sealed = KEY.seal(VERSION, b"hunter2")
    later = evolve(VERSION, stages=("AWSPREVIOUS",), created_ms=1)
    assert b"hunter2" == KEY.open(later, sealed)


@given(st.data())
def test_a_single_wrong_bit_is_noticed(data):
    sealed = bytearray(KEY.seal(VERSION, b"hunter2"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(WrongKeyError):
        KEY.open(VERSION, bytes(sealed))


@pytest.mark.parametrize("size", [0, 5, 12, 27])
def test_what_is_cut_short_is_noticed(size):
    with pytest.raises(WrongKeyError):
        KEY.open(VERSION, KEY.seal(VERSION, b"")[:size])


def test_another_key_opens_nothing():
    with pytest.raises(WrongKeyError):
        DataKey(os.urandom(32)).open(VERSION, KEY.seal(VERSION, b"x"))


def test_a_key_shows_nothing_of_itself():
    assert "00" not in repr(DataKey(bytes(32))).split(" at ")[0]

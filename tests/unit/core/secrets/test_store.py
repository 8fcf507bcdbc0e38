# SPDX-License-Identifier: Apache-2.0
"""How staging labels move, what a value may be, and the store in memory."""

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.core.secrets.store import (
    CURRENT,
    PREVIOUS,
    MemoryStore,
    Version,
    check_value,
    staged,
)
from greengrass_sdk.errors import InvalidInputError, LimitExceededError


def version(identifier, *stages):
    return Version("s", identifier, stages, 0)


def labels(versions):
    return {each.id: each.stages for each in versions}


def test_the_version_that_was_current_is_the_previous_one_then():
    first = staged([], version("1", CURRENT))
    second = staged(first, version("2", CURRENT))
    assert {"1": (PREVIOUS,), "2": (CURRENT,)} == labels(second)
    third = staged(second, version("3", CURRENT))
    assert {"2": (PREVIOUS,), "3": (CURRENT,)} == labels(third)


def test_other_labels_move_alone():
    versions = staged([version("1", CURRENT, "blue")], version("2", "blue"))
    assert {"1": (CURRENT,), "2": ("blue",)} == labels(versions)
    assert {"1": (CURRENT,), "3": ("blue",)} == labels(staged(versions, version("3", "blue")))


def test_a_version_that_has_another_label_stays_when_it_is_not_current_any_more():
    versions = staged([version("1", CURRENT, "blue")], version("2", CURRENT))
    assert {"1": ("blue", PREVIOUS), "2": (CURRENT,)} == labels(versions)


def test_what_is_previous_stays_so_while_nothing_was_current():
    versions = staged([version("1", PREVIOUS)], version("2", CURRENT))
    assert {"1": (PREVIOUS,), "2": (CURRENT,)} == labels(versions)


def test_previous_may_be_given_by_hand():
    versions = staged([version("1", CURRENT)], version("2", CURRENT, PREVIOUS))
    assert {"2": (CURRENT, PREVIOUS)} == labels(versions)


def test_the_same_version_again_takes_the_place_of_itself():
    versions = staged([version("1", CURRENT)], version("1", "blue"))
    assert {"1": ("blue",)} == labels(versions)


LABELS = st.sets(st.sampled_from([CURRENT, PREVIOUS, "blue", "green"]), min_size=1)


@given(st.lists(st.tuples(st.sampled_from("123"), LABELS), max_size=12))
def test_each_label_stands_at_one_version_and_each_version_has_one(puts):
    versions: list[Version] = []
    for identifier, stages in puts:
        versions = staged(versions, version(identifier, *sorted(stages)))
        given_labels = [stage for each in versions for stage in each.stages]
        assert len(set(given_labels)) == len(given_labels)
        assert all(each.stages for each in versions)
        assert stages == set(versions[-1].stages)


def test_a_value_is_text_unless_it_is_said_to_be_bytes():
    check_value(b"text", binary=False)
    check_value(b"\xff", binary=True)
    with pytest.raises(InvalidInputError, match="no text in UTF-8") as caught:
        check_value(b"secret\xff", binary=False)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_value_is_neither_empty_nor_too_large():
    with pytest.raises(InvalidInputError, match="must not be empty"):
        check_value(b"", binary=True)
    check_value(bytes(65536), binary=True)
    with pytest.raises(LimitExceededError, match="65537 bytes"):
        check_value(bytes(65537), binary=True)


def test_the_store_in_memory_keeps_versions_and_shows_no_value():
    store = MemoryStore()
    store.put(version("1", CURRENT), b"hunter1")
    store.put(version("2", CURRENT), b"hunter2")
    assert {"1": (PREVIOUS,), "2": (CURRENT,)} == labels(store.versions("s"))
    assert [b"hunter1", b"hunter2"] == [store.reveal(each) for each in store.versions("s")]
    assert [] == list(store.versions("other"))
    assert "hunter" not in repr(store)

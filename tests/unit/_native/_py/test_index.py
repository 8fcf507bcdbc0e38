# SPDX-License-Identifier: Apache-2.0
"""The topic index: the same assertions for C and Python, and both against the rules of a topic."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from greengrass_sdk import errors
from greengrass_sdk._native._py.frames import MAX_TOPIC
from greengrass_sdk.model import topic as model_topic

VECTORS = json.loads(
    Path(__file__).parents[3].joinpath("data", "native", "topics.json").read_text(encoding="utf-8")
)

# Few words, so that filters and topics meet.
WORDS = st.sampled_from(["", "a", "b", "ab", "$a", "é", "/"[1:]])
TOPICS = st.lists(WORDS, min_size=1, max_size=5).map("/".join)
FILTERS = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(WORDS | st.just("+"), max_size=4),
    st.sampled_from([["#"], ["+"], ["a"], [""], ["$a", "#"]]),
).filter(bool)
ROWS = st.tuples(st.integers(0, 2), FILTERS, st.integers(0, 9))


def built(native, rows):
    index = native.TopicIndex()
    for source, topic_filter, row in rows:
        index.add(source, topic_filter.encode(), row)
    return index


def expected(rows, source, topic):
    """Ask the reference row by row."""
    return sorted(
        {
            row
            for of, topic_filter, row in rows
            if of == source and model_topic.matches(topic_filter, topic)
        }
    )


@pytest.mark.parametrize("vector", VECTORS["filters"], ids=lambda vector: vector["filter"])
def test_one_filter_matches_the_known_topics(native, vector):
    index = built(native, [(1, vector["filter"], 5)])
    for topic in vector["matches"]:
        assert (topic, [5]) == (topic, index.match(1, topic.encode()))
    for topic in vector["misses"]:
        assert (topic, []) == (topic, index.match(1, topic.encode()))


@pytest.mark.parametrize("vector", VECTORS["filters"], ids=lambda vector: vector["filter"])
def test_the_reference_of_the_model_gives_the_known_answers_too(vector):
    for topic in vector["matches"]:
        assert (topic, True) == (topic, model_topic.matches(vector["filter"], topic))
    for topic in vector["misses"]:
        assert (topic, False) == (topic, model_topic.matches(vector["filter"], topic))


@pytest.mark.parametrize("topic_filter", VECTORS["malformed"], ids=lambda text: repr(text[:8]))
def test_a_malformed_filter_is_refused_when_it_is_added(native, topic_filter):
    index = native.TopicIndex()
    with pytest.raises(errors.InvalidInputError, match=r"topic filter"):
        index.add(1, topic_filter.encode(), 0)
    assert index.match(1, b"a") == []


@pytest.mark.parametrize(("source", "row"), [(-1, 0), (2**32, 0), (0, -1), (0, 2**32)])
def test_numbers_beyond_32_bits_are_refused_when_they_are_added(native, source, row):
    with pytest.raises(errors.InvalidInputError, match="must be 0 to 4294967295"):
        native.TopicIndex().add(source, b"a", row)


@pytest.mark.parametrize("source", [-1, 0, 2, 2**32 - 1, 2**32, 2**70])
def test_an_unknown_source_matches_nothing(native, source):
    assert built(native, [(1, "#", 0)]).match(source, b"a") == []


def test_largest_numbers_come_back_as_they_are(native):
    index = built(native, [(2**32 - 1, "a", 2**32 - 1), (0, "a", 0)])
    assert index.match(2**32 - 1, b"a") == [2**32 - 1]
    assert index.match(0, b"a") == [0]


def test_rows_come_ascending_and_once(native):
    rows = [(1, "a/b", 9), (1, "a/#", 4), (1, "+/b", 9), (1, "#", 0), (1, "a/b", 4), (2, "#", 5)]
    assert built(native, rows).match(1, b"a/b") == [0, 4, 9]


def test_an_empty_index_matches_nothing(native):
    assert native.TopicIndex().match(0, b"a") == []


def test_rows_may_be_added_after_a_match(native):
    index = built(native, [(1, "a", 1)])
    assert index.match(1, b"a") == [1]
    index.add(1, b"+", 0)
    assert index.match(1, b"a") == [0, 1]


def test_the_longest_topic_is_matched_and_a_longer_one_refused(native):
    index = built(native, [(1, "/" * MAX_TOPIC, 1), (1, "+/" * (MAX_TOPIC // 2), 2), (1, "#", 3)])
    assert index.match(1, b"/" * MAX_TOPIC) == [1, 3]
    assert index.match(1, b"a/" * (MAX_TOPIC // 2)) == [2, 3]
    with pytest.raises(errors.InvalidInputError, match="513 bytes; at most 512"):
        index.match(1, b"/" * (MAX_TOPIC + 1))


def test_any_bytes_may_be_levels(native):
    index = native.TopicIndex()
    index.add(1, b"\xff/+", 0)
    assert index.match(1, b"\xff/\xfe\x01") == [0]
    assert index.match(1, b"\xfe/\xff") == []


def test_every_mixture_of_literals_and_wildcards_is_walked(native):
    rows = [
        (1, "/".join("+" if mask >> level & 1 else "a" for level in range(7)), mask)
        for mask in range(128)
    ]
    index = built(native, rows)
    assert list(range(128)) == index.match(1, b"a/a/a/a/a/a/a")
    assert [mask for mask in range(128) if mask & 1] == index.match(1, b"b/a/a/a/a/a/a")


def test_many_sources_and_filters_keep_apart(native):
    rows = [
        (source, f"site/{number}/+/sensor/{number % 7}", number)
        for source in range(40)
        for number in range(50)
    ]
    random.Random(5).shuffle(rows)
    index = built(native, rows)
    for source, _, number in rows[::17]:
        topic = f"site/{number}/x/sensor/{number % 7}"
        assert [number] == index.match(source, topic.encode())


@given(st.lists(ROWS, max_size=12), st.lists(TOPICS, min_size=1, max_size=6))
@example([(0, "+", 1)], ["", "$a"])
def test_agrees_with_the_reference(native, rows, topics):
    index = built(native, rows)
    for topic in topics:
        for source in (0, 1):
            assert expected(rows, source, topic) == index.match(source, topic.encode())


@given(st.lists(st.binary(max_size=12), max_size=8), st.lists(st.binary(max_size=12), max_size=8))
def test_c_and_python_agree_on_any_bytes(both, filters, topics):
    indexes = [native.TopicIndex() for native in both]
    for row, topic_filter in enumerate(filters):
        outcomes = set()
        for index in indexes:
            try:
                outcomes.add(index.add(1, topic_filter, row))
            except errors.InvalidInputError as error:
                outcomes.add(str(error))
        assert len(outcomes) == 1
    c, python = indexes
    for topic in topics:
        assert python.match(1, topic) == c.match(1, topic)


def test_threads_match_in_one_index_at_once(native):
    index = built(native, [(1, "a/+/c", 1), (1, "a/#", 2), (1, "+/b/c", 3)])
    start = threading.Barrier(4)
    wrong: list[object] = []

    def match_often() -> None:
        start.wait()
        wrong.extend(found for _ in range(2000) if (found := index.match(1, b"a/b/c")) != [1, 2, 3])

    threads = [threading.Thread(target=match_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []

# SPDX-License-Identifier: Apache-2.0
"""Topics, filters, and the reference for how they match."""

import pytest
from hypothesis import example, given, strategies as st

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.topic import check_filter, check_topic, levels, matches

LEVEL = st.text(alphabet="ab$", max_size=2)
TOPIC = st.lists(LEVEL, min_size=1, max_size=5).map("/".join)
FILTER = st.lists(st.one_of(LEVEL, st.just("+")), min_size=1, max_size=5).flatmap(
    lambda parts: st.sampled_from(["/".join(parts), "/".join([*parts, "#"])])
)


class TestTopics:
    @pytest.mark.parametrize(
        "topic", ["a", "/", "/a", "a//b", "$aws/things/x", "ä/ö", "a b", "x" * 256]
    )
    def test_a_topic_is_its_utf8(self, topic):
        assert topic.encode() == check_topic(topic)

    @pytest.mark.parametrize(
        ("topic", "reason"),
        [
            ("", "is empty"),
            ("x" * 257, "has 257 bytes of UTF-8; the limit is 256"),
            ("ä" * 129, "has 258 bytes"),
            ("a\0b", "contains NUL"),
            ("a/+", r"wildcard '\+'"),
            ("a/#", "wildcard '#'"),
            ("a+b", r"wildcard '\+'"),
            ("\ud800", "lone surrogate at character 0"),
            (b"a", "must be str, not bytes"),
            (None, "must be str, not NoneType"),
        ],
    )
    def test_a_topic_that_breaks_a_rule_is_refused_by_name(self, topic, reason):
        with pytest.raises(InvalidInputError, match=reason):
            check_topic(topic)

    def test_long_topics_are_cut_in_messages(self):
        with pytest.raises(InvalidInputError) as caught:
            check_topic("x" * 10_000)
        assert len(str(caught.value)) < 200


class TestFilters:
    @pytest.mark.parametrize(
        "text", ["a", "#", "+", "+/+", "a/#", "+/a/#", "/#", "/", "$aws/#", "//+"]
    )
    def test_a_filter_is_its_utf8(self, text):
        assert text.encode() == check_filter(text)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "topic filter is empty"),
            ("#/a", "'#' at level 1 of 2"),
            ("a/#/", "'#' at level 2 of 3"),
            ("a#", "level 1, 'a#'"),
            ("a/b+/c", r"level 2, 'b\+'"),
            ("++", "stand alone"),
            ("a/##", "stand alone"),
            ("x" * 257, "limit is 256"),
        ],
    )
    def test_a_filter_that_breaks_a_rule_is_refused_by_name(self, text, reason):
        with pytest.raises(InvalidInputError, match=reason):
            check_filter(text)


class TestMatching:
    @pytest.mark.parametrize(
        ("topic_filter", "topic"),
        [
            # Guide: the examples for "sensor/#".
            ("sensor/#", "sensor/"),
            ("sensor/#", "sensor/id-123"),
            ("sensor/#", "sensor/group-a/id-123"),
            ("sensor/+", "sensor/id-123"),
            ("sensor/+/temp", "sensor/a/temp"),
            ("+/a", "/a"),
            ("+", "a"),
            ("#", "a"),
            ("#", "a/b"),
            ("#", "/"),
            ("/#", "/"),
            ("/resnet-50/predictions", "/resnet-50/predictions"),
            ("a/+/+", "a//"),
            ("$aws/#", "$aws/things/x"),
            ("$aws/+/x", "$aws/things/x"),
            ("a/#", "a/$b"),
            ("a/b", "a/b"),
            # A message from a cloud may have wildcard characters in its topic.
            ("a/+", "a/+"),
            ("a/#", "a/#"),
        ],
    )
    def test_these_match(self, topic_filter, topic):
        assert matches(topic_filter, topic)

    @pytest.mark.parametrize(
        ("topic_filter", "topic"),
        [
            ("sensor/#", "sensor"),  # unlike MQTT 3.1.1
            ("sensor/#", "sensors/a"),
            ("sensor/+", "sensor"),
            ("sensor/+", "sensor/a/b"),
            ("+", "/a"),
            ("+", "$aws"),
            ("#", "$aws/things"),
            ("+/things", "$aws/things"),
            ("a/b", "a"),
            ("a", "a/b"),
            ("a", "A"),
            ("/a", "a"),
        ],
    )
    def test_these_do_not_match(self, topic_filter, topic):
        assert not matches(topic_filter, topic)

    @given(TOPIC)
    def test_a_topic_without_wildcards_matches_itself(self, topic):
        assert matches(topic, topic)

    @given(FILTER, TOPIC)
    @example("#", "")
    @example("a/#", "a")
    def test_matching_agrees_with_the_definition_by_cases(self, topic_filter, topic):
        assert _by_cases(topic_filter.split("/"), topic.split("/")) == matches(topic_filter, topic)


def _by_cases(wanted: list[str], given_levels: list[str], *, first: bool = True) -> bool:
    if not wanted or not given_levels:
        return wanted == given_levels
    if wanted[0] in "+#" and wanted[0] and first and given_levels[0].startswith("$"):
        return False
    if wanted == ["#"]:
        return True
    if wanted[0] not in ("+", given_levels[0]):
        return False
    return _by_cases(wanted[1:], given_levels[1:], first=False)


def test_levels_counts_empty_ones():
    assert [1, 2, 3] == [levels("a"), levels("/a"), levels("a//")]

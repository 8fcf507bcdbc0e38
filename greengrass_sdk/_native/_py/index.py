# SPDX-License-Identifier: Apache-2.0
"""
The subscription table as a trie: one root per source, one edge per topic level.

A literal level is an edge of `children`; `+` is the edge `plus`; `#` is no edge but the list `rest`
of the node it hangs on, because it takes all the levels that are left, however many.

`greengrass_sdk.model.topic.matches` states the same rules for one filter and one topic.
"""

from __future__ import annotations

from greengrass_sdk._native._py.frames import MAX_TOPIC
from greengrass_sdk.errors import InvalidInputError

__all__ = ["TopicIndex", "check_entry", "check_topic_size"]

_MAX_NUMBER = 2**32 - 1


def check_entry(source: int, topic_filter: bytes, row: int) -> list[bytes]:
    """Return the levels of a valid filter; raise InvalidInputError otherwise."""
    if not (0 <= source <= _MAX_NUMBER and 0 <= row <= _MAX_NUMBER):
        raise InvalidInputError(f"source {source} and row {row} must be 0 to {_MAX_NUMBER}")
    if not topic_filter or len(topic_filter) > MAX_TOPIC:
        raise InvalidInputError(
            f"the topic filter has {len(topic_filter)} bytes; it must have 1 to {MAX_TOPIC}"
        )
    if b"\0" in topic_filter:
        raise InvalidInputError(f"the topic filter {topic_filter!r} holds NUL")
    levels = topic_filter.split(b"/")
    for number, level in enumerate(levels, 1):
        if level == b"#" and number < len(levels):
            raise InvalidInputError(
                f"'#' must be the last level of the topic filter {topic_filter!r}"
            )
        if len(level) > 1 and (b"+" in level or b"#" in level):
            raise InvalidInputError(
                f"a wildcard must be a whole level of the topic filter {topic_filter!r}"
            )
    return levels


def check_topic_size(topic: bytes) -> None:
    """Raise InvalidInputError for a topic that no frame could carry."""
    if len(topic) > MAX_TOPIC:
        raise InvalidInputError(
            f"the topic has {len(topic)} bytes; at most {MAX_TOPIC} are allowed"
        )


class _Node:
    __slots__ = ("children", "plus", "rest", "rows")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.plus: _Node | None = None
        self.rows: list[int] = []  # of filters that end here
        self.rest: list[int] = []  # of filters that go on with '#'


class TopicIndex:
    """Match topics by source; see :class:`greengrass_sdk._native._abc.TopicIndex`."""

    __slots__ = ("_roots",)

    def __init__(self) -> None:
        self._roots: dict[int, _Node] = {}

    def add(self, source: int, topic_filter: bytes, row: int) -> None:
        levels = check_entry(source, topic_filter, row)
        node = self._roots.setdefault(source, _Node())
        for level in levels:
            if level == b"#":
                node.rest.append(row)
                return
            if level == b"+":
                node.plus = node.plus or _Node()
                node = node.plus
            else:
                node = node.children.setdefault(level, _Node())
        node.rows.append(row)

    def match(self, source: int, topic: bytes) -> list[int]:
        check_topic_size(topic)
        root = self._roots.get(source)
        if root is None:
            return []
        found: set[int] = set()
        nodes = [root]
        # A wildcard in the first level must not match '$aws/...' and its like.
        wildcards = not topic.startswith(b"$")
        for level in topic.split(b"/"):
            reached: list[_Node] = []
            for node in nodes:
                if wildcards:
                    found.update(node.rest)
                    if node.plus is not None:
                        reached.append(node.plus)
                child = node.children.get(level)
                if child is not None:
                    reached.append(child)
            nodes = reached
            wildcards = True
        for node in nodes:
            found.update(node.rows)
        return sorted(found)

# SPDX-License-Identifier: Apache-2.0
"""
Topics, topic filters and the reference for how they match.

The rules are those of the subscription table, not those of an MQTT broker:

* Levels are what lies between slashes. Empty levels count: `/a` has two, and `+/a` matches it.
* `+` stands for exactly one level, also an empty one, and fills its level alone.
* `#` stands for one or more levels and is the last one. Guide: `sensor/#` matches `sensor/`,
  `sensor/id-123` and `sensor/group-a/id-123`, but not `sensor` (MQTT 3.1.1 says it does).
* A wildcard at the first level does not match a topic that starts with `$`.
* Wildcards belong in filters; a publish to a topic that contains one is refused.

`matches` is written to be read. The index that the core uses is compared with it in its tests.

Ref: Greengrass V1 guide, "Greengrass Lambda functions", topic filters of subscriptions
"""

from __future__ import annotations

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.limits import TOPIC_BYTES

__all__ = ["check_filter", "check_topic", "levels", "matches"]

_SHOWN_CHARS = 80


def check_topic(topic: str) -> bytes:
    """
    Return the UTF-8 of a topic that a message may be published to.

    Raises:
        InvalidInputError: It is no text, empty, longer than 256 bytes, contains NUL or a lone
            surrogate, or a wildcard.
    """
    raw = _encode(topic, "topic")
    if b"+" in raw or b"#" in raw:
        wildcard = "+" if b"+" in raw else "#"
        message = (
            f"topic {_shown(topic)} contains the wildcard '{wildcard}'; "
            "publish to one topic, wildcards belong in subscriptions"
        )
        raise InvalidInputError(message)
    return raw


def check_filter(topic_filter: str) -> bytes:
    """
    Return the UTF-8 of a topic filter, the `subject` of a subscription.

    Raises:
        InvalidInputError: It breaks a rule of `check_topic` other than the one on wildcards, or
            a wildcard shares its level, or `#` is not the last level.
    """
    raw = _encode(topic_filter, "topic filter")
    parts = raw.split(b"/")
    for position, part in enumerate(parts, start=1):
        if len(part) > 1 and (b"+" in part or b"#" in part):
            text = part.decode()
            message = (
                f"topic filter {_shown(topic_filter)} mixes a wildcard with other characters in "
                f"level {position}, {_shown(text)}; '+' and '#' stand alone between slashes"
            )
            raise InvalidInputError(message)
        if part == b"#" and position < len(parts):
            message = (
                f"topic filter {_shown(topic_filter)} has '#' at level {position} of {len(parts)}; "
                "'#' may only be the last level"
            )
            raise InvalidInputError(message)
    return raw


def levels(topic: str) -> int:
    """Return how many levels a topic or filter has; empty ones count."""
    return topic.count("/") + 1


def matches(topic_filter: str, topic: str) -> bool:
    """
    Tell whether a filter matches a topic.

    Both are taken as valid. A topic may contain wildcard characters here (a message from a cloud
    can): they are compared as what they are.
    """
    wanted = topic_filter.split("/")
    given = topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    if wanted[-1] == "#":
        wanted.pop()
        # Guide: "#" is one or more levels, so at least one must be left for it.
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        want in ("+", level) for want, level in zip(wanted, given, strict=True)
    )


def _encode(text: object, what: str) -> bytes:
    """Return the UTF-8 of a text that keeps the rules which topics and filters share."""
    if not isinstance(text, str):
        message = f"{what} must be str, not {type(text).__name__}"
        raise InvalidInputError(message)
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"{what} {ascii(text)[:_SHOWN_CHARS]} has a lone surrogate at character {error.start}, "
            "which has no UTF-8"
        )
        raise InvalidInputError(message) from error
    if not raw:
        message = f"{what} is empty; it needs at least one character"
        raise InvalidInputError(message)
    if len(raw) > TOPIC_BYTES:
        message = f"{what} {_shown(text)} has {len(raw)} bytes of UTF-8; the limit is {TOPIC_BYTES}"
        raise InvalidInputError(message)
    if b"\0" in raw:
        message = f"{what} {_shown(text)} contains NUL (U+0000), which no topic may"
        raise InvalidInputError(message)
    return raw


def _shown(text: str) -> str:
    """Return a text as it stands in messages: quoted, and cut where it is long."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…")

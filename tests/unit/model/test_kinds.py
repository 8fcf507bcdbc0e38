# SPDX-License-Identifier: Apache-2.0
"""Kinds of values: what fits, what to say about what does not, and the schema for it."""

import math

import jsonschema
import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.kinds import (
    Choice,
    Flag,
    Integer,
    Kind,
    Number,
    Record,
    Text,
    TextList,
    TextMap,
    nearest,
    shown,
    unknown,
)


def no_spaces(text):
    if " " in text:
        raise InvalidInputError("has a space")


WORD = Text("a word", no_spaces, "^\\S+$", limit=5, example="word")
FITTING: list[tuple[Kind, list[object]]] = [
    (Flag(), [True, False]),
    (Integer(1, 3), [1, 3]),
    (Integer(1, 1), [1]),
    (Integer(4, 16, power_of_two=True), [4, 8, 16]),
    (Number(0.5, 3), [0.5, 1, 3.0]),
    (WORD, ["x", "fünf!"]),
    (Text(empty=True), ["", "x"]),
    (Choice(("a", "b")), ["a", "b"]),
    (Choice((443, 8443)), [443]),
    (TextList(WORD), [[], ["a", "b"]]),
    (TextMap(), [{}, {"A": "1", "b.c": ""}]),
    (Record({"uid": Integer(0, 9), "gid": Integer(0, 9)}), [{}, {"uid": 1}, {"uid": 1, "gid": 2}]),
]
REFUSED = [
    (Flag(), 1, (), "must be true or false, not 1"),
    (Flag(), "yes", (), 'must be true or false, not "yes"'),
    (Integer(1, 3), 4, (), "must be a whole number from 1 to 3, not 4"),
    (Integer(1, 3), 0, (), "not 0"),
    (Integer(1, 1), 2, (), "must be 1, not 2"),
    (Integer(1, 3), 2.0, (), "not 2.0"),
    (Integer(1, 3), True, (), "not true"),
    (Integer(1, 3), 1 << 400, (), "not a number of 401 bits"),
    (Integer(4, 16, power_of_two=True), 5, (), "must be a power of two from 4 to 16, not 5"),
    (Integer(4, 16, power_of_two=True), 32, (), "not 32"),
    (Number(0.5, 3), 0.4, (), "must be a number from 0.5 to 3, not 0.4"),
    (Number(0.5, 3), math.nan, (), "not nan"),
    (Number(0.5, 3), math.inf, (), "not inf"),
    (Number(0.5, 3), "1", (), 'not "1"'),
    (Number(0.5, 3), False, (), "not false"),
    (WORD, "", (), 'must be a word of at most 5 characters, such as "word", not ""'),
    (WORD, 3, (), "not 3"),
    (WORD, "sechs!", (), "not 6 characters"),
    (WORD, "a b", (), "has a space"),
    (WORD, "a\0b", (), "without NUL"),
    (Choice(("a", "b")), "A", (), 'must be "a" or "b", not "A"'),
    (Choice(("a", "b")), [], (), "not an array"),
    (Choice((443, 8443)), 443.0, (), "must be 443 or 8443, not 443.0"),
    (Choice((1, 2)), True, (), "not true"),
    (TextList(WORD), "a", (), "must be an array of a word of at most 5 characters"),
    (TextList(WORD), ["a", 2], (1,), "not 2"),
    (TextList(WORD), ["a", "b", "a"], (2,), '"a" stands there twice'),
    (TextMap(), [], (), "must be a table of texts, not an array"),
    (TextMap(), {"A": 21}, ("A",), 'must be text, not 21; write "21"'),
    (TextMap(), {"A": True}, ("A",), 'must be text, not true; write "true"'),
    (TextMap(), {"A": {}}, ("A",), "must be text, not a table"),
    (TextMap(), {"A": "\0"}, ("A",), "without NUL"),
    (TextMap(), {"A=": "1"}, ("A=",), "no '='"),
    (TextMap(), {"": "1"}, ("",), "the name of a variable is not empty"),
    (Record({"uid": Integer(0, 9)}), 7, (), "must be a table of uid, not 7"),
    (Record({"uid": Integer(0, 9)}), {"uid": -1}, ("uid",), "from 0 to 9, not -1"),
    (Record({"uid": Integer(0, 9)}), {"udi": 1}, ("udi",), "did you mean 'uid'?"),
]


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, values in FITTING for value in values]
)
def test_what_fits_has_no_flaw_and_passes_the_schema(kind, value):
    assert [] == kind.check(value)
    jsonschema.validate(value, kind.schema())


@pytest.mark.parametrize(("kind", "value", "path", "reason"), REFUSED)
def test_what_does_not_fit_says_where_and_why(kind, value, path, reason):
    [(found, text)] = kind.check(value)
    assert path == found
    assert reason in text


# JSON has no NaN, no difference between 2 and 2.0, and no pattern can say all that a rule can.
LENIENT_SCHEMA = {"without NUL", "has a space", "not 2.0", "not nan", "not 443.0", "twice"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(kind, value) for kind, value, _, why in REFUSED if not any(w in why for w in LENIENT_SCHEMA)],
)
def test_what_does_not_fit_fails_the_schema_too(kind, value):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, kind.schema())


def test_all_flaws_are_told_at_once():
    assert [("A",), ("B",)] == [path for path, _ in TextMap().check({"A": 1, "B": 2, "C": "3"})]
    assert [(0,), (1,)] == [path for path, _ in TextList(WORD).check([1, 2, "c"])]


def test_a_schema_has_the_length_and_pattern_of_a_text():
    assert {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^\\S+$"} == WORD.schema()
    assert {"type": "string", "minLength": 0} == Text(empty=True).schema()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        ("ä", '"ä"'),
        ("x" * 100, '"' + "x" * 60 + '…"'),
        ({}, "a table"),
        ([], "an array"),
        (None, "a NoneType"),
    ],
)
def test_values_are_shown_short(value, text):
    assert text == shown(value)


class TestSpelling:
    @pytest.mark.parametrize(
        ("word", "meant"),
        [
            ("timeout", "timeout_s"),
            ("TIMEOUT_S", "timeout_s"),
            ("MemorySize", "memory_kib"),
            ("handlr", "handler"),
            ("zzz", None),
        ],
    )
    def test_the_nearest_key_is_found(self, word, meant):
        assert meant == nearest(word, ["timeout_s", "memory_kib", "handler"])

    def test_an_unknown_key_lists_what_is_allowed(self):
        assert "unknown key; did you mean 'name'? Allowed: name, core" == unknown(
            "nam", ["name", "core"]
        )
        assert "unknown key; Allowed: name, core" == unknown("xyz", ["name", "core"])
        assert "unknown key; this table has no keys" == unknown("xyz", [])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Text("a path"), "a path"),
        (Text("a name", limit=3), "a name of at most 3 characters"),
        (Text("a name", example="x"), 'a name, such as "x"'),
    ],
)
def test_a_text_is_described_with_its_limit_and_example(kind, text):
    assert text == kind.describe()

# SPDX-License-Identifier: Apache-2.0
"""JSON that people wrote: strict, and with lines."""

import json
import sys

import pytest
from hypothesis import given, strategies as st

from greengrass_sdk.errors import ConfigError
from greengrass_sdk.model.strictjson import decode

DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
).filter(lambda value: "Infinity" not in json.dumps(value))

NEWER = sys.version_info >= (3, 13)  # names trailing commas


def refused(text):
    with pytest.raises(ConfigError) as caught:
        decode(text, "config.json")
    return caught.value.problems


def test_everything_has_its_line():
    text = '{\n "a": 1,\n "b": {"c": "}",\n  "d": [\n 1, "x",\n{"e\\u00e9": null}]\n}\n}\n'
    assert {
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 3,
        ("b", "d"): 4,
        ("b", "d", 0): 5,
        ("b", "d", 1): 5,
        ("b", "d", 2): 6,
        ("b", "d", 2, "eé"): 6,
    } == decode(text, "f")[1]


@pytest.mark.parametrize("text", ["1", '"x"', "[]", "{}", " null\n", "-1.5e3"])
def test_any_value_is_json(text):
    assert json.loads(text) == decode(text, "f")[0]


@given(DOCUMENTS, st.sampled_from([None, 0, 1, "\t"]))
def test_every_path_is_found_once(value, indent):
    text = json.dumps(value, indent=indent)
    found, lines = decode(text, "f")
    assert value == found
    assert list(_paths(value)) == list(lines)
    assert sorted(lines.values()) == list(lines.values())


def _paths(value, path=()):
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from _paths(inner, (*path, key))


def test_a_key_that_stands_twice_is_refused_with_both_lines():
    [first, second] = refused('{"a": {"b": 1},\n"a": {"b": 2},\n"c": [{"d": 1,\n"d": 1}]}')
    assert ("a", 2, "the key stands twice; first on line 1") == (
        first.key,
        first.line,
        first.message,
    )
    assert ("c[0].d", 4) == (second.key, second.line)


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "Expecting value"),
        ("{}x", 1, 3, "Extra data"),
        ("{}\n{}", 2, 1, "Extra data"),
        pytest.param(
            '{"a": 1,\n}',
            *((1, 8, "Illegal trailing comma") if NEWER else (2, 1, "Expecting property name")),
            id="a trailing comma",
        ),
        ("{'a': 1}", 1, 2, "Expecting property name"),
        ('{"a": 1 // x\n}', 1, 9, "Expecting ',' delimiter"),
        ("[NaN]", None, None, "NaN is not JSON"),
        ("[-Infinity]", None, None, "-Infinity is not JSON"),
        ("9" * 5000, None, None, "Exceeds the limit"),
        ("[" * 100_000, None, None, "nested too deeply"),
        ("[" * 600 + "]" * 600, None, None, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused(text, line, column, reason):
    [problem] = refused(text)
    assert ("config.json", line, column) == (problem.file, problem.line, problem.column)
    assert reason in problem.message

# SPDX-License-Identifier: Apache-2.0
"""Keys of the group file, one by one."""

from typing import ClassVar

import pytest

from greengrass_sdk.errors import Problem
from greengrass_sdk.model.locator import Path
from greengrass_sdk.model.reader import Problems, dotted, read_tables


def read(data, lines=None):
    problems = Problems("group.toml", lines or {})
    return read_tables(data, problems), problems


def messages(data):
    return {problem.key: problem.message for problem in read(data)[1].found}


GROUP = {"group": {"name": "g", "core": "c"}}


def test_defaults_are_filled_in():
    tables, problems = read({**GROUP, "functions": {"led": {"code": "x", "handler": "a.f"}}})
    assert [] == problems.found
    assert ("us-east-1", "1", {}) == (
        tables.single["group"]["region"],
        tables.named["functions"]["led"]["version"],
        tables.named["functions"]["led"]["environment"],
    )


def test_defaults_are_not_shared():
    code = {"code": "x", "handler": "a.f"}
    tables, _ = read({**GROUP, "functions": {"a": dict(code), "b": dict(code)}})
    tables.named["functions"]["a"]["environment"]["X"] = "1"
    assert {} == tables.named["functions"]["b"]["environment"]


@pytest.mark.parametrize(
    ("data", "key", "reason"),
    [
        ({}, None, "[group] is missing; it needs name and core"),
        ({"group": {"core": "c"}}, "group", "'name' is missing; it must be a name"),
        ({"group": 3}, "group", "must be a table, written as [group], not 3"),
        ({**GROUP, "schema": 2}, "schema", "must be 1, not 2; a newer file needs a newer version"),
        ({**GROUP, "functon": {}}, "functon", "unknown key; did you mean 'functions'?"),
        ({**GROUP, "handler": "x"}, "handler", "'handler' belongs in [functions.NAME]"),
        ({**GROUP, "xyz": 1}, "xyz", "unknown key; Allowed: schema, group"),
        ({**GROUP, "functions": []}, "functions", "must be tables, written as [functions.NAME]"),
        ({**GROUP, "functions": {"code": "x"}}, "functions.code", "must be a table, written as"),
        ({**GROUP, "clients": {"a b": {}}}, 'clients."a b"', "client name 'a b' must be"),
        ({**GROUP, "clients": {"a": {"x": 1}}}, "clients.a.x", "this table has no keys"),
        (
            {**GROUP, "loggers": {}},
            "loggers",
            "must be tables, written as [[loggers]], not a table",
        ),
        ({**GROUP, "loggers": [3]}, "loggers[0]", "must be a table, written as [[loggers]], not 3"),
        ({**GROUP, "cloud": {}}, "cloud", "'url' is missing"),
        ({**GROUP, "limits": {"strict": True}}, "limits.strict", "'strict' belongs in [group]"),
        ({**GROUP, "limits": {"work_item": 1}}, "limits.work_item", "did you mean 'work_items'?"),
        ({**GROUP, "limits": {"work_items": 0}}, "limits.work_items", "must be a whole number"),
    ],
)
def test_a_wrong_key_says_what_is_allowed(data, key, reason):
    [(found, message)] = messages(data).items()
    assert key == found
    assert reason in message


def test_a_misspelt_key_is_not_reported_as_missing_too():
    assert ["group.cor"] == list(messages({"group": {"name": "g", "cor": "c"}}))


def test_all_problems_are_found_at_once():
    data = {
        "group": {"name": 1, "core": "c", "regio": "x"},
        "functions": {"a": {"code": "x", "handler": "f", "timeout_s": 0, "run_as": {"uid": "x"}}},
        "subscriptions": [{"source": "a", "subject": "#/a"}],
    }
    assert {
        "group.name",
        "group.regio",
        "functions.a.handler",
        "functions.a.timeout_s",
        "functions.a.run_as.uid",
        "subscriptions[0]",
        "subscriptions[0].subject",
    } == set(messages(data))


class TestProblems:
    LINES: ClassVar[dict[Path, int]] = {("a",): 2, ("a", "b"): 3, ("c", 0): 7}

    def test_a_problem_has_the_line_of_its_key_or_of_the_table_around_it(self):
        problems = Problems("f", self.LINES)
        assert [3, 3, 2, 7, None, None] == [
            problems.line(path)
            for path in [("a", "b"), ("a", "b", "x"), ("a", "z"), ("c", 0, "x"), ("d",), ()]
        ]

    def test_problems_come_in_the_order_of_the_file(self):
        problems = Problems("f", self.LINES)
        paths: list[Path] = [("c", 0), ("a", "b"), (), ("a",)]
        for path in paths:
            problems.add(path, "x")
        assert [
            Problem("x", file="f"),
            Problem("x", file="f", line=2, key="a"),
            Problem("x", file="f", line=3, key="a.b"),
            Problem("x", file="f", line=7, key="c[0]"),
        ] == problems.in_order()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a", "b-c"), "a.b-c"),
        (("a", "b.c", ""), 'a."b.c".""'),
        (("a", 0, "b", 1), "a[0].b[1]"),
        (("é",), '"é"'),
    ],
)
def test_paths_are_written_as_in_the_file(path, text):
    assert text == dotted(path)

# SPDX-License-Identifier: Apache-2.0
"""A function as a value: an invalid one cannot exist."""

from pathlib import Path

import attrs
import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.function import Function, RunAs
from greengrass_sdk.model.tables import table


def function(**changes):
    return Function(**{"name": "echo", "code": Path("/code"), "handler": "app.main", **changes})


def test_defaults_are_those_of_the_group_file():
    declared = {key.name: key.default for key in table("functions").keys if not key.required}
    found = function()
    assert declared == {name: getattr(found, name) for name in declared}


def test_every_key_of_the_file_is_an_attribute():
    ours = {"name", "arn", "line"}
    names = {attribute.name for attribute in attrs.fields(Function)}
    assert {key.name for key in table("functions").keys} == names - ours


def test_a_pinned_function_has_one_worker():
    assert (1, 25) == (function(pinned=True).workers_limit, function().workers_limit)


def test_whole_seconds_become_floats():
    found = function(timeout_s=5, idle_s=0)
    assert ("5.0", "0.0") == (repr(found.timeout_s), repr(found.idle_s))


def test_lists_become_tuples():
    assert ("a",) == function(secrets=["a"]).secrets


def test_the_line_does_not_make_a_difference():
    assert function(line=3) == function(line=4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "a b"}, "function name 'a b'"),
        ({"handler": "main"}, r"\[functions\] handler: must be MODULE.FUNCTION"),
        ({"timeout_s": True}, r"timeout_s: must be a number"),
        ({"timeout_s": "3"}, r"timeout_s: must be a number"),
        ({"environment": {"A": 1}}, r"environment.A: must be text"),
        ({"queue_items": 0}, "queue_items: must be a whole number from 1"),
        ({"encoding": "xml"}, "encoding: must be"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(changes, reason):
    with pytest.raises(InvalidInputError, match=reason):
        function(**changes)


@pytest.mark.parametrize(
    ("uid", "gid", "root"),
    [(None, None, False), (0, None, True), (None, 0, True), (1000, 0, True), (1000, 1000, False)],
)
def test_root_is_user_or_group_zero(uid, gid, root):
    assert root == RunAs(uid=uid, gid=gid).is_root

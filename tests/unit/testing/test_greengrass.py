# SPDX-License-Identifier: Apache-2.0
"""What holds on every world, on the double."""

from __future__ import annotations

import pytest

from greengrass_sdk import Client, FunctionNotFoundError, InvalidInputError
from greengrass_sdk.testing import FakeCore, Greengrass, UnreadErrors
from greengrass_sdk.testing.greengrass import name_of

client = Client()


def handler(event, _context):
    client.publish(event["topic"], "x")


def test_published_is_filtered_as_rows_are(core):
    core.add_function("f", handler)
    for topic in ("a/b", "a", "$aws/x"):
        core.invoke("f", {"topic": topic})
    core.deliver("from/cloud")
    assert ["a/b", "a", "$aws/x"] == [message.subject for message in core.published()]
    assert ["a/b"] == [message.subject for message in core.published("a/#")]
    assert ["a"] == [message.subject for message in core.published("+")]
    assert [] == core.published("from/cloud")
    with pytest.raises(InvalidInputError):
        core.published("a/#/b")


def test_errors_are_unread_until_they_are_asked_for(core):
    core.add_function("f", handler)
    core.invoke_async("f")
    assert 1 == len(core.unread_errors)
    assert 1 == len(core.errors)
    assert [] == core.unread_errors
    core.invoke_async("f")
    with pytest.raises(UnreadErrors):
        core.check_errors()
    core.check_errors()
    assert 2 == len(core.errors)


def test_a_core_describes_what_happened(core):
    core.add_function("f", handler)
    core.invoke("f", {"topic": "a"})
    assert "f: a x: dropped: no subscription matches" in core.describe()


def test_a_function_is_named_by_itself_or_its_name(core):
    assert isinstance(core, Greengrass)
    fn = core.add_function("f", handler)
    assert ("f", "f") == (name_of(fn), name_of("f"))


def test_closing_twice_is_allowed():
    with FakeCore() as core:
        core.close()


def test_who_names_no_function_hears_what_there_is(core):
    with pytest.raises(InvalidInputError, match=r"names no function: give its name in the group"):
        core.subscribe("cloud", "t", handler)
    core.add_function("climate", handler)
    for invoke in (core.invoke, core.invoke_async):
        with pytest.raises(FunctionNotFoundError) as caught:
            invoke("climat")
        hint = "did you mean 'climate'? the functions of the group: climate"
        assert [hint] == caught.value.__notes__

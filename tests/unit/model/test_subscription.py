# SPDX-License-Identifier: Apache-2.0
"""A row of the routing table."""

import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.subscription import Subscription


def test_a_row_admits_what_its_source_publishes_on_its_subject():
    row = Subscription("s", "cloud", "a/+", "arn:x")
    assert [True, False, False] == [
        row.admits("cloud", "a/b"),
        row.admits("cloud", "a"),
        row.admits("arn:x", "a/b"),
    ]


def test_the_line_does_not_make_a_difference():
    row = Subscription("s", "cloud", "a/+", "arn:x", line=3)
    assert (3, row) == (row.line, Subscription("s", "cloud", "a/+", "arn:x"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("s", "cloud", "a/#/b", "x"), "'#' may only be the last level"),
        (("s", "", "a", "x"), "source of a subscription is empty"),
        (("s", "cloud", "a", ""), "target of a subscription is empty"),
    ],
)
def test_a_wrong_row_cannot_exist(values, reason):
    with pytest.raises(InvalidInputError, match=reason):
        Subscription(*values)

# SPDX-License-Identifier: Apache-2.0
"""Versions of the interface."""

from __future__ import annotations

import pytest

from greengrass_common.parse_version import parse_version


@pytest.mark.parametrize(
    ("text", "version"), [("1.5", (1, 5)), ("1.10.2", (1, 10)), (1.2, (1, 2))], ids=str
)
def test_major_and_minor_are_read(text, version):
    assert version == parse_version(text)


@pytest.mark.parametrize("text", ["", "1", "one.five", "1.x", None], ids=repr)
def test_what_is_no_version_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"must be MAJOR\.MINOR"):
        parse_version(text)

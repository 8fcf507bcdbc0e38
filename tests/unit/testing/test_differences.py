# SPDX-License-Identifier: Apache-2.0
"""The table of what differs between the double and a core."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reference_tables import ADVICE, blocks, expected

from greengrass_sdk import testing
from greengrass_sdk.testing.differences import DIFFERENCES, WorldDifference, differs

SOURCES = sorted(Path(testing.__file__).parent.glob("*.py"))


def test_the_manual_shows_the_table():
    assert expected()["testing.md"] == blocks("testing.md"), ADVICE


def test_exactly_the_rows_with_a_reason_are_raised_somewhere():
    raised = {
        key
        for source in SOURCES
        for key in re.findall(r'raise differs\("(\w+)"\)', source.read_text())
    }
    assert {key for key, row in DIFFERENCES.items() if row.reason} == raised


def test_every_row_says_what_each_world_does():
    for row in DIFFERENCES.values():
        assert row.what
        assert row.fake
        assert row.core
        assert row.fake != row.core
        assert bool(row.reason) == row.core.startswith("skipped")


def test_a_difference_tells_what_and_why():
    with pytest.raises(WorldDifference, match="by more than 30 seconds: the time of a core is"):
        raise differs("advance")

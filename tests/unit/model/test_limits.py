# SPDX-License-Identifier: Apache-2.0
"""The numbers: V1's, as the guide gives them, and that all of them are in the manual."""

import re
from pathlib import Path

import pytest

from greengrass_sdk.model import limits

NUMBERS = {name: value for name, value in vars(limits).items() if name.isupper()}
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "limits.md"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOPIC_BYTES", 256),
        ("TOPIC_PAYLOAD_BYTES", 128 * 1024),
        ("INVOKE_PAYLOAD_BYTES", 6 * 1024 * 1024),
        ("WORK_ITEMS", 1024),
        ("TIMEOUT_S", 3),
        ("SHADOW_STATE_BYTES", 8 * 1024),
        ("SPOOL_BYTES_MIN", 256 * 1024),
        ("SPOOL_BYTES", 2.5 * 1024 * 1024),
        ("STREAM_PORT", 8088),
        ("STREAM_THREADS", 5),
        ("KEEP_ALIVE_S", 600),
    ],
)
def test_numbers_of_the_guide_are_what_it_says(name, value):
    assert value == NUMBERS[name]


def test_every_default_is_within_its_bounds():
    for name, value in NUMBERS.items():
        low, high = NUMBERS.get(f"{name}_MIN", 0), NUMBERS.get(f"{name}_MAX", value)
        assert low <= value <= high


def test_the_manual_gives_every_number():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d ]+(?:\.\d+)?) \|", PAGE.read_text(), re.MULTILINE))
    expected = {name: f"{value:,.10g}".replace(",", " ") for name, value in NUMBERS.items()}
    assert expected == rows

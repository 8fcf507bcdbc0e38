# SPDX-License-Identifier: Apache-2.0
"""The manual's page of commands is what the parsers say."""

from __future__ import annotations

from pathlib import Path

from greengrass_sdk.cli import COMMANDS
from greengrass_sdk.cli._reference import render

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
ADVICE = "run `python -m greengrass_sdk.cli._reference > docs/reference/cli.md`"


def test_the_page_in_the_manual_is_fresh():
    assert PAGE.read_text(encoding="utf-8") == render(), ADVICE


def test_every_command_has_its_section():
    page = render()

    assert [c.name for c in COMMANDS if f"\n## greengrass {c.name}\n" not in page] == []
    assert "\n## greengrassd\n" in page


def test_hidden_options_stay_hidden():
    assert "--ready-fd" not in render()

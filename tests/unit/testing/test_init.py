# SPDX-License-Identifier: Apache-2.0
"""The package exports what tests use, and imports it when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from greengrass_sdk import testing


def test_every_exported_name_is_there():
    assert [] == [name for name in testing.__all__ if not hasattr(testing, name)]
    assert set(testing.__all__) <= set(dir(testing))


def test_an_unknown_name_is_none():
    with pytest.raises(AttributeError, match="has no attribute 'FakeCoer'"):
        testing.FakeCoer  # noqa: B018 - the access is the test


def test_the_plugin_imports_nothing_of_the_core_before_a_test_asks():
    program = (
        "import sys, pytest; import greengrass_sdk.testing.plugin;"
        "print(sorted(n for n in sys.modules if n.startswith('greengrass_sdk.')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "['greengrass_sdk.testing', 'greengrass_sdk.testing.plugin']" == run.stdout.strip()

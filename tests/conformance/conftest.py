# SPDX-License-Identifier: Apache-2.0
"""
Conformance: V1's documented behaviour, seen from outside of a real core.

Each test names the id of its behaviour (`GG-...`), which docs/reference/conformance.md lists.
Intervals of the guide are scaled down by the examples' own settings; `slow` tests use the real
ones.
"""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.needs_core)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(90))

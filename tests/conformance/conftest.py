# SPDX-License-Identifier: Apache-2.0
"""
Conformance: V1's documented behaviour, seen from outside.

Each test names the id of its behaviour (`GG-...`), which docs/reference/conformance.md lists.
Tests with the fixture `greengrass` run twice, on the double and on a real core; what only a core
has, such as its daemon and its files, is tested on a core that the command starts.

Intervals of the guide are scaled down by the examples' own settings; `slow` tests use the real
ones.
"""

import textwrap
from pathlib import Path

import pytest

WORLDS = ["fake", pytest.param("core", marks=pytest.mark.needs_core)]


@pytest.fixture(params=WORLDS)
def greengrass_world(request):
    return request.param


@pytest.fixture
def code(tmp_path):
    """Write modules of a function and return their folder."""

    def code(**modules: str) -> Path:
        folder: Path = tmp_path / "code"
        folder.mkdir(exist_ok=True)
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(source))
        return folder

    return code


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            if "greengrass_world" not in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.needs_core)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(90))

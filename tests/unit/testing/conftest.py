# SPDX-License-Identifier: Apache-2.0
"""A FakeCore, and folders with functions to import."""

from __future__ import annotations

import textwrap

import pytest

from greengrass_sdk.testing import FakeCore, identity


@pytest.fixture
def core():
    fake = FakeCore()
    yield fake
    fake.shut_down()
    fake.check_errors()


@pytest.fixture
def write(tmp_path):
    """Write a module below a fresh folder and return its folder."""

    def write(source: str, name: str = "app.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path.parent

    return write


@pytest.fixture(autouse=True)
def _no_core_is_left():
    """A core that is not closed answers for functions of later tests."""
    yield
    left = list(identity._active)
    for each in left:
        identity.deactivate(each)
    assert [] == left

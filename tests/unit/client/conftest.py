# SPDX-License-Identifier: Apache-2.0
"""A process that is a function, with a core by script on the other end."""

from __future__ import annotations

import pytest
from fake_core import FakeCore

from greengrass_sdk.client import session


@pytest.fixture
def core():
    """Hold the core of the function that this process is."""
    with FakeCore() as core:
        session.adopt(core.session())
        yield core
        session.adopt(None)


@pytest.fixture(autouse=True)
def _no_core_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("GREENGRASS_ROOT", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)

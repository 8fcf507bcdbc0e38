# SPDX-License-Identifier: Apache-2.0
"""
The router machine in C: the conversations of the one in Python, word for word, and what only a
caller of C sees.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import router_bench

_c_router = pytest.importorskip(
    "greengrass_sdk._native._c_router", reason="the C extension is not built"
)
_c = pytest.importorskip("greengrass_sdk._native._c")

CONVERSATIONS = Path(__file__).parent / "_py" / "router"

# conversation -> why it is not held with the machine in C
NOT_HELD: dict[str, str] = {
    "test_a_peer_that_was_cut_off_is_forgotten_at_once": "looks at the Python machine's own dict",
}


@pytest.fixture(autouse=True)
def in_c(monkeypatch):
    """Let every bench be built around the machine in C."""
    monkeypatch.setattr(router_bench, "Router", _c_router.Router)
    monkeypatch.setattr(router_bench, "TopicIndex", _c.TopicIndex)


def conversations(name):
    """Return the tests of a file of the Python machine, to be collected here as well."""
    path = CONVERSATIONS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_in_c", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and name not in NOT_HELD
    }


globals().update(conversations("test_machine"))
globals().update(conversations("test_work"))

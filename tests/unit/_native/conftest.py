# SPDX-License-Identifier: Apache-2.0
"""Both implementations, for tests that state what either must do."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from greengrass_sdk._native._py import frames, index


def _c() -> SimpleNamespace:
    try:
        from greengrass_sdk._native import _c
    except ImportError as error:
        if os.environ.get("GREENGRASS_SDK_NATIVE") == "c":
            raise
        pytest.skip(f"the C extension is not built: {error}")
    return SimpleNamespace(
        name="c", FrameDecoder=_c.FrameDecoder, TopicIndex=_c.TopicIndex, module=_c
    )


def _python() -> SimpleNamespace:
    return SimpleNamespace(
        name="python", FrameDecoder=frames.FrameDecoder, TopicIndex=index.TopicIndex
    )


@pytest.fixture(scope="session", params=["c", "python"])
def native(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Hold the classes of one implementation."""
    return _c() if request.param == "c" else _python()


@pytest.fixture(scope="session")
def both() -> tuple[SimpleNamespace, SimpleNamespace]:
    """Hold the C and the Python implementation, to compare them."""
    return _c(), _python()

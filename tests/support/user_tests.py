# SPDX-License-Identifier: Apache-2.0
"""Runs pytest as a user of the package does, who has the plugin by its installation."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

__all__ = ["PYTEST"]

_INSTALLED = entry_points(group="pytest11", name="greengrass_sdk")
_PLUGIN = [] if _INSTALLED else ["-p", "greengrass_sdk.testing.plugin"]

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_PLUGIN]
"""A command without files; in a tree that is not installed it names the plugin."""

# SPDX-License-Identifier: Apache-2.0
"""
What every run of pytest in this tree has.

`nox -s docs` runs the code blocks of the manual; tests/support/docs_blocks.py says how. The
package's own plugin, which gives the fixture `greengrass`, is also there where it is not installed.
"""

from importlib.metadata import entry_points
from importlib.util import find_spec

# Sybil comes with the dependency group `docs`; other sessions do without it.
pytest_plugins = ["docs_blocks"] if find_spec("sybil") else []
if not entry_points(group="pytest11", name="greengrass_sdk"):
    pytest_plugins.append("greengrass_sdk.testing.plugin")

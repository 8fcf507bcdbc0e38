# SPDX-License-Identifier: Apache-2.0
"""Lets `nox -s docs` run the code blocks of the manual; tests/support/docs_blocks.py says how."""

from importlib.util import find_spec

# Sybil comes with the dependency group `docs`; other sessions do without it.
pytest_plugins = ["docs_blocks"] if find_spec("sybil") else []

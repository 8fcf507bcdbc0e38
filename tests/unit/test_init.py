# SPDX-License-Identifier: Apache-2.0
"""The package: its names, and what importing it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import greengrass_sdk

# What a function does not need before it needs it; each costs milliseconds.
EXPENSIVE = {
    "asyncio",
    "attr",
    "attrs",
    "cffi",
    "json",
    "logging",
    "msgpack",
    "pathlib",
    "re",
    "select",
    "socket",
    "tempfile",
    "threading",
    "typing",
    "typing_extensions",
}
MODULES = 40


def imported_by(statement: str) -> list[str]:
    """Return the modules that a statement imports beyond those of a bare interpreter."""
    script = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "names = sorted(set(sys.modules) - before); import json; print(json.dumps(names))"
    )
    paths = [path for path in sys.path if path]
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:] = {paths!r}\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout)
    return names


def test_every_exported_name_can_be_had():
    for name in greengrass_sdk.__all__:
        assert getattr(greengrass_sdk, name) is not None
        assert name in dir(greengrass_sdk)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        greengrass_sdk.Server  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    "statement",
    [
        "from greengrass_sdk import Client",
        "from greengrass_sdk import Client; Client()",
        "import greengrasssdk; greengrasssdk.client('iot-data')",
    ],
)
def test_an_import_costs_little(statement):
    folder = f"{next(iter(greengrass_sdk.__path__))}/dropin"
    names = imported_by(f"import sys; sys.path.append({folder!r}); {statement}")
    assert set() == EXPENSIVE & set(names)
    assert len(names) <= MODULES, names


def test_importing_the_package_touches_no_linux_only_call():
    # Not register_at_fork: macOS has it, and the standard library relies on it.
    missing = ["eventfd", "memfd_create", "pidfd_open", "sched_getaffinity"]
    without = "; ".join(f"hasattr(os, {name!r}) and delattr(os, {name!r})" for name in missing)
    statement = f"import os; {without}; import greengrass_sdk; from greengrass_sdk import *"
    assert "greengrass_sdk" in imported_by(statement)

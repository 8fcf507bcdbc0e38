# SPDX-License-Identifier: Apache-2.0
"""
What a zygote imports once, so that no worker has to.

Beside what the runtime itself needs: the client, modules of the standard library that handlers
import all the time, and `greengrasssdk`, the drop-in. The last has a public name that a zip may
bring, too, so it is taken out of `sys.modules` again and handed to those workers whose path has
ours first.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from greengrass_sdk import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["DROPIN_FOLDER", "preload"]

DROPIN_FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "dropin")
_MODULES = (
    "base64",
    "datetime",
    "random",
    "greengrass_sdk.client._client",
    "greengrass_sdk.client.secrets",
    "greengrass_sdk.client.v1",
)
_RINGS = "greengrass_sdk._native._ring"  # where the extension was built
_DROPIN = "greengrasssdk"
# None of them looks at the environment while it is imported, which only the worker will have.
_DROPIN_MODULES = (
    _DROPIN,
    f"{_DROPIN}.IoTDataPlane",
    f"{_DROPIN}.Lambda",
    f"{_DROPIN}.SecretsManager",
)


def preload() -> dict[str, ModuleType]:
    """Import what workers will use; return the drop-in's modules, which are in no `sys.modules`."""
    for name in (*_MODULES, *([_RINGS] if _native.impl == "c" else [])):
        import_module(name)
    sys.path.insert(0, DROPIN_FOLDER)
    try:
        for name in _DROPIN_MODULES:
            import_module(name)
    finally:
        sys.path.remove(DROPIN_FOLDER)
    names = [name for name in sys.modules if name.partition(".")[0] == _DROPIN]
    return {name: sys.modules.pop(name) for name in names}

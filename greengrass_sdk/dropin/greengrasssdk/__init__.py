# SPDX-License-Identifier: Apache-2.0
"""
The interface of AWS's `greengrasssdk` 1.6.1, on this project's core.

`client("iot-data")`, `client("lambda")` and `client("secretsmanager")` return the clients of the
modules IoTDataPlane, Lambda and SecretsManager, which are attributes from the beginning;
`client("streammanager")` is `stream_manager.StreamManagerClient`.
"""

from __future__ import annotations

from greengrasssdk.client import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrasssdk import IoTDataPlane, Lambda, SecretsManager, utils
    from greengrasssdk.Lambda import StreamingBody

__all__ = [
    "INTERFACE_VERSION",
    "IoTDataPlane",
    "Lambda",
    "SecretsManager",
    "StreamingBody",
    "__version__",
    "client",
    "utils",
]

__version__ = "1.6.1"
INTERFACE_VERSION = "1.5"


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in ("IoTDataPlane", "Lambda", "SecretsManager", "stream_manager"):
        return import_module(f"greengrasssdk.{name}")
    if name == "utils":
        import_module("greengrasssdk.utils.testing")
        return import_module("greengrasssdk.utils")
    if name == "StreamingBody":
        return import_module("greengrasssdk.Lambda").StreamingBody
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

# SPDX-License-Identifier: Apache-2.0
"""
A home for functions written for AWS IoT Greengrass V1: SDK, core, test doubles.

* `Client`, `AsyncClient` (in `client/`): what a function or a program beside the core uses.
* `errors`: everything these raise.
* `model/`: the group file, topics, ARNs, limits.
* `core/`: the daemon. `runtime/`: what runs inside a function's process. `cli/`: the commands.
* `wire/`, `_native/`: the bytes between them. `dropin/`: `greengrasssdk`, the names of AWS's SDK.

Names are imported when they are first used, so that a function pays only for what it needs. A
newcomer starts at docs/explanation/architecture.md.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrass_sdk.client import AsyncClient, Client, InvokeResult, Message
    from greengrass_sdk.errors import (
        AuthorizationError,
        ConfigError,
        CoreUnavailableError,
        FunctionError,
        FunctionHandledError,
        FunctionNotFoundError,
        FunctionTimeoutError,
        FunctionUnhandledError,
        GreengrassError,
        InvalidInputError,
        LimitExceededError,
        NoSubscriptionError,
        QueueFullError,
        RequestTimeoutError,
    )

__all__ = [
    "AsyncClient",
    "AuthorizationError",
    "Client",
    "ConfigError",
    "CoreUnavailableError",
    "FunctionError",
    "FunctionHandledError",
    "FunctionNotFoundError",
    "FunctionTimeoutError",
    "FunctionUnhandledError",
    "GreengrassError",
    "InvalidInputError",
    "InvokeResult",
    "LimitExceededError",
    "Message",
    "NoSubscriptionError",
    "QueueFullError",
    "RequestTimeoutError",
    "__version__",
]

__version__ = "0.1.0"

_CLIENT = ("AsyncClient", "Client", "InvokeResult", "Message")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _CLIENT:
        from greengrass_sdk import client as home
    else:
        from greengrass_sdk import errors as home
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

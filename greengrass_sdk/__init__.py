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
    from greengrass_sdk.client import (
        AsyncClient,
        AsyncShadow,
        AsyncStream,
        Client,
        InvokeResult,
        Message,
        SecretValue,
        Shadow,
        ShadowChange,
        ShadowDocument,
        Stream,
    )
    from greengrass_sdk.errors import (
        AuthorizationError,
        ConfigError,
        CoreUnavailableError,
        DeploymentError,
        FunctionError,
        FunctionHandledError,
        FunctionNotFoundError,
        FunctionTimeoutError,
        FunctionUnhandledError,
        GreengrassError,
        HandlerError,
        InvalidInputError,
        InvalidStreamRequestError,
        LimitExceededError,
        LocalProtocolError,
        NativeError,
        NoSubscriptionError,
        NotEnoughMessagesError,
        PackageError,
        ProtocolError,
        QueueFullError,
        RemoteProtocolError,
        RequestTimeoutError,
        SecretError,
        SecretNotFoundError,
        ShadowError,
        ShadowNotFoundError,
        ShadowTooLargeError,
        ShadowVersionConflictError,
        StreamError,
        StreamFullError,
        StreamMemoryError,
        StreamNotFoundError,
        StreamPayloadTooLargeError,
        StreamReadError,
        StreamResponseTooLargeError,
        StreamsDisabledError,
        StreamStoreError,
        StreamUpdateError,
    )

__all__ = [
    "AsyncClient",
    "AsyncShadow",
    "AsyncStream",
    "AuthorizationError",
    "Client",
    "ConfigError",
    "CoreUnavailableError",
    "DeploymentError",
    "FunctionError",
    "FunctionHandledError",
    "FunctionNotFoundError",
    "FunctionTimeoutError",
    "FunctionUnhandledError",
    "GreengrassError",
    "HandlerError",
    "InvalidInputError",
    "InvalidStreamRequestError",
    "InvokeResult",
    "LimitExceededError",
    "LocalProtocolError",
    "Message",
    "NativeError",
    "NoSubscriptionError",
    "NotEnoughMessagesError",
    "PackageError",
    "ProtocolError",
    "QueueFullError",
    "RemoteProtocolError",
    "RequestTimeoutError",
    "SecretError",
    "SecretNotFoundError",
    "SecretValue",
    "Shadow",
    "ShadowChange",
    "ShadowDocument",
    "ShadowError",
    "ShadowNotFoundError",
    "ShadowTooLargeError",
    "ShadowVersionConflictError",
    "Stream",
    "StreamError",
    "StreamFullError",
    "StreamMemoryError",
    "StreamNotFoundError",
    "StreamPayloadTooLargeError",
    "StreamReadError",
    "StreamResponseTooLargeError",
    "StreamStoreError",
    "StreamUpdateError",
    "StreamsDisabledError",
    "__version__",
]

__version__ = "0.1.0"

_CLIENT = (
    "AsyncClient",
    "AsyncShadow",
    "AsyncStream",
    "Client",
    "InvokeResult",
    "Message",
    "SecretValue",
    "Shadow",
    "ShadowChange",
    "ShadowDocument",
    "Stream",
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f"{__name__}.client" if name in _CLIENT else f"{__name__}.errors")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

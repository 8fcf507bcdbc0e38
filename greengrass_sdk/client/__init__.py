# SPDX-License-Identifier: Apache-2.0
"""
The SDK: what a function, a script beside the core, or a command says to the core.

* `_client.Client`: publish, invoke, receive; blocking, for any number of threads.
* `aio.AsyncClient`: the same as coroutines, over the same channel.
* `results`: `Message` and `InvokeResult`, what these return.
* `shadows`: `Shadow`, `AsyncShadow`, what `shadow` of a client returns.
* `secrets`: `SecretValue`, what `secret` of a client returns.
* `streams`: `Stream`, `AsyncStream`, what `stream` of a client returns.
* `session`: a connection whose hello is done; a function's worker is born with one.
* `connect`: finds a running core, connects to its socket, says hello.
* `requests`: from arguments to frames and from frames to results or errors; both clients use it.
* `payloads`: what becomes of str, dict and friends on the wire.
* `tools.ToolConnection`: what the commands ask as the owner of the core.

The names below are imported when they are first used: a function pays only for what it needs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from greengrass_sdk.client._client import Client
    from greengrass_sdk.client.aio import AsyncClient
    from greengrass_sdk.client.results import InvokeResult, Message
    from greengrass_sdk.client.secrets import SecretValue
    from greengrass_sdk.client.shadows import AsyncShadow, Shadow, ShadowChange, ShadowDocument
    from greengrass_sdk.client.streams import AsyncStream, Stream

__all__ = [
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
]

_HOMES = {
    "AsyncClient": "aio",
    "AsyncShadow": "shadows",
    "AsyncStream": "streams",
    "Client": "_client",
    "InvokeResult": "results",
    "Message": "results",
    "SecretValue": "secrets",
    "Shadow": "shadows",
    "ShadowChange": "shadows",
    "ShadowDocument": "shadows",
    "Stream": "streams",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

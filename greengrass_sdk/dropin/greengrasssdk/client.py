# SPDX-License-Identifier: Apache-2.0
"""The one function that everybody calls."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["client"]


def client(client_type: str, *args: Any, **kwargs: Any) -> Any:
    """
    Return the client of a service.

    It needs no core, its first call does; but "streammanager" connects at once.

    Raises:
        ConnectionRefusedError: "streammanager" where no stream manager runs.
        Exception: No such service.
    """
    if client_type == "iot-data":
        from greengrasssdk.IoTDataPlane import Client as DataClient

        return DataClient(*args, **kwargs)
    if client_type == "lambda":
        from greengrasssdk.Lambda import Client as LambdaClient

        return LambdaClient(*args, **kwargs)
    if client_type == "secretsmanager":
        from greengrasssdk.SecretsManager import Client as SecretsClient

        return SecretsClient(*args, **kwargs)
    if client_type == "streammanager":
        from greengrasssdk.stream_manager import StreamManagerClient

        return StreamManagerClient(*args, **kwargs)
    raise Exception(f"Client type {client_type!r} is not recognized.")  # noqa: TRY002 - as in V1

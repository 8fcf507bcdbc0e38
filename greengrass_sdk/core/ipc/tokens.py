# SPDX-License-Identifier: Apache-2.0
"""Tokens that prove who connects: a file each, readable by the core's owner only."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from greengrass_sdk.core.ipc.listener import Client
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.group import Group

__all__ = ["clients", "tool"]

_TOKEN_BYTES = 32


def clients(group: Group, layout: Layout, numbers: Mapping[str, int]) -> dict[str, Client]:
    """
    Return the declared clients; each keeps its token over restarts.

    Tokens of clients that the group no longer declares are removed.
    """
    for path in layout.tokens_dir.iterdir():
        if path.name not in group.clients:
            path.unlink(missing_ok=True)
    return {
        name: Client(name, numbers[client.arn], client.arn, _token(layout.tokens_dir / name))
        for name, client in group.clients.items()
    }


def tool(layout: Layout) -> str:
    """Return the token of the owner's commands, a new one at every start."""
    layout.tool_token.unlink(missing_ok=True)
    return _token(layout.tool_token)


def _token(path: Path) -> str:
    """Return the token in `path`, written now if there is none."""
    try:
        if token := path.read_text("ascii").strip():
            return token
        path.unlink()  # left empty by a start that was killed
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token {path} cannot be read: {error}; remove it") from error
    token = secrets.token_hex(_TOKEN_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"token {path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
    return token

# SPDX-License-Identifier: Apache-2.0
"""
Tell the service manager how far we are: the protocol of `sd_notify`, which is one datagram.

Ref: systemd's manual, sd_notify(3), "Notes" (the protocol is stable and meant to be written anew)
"""

from __future__ import annotations

import os
import socket

__all__ = ["notify"]


def notify(state: str) -> bool:
    """Send `state`, as `READY=1`, to the manager that asked for it; return whether one did."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return False  # the manager is gone: there is nobody left to tell
    return True

# SPDX-License-Identifier: Apache-2.0
"""The Unix socket of the core: who may connect, and as whom."""

from __future__ import annotations

import hmac
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk.errors import AuthorizationError, ConfigError, GreengrassError
from greengrass_sdk.wire import control

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from pathlib import Path

    from greengrass_sdk._native import Frame
    from greengrass_sdk.core.ipc.tools import Tools
    from greengrass_sdk.core.ports import Router

__all__ = ["Client", "Listener"]

log = logging.getLogger(__name__)

_HELLO_S = 5.0  # a connection that says nothing for this long is closed
_UNKNOWN_PEERS = 64  # connections that have not said hello yet
_BACKLOG = 128
_ROOT = 0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


@frozen
class Client:
    """A `[clients.NAME]` of the group: its endpoint and the token that proves the name."""

    name: str
    endpoint: int
    address: str
    token: str


@define(eq=False)
class Listener:
    """
    Accepts local connections.

    Args:
        welcome: What the answer to a good hello tells beside endpoint and address.
        tool_token: Proves that a tool reads the owner's files.
        tool_endpoint: Endpoint number of the tools' messages.
    """

    loop: asyncio.AbstractEventLoop
    router: Router
    tools: Tools
    clients: Mapping[str, Client]
    welcome: Mapping[str, object]
    tool_token: str
    tool_endpoint: int
    connected: dict[str, _LocalPeer] = field(factory=dict)
    _socket: socket.socket | None = None
    _path: Path | None = None
    _unknown: int = 0

    def open(self, path: Path) -> None:
        """
        Listen at `path`, which may be longer than a socket address.

        Raises:
            ConfigError: The socket cannot be created there.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)  # the lock of the root is ours: nobody listens there
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                sock.bind(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
            path.chmod(0o600)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            msg = f"cannot listen at {path}: {error.strerror}; check the folder's owner and mode"
            raise ConfigError(msg) from error
        sock.setblocking(False)
        self._socket = sock
        self._path = path
        self.loop.add_reader(sock.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening and end all connections."""
        if self._socket is not None and self._path is not None:
            self.loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        if self._socket is None:
            return
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            log.exception("cannot accept a local connection")
            return
        if self._unknown >= _UNKNOWN_PEERS:
            log.warning(
                "%d local connections have not said hello; one more is refused", self._unknown
            )
            sock.close()
            return
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(credentials)
        _LocalPeer(self, sock, pid, uid)

    # Called by peers.

    def admit(self, peer: _LocalPeer, hello: control.Hello) -> tuple[int, str]:
        """Return endpoint and address of a peer whose hello is good, else raise _RefusedError."""
        if hello.version != control.VERSION:
            raise _RefusedError(
                "ProtocolVersion",
                f"protocol version {hello.version} is not spoken here; this core speaks "
                f"{control.VERSION}: use the same version of greengrass-core on both sides",
            )
        if hello.role == "tool":
            if peer.uid not in (os.geteuid(), _ROOT):
                raise _not_allowed(
                    f"only the owner of this core (uid {os.geteuid()}) or root may do that",
                )
            if not hmac.compare_digest(hello.token.encode(), self.tool_token.encode()):
                raise _not_allowed(
                    "the tool token is not this core's; was it restarted meanwhile?",
                )
            return self.tool_endpoint, ""
        client = self.clients.get(hello.name or "")
        if client is None:
            known = ", ".join(sorted(self.clients)) or "none"
            raise _not_allowed(f"no [clients.{hello.name}] in the group; declared: {known}")
        if not hmac.compare_digest(hello.token.encode(), client.token.encode()):
            raise _not_allowed(f"the token is not the one of client {client.name!r}")
        holder = self.connected.get(client.name)
        if holder is not None and self.router.has_hung_up(holder.number):
            holder.ended()  # which would be told in a moment: it closed, then connected again
        elif holder is not None:
            raise _not_allowed(
                f"client {client.name!r} is connected already (pid {holder.pid}); a name is for one"
                " connection at a time: close that one, or declare another [clients.NAME]"
            )
        self.connected[client.name] = peer
        return client.endpoint, client.address

    def count_unknown(self, change: int) -> None:
        """Count connections that have not said hello."""
        self._unknown += change


class _RefusedError(Exception):
    """A hello that is not accepted."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _not_allowed(message: str) -> _RefusedError:
    return _RefusedError(AuthorizationError.code, message)


@define(eq=False)
class _LocalPeer:
    """One local connection, from accept to its end."""

    listener: Listener
    sock: socket.socket
    pid: int
    uid: int
    number: int = field(init=False)
    role: str = ""
    name: str = ""
    _deadline: asyncio.TimerHandle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.number = self.listener.router.connect(self.sock, self)
        self.listener.count_unknown(+1)
        self._deadline = self.listener.loop.call_later(_HELLO_S, self._silent)

    # The router's connection.

    def control(self, frame: Frame) -> None:
        """Take the hello first, then requests."""
        try:
            if not self.role:
                self._hello(frame)
            elif self.role == "tool":
                request = control.decode(frame.payload)
                self.listener.tools.ask(request, lambda answer: self._answer(frame.id, answer))
        except _RefusedError as refusal:
            log.warning("local connection of pid %d refused: %s", self.pid, refusal)
            self._answer(frame.id, {"op": "refused", "code": refusal.code, "message": str(refusal)})
            self.ended()
        except GreengrassError as error:
            log.warning("local connection of pid %d: %s", self.pid, error)
            self.ended()

    def ended(self) -> None:
        """Forget the peer."""
        self._forget()
        self.listener.router.disconnect(self.number)

    def cut(self, reason: str) -> None:
        """Forget a peer that broke the contract."""
        log.warning(
            "local connection of pid %d (%s) was cut off: it %s",
            self.pid,
            self.name or self.role or "no hello yet",
            reason,
        )
        self._forget()

    def _hello(self, frame: Frame) -> None:
        hello = control.parse_hello(control.decode(frame.payload))
        endpoint, address = self.listener.admit(self, hello)
        self.role = hello.role
        self.name = hello.name or ""
        self._deadline.cancel()
        self.listener.count_unknown(-1)
        router = self.listener.router
        welcome = {
            **self.listener.welcome,
            "op": "welcome",
            "endpoint": endpoint,
            "address": address,
        }
        if self.role != "client":
            self._answer(frame.id, welcome)
            return
        with_rings = self._control(frame.id, {**welcome, "features": [control.RING]})
        moved = control.RING in hello.features and router.move_to_rings(self.number, with_rings)
        router.attach(self.number, endpoint)
        if not moved:
            self._answer(frame.id, welcome)

    def _silent(self) -> None:
        log.warning("local connection of pid %d said nothing for %g s; closed", self.pid, _HELLO_S)
        self.ended()

    def _forget(self) -> None:
        self._deadline.cancel()
        if not self.role:
            self.listener.count_unknown(-1)
        elif self.listener.connected.get(self.name) is self:
            del self.listener.connected[self.name]
        self.role = "gone"

    def _answer(self, number: int, message: Mapping[str, object]) -> None:
        self.listener.router.reply(self._control(number, message))

    def _control(self, number: int, message: Mapping[str, object]) -> Send:
        payload = control.encode(message)
        return Send(self.number, Kind.CONTROL, 0, 0, number, b"", b"", payload)

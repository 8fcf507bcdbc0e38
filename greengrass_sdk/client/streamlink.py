# SPDX-License-Identifier: Apache-2.0
"""
How the drop-in reaches a stream manager: over a port, or on the native path.

`StreamLink` is for code that names a host or port, `NativeLink` for a function otherwise; both take
and give what AWS's protocol does. Any number of threads may call at once; over a port one thread of
ours reads the answers. What nobody waits for
any more is skipped; when the connection ends, every call that waits hears of it at once, and the
next one connects anew.
"""

from __future__ import annotations

import contextlib
import socket
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from greengrass_sdk.errors import (
    AuthorizationError,
    CoreUnavailableError,
    GreengrassError,
    LimitExceededError,
    ProtocolError,
    StreamError,
    StreamsDisabledError,
)
from greengrass_sdk.model import stream as shapes
from greengrass_sdk.wire import cbor, streamcalls as calls
from greengrass_sdk.wire.streams import ClientSession, Operation, StreamStatus, encode_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Answer: TypeAlias = tuple[int, dict[str, Any]]

__all__ = [
    "AuthorizationError",
    "GreengrassError",
    "NativeLink",
    "Operation",
    "ProtocolError",
    "StreamLink",
    "StreamStatus",
    "in_function",
    "shapes",
]

_READ_BYTES = 262_144


class StreamLink:
    """
    The link; it connects when it is made.

    Raises:
        OSError: Nobody listens there, or nobody answered within `connect_timeout_s`.
        AuthorizationError: The server refused the handshake.
        ProtocolError: It is no stream manager.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str | None,
        sdk_version: str,
        connect_timeout_s: float,
        request_timeout_s: float,
    ) -> None:
        cbor.require()
        self._address = (host, port)
        self._token = token
        self._sdk_version = sdk_version
        self._connect_timeout_s = connect_timeout_s
        self._request_timeout_s = request_timeout_s
        self._connecting = Lock()
        self._sending = Lock()
        self._waiting: dict[str, SimpleQueue[Answer | None]] = {}
        self._socket: socket.socket | None = None
        self._connect()

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._socket is not None

    def call(self, operation: int, body: dict[str, Any]) -> Answer:
        """
        Send a request and wait for its answer; `requestId` becomes a new one unless it is given.

        Raises:
            TimeoutError: There was none within the timeout.
            CoreUnavailableError: The connection ended meanwhile.
            OSError: It cannot be made.
        """
        if self._socket is None:
            self._connect()
        request_id = body.setdefault("requestId", _request_id())
        frame = encode_frame(operation, body)
        answers = self._waiting[request_id] = SimpleQueue()
        try:
            self._send(frame)
            answer = answers.get(timeout=self._request_timeout_s)
        except Empty:
            raise TimeoutError(
                f"the stream manager did not answer within {self._request_timeout_s:g} s"
            ) from None
        finally:
            self._waiting.pop(request_id, None)
        if answer is None:
            raise CoreUnavailableError("the connection to the stream manager ended")
        return answer

    def close(self) -> None:
        """End the connection."""
        sock, self._socket = self._socket, None
        if sock is not None:
            _shut(sock)

    def _send(self, frame: bytes) -> None:
        sock = self._socket
        if sock is None:
            raise CoreUnavailableError("the connection to the stream manager ended")
        try:
            with self._sending:
                sock.sendall(frame)
        except OSError as error:
            _shut(sock)  # its reader tells everybody
            raise CoreUnavailableError(
                f"the connection to the stream manager ended: {error}"
            ) from error

    def _connect(self) -> None:
        with self._connecting:
            if self._socket is not None:
                return
            sock = socket.create_connection(self._address, self._connect_timeout_s)
            session = ClientSession()
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self._request_timeout_s)
                self._shake_hands(sock, session)
                sock.settimeout(None)
            except BaseException:
                sock.close()
                raise
            self._socket = sock
            Thread(target=self._read, args=(sock, session), name="streams", daemon=True).start()

    def _shake_hands(self, sock: socket.socket, session: ClientSession) -> None:
        sock.sendall(session.hello(_request_id(), self._token, self._sdk_version))
        answers: list[Answer] = []
        while not answers:
            data = sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("the stream manager closed the connection")
            answers = session.receive(data)
        operation, body = answers[0]
        if operation != Operation.CONNECT_RESPONSE:
            raise ProtocolError(f"the server answered the handshake with operation {operation}")
        if body.get("status") != StreamStatus.SUCCESS:
            raise AuthorizationError(str(body.get("errorMessage") or "the handshake was refused"))

    def _read(self, sock: socket.socket, session: ClientSession) -> None:
        with contextlib.suppress(OSError, ProtocolError):  # either way nothing more comes
            while data := sock.recv(_READ_BYTES):
                for answer in session.receive(data):
                    waiting = self._waiting.get(str(answer[1].get("requestId")))
                    if waiting is not None:
                        waiting.put(answer)
        # In this order: a call that is not told below finds no connection.
        if self._socket is sock:
            self._socket = None
        _shut(sock)
        sock.close()
        for waiting in list(self._waiting.values()):
            waiting.put(None)


def in_function() -> bool:
    """Return whether this process is a function's, or a test's that stands for one."""
    from greengrass_sdk.client.session import current

    return current() is not None


class NativeLink:
    """
    The same calls on the native path, for functions.

    Raises:
        StreamsDisabledError: The group has no stream manager.
        CoreUnavailableError: The core is gone.
    """

    connected = True

    def __init__(self, request_timeout_s: float) -> None:
        from greengrass_sdk.client._client import Client

        self._client = Client()
        self._timeout_s = request_timeout_s
        self._ask(calls.request(calls.LIST))  # it fails here, as a connection would

    def call(self, operation: int, body: dict[str, Any]) -> Answer:
        """Ask, and return what a server on a port would have answered."""
        answer: dict[str, Any] = {"requestId": _request_id(), "status": StreamStatus.SUCCESS}
        try:
            answer |= self._perform(operation, body)
        except StreamsDisabledError:
            raise
        except LimitExceededError as error:
            answer |= {"status": StreamStatus.REQUEST_TOO_LARGE, "errorMessage": str(error)}
        except StreamError as error:
            answer |= {"status": error.status, "errorMessage": str(error)}
        return operation, answer

    def close(self) -> None:
        """Do nothing: the connection is the function's own."""

    def _perform(self, operation: int, body: dict[str, Any]) -> dict[str, Any]:
        if operation == Operation.APPEND:
            payload = calls.request_append(body["name"], [body["payload"]])
            first, _, refused = calls.read_append(self._ask(payload))
            if refused is not None:
                raise refused
            return {"sequenceNumber": first}
        if operation == Operation.READ:
            return {"messages": self._read(body["streamName"], body.get("readMessagesOptions"))}
        if operation in (Operation.CREATE, Operation.UPDATE):
            definition = body["definition"]
            payload = calls.request_definition(operation, definition["name"], definition)
        else:
            payload = calls.request(operation, body.get("name", ""))
        found = calls.read_json(self._ask(payload))
        if operation == Operation.LIST:
            return {"streams": found}
        return {"messageStreamInfo": found} if operation == Operation.DESCRIBE else {}

    def _read(self, name: str, options: dict[str, Any] | None) -> list[dict[str, Any]]:
        options = options or {}
        least = options.get("minMessageCount", 1)
        payload = calls.request_read(
            name,
            options.get("desiredStartSequenceNumber", 0),
            least,
            options.get("maxMessageCount", least),
            options.get("readTimeoutMillis", 0) / 1000,
            0,
            calls.READ_FLAGS,
        )
        answer = self._ask(payload)
        if not calls.is_sound(answer):
            answer = self._ask(calls.checked(payload))
        return [
            {
                "streamName": name,
                "sequenceNumber": number,
                "ingestTime": block.ingest_time,
                "payload": data,
            }
            for block in calls.read_blocks(answer)
            for number, data in enumerate(block.payloads(), block.first)
        ]

    def _ask(self, payload: bytes) -> bytes:
        from functools import partial

        from greengrass_sdk.client.streams import ask_streams

        return ask_streams(partial(self._client.invoke, timeout_s=self._timeout_s), payload)


def _request_id() -> str:
    from uuid import uuid4

    return str(uuid4())


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        sock.shutdown(socket.SHUT_RDWR)

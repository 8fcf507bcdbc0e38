# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

from time import monotonic

from greengrass_sdk.client.session import current
from greengrass_sdk.errors import CoreUnavailableError, InvalidInputError, RequestTimeoutError
from greengrass_sdk.model.limits import TOPIC_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from greengrass_sdk._native import Frame
    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.requests import Asked
    from greengrass_sdk.client.results import InvokeResult, Message
    from greengrass_sdk.client.secrets import SecretValue
    from greengrass_sdk.client.session import Session
    from greengrass_sdk.client.shadows import Shadow
    from greengrass_sdk.client.streams import Stream

__all__ = ["Client", "Connection"]

RECEIVE_BYTES = 1024 * 1024

_NOT_A_FUNCTION = (
    "this process is not a function that a core started; a program beside the core gives its name,"
    ' Client(name="probe"), and declares it as [clients.probe] in the group file; a test needs no'
    " core: it uses the fixture `greengrass` of greengrass_sdk.testing"
)
_CLOSED = "this client was closed; make a new one"
_FUNCTION_RECEIVES = (
    "a function receives its messages in its handler; receive is for programs that are declared as"
    " [clients.NAME]"
)


class Connection:
    """
    The session of a client: shared inside a function, of its own outside.

    Connects at the first use, and again if the core was restarted meanwhile. Both clients hold one.

    `short` is the session if it has a short way to publish, which finds out by itself when the
    session is over; None if it has not, or is not known yet.
    """

    __slots__ = ("_closed", "_lock", "_name", "_own", "_root", "short")

    def __init__(self, root: str | os.PathLike[str] | None, name: str | None) -> None:
        from _thread import RLock

        self._root = root
        self._name = name
        self._own: Session | None = None
        self.short: Session | None = None
        self._closed = False
        self._lock = RLock()

    @property
    def ready(self) -> bool:
        """Whether `session` answers at once, if only with an error."""
        own = self._own
        connected = own is not None and not own.channel.closed
        return connected or self._closed or self._name is None

    def session(self) -> Session:
        """
        Return the session, connecting if need be.

        Raises:
            CoreUnavailableError: There is none to be had.
        """
        short = self.short
        if short is not None and not short.channel.closed:
            return short
        own = self._own
        if own is not None and not own.channel.closed and not self._closed:
            return own
        return self._connect()

    def publish(self, topic: str, payload: Payload, queue_full_policy: str) -> None:
        """Publish the long way."""
        from greengrass_sdk.client.requests import publish

        publish(self.session(), topic, payload, queue_full_policy)

    def _connect(self) -> Session:
        if self._closed:
            raise CoreUnavailableError(_CLOSED)
        adopted = current(self._name)
        if adopted is not None:
            if self._name is not None or self._root is not None:
                raise InvalidInputError(
                    "inside a function a client takes neither root nor name: it speaks for the"
                    " function, to the core that runs it"
                )
            self.short = adopted if adopted.is_short else None
            return adopted
        if self._name is None:
            raise CoreUnavailableError(_NOT_A_FUNCTION)
        from greengrass_sdk.client.connect import connect_client

        with self._lock:
            own = self._own
            if own is None or own.channel.closed:
                if own is not None:
                    own.channel.close()
                self._own = own = connect_client(self._root, self._name)
                self.short = own if own.is_short else None
            return own

    def receiving(self) -> Session:
        """Return the session for receiving, which functions do not."""
        if current(self._name) is not None:
            raise InvalidInputError(_FUNCTION_RECEIVES)
        return self.session()

    def close(self) -> None:
        """End the connection if it is our own."""
        with self._lock:
            self._closed, self.short = True, None
            own, self._own = self._own, None
        if own is not None:
            own.channel.close()

    def warn_if_open(self, owner: object) -> None:
        """Close what a client leaves behind, with a ResourceWarning."""
        if self._own is not None:
            import warnings

            warnings.warn(f"unclosed {owner!r}", ResourceWarning, source=owner, stacklevel=3)
            self.close()


class Client:
    """
    Speaks with the core: publishes, invokes, receives, asks for shadows and secrets.

    Any number of threads may share one.

    Inside a function a client costs nothing: all of them share the connection that the function was
    born with, and `close` leaves it alone. Outside, `name` is declared as `[clients.NAME]` in the
    group file; the client connects at its first use, and anew when the core was restarted.

    Args:
        root: Root of the core; by default GREENGRASS_ROOT, `./.greengrass`, or the only core that
            this user runs. Not inside a function.
        name: Who this program is. Not inside a function.
    """

    __slots__ = ("__weakref__", "_connection")

    def __init__(
        self, *, root: str | os.PathLike[str] | None = None, name: str | None = None
    ) -> None:
        self._connection = Connection(root, name)

    def publish(
        self, topic: str, payload: Payload, *, queue_full_policy: str = "BestEffort"
    ) -> None:
        """
        Publish a message; the subscriptions of the group decide who gets it.

        `BestEffort` returns when the message is on its way: it blocks while the core does not keep
        up, and a target whose queue is full misses the message. `AllOrException` waits until all
        targets have it, or none. Messages of one thread arrive at a target in order.

        Args:
            topic: At most 256 bytes of UTF-8, without wildcards.
            payload: str is sent as UTF-8; dict, list, number, bool and None as JSON; bytes
                untouched. At most 128 KiB, unless the group says otherwise.
            queue_full_policy: "BestEffort" or "AllOrException".

        Raises:
            InvalidInputError: The topic or the payload cannot be published.
            LimitExceededError: The payload is too large.
            QueueFullError: AllOrException, and the queue of a target is full; try again.
            NoSubscriptionError: The group is strict, and no subscription matches.
            CoreUnavailableError: There is no core, or no longer.

        Ref: Greengrass V1 guide, "MQTT message queue"; SDK 1.6 IoTDataPlane.Client.publish
        """
        to = self._connection.short
        if (
            to is None
            or queue_full_policy != "BestEffort"
            or not to.publish(topic, payload, to.endpoint, TOPIC_BYTES, to.topic_payload_bytes)
        ):
            self._connection.publish(topic, payload, queue_full_policy)

    def invoke(
        self,
        function: str,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
        timeout_s: float | None = None,
    ) -> InvokeResult:
        """
        Invoke a function and wait for its result.

        Args:
            function: Its name in the group, or its ARN.
            payload: As for `publish`; at most 6 MiB, unless the group says otherwise.
            qualifier: The version, if `function` does not say it.
            client_context: A dict (sent as JSON), or JSON as str or bytes; at most 64 KiB.
            timeout_s: Gives up waiting; the function goes on. None waits until the core reports the
                outcome, which it does for every invocation.

        Raises:
            FunctionHandledError: The handler raised; `.json()` is the error document.
            FunctionTimeoutError: The function ran longer than its timeout.
            FunctionUnhandledError: Its process died, or it never started.
            FunctionNotFoundError: The group has no such function, or not in that version.
            QueueFullError: Too many invocations wait for it; try again.
            RequestTimeoutError: No outcome within `timeout_s`.
            CoreUnavailableError: There is no core, or no longer.

        Ref: SDK 1.6 Lambda.Client.invoke, InvocationType RequestResponse
        """
        from greengrass_sdk.client.requests import invoke

        return invoke(
            self._connection.session(), function, payload, qualifier, client_context, timeout_s
        )

    def invoke_async(
        self,
        function: str,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> str:
        """
        Invoke a function and return when the core has accepted the event; nobody gets its result.

        How it ends stands in the function's log under the returned request id. For the arguments
        see `invoke`.

        Raises:
            FunctionNotFoundError: The group has no such function, or not in that version.
            QueueFullError: Too many invocations wait for it; try again.
            CoreUnavailableError: There is no core, or no longer.

        Ref: SDK 1.6 Lambda.Client.invoke, InvocationType Event
        """
        from greengrass_sdk._native import Kind
        from greengrass_sdk.client.requests import VERDICT_S, Invocation

        session = self._connection.session()
        call = Invocation(session, function, payload, qualifier, client_context, event=True)
        head = (Kind.INVOKE, call.flags, session.endpoint, call.topic, call.context, call.payload)
        return call.accept(session.channel.call(*head, VERDICT_S))

    def shadow(self, thing: str, name: str | None = None) -> Shadow:
        """
        Return a shadow of a thing, to get, update and delete it; nothing is asked yet.

        Args:
            thing: The name of a device, or of the core, or any other.
            name: Of a named shadow; None is the classic one.
        """
        from greengrass_sdk.client.shadows import Shadow

        return Shadow(self._ask, thing, name)

    def secret(
        self, id: str, stage: str = "AWSCURRENT", *, version_id: str | None = None
    ) -> SecretValue:
        """
        Return a secret that the group lets this function read.

        Args:
            id: Its name or its ARN.
            stage: The staging label of the version; the group names the labels that may be read.
            version_id: The version, instead of a label.

        Raises:
            SecretNotFoundError: There is none such for this function; the core's log says why.
            SecretError: The core cannot read it.
            CoreUnavailableError: There is no core, or no longer.

        Ref: Greengrass V1 guide, "Obtain secret values"
        """
        from greengrass_sdk.client.secrets import ask

        return ask(self._ask, id, stage, version_id)

    def stream(self, name: str) -> Stream:
        """
        Return a stream, to make it, append to it and read it; nothing is asked yet.

        Raises:
            InvalidStreamRequestError: No stream can have such a name.

        Ref: Greengrass V1 guide, "Use StreamManagerClient to work with streams"
        """
        from greengrass_sdk.client.streams import Stream

        return Stream(self._ask, name, self._begin)

    def streams(self) -> list[str]:
        """
        Return the names of all streams, sorted.

        Raises:
            StreamsDisabledError: The group has no stream manager.
        """
        from greengrass_sdk.client.streams import ask_streams
        from greengrass_sdk.wire import streamcalls as calls

        answer = ask_streams(self.invoke, calls.request(calls.LIST))
        return list(calls.read_json(answer))

    def _begin(self, service: str, payload: bytes) -> Asked:
        """Ask a service of the core, and do not wait for its answer yet."""
        from greengrass_sdk.client.requests import Asked

        return Asked(self._connection.session(), service, payload)

    def _ask(
        self, service: str, payload: Payload = b"", *, client_context: bytes = b""
    ) -> Frame | InvokeResult:
        """Invoke a service of the core, of whose result only the payload is looked at."""
        from greengrass_sdk.client.requests import ask

        return ask(self._connection.session(), service, payload, client_context)

    def receive(self, timeout_s: float | None = None) -> Message:
        """
        Return the next message that a subscription brings here; block until there is one.

        Raises:
            RequestTimeoutError: None came within `timeout_s`.
            InvalidInputError: This is a function; it receives in its handler.
            CoreUnavailableError: There is no core, or no longer. The next call connects again.
        """
        return self.receive_many(-1, timeout_s=timeout_s)[0]

    def receive_many(
        self, max_bytes: int = RECEIVE_BYTES, *, timeout_s: float | None = None
    ) -> list[Message]:
        """
        Return the messages that have arrived; block until there is one.

        Args:
            max_bytes: Stop before the payloads are larger in sum; the first message always comes.

        Raises:
            RequestTimeoutError: None came within `timeout_s`.
            InvalidInputError: This is a function; it receives in its handler.
            CoreUnavailableError: There is no core, or no longer. The next call connects again.
        """
        from greengrass_sdk.client.requests import messages

        channel = self._connection.receiving().channel
        deadline = None if timeout_s is None else monotonic() + timeout_s
        left = timeout_s
        while True:
            batch = channel.receive_batch(max_bytes, left)
            found = messages(batch)
            if found:
                return found
            if deadline is not None:
                left = max(0.0, deadline - monotonic())
                if not batch:
                    raise RequestTimeoutError(
                        f"no message came within {timeout_s:g} s", timeout_s=timeout_s
                    )

    def close(self) -> None:
        """End the connection, unless it is that of the function; may be called twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.warn_if_open(self)

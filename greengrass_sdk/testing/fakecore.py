# SPDX-License-Identifier: Apache-2.0
"""`FakeCore`: the production router, invocation rules and runtime on simulated workers."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk._native import Kind
from greengrass_sdk.client.requests import VERDICT_S, Invocation, Publication
from greengrass_sdk.client.secrets import CURRENT
from greengrass_sdk.client.session import Session
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.router.table import TOOL, Table
from greengrass_sdk.errors import (
    CoreUnavailableError,
    FunctionError,
    FunctionNotFoundError,
    InvalidInputError,
)
from greengrass_sdk.model.arn import CLOUD
from greengrass_sdk.runtime.outcome import from_user_code
from greengrass_sdk.testing import identity
from greengrass_sdk.testing.clock import VirtualClock
from greengrass_sdk.testing.cloud import FakeCloud
from greengrass_sdk.testing.declarations import (
    Declarations,
    code_of,
    group_of,
    handler_name,
    new_function,
    working_directory,
)
from greengrass_sdk.testing.engine import BOOT, Engine
from greengrass_sdk.testing.explain import nearest_text
from greengrass_sdk.testing.function import FakeFunction
from greengrass_sdk.testing.functions import Crew
from greengrass_sdk.testing.greengrass import Greengrass, name_of
from greengrass_sdk.testing.records import Delivery, Message
from greengrass_sdk.testing.services import Services
from greengrass_sdk.testing.world import Substitutes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from tempfile import TemporaryDirectory
    from typing import Unpack

    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.router.events import Tapped
    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.results import InvokeResult
    from greengrass_sdk.core.secrets.store import MemoryStore
    from greengrass_sdk.model.function import Function
    from greengrass_sdk.model.group import Limits
    from greengrass_sdk.testing.functions import Member
    from greengrass_sdk.testing.greengrass import FunctionOptions, Handler, Named
    from greengrass_sdk.testing.records import LogRecord
    from greengrass_sdk.testing.streams import Exported

__all__ = ["FakeCore"]

_NOWHERE = Layout(Path("/greengrass-fake"))  # never made; functions find it in their variables
_MAX_STEPS = 10_000
_BUSY_S = 10.0


class FakeCore(Greengrass):
    """
    A core in this process, without workers' processes, sockets, or time that passes.

    It starts, and so do pinned functions, with the first call that drives or asks; what was
    declared before is one group then. What is declared later is added to it.

    Args:
        strict: A publish that no row matches is refused, as in a strict group.
        limits: Bounds of the core, as `[limits]` in a group file.
        start: When the virtual clock starts: epoch seconds or an aware datetime; by default now.
        max_steps: Messages and invocations that one call may cause; more is an endless loop.
        busy_s: Real seconds for which a function may run without waiting for anything.
        settings: `name`, `core`, `region`, `account` of the group.
    """

    world = "fake"

    def __init__(
        self,
        *,
        strict: bool = False,
        limits: Limits | None = None,
        start: float | datetime | None = None,
        max_steps: int = _MAX_STEPS,
        busy_s: float = _BUSY_S,
        **settings: str,
    ) -> None:
        given: dict[str, Any] = dict(settings)
        if strict:
            given["strict"] = True
        if limits is not None:
            given["limits"] = limits
        super().__init__(Declarations(**given))
        self._clock = VirtualClock(start.timestamp() if isinstance(start, datetime) else start)
        self._max_steps = max_steps
        self._busy_s = busy_s
        self._messages: list[Message] = []
        self._namespaces: dict[int, list[str]] = {}
        self._substitutes = Substitutes()
        self._engine: Engine | None = None
        self._crew: Crew | None = None
        self._table: Table | None = None
        self._services: Services | None = None
        self._secret_versions = 0
        self._layout = _NOWHERE
        self._folder: TemporaryDirectory[str] | None = None
        self._closed = False
        identity.activate(self)

    # What exists.

    def add_function(
        self,
        name: str,
        handler: Handler | str,
        *,
        code: str | os.PathLike[str] | None = None,
        **options: Unpack[FunctionOptions],
    ) -> FakeFunction:
        """Add a function to the group and return it; see `Greengrass`."""
        self._check_open()
        if isinstance(handler, str):
            beside = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the test's file
            folder = code_of(handler, None if code is None else Path(code), beside)
            model = new_function(name, handler, folder, **options)
            return self._handle(self._declared.add_function(model, None))
        folder = working_directory() if code is None else Path(code).absolute()
        arn = self._declared.arn(name, options.get("version", "1"))
        model = new_function(name, handler_name(handler), folder, arn, **options)
        member = self._declared.add_function(model, handler)
        namespace = identity.namespace_of(handler)
        if namespace is not None:
            self._namespaces.setdefault(id(namespace), []).append(name)
            self._substitutes.install(namespace)
        return self._handle(member)

    def _handle(self, member: Member) -> FakeFunction:
        return FakeFunction(member, self._started)

    def add_secret(
        self,
        name: str,
        value: str | bytes,
        *,
        stages: Iterable[str] = (CURRENT,),
        arn: str | None = None,
    ) -> None:
        """Add a secret, or a new version of one; see `Greengrass`."""
        from greengrass_sdk.testing.secrets import new_version

        self._check_open()
        number = self._secret_versions + 1
        version, data = new_version(name, value, stages, number, self._clock.time())
        self._declared.add_secret(name, arn, version.stages)
        self._secret_versions = number
        self._secret_store.put(version, data)

    @cached_property
    def _secret_store(self) -> MemoryStore:
        from greengrass_sdk.core.secrets.store import MemoryStore

        return MemoryStore()

    def load(self, path: str | os.PathLike[str]) -> None:
        """Add everything that a group file declares; see `Greengrass`."""
        self._check_open()
        beside = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the test's file
        self._declared.load(group_of(path, beside), started=self._engine is not None)

    def function(self, name: str) -> FakeFunction:
        """Return a function of the group, also one that a group file declared."""
        return self._handle(self._declared.member(name))

    # Driving.

    def deliver(self, topic: str, payload: Payload = b"", *, source: str = CLOUD) -> Message:
        """Publish as the cloud or a device; see `Greengrass`."""
        self._start()
        table = self._running_table
        client = table.group.clients.get(source)
        endpoint = table.sender(source) if client is None else table.numbers[client.arn]
        publication = Publication(self._session(endpoint, source), topic, payload, "BestEffort")
        data = bytes(publication.payload)
        if endpoint == table.numbers[CLOUD] and not publication.answered:
            message = self.cloud.send(topic, data)
        else:
            message = self._send(endpoint, publication)
        self._running.settle()
        return message

    def _from_cloud(self, topic: str, payload: bytes) -> Message:
        endpoint = self._running_table.numbers[CLOUD]
        session = self._session(endpoint, CLOUD)
        return self._send(endpoint, Publication(session, topic, payload, "BestEffort"))

    def _send(self, endpoint: int, publication: Publication) -> Message:
        before = len(self._messages)
        head = (Kind.PUBLISH, publication.flags, endpoint)
        body = (publication.topic, b"", publication.payload)
        channel = self._running.core_channel
        if publication.answered:
            publication.finish(channel.call(*head, *body, VERDICT_S))
        else:
            channel.send(*head, 0, *body)
        return self._messages[before]

    def invoke(
        self,
        function: Named,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> InvokeResult:
        """Invoke a function and return its result; see `Greengrass`."""
        call, answer = self._call(function, payload, qualifier, client_context, event=False)
        self._running.settle()
        cause = None
        if answer.kind == Kind.RESULT and self._crew is not None:
            cause = self._crew.exception(int.from_bytes(answer.context, "little"))
        try:
            return call.finish(answer)
        except FunctionError as error:
            if isinstance(error, FunctionNotFoundError):
                error.add_note(self._other_functions(function))
            if cause is None:
                raise
            raise error from cause.with_traceback(from_user_code(cause) or cause.__traceback__)

    def invoke_async(
        self,
        function: Named,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> str:
        """Invoke a function as an event and return the request id; see `Greengrass`."""
        call, answer = self._call(function, payload, qualifier, client_context, event=True)
        self._running.settle()
        try:
            return call.accept(answer)
        except FunctionNotFoundError as error:
            error.add_note(self._other_functions(function))
            raise

    def _call(
        self,
        function: Named,
        payload: Payload,
        qualifier: str | None,
        client_context: ClientContext,
        *,
        event: bool,
    ) -> tuple[Invocation, Frame]:
        self._start()
        endpoint = self._running_table.numbers[TOOL]
        session = self._session(endpoint, TOOL)
        name = name_of(function)
        call = Invocation(session, name, payload, qualifier, client_context, event=event)
        head = (Kind.INVOKE, call.flags, endpoint, call.topic, call.context, call.payload)
        return call, self._running.core_channel.call(*head)

    def _pass_time(self, seconds: float) -> None:
        self._start()
        self._running.advance(seconds)
        self._running_services.leave()

    @contextmanager
    def acting_as(self, function: Named) -> Iterator[None]:
        """Let calls of the SDK in a `with` block be those of a function."""
        with identity.acting(self.session_of(name_of(function))):
            yield
        self._settle()

    def begin_at(self, moment: datetime) -> None:
        """Let the virtual clock start at a moment; see `Greengrass`."""
        self._check_open()
        if self._engine is not None:
            raise InvalidInputError(
                "the clock runs already: begin_at comes before the first call that drives or asks"
            )
        self._clock.epoch = moment.timestamp() - self._clock.now

    # Asking.

    @property
    def now(self) -> datetime:
        """What the virtual clock shows, in UTC."""
        return datetime.fromtimestamp(self._clock.time(), UTC)

    @cached_property
    def cloud(self) -> FakeCloud:
        """The link to the cloud."""
        return FakeCloud(self._clock, self._from_cloud, self._settle)

    def recorded(self) -> tuple[list[Message], dict[str, list[LogRecord]]]:
        """Return all messages and the logs of all functions so far; drives nothing."""
        logs = {name: list(member.logs) for name, member in self._declared.members.items()}
        return list(self._messages), logs

    # Who calls: see `identity`.

    def functions_from(self, namespace: dict[str, Any]) -> list[str]:
        """Return the functions that were registered from a module, by its globals."""
        return self._namespaces.get(id(namespace), [])

    def session_of(self, name: str) -> Session:
        """Return the session of test code that acts as a function."""
        self._compile()
        return self._started().outside(self._declared.member(name))

    def exports(self, stream: str | None = None) -> list[Exported]:
        """Return the batches that exports have sent; see `Greengrass`."""
        self._start()
        exported = self._running_services.exported
        return [each for each in exported if stream in (None, each.stream)]

    def send_exports(self, *kinds: str) -> None:
        """Really send what exports of these kinds have; see `Greengrass`."""
        self._compile()
        self._running_services.send_exports(*kinds)

    # The core.

    @property
    def _running(self) -> Engine:
        assert self._engine is not None  # noqa: S101 - every caller has started it
        return self._engine

    @property
    def _running_table(self) -> Table:
        assert self._table is not None  # noqa: S101 - every caller has started it
        return self._table

    @property
    def _running_services(self) -> Services:
        assert self._services is not None  # noqa: S101 - made with the engine
        return self._services

    def _started(self) -> Crew:
        self._compile()
        assert self._crew is not None  # noqa: S101 - made with the engine
        return self._crew

    def _settle(self) -> None:
        if not self._closed:
            self._start()

    def _start(self) -> None:
        """Start what was declared, and let everything happen that this causes."""
        self._compile()
        self._running.settle()
        self._running_services.leave()

    def _compile(self) -> None:
        self._check_open()
        if not self._declared.changed:
            return
        group, fresh = self._declared.take()
        zips = [m for m in fresh if m.handler is None and m.model.code.is_file()]
        engine = self._engine
        if engine is None:
            engine = self._engine = Engine(
                self._clock,
                group.limits,
                strict=group.strict,
                max_steps=self._max_steps,
                busy_s=self._busy_s,
            )
            engine.on_publish(self._publish)
            self._table = Table(group)
            engine.serve(self._table.numbers[CLOUD], lambda _: None)  # `_publish` has the message
            engine.install(self._table)
            self._services = Services(
                engine, lambda: self._running_table, lambda: self._secret_store
            )
            self._crew = Crew(engine, lambda: self._layout, self._failures.append)
        else:
            self._table = self._running_table.successor(group)
            engine.install(self._table)
            self._running_services.know(group)
        for member in zips:
            self._unpack(group.functions[member.name])
        self._started().add(group, fresh, self._table.numbers)

    def _unpack(self, function: Function) -> None:
        """Unpack the code of a function, as a core does."""
        from greengrass_sdk.core.functions.packages import install

        if self._folder is None:
            from tempfile import TemporaryDirectory

            self._folder = TemporaryDirectory(prefix="greengrass-fake-")
            self._layout = Layout(Path(self._folder.name))
            self._layout.create()
        install(function, self._layout)

    def _session(self, endpoint: int, identity_: str) -> Session:
        limits = self._declared.limits
        bounds = {
            "topic_payload_bytes": limits.topic_payload_bytes,
            "invoke_payload_bytes": limits.invoke_payload_bytes,
        }
        strict = self._declared.strict
        channel = self._running.core_channel
        return Session(channel, endpoint, BOOT, identity_, bounds, strict=strict)

    def _publish(self, frame: Frame, taps: list[Tapped]) -> None:
        table = self._running_table
        topic = frame.topic.decode("utf-8", "replace")
        deliveries = [
            Delivery(
                table.name(tapped.route.target),
                "delivered" if tapped.outcome == "delivered" else "dropped",
                tapped.reason,
                tapped.route.id,
            )
            for tapped in taps
            if tapped.route is not None
        ]
        nearest = "" if deliveries else nearest_text(table.nearest_row(frame.endpoint, topic))
        message = Message(
            topic,
            table.name(frame.endpoint),
            frame.payload,
            deliveries,
            time=self._clock.time(),
            nearest=nearest,
        )
        self._messages.append(message)
        for delivery in deliveries:
            if delivery.target == CLOUD and delivery.outcome == "delivered":
                self.cloud.take(message, delivery)

    # The end.

    def _check_changeable(self) -> None:
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise CoreUnavailableError("this FakeCore was closed; make a new one")

    def shut_down(self) -> None:
        """End everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._crew is not None:
            self._crew.stop()
        if self._services is not None:
            self._services.close()
        if "cloud" in vars(self):
            self.cloud.close()
        if self._engine is not None:
            self._engine.close()
        self._clock.stop()
        self._engine = self._crew = self._services = None
        identity.deactivate(self)
        self._substitutes.close()
        if self._folder is not None:
            self._folder.cleanup()

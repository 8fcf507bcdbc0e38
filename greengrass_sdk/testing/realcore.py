# SPDX-License-Identifier: Apache-2.0
"""
`RealCore`: what the fixture gives with `--greengrass=core`.

The group that the test builds up becomes a core in a process of its own, under a temporary root,
with the first call that drives or asks. It is driven by the tool connection of the commands, asked
by the events of `greengrass run --json`, and quiet when its status says so.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from greengrass_sdk._native._py.router.events import Outcome
from greengrass_sdk.client.requests import Invocation, Publication, function_error
from greengrass_sdk.client.results import InvokeResult
from greengrass_sdk.client.tools import CoreTools
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.core.router.table import Table
from greengrass_sdk.core.secrets.store import CURRENT
from greengrass_sdk.errors import (
    CoreUnavailableError,
    FunctionNotFoundError,
    LimitExceededError,
    NoSubscriptionError,
    RequestTimeoutError,
)
from greengrass_sdk.model.arn import CLOUD
from greengrass_sdk.testing import identity
from greengrass_sdk.testing.coreprocess import CoreProcess
from greengrass_sdk.testing.declarations import Declarations, code_of, group_of, new_function
from greengrass_sdk.testing.differences import WAIT_S, differs
from greengrass_sdk.testing.greengrass import Greengrass, name_of
from greengrass_sdk.testing.happenings import Happenings
from greengrass_sdk.testing.quiet import Quiet
from greengrass_sdk.testing.realfunction import RealCloud, RealFunction
from greengrass_sdk.testing.records import Messages
from greengrass_sdk.testing.secrets import new_version

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from typing import Unpack

    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.session import Session
    from greengrass_sdk.core.secrets.store import Version
    from greengrass_sdk.model.group import Group
    from greengrass_sdk.testing.greengrass import FunctionOptions, Handler, Named
    from greengrass_sdk.testing.records import LogRecord, Message

__all__ = ["RealCore"]

_QUIET_S = 60.0
_PAUSES_S = (0.002, 0.05)  # between two looks at a busy core, unless it tells news


class RealCore(Greengrass):
    """A core in a process of its own, with real workers, for one test."""

    world = "core"

    def __init__(self) -> None:
        super().__init__(Declarations())
        self._group: Group
        self._table: Table
        self._happened: Happenings | None = None
        self._process: CoreProcess | None = None
        self._secrets: list[tuple[Version, bytes]] = []
        self._tools: CoreTools
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
    ) -> RealFunction:
        """Add a function to the group and return it; see `Greengrass`."""
        self._check_changeable()
        if isinstance(handler, str):
            beside = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the test's file
            folder = code_of(handler, None if code is None else Path(code), beside)
        else:
            folder, handler = _importable(handler)
        model = new_function(name, handler, folder, **options)
        self._declared.add_function(model, None)
        return RealFunction(name, self)

    def add_secret(
        self,
        name: str,
        value: str | bytes,
        *,
        stages: Iterable[str] = (CURRENT,),
        arn: str | None = None,
    ) -> None:
        """Add a secret, or a new version of one; see `Greengrass`."""
        self._check_open()
        made = new_version(name, value, stages, len(self._secrets) + 1, time.time())
        if self._process is not None and not self._declared.has_secret(name):
            raise differs("late")
        self._declared.add_secret(name, arn, made[0].stages)
        self._secrets.append(made)
        if self._process is not None:
            self._put_secrets(self._process.root, [made])

    def _put_secrets(self, root: Path, secrets: Iterable[tuple[Version, bytes]]) -> None:
        """Put secrets as the command does."""
        from greengrass_sdk.core.secrets.vault import Vault

        layout = Layout(root)
        layout.create()
        now_ms = time.time_ns() // 1_000_000
        paths = layout.secret_database, layout.secret_key
        with closing(Vault.open(*paths, None, deployment="", now_ms=now_ms)) as vault:
            for version, value in secrets:
                vault.put(version, value)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Add everything that a group file declares; see `Greengrass`."""
        self._check_changeable()
        beside = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the test's file
        self._declared.load(group_of(path, beside), started=False)

    def function(self, name: str) -> RealFunction:
        """Return a function of the group."""
        return RealFunction(self._declared.member(name).name, self)

    def _check_changeable(self) -> None:
        self._check_open()
        if self._process is not None:
            raise differs("late")

    # Driving.

    def deliver(self, topic: str, payload: Payload = b"", *, source: str = CLOUD) -> Message:
        """Publish as the cloud or a device; see `Greengrass`."""
        self._settle()
        if source in self._group.clients:
            raise differs("client")
        name = self._table.name(self._table.sender(source))
        publication = Publication(self._tools.session, topic, payload, "BestEffort")
        data = bytes(publication.payload)
        before = len(self.recorded()[0])
        answer = self._tools.publish(topic, data, source=source)
        self._settle()
        if self._group.strict and not answer["deliveries"]:
            raise NoSubscriptionError(
                f"no subscription matches topic {topic!r} from this source",
                source=name,
                topic=topic,
            )
        for message in self.recorded()[0][before:]:
            if (message.source, message.subject, message.payload) == (name, topic, data):
                return message
        raise LimitExceededError(f"the core did not show the message on {topic!r}")

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
        result, number = bytes(answer["payload"]), str(answer["request_id"])
        flags = Outcome(answer["outcome"]).flags
        if flags:
            raise function_error(flags, result, call.function, number)
        return InvokeResult(result, number)

    def invoke_async(
        self,
        function: Named,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> str:
        """Invoke a function as an event and return the request id; see `Greengrass`."""
        _, answer = self._call(function, payload, qualifier, client_context, event=True)
        return str(answer["request_id"])

    def _call(
        self,
        function: Named,
        payload: Payload,
        qualifier: str | None,
        client_context: ClientContext,
        *,
        event: bool,
    ) -> tuple[Invocation, dict[str, Any]]:
        self._settle()
        name, session = name_of(function), self._tools.session
        call = Invocation(session, name, payload, qualifier, client_context, event=event)
        data, context = bytes(call.payload), bytes(call.context)
        try:
            answer = self._tools.invoke(call.function, data, client_context=context, event=event)
        except FunctionNotFoundError as error:
            error.add_note(self._other_functions(function))
            raise
        self._settle()
        return call, answer

    def _pass_time(self, seconds: float) -> None:
        """Wait for so much time."""
        if seconds > WAIT_S:
            raise differs("advance")
        self._settle()
        self._running.pass_time(seconds)
        self._settle()

    def begin_at(self, moment: datetime) -> None:  # noqa: ARG002 - it is real
        """Refuse: see `differences`."""
        raise differs("begin")

    def exports(self, stream: str | None = None) -> NoReturn:  # noqa: ARG002 - they are real
        """Refuse: see `differences`."""
        raise differs("exports")

    def send_exports(self, *kinds: str) -> NoReturn:  # noqa: ARG002 - they are
        """Refuse: see `differences`."""
        raise differs("exports")

    def acting_as(self, function: Named) -> AbstractContextManager[None]:
        """Refuse: see `differences`."""
        self._declared.member(name_of(function))
        raise differs("acting")

    # Asking.

    @property
    def now(self) -> datetime:
        """The real time, in UTC."""
        return datetime.now(UTC)

    @property
    def cloud(self) -> RealCloud:
        """The stand-in for the cloud."""
        return RealCloud(self._received)

    def _received(self) -> Messages:
        self._settle()
        found = [
            message
            for message in self.recorded()[0]
            if any(d.target == CLOUD and d.outcome == "delivered" for d in message.deliveries)
        ]
        return Messages(found, lambda: "nothing else has arrived in the cloud")

    def recorded(self) -> tuple[list[Message], dict[str, list[LogRecord]]]:
        """Return all messages and the logs of all functions so far; drives nothing."""
        if self._happened is None or self._process is None:
            return [], {name: [] for name in self._declared.members}
        with self._process.locked():
            happened = self._happened
            logs = {name: list(records) for name, records in happened.logs.items()}
            return list(happened.messages), logs

    # For its functions, and for `identity`.

    def arn_of(self, name: str) -> str:
        """Return the ARN of a function."""
        return self._declared.address(name)

    def workers_of(self, name: str) -> int:
        """Return how many workers a function has now."""
        self._settle()
        status = self._tools.status()
        return next(len(f["workers"]) for f in status["functions"] if f["name"] == name)

    def functions_from(self, namespace: dict[str, Any]) -> NoReturn:  # noqa: ARG002 - it is nobody's
        """Refuse calls of the SDK by the test itself."""
        raise differs("acting")

    def session_of(self, name: str) -> Session:  # noqa: ARG002 - there is none
        """Refuse."""
        raise differs("acting")

    # The core.

    @property
    def _running(self) -> CoreProcess:
        assert self._process is not None  # noqa: S101 - every caller has settled it
        return self._process

    def _settle(self) -> None:
        if self._closed:
            return
        if self._process is None:
            self._start()
        self._wait_quiet()
        with self._running.locked():
            happened = self._happened
            assert happened is not None  # noqa: S101 - made with the process
            happened.explain()
            skipped = happened.skipped
        if skipped:
            raise LimitExceededError(
                f"the core did not show {skipped} messages and runs; more than a thousand in a"
                " second are sampled"
            )

    def _start(self) -> None:
        self._check_open()
        self._group, _ = self._declared.take()
        self._table = Table(self._group)
        self._happened = Happenings(self._table, self._failures.append)
        process = CoreProcess(self._group, self._happened.take, self._prepare)
        try:
            self._tools = CoreTools(process.root)
        except BaseException:
            process.stop()
            raise
        self._process = process

    def _prepare(self, root: Path) -> None:
        if self._secrets:
            self._put_secrets(root, self._secrets)

    def _wait_quiet(self) -> None:
        """Return when the core has nothing to do, and all that it did is known."""
        process, quiet = self._running, Quiet()
        deadline = time.monotonic() + _QUIET_S
        pause, longest = _PAUSES_S
        while True:
            count = process.count
            try:
                status = self._tools.status()
            except CoreUnavailableError as error:
                raise process.gone() from error
            busy = quiet.busy(status)
            if not busy:
                break
            if time.monotonic() > deadline:
                raise RequestTimeoutError(
                    f"after {_QUIET_S:g} s the core is still busy: {busy}", timeout_s=_QUIET_S
                )
            process.wait_for_news(count, pause)
            pause = min(2 * pause, longest)
        process.sync()

    # The end.

    def _check_open(self) -> None:
        if self._closed:
            raise CoreUnavailableError("this core was stopped; make a new one")

    def shut_down(self) -> None:
        """End everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        identity.deactivate(self)
        if self._process is not None:
            self._tools.close()
            self._process.stop()


def _importable(handler: Handler) -> tuple[Path, str]:
    """Return code folder and handler string of a function that a worker can import."""
    module = sys.modules.get(str(getattr(handler, "__module__", "")))
    names = [name for name, value in vars(module).items() if value is handler] if module else []
    file = getattr(module, "__file__", None)
    if not isinstance(handler, FunctionType) or file is None or not names:
        raise differs("closure")
    path = Path(file).absolute()
    parts = [path.parent.name if path.stem == "__init__" else path.stem]
    folder = path.parent.parent if path.stem == "__init__" else path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join([*parts, names[0]])

# SPDX-License-Identifier: Apache-2.0
"""
What the fixture `greengrass` gives a test, on whatever world the test runs.

A world (the double, or a real core) implements the abstract methods; what can be said in terms of
them is said here once.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from greengrass_sdk.client.shadows import Shadow
from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.topic import check_filter, matches
from greengrass_sdk.testing import explain
from greengrass_sdk.testing.failures import UnreadErrors
from greengrass_sdk.testing.records import Messages
from greengrass_sdk.testing.thing_shadow import ThingShadow

if TYPE_CHECKING:
    import os
    import signal
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from types import TracebackType
    from typing import Self, TypedDict, Unpack

    from greengrass_sdk.client.payloads import ClientContext, Payload
    from greengrass_sdk.client.results import InvokeResult
    from greengrass_sdk.client.streams import Stream
    from greengrass_sdk.testing.declarations import Declarations
    from greengrass_sdk.testing.records import FunctionFailure, LogRecord, Message
    from greengrass_sdk.testing.streams import Exported
    from greengrass_sdk.testing.tape_replay import Replay

    class FunctionOptions(TypedDict, total=False):
        """Keys of `[functions.NAME]` in a group file, with their defaults there."""

        pinned: bool
        encoding: Literal["json", "binary"]
        version: str
        timeout_s: float
        memory_kib: int
        environment: Mapping[str, str]
        max_workers: int
        idle_s: float
        queue_items: int
        queue_bytes: int
        sdk: Literal["ours", "bundled"]
        secrets: Sequence[str]

    Handler: TypeAlias = Callable[[Any, Any], Any]
    Named: TypeAlias = "str | GreengrassFunction"

__all__ = ["Greengrass", "GreengrassCloud", "GreengrassFunction", "name_of"]


class GreengrassFunction(ABC):
    """A function of the group, as a test holds it; `name` is its name in the group."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    @abstractmethod
    def arn(self) -> str:
        """Its ARN, with its version."""

    @property
    @abstractmethod
    def logs(self) -> list[LogRecord]:
        """What it has logged and printed so far."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many workers it has now."""

    @abstractmethod
    def crash(self, signal_number: int | signal.Signals = ...) -> None:
        """Let the run that is under way, or else the next one, end by a signal."""

    @abstractmethod
    def exit(self, code: int = 1) -> None:
        """Let the run that is under way, or else the next one, end the process with a code."""

    @abstractmethod
    def timeout(self) -> None:
        """Let the next run take longer than the function's timeout."""

    @abstractmethod
    def out_of_memory(self) -> None:
        """Let the run that is under way, or else the next one, exceed the memory limit."""

    @abstractmethod
    def queue_full(self, full: bool = True) -> None:  # noqa: FBT001, FBT002 - reads well: fn.queue_full(False)
        """Let its queue be full from now on, or what it was."""


class GreengrassCloud(ABC):
    """The link to the cloud, as a test holds it."""

    @property
    @abstractmethod
    def received(self) -> Messages:
        """What has arrived in the cloud, in the order of arrival."""

    @abstractmethod
    def down(self) -> None:
        """Cut the link: messages wait, in both directions."""

    @abstractmethod
    def up(self) -> None:
        """Restore the link; what waits is delivered."""

    @abstractmethod
    def latency(self, seconds: float) -> None:
        """Let messages be under way for so long, in both directions."""

    @abstractmethod
    def drop(self, rate: float, *, seed: int = 0) -> None:
        """Lose this share of the messages, 0 to 1; the same seed loses the same ones."""


class Greengrass(ABC):
    """
    A core with a group that the test builds up.

    Attributes:
        world: `fake` for the double, `core` for a real core.
    """

    world: ClassVar[Literal["fake", "core"]]

    def __init__(self, declared: Declarations) -> None:
        self._declared = declared
        self._failures: list[FunctionFailure] = []
        self._read = 0

    # What exists.

    @abstractmethod
    def add_function(
        self,
        name: str,
        handler: Handler | str,
        *,
        code: str | os.PathLike[str] | None = None,
        **options: Unpack[FunctionOptions],
    ) -> GreengrassFunction:
        """
        Add a function to the group and return it.

        Args:
            handler: A callable, taken as it is; or `module.function`, imported afresh for each
                worker, as a core does.
            code: The folder of `module.function`: absolute, or relative to the test's file or else
                to the working directory. By default, where the module is found.

            options: Keys of `[functions.NAME]` in a group file; see `FunctionOptions`.

        Raises:
            InvalidInputError: The name is taken, or a value is not allowed.
        """

    @abstractmethod
    def _check_changeable(self) -> None:
        """Raise if nothing can be added any more."""

    def add_device(self, name: str) -> None:
        """Add a device, which may be the source of messages and the target of rows."""
        self._check_changeable()
        self._declared.add_device(name)

    def subscribe(
        self, source: Named, subject: str, target: Named, *, id: str | None = None
    ) -> None:
        """
        Add a row: messages of `source` whose topic matches `subject` go to `target`.

        Args:
            source: A function, a device, or `cloud`; so is the target.

        Raises:
            InvalidInputError: The group has no such source or target, or the subject is wrong.
        """
        self._check_changeable()
        self._declared.add_row(name_of(source), subject, name_of(target), id)

    @abstractmethod
    def add_secret(
        self,
        name: str,
        value: str | bytes,
        *,
        stages: Iterable[str] = ...,
        arn: str | None = None,
    ) -> None:
        """
        Add a secret, or a new version of one; functions with its name in `secrets` may read it.

        Args:
            value: Text, or bytes for a binary secret.
            stages: Staging labels of this version, which may be read; by default AWSCURRENT. The
                version that was current gets AWSPREVIOUS, which may be read if it is named, too.
            arn: Its ARN in AWS; by default one is made up from the name.

        Raises:
            InvalidInputError: Name, value or labels are none.
        """

    @abstractmethod
    def load(self, path: str | os.PathLike[str]) -> None:
        """
        Add everything that a group file declares.

        Args:
            path: The file or its folder: absolute, or relative to the test's file or else to the
                working directory.

        Raises:
            ConfigError: The file is wrong; `problems` lists everything.
        """

    @abstractmethod
    def function(self, name: str) -> GreengrassFunction:
        """
        Return a function of the group, also one that a group file declared.

        Raises:
            InvalidInputError: There is none; the message says what is nearest.
        """

    # Driving.

    @abstractmethod
    def deliver(self, topic: str, payload: Payload = b"", *, source: str = "cloud") -> Message:
        """
        Publish as the cloud, a device or a client; everything it causes has happened on return.

        Errors of functions go to `errors`.

        Raises:
            InvalidInputError: The topic or payload cannot be published, or not by this source.
            LimitExceededError: The payload is too large.
            NoSubscriptionError: The group is strict, and no row matches.
        """

    @abstractmethod
    def invoke(
        self,
        function: Named,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> InvokeResult:
        """
        Invoke a function and return its result; everything it causes has happened on return.

        Raises:
            FunctionHandledError: The handler raised; on the double, `__cause__` is what it raised.
            FunctionTimeoutError: It ran longer than its timeout.
            FunctionUnhandledError: Its process ended, or it could not be imported.
            FunctionNotFoundError: There is no such function, or not in that version.
            QueueFullError: Too many invocations wait for it.
        """

    @abstractmethod
    def invoke_async(
        self,
        function: Named,
        payload: Payload = b"",
        *,
        qualifier: str | None = None,
        client_context: ClientContext = None,
    ) -> str:
        """Invoke a function as an event and return the request id; its errors go to `errors`."""

    def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Let so much time pass, and everything happen that is due until then."""
        self._pass_time(seconds + 60 * minutes + 3600 * hours + 86_400 * days)

    @abstractmethod
    def _pass_time(self, seconds: float) -> None:
        """Let so much time pass."""

    @abstractmethod
    def begin_at(self, moment: datetime) -> None:
        """
        Let the clock of functions start at a moment, before the first call that drives or asks.

        Args:
            moment: With a time zone, or in local time.

        Raises:
            InvalidInputError: The clock runs already.
        """

    def replay(self, tape: str | os.PathLike[str], *, ignore: Collection[str] = ()) -> Replay:
        """
        Replay what came from outside on a tape of `greengrass run --record`.

        A core without functions gets the group of the tape first, and its clock starts when the
        tape did. Errors of functions that stand on the tape, too, need not be looked at.

        Args:
            tape: Absolute, or relative to the test's file or else to the working directory.
            ignore: Keys of JSON payloads whose values differ each time, such as times.

        Returns:
            What came out: `check()` fails with the differences, `differences` tells them.

        Raises:
            TapeError: The tape is none, something is missing on it, or it is of another group.
        """
        from greengrass_sdk.testing.tape_replay import replay

        beside = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the test's file
        return replay(self, tape, ignore, beside)

    @abstractmethod
    def acting_as(self, function: Named) -> AbstractContextManager[None]:
        """
        Let calls of the SDK in a `with` block be those of a function.

        What they cause has happened at the end of the block.
        """

    def shadow(self, thing: str, name: str | None = None) -> ThingShadow:
        """
        Return a shadow of a thing, to look at and to change; nothing is asked yet.

        Args:
            name: Of a named shadow; None is the classic one.
        """
        return ThingShadow(Shadow(self.invoke, thing, name))

    def stream(self, name: str) -> Stream:
        """Return a stream, to make it, append to it and read it; nothing is asked yet."""
        from greengrass_sdk.client.streams import Stream

        return Stream(self.invoke, name)

    @abstractmethod
    def exports(self, stream: str | None = None) -> list[Exported]:
        """
        Return the batches that exports of streams have sent so far.

        Args:
            stream: Only those of this stream.
        """

    @abstractmethod
    def send_exports(self, *kinds: str) -> None:
        """
        Really send what exports of these kinds have, from now on: to a server of the test.

        What fails is tried again in virtual time. Exports of other kinds are only recorded.

        Args:
            kinds: Of destinations, as `http`.
        """

    # Asking.

    @property
    @abstractmethod
    def now(self) -> datetime:
        """What the clock of its functions shows, in UTC."""

    @property
    @abstractmethod
    def cloud(self) -> GreengrassCloud:
        """The link to the cloud."""

    @abstractmethod
    def recorded(self) -> tuple[list[Message], dict[str, list[LogRecord]]]:
        """Return all messages and the logs of all functions so far; drives nothing."""

    @property
    def function_names(self) -> list[str]:
        """The functions of the group."""
        return list(self._declared.members)

    @property
    def messages(self) -> Messages:
        """Every message so far, whoever published it."""
        self._settle()
        return Messages(self.recorded()[0], lambda: "there are no others")

    def logs(self, function: Named) -> list[LogRecord]:
        """Return what a function has logged and printed so far."""
        self._settle()
        logs = self.recorded()[1]
        name = name_of(function)
        if name not in logs:
            raise InvalidInputError(f"no function {name!r}; there are: {', '.join(logs) or 'none'}")
        return logs[name]

    def published(self, topic_filter: str | None = None) -> Messages:
        """
        Return the valid messages that functions have published, whether anybody got them or not.

        Args:
            topic_filter: With `+` and `#` as in rows; None is every topic.
        """
        if topic_filter is not None:
            check_filter(topic_filter)
        everything = self.messages
        names = set(self.function_names)
        found = [
            message
            for message in everything
            if message.source in names
            and (topic_filter is None or matches(topic_filter, message.subject))
        ]
        wanted = "any topic" if topic_filter is None else topic_filter
        return Messages(found, lambda: explain.missing(wanted, everything, len(self._failures)))

    def _other_functions(self, function: Named) -> str:
        return explain.other_functions(name_of(function), self.function_names)

    @property
    def errors(self) -> list[FunctionFailure]:
        """
        Errors in functions that no caller was told: under `deliver`, in events, timers, imports.

        A test that does not look at them fails at its end.
        """
        self._settle()
        self._read = len(self._failures)
        return list(self._failures)

    @property
    def unread_errors(self) -> list[FunctionFailure]:
        """Those that `errors` has not told yet."""
        return self._failures[self._read :]

    def check_errors(self) -> None:
        """
        Fail if there are unread errors; the fixture calls it at the end of a test.

        Raises:
            UnreadErrors: There are some; it has their tracebacks.
        """
        __tracebackhide__ = True
        unread = self.unread_errors
        self._read = len(self._failures)
        if unread:
            raise UnreadErrors(unread)

    def describe(self) -> str:
        """Return what has happened so far: messages, logs, errors."""
        messages, logs = self.recorded()
        return explain.everything(messages, logs, self._failures)

    @abstractmethod
    def _settle(self) -> None:
        """Let everything happen that was caused."""

    # The end.

    @abstractmethod
    def shut_down(self) -> None:
        """End everything; may be called twice."""

    def close(self) -> None:
        """
        End everything, and fail if there are unread errors: `self.addCleanup(core.close)`.

        Raises:
            UnreadErrors: There are some.
        """
        self.shut_down()
        self.check_errors()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shut_down()
        if error is None:
            self.check_errors()


def name_of(function: Named) -> str:
    """
    Return what a test calls a function, device or the cloud.

    Raises:
        InvalidInputError: It is no name, but a handler, say.
    """
    if isinstance(function, str):
        return function
    if isinstance(function, GreengrassFunction):
        return function.name
    raise InvalidInputError(
        f"{function!r} names no function: give its name in the group, or what add_function returned"
    )

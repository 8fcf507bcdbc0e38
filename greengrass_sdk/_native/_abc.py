# SPDX-License-Identifier: Apache-2.0
"""
What the C and the Python implementation both promise.

Only type checkers and tests import this module; `greengrass_sdk._native` does without `typing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from greengrass_sdk._native._py.frames import Frame

__all__ = ["Channel", "FrameDecoder", "Lane", "Link", "Outgoing", "TopicIndex", "Wake"]


class FrameDecoder(Protocol):
    """
    Bytes of one peer in, frames out. One decoder per connection; not for two threads at once.

    The cost of a byte does not depend on the sizes of the pieces it arrives in, and no more is
    buffered than has arrived. Decoded frames hold their own bytes, never a view of the input.
    """

    def __init__(self, max_frame: int = ...) -> None:
        """Accept frames of at most `max_frame` bytes, header included."""

    @property
    def pending(self) -> int:
        """Bytes of an incomplete frame that wait for the rest."""

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """
        Take the next bytes of the stream and return the frames they complete, in order.

        Raises:
            FrameError: The peer broke the format. `error.frames` holds the frames before the bad
                one; the decoder is dead, every later call raises the same reason.
        """


class TopicIndex(Protocol):
    """
    Finds the rows of the subscription table that a message of a source matches.

    Rules: levels are separated by `/` and may be empty; `+` stands for exactly one level, also an
    empty one; `#` stands last and for one or more levels, so that `sensor/#` does not match
    `sensor`; a wildcard in the first level does not match a topic that starts with `$`. Bytes are
    compared, nothing is folded.

    An index is filled, then asked; a change of the table builds a new one. Any number of threads
    may call `match` at the same time.

    Ref: Greengrass V1 guide, "Managed Subscriptions in the MQTT Messaging Workflow"
    """

    def __init__(self) -> None:
        """Build an index that matches nothing."""

    def add(self, source: int, topic_filter: bytes, row: int) -> None:
        """
        Let messages of `source` whose topic matches `topic_filter` match `row`.

        Raises:
            InvalidInputError: `source` or `row` is not in 0..2**32-1; the filter is empty, longer
                than MAX_TOPIC, holds NUL, or misplaces a wildcard.
        """

    def match(self, source: int, topic: bytes) -> list[int]:
        """
        Return the matching rows, ascending, each once.

        Raises:
            InvalidInputError: The topic is longer than MAX_TOPIC.
        """


class Channel(Protocol):
    """
    The frames of one peer, both ways; what a worker, a client and a tool hold of their connection.

    Every method may be called from any thread, and from a signal handler. An exception that a
    signal handler raises in the middle of one leaves the channel as if the call had not been made,
    or had been completed. Every method but `close` raises CoreUnavailableError once the connection
    is gone, closed, or inherited over a fork; what arrived before the core ended it can still be
    received. Times are seconds of CLOCK_MONOTONIC; None waits for ever.
    """

    def send(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        id: int = 0,
        topic: bytes = b"",
        context: bytes | bytearray | memoryview = b"",
        payload: bytes | bytearray | memoryview = b"",
        *,
        timeout_s: float | None = None,
    ) -> None:
        """
        Send one frame; block while the core does not take it.

        Raises:
            LocalProtocolError: The frame breaks the format.
            RequestTimeoutError: The core did not take it in time. If it took a part, the next frame
                that is sent completes it.
        """

    def answer(
        self,
        flags: int,
        endpoint: int,
        id: int,
        payload: bytes | bytearray | memoryview,
        *,
        more: bool,
    ) -> None:
        """
        Send a RESULT, as `send` does.

        Args:
            more: Another one follows as soon as its item is done: the core may hear of both then.
        """

    def call(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        topic: bytes = b"",
        context: bytes | bytearray | memoryview = b"",
        payload: bytes | bytearray | memoryview = b"",
        timeout_s: float | None = None,
    ) -> Frame:
        """
        Send one frame under a fresh number and return its answer: a RESULT, VERDICT or CONTROL.

        Raises:
            RequestTimeoutError: No answer in time; a late one is dropped.
        """

    def begin(
        self,
        kind: int,
        flags: int = 0,
        endpoint: int = 0,
        topic: bytes = b"",
        context: bytes | bytearray | memoryview = b"",
        payload: bytes | bytearray | memoryview = b"",
    ) -> int:
        """Send one frame under a fresh number and return that; `finish` gets the answer."""

    def finish(self, number: int, timeout_s: float | None = None) -> Frame:
        """
        Return the answer to `begin`. The number is used up, whatever happens.

        Raises:
            KeyError: The number is not, or no longer, under way.
            RequestTimeoutError: No answer in time; a late one is dropped.
        """

    def submit(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        topic: bytes,
        context: bytes | bytearray | memoryview,
        payload: bytes | bytearray | memoryview,
        callback: Callable[[Frame | BaseException], object],
    ) -> int:
        """
        Send one frame under a fresh number without blocking and return the number.

        `callback` gets the answer, or the error when none will come, on a thread of the channel. It
        must be quick, and bear to be called once more than expected after `cancel`.
        """

    def post(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: bytes | bytearray | memoryview,
        payload: bytes | bytearray | memoryview,
        callback: Callable[[BaseException | None], object],
    ) -> bool:
        """
        Send one frame without blocking and return whether the core has taken it.

        If not, `callback` is called on a thread of the channel when it has, or never will.
        """

    def take(self, callback: Callable[[Frame | BaseException], object]) -> int:
        """
        Have the next frame that is no answer given to `callback`, on a thread of the channel.

        Returns a number for `cancel`. A callback that can no longer use the frame returns it by
        `untake`.
        """

    def untake(self, frame: Frame) -> None:
        """Put a frame back in front of the others."""

    def cancel(self, number: int) -> None:
        """Forget a number of `begin`, `submit` or `take`; unknown ones are ignored."""

    def receive(self, timeout_s: float | None = None) -> Frame | None:
        """Return the next frame that is no answer, or None when none came in time."""

    def receive_batch(self, max_bytes: int, timeout_s: float | None = None) -> list[Frame]:
        """
        Return the frames that have arrived; block until there is one.

        At least one, then no more than `max_bytes` of payload; empty when none came in time.
        """

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, for whatever reason."""

    @property
    def dropped(self) -> int:
        """Messages that were dropped because nobody received them, while calls were answered."""

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when something arrives; for polling only."""

    def close(self) -> None:
        """End the connection. Calls under way raise CoreUnavailableError. May be called twice."""


class Outgoing(Protocol):
    """A frame on its way out."""

    @property
    def done(self) -> bool:
        """Whether the core has it."""

    @property
    def begun(self) -> bool:
        """Whether the core has a part of it, so that the rest must follow."""

    def freeze(self) -> None:
        """Stop referring to memory of the caller, who no longer waits until it is written."""


class Wake(Protocol):
    """Ends the wait of a thread in `Link.wait`. Its owner holds a lock."""

    def ring(self) -> None:
        """End the wait under way, or else the next one."""

    def clear(self) -> None:
        """Take back what was rung until now."""

    def close(self) -> None:
        """Close what it holds."""


class Link(Protocol):
    """
    What carries the frames of a channel: a stream, or rings. For one thread at a time, its owner's.

    `outgoing` holds what is to be sent, the oldest first; `waiting` those who wait. Once the peer
    is gone `eof` is set, and `failure` if it broke the rules.
    """

    eof: bool
    failure: Exception | None
    outgoing: deque[Any]
    waiting: set[object]

    @property
    def fd(self) -> int:
        """A descriptor that becomes readable when something arrives."""

    def wake(self) -> Wake:
        """Return what ends a `wait`."""

    def frame(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: bytes | bytearray | memoryview,
        payload: bytes | bytearray | memoryview,
    ) -> Outgoing:
        """
        Return a frame to be sent, of the caller's memory.

        Raises:
            LocalProtocolError: The frame breaks the format.
        """

    def wait(self, events: int, wake: Any, timeout_s: float | None, *, answer: bool) -> None:
        """
        Block until one of the events is there, somebody rings, or the time is up.

        `events` are those of `poll`. `answer` says that somebody expects one, so that it may be
        worth not to sleep. The one call that a thread makes without being the owner.
        """

    def has_come(self) -> bool:
        """Whether `read` has something for sure; it may have if not, where looking is dear."""

    def take_work(self, batch: list[Frame], max_bytes: int, /) -> bool:
        """Extend `batch` by what has arrived if that is simple and all is work; else do nothing."""

    def flush(self) -> bool:
        """
        Send what is queued as far as the core takes it; return whether nothing is left.

        Raises:
            OSError: The core is gone.
        """

    def read(self) -> deque[Frame]:
        """
        Take what has arrived, without blocking; return the frames that nobody was given yet.

        The caller removes each frame when it is handed out; what it leaves comes again.
        """

    def shut(self) -> None:
        """End the connection in both directions; every thread that waits for it wakes up."""

    def dispose(self) -> None:
        """Close what it holds; nobody waits any more."""


class Lane(Protocol):
    """
    The short way of a link over rings: one call, which does something at once or says False.

    Then it has done nothing, and what is in the way is found out elsewhere.
    """

    def send(
        self,
        kind: int,
        flags: int,
        endpoint: int,
        id: int,
        topic: bytes,
        context: bytes | bytearray | memoryview,
        payload: bytes | bytearray | memoryview,
        wait: bool = False,  # noqa: FBT001, FBT002 - of C
        /,
    ) -> bool:
        """Send a frame; with `wait` the caller can bear to wait a moment for room."""

    def publish(
        self, topic: str, payload: object, endpoint: int, topic_bytes: int, payload_bytes: int, /
    ) -> bool:
        """Publish text or a buffer; the last two are the limits of topic and payload."""

    def answer(
        self,
        flags: int,
        endpoint: int,
        id: int,
        payload: bytes | bytearray | memoryview,
        more: bool,  # noqa: FBT001 - of C
        /,
    ) -> bool:
        """Send a RESULT; see `Channel.answer`."""

    def take(self, frames: deque[Frame], work: list[Frame] | None = None, /) -> bool:
        """Extend `frames` by some that have arrived, or `work` if it is all work."""

    def close(self) -> None:
        """Do nothing from now on."""

    def idle(self) -> bool:
        """Whether no thread is in a call; closed and idle, it has done with the memory."""

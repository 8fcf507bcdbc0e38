# SPDX-License-Identifier: Apache-2.0
"""
The threads behind one connection: who reads, who writes, who sleeps, and who wakes whom.

- No thread of its own reads the socket. Of the threads that wait for a frame, one is the reader: it
  hands the others theirs and, when it leaves, wakes the next, who takes over. So a worker with one
  thread has one thread, and an answer reaches its caller without a detour.
- A frame is written under the lock as far as the socket takes it, in the order of the calls. What
  does not fit is driven by one of the threads that wait for it. That thread also reads meanwhile,
  because the core may be just as unable to get rid of what it has for us.
- A thread that neither reads nor writes sleeps on a lock of its own until somebody has news for it.
  One that works sleeps in `poll`; when another reads its frame for it, a descriptor wakes it.

The lock is reentrant and every step under it can be repeated, because a signal handler may raise in
the middle of a call or make a call of its own; :mod:`greengrass_sdk._native._py.link` has the
rules. Time is CLOCK_MONOTONIC.
"""

from __future__ import annotations

import os
import select
from _thread import RLock, allocate_lock, get_ident
from collections import deque
from itertools import count, repeat
from time import monotonic

from greengrass_sdk._native import Kind
from greengrass_sdk._native._py.link import LONGEST_WAIT_S
from greengrass_sdk.errors import CoreUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias
    from weakref import WeakSet

    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._abc import Link, Outgoing, Wake

    Buffer: TypeAlias = bytes | bytearray | memoryview
    AnswerCallback: TypeAlias = Callable[[Frame | BaseException], object]

__all__ = ["Call", "Exchange", "Post", "Waiter"]

# A client that keeps calling and never receives loses messages beyond this; work is never lost.
_INBOX_MESSAGES = 4096
# CONTROL answers that nobody waits for any more are told from requests of the core by their number.
_GIVEN_UP = 1024
_ANSWERS = frozenset((Kind.RESULT, Kind.VERDICT, Kind.CONTROL))
_CLOSED = "the connection to the core was closed"
_ENDED = "the core ended the connection; is it still running?"
_FORKED = (
    "this process was forked from one that is connected to the core, and the connection is not"
    " inherited; call the core from the parent, or start the child as a program of its own"
)

_forks = 0
_alive: WeakSet[Exchange] | None = None


class Waiter:
    """
    A thread that waits. Its bell is a taken lock; whoever has news releases it.

    At work, it has a `post` and sleeps there. `displaced` says that it took the post from itself,
    from below on the stack.
    """

    __slots__ = ("bell", "displaced", "post", "thread")

    def __init__(self) -> None:
        self.thread = get_ident()
        self.post: Post | None = None
        self.displaced = False
        self.bell = allocate_lock()
        self.bell.acquire()

    def notify(self) -> None:
        try:  # noqa: SIM105 - on the path of every answer
            self.bell.release()
        except RuntimeError:
            pass  # it was told before and has not looked yet
        if self.post is not None:
            self.post.wake.ring()


class Post:
    """Work that one of the waiting threads does for all of them, and the queue of the others."""

    __slots__ = ("_make", "_wake", "events", "holder", "queue")

    def __init__(self, events: int, make: Callable[[], Wake]) -> None:
        self._make = make
        self._wake: Wake | None = None
        self.events = events
        self.holder: Waiter | None = None
        self.queue: dict[Waiter, None] = {}

    @property
    def wake(self) -> Wake:
        """What wakes who works here; made when somebody does for the first time."""
        wake = self._wake
        return self._keep(self._make()) if wake is None else wake

    def _keep(self, wake: Wake) -> Wake:
        """Keep the wake, unless a signal handler has made one in the meantime."""
        if self._wake is None:
            self._wake = wake
        else:
            wake.close()
        return self._wake

    def take(self, waiter: Waiter) -> bool:
        """
        Let the waiter have the post if it is free, else queue it.

        A holder of the same thread lies below us on the stack, interrupted by the signal handler
        that calls. It cannot go on before we do, so the post is ours until we leave.
        """
        holder = self.holder
        if holder is None or holder.thread == waiter.thread:
            if holder is not waiter:
                waiter.displaced = holder is not None
            waiter.post = self
            self.holder = waiter
            self.queue.pop(waiter, None)
            return True
        self.queue[waiter] = None
        return False

    def leave(self, waiter: Waiter) -> None:
        """Give up the post or the place in the queue; wake the next if nobody is at work."""
        self.queue.pop(waiter, None)
        if self.holder is waiter:
            self.holder = None
        if self.holder is None:
            for following in self.queue:
                following.notify()
                break
        if waiter.displaced:
            self.wake.ring()  # we may have taken what was meant for the one below

    def close(self) -> None:
        if self._wake is not None:
            self._wake.close()


class Call:
    """A number that was sent and whose answer is expected, by a thread or by a callback."""

    __slots__ = ("answer", "callback", "kind", "waiter")

    def __init__(self, kind: int, callback: AnswerCallback | None = None) -> None:
        self.kind = kind
        self.callback = callback
        self.answer: Frame | None = None
        self.waiter: Waiter | None = None


class Exchange:
    """
    One connection and everybody who waits for it. `lock` guards all of it.

    `inbox` holds the frames that are no answers; `receivers` are told of them, `takers` get them by
    callback. `due` holds the answered calls that have a callback. `pump` makes the callbacks.
    """

    __slots__ = (
        "__weakref__",
        "_born",
        "_closed",
        "_given_up",
        "_gone",
        "_link",
        "calls",
        "dropped",
        "due",
        "inbox",
        "lock",
        "next_number",
        "pump",
        "reading",
        "receivers",
        "takers",
        "writing",
    )

    def __init__(self, link: Link) -> None:
        self.lock = RLock()
        self.next_number = count(1).__next__
        self.calls: dict[int, Call] = {}
        self.inbox: deque[Frame] = deque()
        self.receivers: dict[Waiter, None] = {}
        self.takers: dict[int, AnswerCallback] = {}
        self.due: dict[int, Call] = {}
        self.pump: Waiter | None = None
        self.reading = Post(select.POLLIN, link.wake)
        self.writing = Post(select.POLLIN | select.POLLOUT, link.wake)
        self.dropped = 0
        self._given_up: dict[int, None] = {}
        self._gone: str | None = None
        self._closed = False
        self._born = _forks
        self._link = link
        _give_up_in_child(self)

    # The connection

    @property
    def closed(self) -> bool:
        return self._gone is not None or self._born != _forks

    def check(self) -> None:
        """Raise in the child of a fork. Before any lock: its holder may not exist there."""
        if self._born != _forks:
            raise CoreUnavailableError(_FORKED)

    def link(self) -> Link:
        """
        Return the link. Holds the lock.

        Raises:
            CoreUnavailableError: It is gone; the message says why.
        """
        if self._gone is not None:
            raise CoreUnavailableError(self._gone) from self._link.failure
        return self._link

    def close(self) -> None:
        if self._born != _forks:
            return
        with self.lock:
            self._link.shut()
            self._end(_CLOSED)
            self._closed = True
            self.inbox.clear()
            self._link.outgoing.clear()
            self._dispose()

    def forsake(self) -> None:
        """In the child of a fork: close its copy of the socket, and only that."""
        self._gone = _FORKED
        self._closed = True
        self._link.waiting.clear()
        self._dispose()

    def _dispose(self) -> None:
        """Close the descriptors of a closed connection once nobody waits for them."""
        if self._closed and not self._link.waiting:
            self._link.dispose()
            self.reading.close()
            self.writing.close()

    def _end(self, reason: str) -> None:
        """Wake everybody; their calls find out that it is over. Holds the lock."""
        for post in (self.reading, self.writing):
            for waiter in (post.holder, *post.queue):
                if waiter is not None:
                    waiter.notify()
        if self.pump is not None:
            self.pump.notify()
        if self._gone is None:
            self._gone = reason

    # Waiting

    def wait(
        self,
        post: Post,
        waiter: Waiter,
        ready: Callable[[], bool],
        deadline: float | None,
        take: Callable[[Link], bool] | None = None,
    ) -> bool:
        """
        Wait until `ready`, working at `post` for all if nobody does; False when time is up.

        Args:
            take: Takes what somebody waits for off the link, past all others, and returns whether
                it could; called by who works for all, with the lock.
        """
        self.check()
        at_work = expired = False
        try:
            while True:
                with self.lock:
                    if at_work:
                        if take is not None and take(self._link):
                            return True
                        self._read(self._link, waiter)
                        if post is self.writing:
                            self._flush(self._link, waiter)
                        if ready():
                            return True
                    # First take the post, then look: news that comes later will wake us there.
                    at_work = self._take(post, waiter, look=take is None)
                    if ready():
                        return True
                    link = self.link()
                    if expired:
                        return False
                left = None if deadline is None else deadline - monotonic()
                expired = left is not None and left <= 0
                if at_work:
                    link.wait(post.events, post.wake, left, answer=bool(self.calls))
                elif left is None:
                    waiter.bell.acquire()
                elif not expired:
                    waiter.bell.acquire(True, min(left, LONGEST_WAIT_S))
        finally:
            try:
                self._leave(post, waiter)
            except BaseException:  # a signal handler raised in there: the post must not stay taken
                self._leave(post, waiter)
                raise

    def _take(self, post: Post, waiter: Waiter, *, look: bool) -> bool:
        """Take the post if it is free; `look` for what has come already. Holds the lock."""
        if self._closed or not post.take(waiter):
            return False
        self._link.waiting.add(waiter)
        post.wake.clear()
        if look and self._link.has_come():
            self._read(self._link, waiter)
        return True

    def _leave(self, post: Post, waiter: Waiter) -> None:
        with self.lock:
            self._link.waiting.discard(waiter)
            post.leave(waiter)
            if self._closed:
                self._dispose()

    # Writing

    def write(self, outgoing: Outgoing) -> bool:
        """
        Queue a frame, write what the socket takes, return whether that was all of it.

        Raises:
            CoreUnavailableError: The connection is gone; nothing of the frame stays queued.
        """
        with self.lock:
            link = self.link()
            link.outgoing.append(outgoing)
            self._flush(link, None)
            return outgoing.done

    def retract(self, outgoing: Outgoing) -> None:
        """Take back a frame that nobody waits for, or at least let go of the caller's memory."""
        with self.lock:
            if outgoing.done:
                return
            if outgoing.begun:
                outgoing.freeze()
            elif outgoing in self._link.outgoing:
                self._link.outgoing.remove(outgoing)

    def _flush(self, link: Link, me: Waiter | None) -> None:
        """Write what is queued, and tell the others whose frame that was. Holds the lock."""
        try:
            link.flush()
        except OSError as error:
            # Whoever reads finds out by itself, after what the core may have said before.
            raise CoreUnavailableError(self._gone or _ENDED) from error
        if self.writing.holder is not None:
            for waiter in (self.writing.holder, *self.writing.queue):
                if waiter is not me:
                    waiter.notify()

    # Reading

    def look(self) -> None:
        """
        Read what is there, without waiting.

        Raises:
            CoreUnavailableError: The connection is gone.
        """
        with self.lock:
            self._read(self.link(), None)

    def _read(self, link: Link, me: Waiter | None) -> None:
        """Read what is there and hand it out; who reads need not be told. Holds the lock."""
        frames = link.read()
        while frames:
            frame = frames[0]
            wanted = self._before_answer(tuple(frames))
            if wanted:
                moved = map(deque.popleft, repeat(frames, wanted))
                if frames and frames[0] is frame:
                    self.inbox.extend(moved)
                continue
            if frame.kind == Kind.MESSAGE:
                self.dropped += 1
            elif (call := self.calls.get(frame.id)) is not None:
                self._deliver(frame, call, me)
            if frames and frames[0] is frame:
                frames.popleft()
        if self.inbox:
            self.announce(me)
        if link.eof and self._gone is None:
            link.shut()
            self._end(_ENDED if link.failure is None else f"{_ENDED} ({link.failure})")

    def _deliver(self, frame: Frame, call: Call, me: Waiter | None) -> None:
        """Give an answer to its call. May happen twice for the same frame."""
        call.answer = frame
        if call.callback is not None:
            self.due[frame.id] = call
            self.calls.pop(frame.id, None)
            if self.pump is not None and self.pump is not me:
                self.pump.notify()
        elif call.waiter is not None and call.waiter is not me:
            call.waiter.notify()

    def _before_answer(self, frames: tuple[Frame, ...]) -> int:
        """Return how many frames are for the inbox, up to an answer or one beyond the bound."""
        room = _INBOX_MESSAGES - len(self.inbox)
        for place, frame in enumerate(frames):
            kind = frame.kind
            if kind == Kind.MESSAGE:
                if place >= room and not frame.id:
                    return place
            elif kind in _ANSWERS and (
                kind != Kind.CONTROL or frame.id in self.calls or frame.id in self._given_up
            ):
                return place
        return len(frames)

    def announce(self, me: Waiter | None = None) -> None:
        """Tell those who receive that something is there. Holds the lock."""
        for waiter in tuple(self.receivers):
            if waiter is not me:
                waiter.notify()
        if self.takers and self.pump is not None and self.pump is not me:
            self.pump.notify()

    def give_up(self, number: int, call: Call | None) -> None:
        """Drop the late answer to a call that the caller took from `calls`."""
        if call is None or call.answer is not None or call.kind != Kind.CONTROL:
            return
        self._given_up[number] = None
        while len(self._given_up) > _GIVEN_UP:
            self._given_up.pop(next(iter(self._given_up)), None)


def _give_up_in_child(exchange: Exchange) -> None:
    """Have the child of a fork give up the connection."""
    global _alive  # noqa: PLW0603 - one registration per process
    if _alive is None:
        import weakref

        _alive = weakref.WeakSet()
        os.register_at_fork(after_in_child=_after_fork_in_child)
    _alive.add(exchange)


def _after_fork_in_child() -> None:
    global _forks  # noqa: PLW0603 - counts what happened to the process
    _forks += 1
    for exchange in _alive or ():
        exchange.forsake()

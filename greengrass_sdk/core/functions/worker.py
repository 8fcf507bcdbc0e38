# SPDX-License-Identifier: Apache-2.0
"""One worker process as the core holds it: its channel, its log, its pidfd, and how it ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk.runtime import protocol
from greengrass_sdk.runtime.logs import RecordAssembler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from greengrass_sdk._native import Frame
    from greengrass_sdk.core.functions.zygote import Zygote
    from greengrass_sdk.core.ports import FunctionLog

__all__ = ["Channels", "End", "WorkerProcess"]

log = logging.getLogger(__name__)

_READ_BYTES = 65536
_RECORD_BYTES = 131072  # one log record and its origin
_EXIT_REPORT_S = 1.0  # between the end of the channel and the report of the exit
_LEVELS = {b"D": "DEBUG", b"I": "INFO", b"W": "WARN", b"E": "ERROR", b"F": "FATAL", b"T": "TRACE"}


@define
class Channels:
    """
    The descriptors a worker is born with: the core's ends and the worker's ends.

    Attributes:
        theirs: In the order of the spawn request; :meth:`add` appends those of shared memory.
    """

    channel: socket.socket
    log: socket.socket
    stdout: int
    stderr: int
    theirs: list[int]
    _keep: list[socket.socket]

    @classmethod
    def open(cls) -> Channels:
        """Create the pairs; the worker's ends are inherited only by passing them."""
        channel, their_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        record, their_record = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stdout, their_stdout = os.pipe()
        stderr, their_stderr = os.pipe()
        for ours in (stdout, stderr):
            os.set_blocking(ours, False)
        record.setblocking(False)
        return cls(
            channel,
            record,
            stdout,
            stderr,
            [their_channel.fileno(), their_record.fileno(), their_stdout, their_stderr],
            [their_channel, their_record],
        )

    def add(self, descriptors: Iterable[int]) -> None:
        """Take over what the worker gets beside: shared memory, and the eventfd of the core."""
        self.theirs += descriptors

    def close(self) -> None:
        """Close both ends: there will be no worker."""
        self.close_theirs()
        self.channel.close()
        self.log.close()
        os.close(self.stdout)
        os.close(self.stderr)

    def close_theirs(self) -> None:
        """Close the worker's ends once they were passed on."""
        for sock in self._keep:
            sock.close()
        for descriptor in self.theirs[2:]:
            os.close(descriptor)
        self.theirs = []
        self._keep = []


@define
class End:
    """
    How a worker ended, in words.

    Attributes:
        expected: The core wanted it; nothing failed.
        told: The function's log has the reason already.
    """

    reason: str
    error_type: str
    expected: bool = False
    told: bool = False

    @property
    def document(self) -> bytes:
        """Error document for the item that ran."""
        return json.dumps({"errorMessage": self.reason, "errorType": self.error_type}).encode()


def describe_exit(status: int | None) -> End:
    """Put a wait status into words; None when nobody could tell."""
    if status is None:
        return End("the worker was killed because its zygote died", "Runtime.ExitError")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "unknown"
        return End(f"the worker was ended by signal {number} ({name})", "Runtime.SignalError")
    text = f"the worker exited with code {os.WEXITSTATUS(status)}"
    if os.WEXITSTATUS(status) == protocol.FAULT:
        text += ": unless the function asked for it, the runtime failed, and its log tells why"
    return End(text, "Runtime.ExitError")


@define(eq=False)
class WorkerProcess:
    """
    A worker, from the spawn request to the report of its exit.

    Attributes:
        peer: Its number with the router and with the zygote.
        state: `starting`, `ready` or `stopping`.
        verdict: Why the core ends it, if the core does; wins over what the exit status says.
    """

    function: str
    channels: Channels
    loop: asyncio.AbstractEventLoop
    logs: FunctionLog
    on_lost: Callable[[WorkerProcess], None]
    peer: int = 0
    pid: int | None = None
    pidfd: int | None = None
    state: str = "starting"
    since: float = 0.0
    verdict: End | None = None
    zygote: Zygote | None = None
    _deadline: asyncio.TimerHandle | None = None
    _pending: signal.Signals | None = None
    _lost_timer: asyncio.TimerHandle | None = None
    _outputs: dict[int, tuple[RecordAssembler, str]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for descriptor, level in ((self.channels.stdout, "INFO"), (self.channels.stderr, "ERROR")):
            self._outputs[descriptor] = (RecordAssembler(), level)

    def listen(self) -> None:
        """Read from now on what it logs and prints; after :meth:`close`, what is still printed."""
        if self.channels.log.fileno() >= 0:
            self.loop.add_reader(self.channels.log.fileno(), self._read_records)
        for descriptor in self._outputs:
            self.loop.add_reader(descriptor, self._read_output, descriptor)

    # The router's connection.

    def control(self, frame: Frame) -> None:
        """Workers have nothing to negotiate: they were born with their channel."""
        log.debug(
            "function %s: control frame of %d bytes ignored", self.function, len(frame.payload)
        )

    def ended(self) -> None:
        """Give a worker that closed its channel a moment to exit, then kill it."""
        self._lost_timer = self.loop.call_later(_EXIT_REPORT_S, self._lose)

    def cut(self, reason: str) -> None:
        """Kill a worker that broke the contract."""
        self.verdict = End(f"the worker was cut off: it {reason}", "Runtime.ProtocolError")
        self.logs.write("FATAL", "greengrass", self.verdict.reason)
        self.kill()

    # Life.

    def born(self, pid: int, pidfd: int) -> None:
        """Note the process; a signal that was meant for it meanwhile is sent now."""
        self.pid = pid
        self.pidfd = pidfd
        if self._pending is not None:
            self._signal(self._pending)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def terminate(self, grace_s: float) -> None:
        """Send SIGTERM, and SIGKILL if it still lives after `grace_s` seconds."""
        self._signal(signal.SIGTERM)
        self._deadline = self.loop.call_later(grace_s, self.kill)

    def _signal(self, number: signal.Signals) -> None:
        if self.pidfd is None:
            self._pending = number
            return
        with contextlib.suppress(ProcessLookupError):  # it is gone already, which is what we want
            signal.pidfd_send_signal(self.pidfd, number)

    # The end.

    def drain(self) -> None:
        """Take the log records that were written before the end."""
        self._read_records()
        for descriptor in list(self._outputs):
            self._read_output(descriptor)

    def close(self) -> None:
        """
        Release what belonged to the process.

        Its output pipes stay open as long as children that survived it write to them.
        """
        for timer in (self._lost_timer, self._deadline):
            if timer is not None:
                timer.cancel()
        if self.channels.log.fileno() >= 0:
            self.loop.remove_reader(self.channels.log.fileno())
            self.channels.log.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    @property
    def has_outputs(self) -> bool:
        """Whether somebody may still write to its output pipes."""
        return bool(self._outputs)

    def close_outputs(self) -> None:
        """Close the output pipes, at the latest when the core stops."""
        for descriptor in list(self._outputs):
            self._end_output(descriptor)

    def _lose(self) -> None:
        self.on_lost(self)

    def _read_records(self) -> None:
        while self.channels.log.fileno() >= 0:
            try:
                record = self.channels.log.recv(_RECORD_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                record = b""
            if not record:
                self.loop.remove_reader(self.channels.log.fileno())
                return
            level = _LEVELS.get(record[:1], "INFO")
            origin, _, message = record[1:].partition(b"\0")
            self.logs.write(level, _text(origin), _text(message))

    def _read_output(self, descriptor: int) -> None:
        assembler, level = self._outputs[descriptor]
        while True:
            try:
                data = os.read(descriptor, _READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                self._end_output(descriptor)
                return
            for record in assembler.feed(data):
                self.logs.write(level, "stdout" if level == "INFO" else "stderr", _text(record))

    def _end_output(self, descriptor: int) -> None:
        assembler, level = self._outputs.pop(descriptor)
        for record in assembler.flush():
            self.logs.write(level, "stdout" if level == "INFO" else "stderr", _text(record))
        self.loop.remove_reader(descriptor)
        os.close(descriptor)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")

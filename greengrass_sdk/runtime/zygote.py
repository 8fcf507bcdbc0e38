# SPDX-License-Identifier: Apache-2.0
"""
The zygote: a warm Python process that function processes are forked from.

`python -I -m greengrass_sdk.runtime.zygote FD`, started by the core; FD is its end of the socket
pair. It imports what workers need, freezes its heap so that collections in children leave the
shared pages alone, and then waits: for requests of the core, and for children that end. One thread,
no event loop, few descriptors.

One child is always forked in advance, the spare: it has a session of its own, has rehearsed its
part (see `rehearsal.py`) and waits for a request. A spawn hands the request on to it; the next one
is forked when things are quiet.

It is exec'd, never forked from the core, so no key and no thread of the core is ever copied into a
function. Nobody of the same user may read its memory, or a worker's, unless
GREENGRASS_DEBUGGABLE=1.

When the core dies the socket ends, and the zygote kills what is left; when the zygote dies, the
kernel kills the workers (parent-death signal). Either way no worker outlives what supervises it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import time

from greengrass_sdk import _native
from greengrass_sdk.errors import RemoteProtocolError
from greengrass_sdk.runtime import birth, preload, processes, protocol, rehearsal, worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

__all__ = ["Zygote", "main"]

# Without a request before the next spare is forked: the worker that just started comes first, but
# each of several that start in a row is to find one.
_QUIET_MS = 3
_STDERR = 3  # among the descriptors of a spawn request
_LAST_EXITS_S = 2.0  # killed workers are gone in milliseconds; one in a stuck system call is not


class Zygote:
    """The parent of workers: forks on request, reaps, reports."""

    __slots__ = ("_arns", "_control", "_left", "_numbers", "_origins", "_spare", "_wake")

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._numbers: dict[int, int] = {}  # by pid, as are the next two
        self._arns: dict[int, str] = {}
        self._left: set[int] = set()
        self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._spare: tuple[int, socket.socket] | None = None  # its pid, and where it waits
        self._origins = birth.Origins(
            pid=os.getpid(),
            path=list(sys.path),
            dropin=preload.preload(),
            title=processes.Title(),
            debuggable=os.environ.get("GREENGRASS_DEBUGGABLE") == "1",
        )

    def run(self) -> None:
        """Serve the core until it says stop or is gone, then kill what is left."""
        self._settle()
        self._tell(
            {
                "event": "ready",
                "pid": os.getpid(),
                "python": "{}.{}.{}".format(*sys.version_info[:3]),
                "version": protocol.VERSION,
                "features": [protocol.RING] if _native.impl == "c" else [],
            }
        )
        control, wake = self._control.fileno(), self._wake[0]
        poll = select.poll()
        poll.register(control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        going = True
        while going:
            ready = [fd for fd, _ in poll.poll(_QUIET_MS if self._spare is None else None)]
            if wake in ready:
                self._reap()
            if control in ready:
                going = self._serve()
            elif not ready:
                with contextlib.suppress(
                    OSError
                ):  # no room for a process; the next spawn will say so
                    self._lay_by()
                    rehearsal.receive_request()
        self._kill_all()

    def _settle(self) -> None:
        """Become what children are to inherit."""
        processes.adopt_orphans()
        if not self._origins.debuggable:
            processes.set_dumpable(False)
        # The core decides about Ctrl-C; a terminal sends it to everybody.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, _wake_only)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        faulthandler.enable()  # a crash in C code leaves a trace in the function's log
        for stream in (sys.__stdout__, sys.__stderr__):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # files, both
        gc.collect()
        gc.disable()
        gc.freeze()

    # The core's requests.

    def _serve(self) -> bool:
        """Handle one message; return False when there will be no more."""
        try:
            received = protocol.receive_packet(self._control)
        except ConnectionError:
            return False
        if received is None:
            return False
        message, fds, packet = received
        if message.get("op") == "spawn" and len(fds) in worker.DESCRIPTORS:
            self._spawn(message, fds, packet)
            return True
        for fd in fds:
            os.close(fd)
        if message.get("op") == "stop":
            return False
        raise RemoteProtocolError(
            f"the core sent {message.get('op')!r} with {len(fds)} descriptors"
        )

    def _spawn(self, message: dict[str, Any], fds: list[int], packet: bytes) -> None:
        """Make a worker of the spare."""
        number = message["worker"]
        try:
            pid = self._hand_on(packet, fds)
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            self._tell({"event": "failed", "worker": number, "message": str(error)})
            return
        finally:
            for fd in fds:
                os.close(fd)
        self._numbers[pid] = number
        self._arns[pid] = message["arn"]
        try:
            self._tell({"event": "spawned", "worker": number, "pid": pid}, pidfd)
        finally:
            os.close(pidfd)

    def _hand_on(self, packet: bytes, fds: list[int]) -> int:
        """Give the request to the spare, or to a new one if that died meanwhile; return its pid."""
        for last in (False, True):
            pid, sock = self._spare or self._lay_by(fds)
            self._spare = None
            with sock:
                try:
                    protocol.pass_on(sock, packet, fds)
                except ConnectionError:
                    if last:
                        raise
                else:
                    return pid
        raise AssertionError  # the loop returns or raises

    def _lay_by(self, open_fds: Sequence[int] = ()) -> tuple[int, socket.socket]:
        """Fork a child that waits for a request; `open_fds` are not for it, or not that way."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * protocol.MESSAGE_BYTES)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            for fd in (*open_fds, ours.detach()):
                os.close(fd)
            self._be_spare(theirs)
        theirs.close()
        self._spare = (pid, ours)
        return self._spare

    def _be_spare(self, sock: socket.socket) -> NoReturn:
        """Wait for a request and become that worker; nothing returns into the zygote's loop."""
        try:
            signal.set_wakeup_fd(-1)
            os.close(self._wake[0])
            os.close(self._wake[1])
            self._control.close()
            gc.enable()
            birth.settle(self._origins)
            output = worker.Output()
            if not select.select([sock], [], [], 0)[0]:
                _rehearse(output, self._origins)
            received = protocol.receive(sock)
            sock.close()
            if received is not None:
                message: Any = received[0]
                os.dup2(received[1][_STDERR], 2)  # what fails from now on stands in its log
                worker.main(message, received[1], self._origins, output)
        except BaseException:  # noqa: BLE001 - a fault of ours, for the log
            _tell_fault()
            os._exit(protocol.FAULT)
        os._exit(0)

    # The end of workers.

    def _reap(self) -> None:
        """Take every child that has ended; report those that are workers."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake[0], 512)
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            self._take_leave(info.si_pid)

    def _take_leave(self, pid: int) -> None:
        number = self._numbers.get(pid)
        survivors = []
        if number is not None:
            survivors = processes.hang_up(pid, self._left_by(pid))
            self._left.update(survivor.pid for survivor in survivors)
        _, status, usage = os.wait4(pid, 0)
        self._left.discard(pid)
        if self._spare is not None and self._spare[0] == pid:
            self._spare[1].close()
            self._spare = None
        if number is None:
            return
        del self._numbers[pid]
        del self._arns[pid]
        self._tell(
            {
                "event": "exited",
                "worker": number,
                "pid": pid,
                "status": status,
                "maxrss_kib": usage.ru_maxrss,
                "survivors": [
                    {"pid": survivor.pid, "command": survivor.command} for survivor in survivors
                ],
            }
        )

    def _left_by(self, pid: int) -> list[int]:
        """
        Return the children that a dead worker left to us.

        A daemon that some living worker started may have become ours earlier; its session or the
        function's ARN in its environment tells whose it is.
        """
        mine = []
        # A survivor may be a child of another one, which nobody tells us the end of.
        self._left = {child for child in self._left if processes.session_of(child) is not None}
        known = {*self._numbers, *self._left}
        if self._spare is not None:
            known.add(self._spare[0])
        for child in processes.orphans(known):
            session = processes.session_of(child)
            if session is None or (session != pid and session in self._numbers):
                continue
            if session != pid:
                found = processes.environment_of(child, b"MY_FUNCTION_ARN") or b""
                arn = found.decode("utf-8", "replace")
                if arn != self._arns[pid] and arn in self._arns.values():
                    continue
            mine.append(child)
        return mine

    def _kill_all(self) -> None:
        if self._spare is not None:
            self._spare[1].close()  # it waits for that
        for pid in self._numbers:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _LAST_EXITS_S
        while self._numbers and (left_s := deadline - time.monotonic()) > 0:
            select.select([self._wake[0]], [], [], left_s)
            self._reap()

    def _tell(self, message: dict[str, Any], *fds: int) -> None:
        # A core that is gone is noticed by the next receive, which ends the loop.
        with contextlib.suppress(ConnectionError):
            protocol.send(self._control, message, fds)


def _rehearse(output: worker.Output, origins: birth.Origins) -> None:
    """Rehearse; what fails there costs a worker time and nothing else."""
    try:
        rehearsal.rehearse(output, origins)
    except Exception:  # noqa: BLE001 - the worker itself will say what matters
        _tell_fault()


def _tell_fault() -> None:
    import traceback

    os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))


def _wake_only(_number: int, _frame: object) -> None:
    """Do nothing: the signal is there to wake `poll` through the pipe."""


def main(arguments: list[str]) -> int:
    """Be a zygote on the descriptor that is the only argument."""
    fd = int(arguments[0])
    os.set_inheritable(fd, False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fd) as control:
        Zygote(control).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

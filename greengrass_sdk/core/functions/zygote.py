# SPDX-License-Identifier: Apache-2.0
"""
The core's side of a zygote: starts it, asks it for workers, hears how they end.

One `Zygote` is one process of one interpreter; `greengrass_sdk.runtime.protocol` has what is said.
The core never forks itself; what a worker gets, it gets by name in a `SpawnRequest` and as
descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

from attrs import asdict, define, field, frozen

from greengrass_sdk.core.functions import interpreters
from greengrass_sdk.errors import ConfigError, FunctionError, RemoteProtocolError
from greengrass_sdk.runtime import processes, protocol
from greengrass_sdk.runtime.logs import RecordAssembler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = [
    "SpawnRequest",
    "Spawned",
    "Survivor",
    "WorkerExit",
    "Zygote",
]

log = logging.getLogger(__name__)

_START_S = 10.0
_STOP_S = 5.0
_SEND_BUFFER_BYTES = 4 * protocol.MESSAGE_BYTES
_TEXT_BYTES = 4096


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy that is a dict, as JSON wants it."""
    return dict(mapping)


@frozen(kw_only=True)
class SpawnRequest:
    """
    All that a worker is born with, beside its descriptors.

    Attributes:
        worker: The caller's number for it; comes back in the report of its exit.
        name: What `ps` shows.
        environment: The whole environment; nothing is inherited.
        sys_path: Folders before the code folder and, where listed, its place among them.
        boot: The core's boot id in hexadecimal, half of every request id.
        cgroup: Like `namespaces` and `mounts`, refused by a zygote until isolation exists.
        rlimits: Soft and hard limit by name: `{"RLIMIT_NOFILE": (1024, 1024)}`.
        strict: Whether the group refuses to publish what no row routes.
        spin_ns: How long a call may spin for its reply before it sleeps.
    """

    worker: int
    name: str
    handler: str
    code: str
    arn: str
    function_name: str
    boot: str
    endpoint: int
    address: str
    version: str = "1"
    encoding: str = "json"
    environment: Mapping[str, str] = field(factory=dict, converter=_plain)
    cwd: str = field()
    sys_path: Sequence[str] = ()
    timeout_s: float = 3.0
    memory_kib: int | None = None
    limits: Mapping[str, int] = field(factory=dict, converter=_plain)
    strict: bool = False
    uid: int | None = None
    gid: int | None = None
    groups: Sequence[int] | None = None
    cgroup: str | None = None
    namespaces: Sequence[str] = ()
    mounts: Sequence[str] = ()
    rlimits: Mapping[str, Sequence[int]] = field(factory=dict, converter=_plain)
    log_level: str = "INFO"
    pinned: bool = False
    spin_ns: int = 0

    @cwd.default
    def _cwd(self) -> str:
        return self.code

    def to_message(self) -> dict[str, Any]:
        """Return the message for the zygote."""
        return {"op": "spawn", **asdict(self, recurse=False)}


@frozen
class Spawned:
    """A worker that was forked; `pidfd` is the caller's to close."""

    pid: int
    pidfd: int


@frozen
class Survivor:
    """A process that outlives the worker that started it."""

    pid: int
    command: str


@frozen(kw_only=True)
class WorkerExit:
    """
    How a worker ended.

    Attributes:
        status: Wait status, see `os.waitstatus_to_exitcode`.
        maxrss_kib: The most memory that it ever held, what it shared with the zygote included.
        survivors: Processes it left behind which the guide lets live.
    """

    worker: int
    pid: int
    status: int
    maxrss_kib: int = 0
    survivors: tuple[Survivor, ...] = ()


@define(eq=False)
class Zygote:
    """
    A running zygote. Made by :meth:`start`.

    Attributes:
        pid: Of the zygote process.
        python: The interpreter's path.
        workers: Pid by number of the workers that have not been reported as ended.
        rings: Whether its workers can speak with the core over shared memory.
    """

    pid: int
    python: str
    workers: dict[int, int] = field(factory=dict, init=False)
    rings: bool = field(default=False, init=False)
    _process: subprocess.Popen[bytes] = field(repr=False)
    _pidfd: int = field(repr=False)
    _socket: socket.socket = field(repr=False)
    _on_exited: Callable[[WorkerExit], None] = field(repr=False)
    _on_gone: Callable[[Zygote], None] = field(repr=False)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, repr=False)
    _ready: asyncio.Future[None] = field(init=False, repr=False)
    _gone: asyncio.Future[None] = field(init=False, repr=False)
    _pending: dict[int, asyncio.Future[Spawned]] = field(factory=dict, init=False, repr=False)
    _sending: asyncio.Lock = field(factory=asyncio.Lock, init=False, repr=False)
    _errors: RecordAssembler = field(factory=RecordAssembler, init=False, repr=False)
    _last_words: list[str] = field(factory=list, init=False, repr=False)
    _stopping: bool = field(default=False, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._ready = self._loop.create_future()
        self._gone = self._loop.create_future()

    @classmethod
    async def start(
        cls,
        python: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        on_exited: Callable[[WorkerExit], None],
        on_gone: Callable[[Zygote], None],
        timeout_s: float = _START_S,
    ) -> Zygote:
        """
        Start a zygote and wait until it can fork.

        Args:
            python: An interpreter, a virtual environment's folder, or None for the one that runs
                the core.
            environment: Of the process; None takes from ours what
                :func:`interpreters.environment_of_zygotes` names.
            on_exited: Called with the report of each worker that ended.
            on_gone: Called once if the process ends without :meth:`stop`. Its workers are being
                killed by the kernel then, and nobody will report them.

        Raises:
            ConfigError: There is no such interpreter, it is too old, or it lacks this package; the
                text says what to run.
        """
        interpreter = interpreters.path_of(python)
        if environment is None:
            environment = interpreters.environment_of_zygotes(os.environ)
        zygote = cls._launch(interpreter, environment, on_exited, on_gone)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(zygote._ready)  # noqa: SLF001 - its own class
        except (TimeoutError, _NotReadyError) as error:
            await zygote._abandon()  # noqa: SLF001
            text = zygote._complaint(error, timeout_s)  # noqa: SLF001
            raise ConfigError(text + await interpreters.remedy(interpreter)) from error
        except BaseException:
            await zygote._abandon()  # noqa: SLF001
            raise
        return zygote

    @classmethod
    def _launch(
        cls,
        interpreter: str,
        environment: Mapping[str, str],
        on_exited: Callable[[WorkerExit], None],
        on_gone: Callable[[Zygote], None],
    ) -> Zygote:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process = subprocess.Popen(
                    [
                        interpreter,
                        "-I",
                        "-m",
                        "greengrass_sdk.runtime.zygote",
                        str(theirs.fileno()),
                    ],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=dict(environment),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is for the core
                )
            except OSError as error:
                ours.close()
                raise ConfigError(f"cannot run the interpreter {interpreter}: {error}") from error
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        pidfd = os.pidfd_open(process.pid)
        zygote = cls(process.pid, interpreter, process, pidfd, ours, on_exited, on_gone)
        assert process.stderr is not None  # noqa: S101 - asked for above
        os.set_blocking(process.stderr.fileno(), False)
        loop = zygote._loop
        loop.add_reader(process.stderr.fileno(), zygote._read_errors)
        loop.add_reader(ours.fileno(), zygote._read_events)
        loop.add_reader(pidfd, zygote._died)
        return zygote

    # Requests.

    async def spawn(self, request: SpawnRequest, fds: Sequence[int]) -> Spawned:
        """
        Fork a worker.

        Args:
            request: What it is to be.
            fds: Channel, log socket, standard output, standard error, and for a worker over rings
                shared memory and eventfd. They stay the caller's, who closes them when this
                returns.

        Raises:
            FunctionError: No worker was started; the text says why.
        """
        worker = request.worker
        future: asyncio.Future[Spawned] = self._loop.create_future()
        if self._gone.done():
            raise self._lost(request.name)
        self._pending[worker] = future
        try:
            await self._send(request.to_message(), fds)
            return await future
        except OSError as error:
            raise FunctionError(
                f"function {request.name!r}: the spawn request could not be sent: {error}"
                " (a very large environment?)",
                function=request.name,
            ) from error
        except _NotReadyError:
            raise self._lost(request.name) from None
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                os.close(future.result().pidfd)
            raise
        finally:
            self._pending.pop(worker, None)

    def resume(self) -> None:
        """Let a process that somebody stopped go on: it is to hear that its workers end."""
        if not self._gone.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)

    async def stop(self, timeout_s: float = _STOP_S) -> None:
        """End the zygote; workers that are left are killed. `on_gone` is not called."""
        self._stopping = True
        self.resume()
        with contextlib.suppress(OSError):  # it may have died; then there is nothing to say
            await self._send({"op": "stop"}, ())
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._gone)
        except TimeoutError:
            await self._abandon()

    async def _abandon(self) -> None:
        """Kill the process and wait for its end."""
        self._stopping = True
        if not self._gone.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        await self._gone
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()  # somebody has looked at it
        self._ready.cancel()

    async def _send(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        async with self._sending:
            while True:
                try:
                    protocol.send(self._socket, message, fds)
                except BlockingIOError:
                    await self._writable()
                else:
                    return

    async def _writable(self) -> None:
        writable = self._loop.create_future()
        self._loop.add_writer(self._socket.fileno(), _settle, writable)
        try:
            await writable
        finally:
            if self._socket.fileno() >= 0:
                self._loop.remove_writer(self._socket.fileno())

    def _lost(self, name: str) -> FunctionError:
        return FunctionError(
            f"function {name!r}: the zygote of {self.python} (pid {self.pid}) is gone"
            f"{self._said()}",
            function=name,
        )

    # Events.

    def _read_events(self) -> None:
        while True:
            try:
                received = protocol.receive(self._socket, 1)
            except (BlockingIOError, InterruptedError):
                return
            except (ConnectionError, RemoteProtocolError) as error:
                log.error("zygote %d: %s", self.pid, error)  # noqa: TRY400 - the text says it all
                received = None
            if received is None:
                # Its process ends now, by itself or by us; `_died` does the rest.
                self._loop.remove_reader(self._socket.fileno())
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                return
            self._take(*received)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        event = message.get("event")
        if event == "spawned":
            self._born(message["worker"], message["pid"], fds.pop())
        elif event == "failed":
            future = self._pending.get(message["worker"])
            if future is not None and not future.done():
                future.set_exception(FunctionError(f"no worker process: {message['message']}"))
        elif event == "exited":
            self._exited(message)
        elif event == "ready" and message.get("version") == protocol.VERSION:
            self.rings = protocol.RING in message.get("features", ())
            _settle(self._ready)
        elif event == "ready" and not self._ready.done():
            text = f"it has another version of this package (protocol {message.get('version')})"
            self._ready.set_exception(_NotReadyError(text))
        for fd in fds:
            os.close(fd)

    def _born(self, worker: int, pid: int, pidfd: int) -> None:
        self.workers[worker] = pid
        future = self._pending.get(worker)
        if future is not None and not future.done():
            future.set_result(Spawned(pid, pidfd))
            return
        # Whoever asked was cancelled and will never know this worker.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)

    def _exited(self, message: dict[str, Any]) -> None:
        self.workers.pop(message["worker"], None)
        self._on_exited(
            WorkerExit(
                worker=message["worker"],
                pid=message["pid"],
                status=message["status"],
                maxrss_kib=message["maxrss_kib"],
                survivors=tuple(Survivor(**survivor) for survivor in message["survivors"]),
            )
        )

    def _read_errors(self) -> None:
        """Take what the zygote writes to its standard error: only its own faults arrive here."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - closed together with this reader
        try:
            data = os.read(stream.fileno(), 65536)
        except (BlockingIOError, InterruptedError):
            return
        records = self._errors.feed(data) if data else self._errors.flush()
        for record in records:
            text = record.decode("utf-8", "replace")
            if self._ready.done():
                log.error("zygote %d: %s", self.pid, text)
            self._last_words = [*self._last_words[-9:], text[:_TEXT_BYTES]]
        if not data:
            self._loop.remove_reader(stream.fileno())

    # The end.

    def _died(self) -> None:
        """Clean up after the process, whatever ended it."""
        loop = self._loop
        loop.remove_reader(self._pidfd)
        if self._socket.fileno() >= 0:
            self._read_events()
            loop.remove_reader(self._socket.fileno())
        self._process.wait()  # it has ended: the pidfd said so
        stream = self._process.stderr
        if stream is not None:
            self._read_errors()
            self._read_errors()
            loop.remove_reader(stream.fileno())
            stream.close()
        self._socket.close()
        os.close(self._pidfd)
        # The kernel kills the workers. What they started is nobody's business any more but ours.
        processes.hang_up_sessions(set(self.workers.values()))
        _settle(self._gone)
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._pending.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(_NotReadyError("it ended"))
        if not self._ready.cancelled():
            self._ready.exception()  # nobody may be waiting
        if not self._stopping:
            self._on_gone(self)

    def _said(self) -> str:
        return f"; it said: {'; '.join(self._last_words)}" if self._last_words else ""

    def _complaint(self, error: BaseException, timeout_s: float) -> str:
        if isinstance(error, TimeoutError):
            return (
                f"the interpreter {self.python} was not ready after {timeout_s:g} s{self._said()}"
            )
        code = self._process.returncode
        what = f"the interpreter {self.python} cannot run functions"
        return f"{what}: {error} (exit code {code}){self._said()}"


class _NotReadyError(Exception):
    """The zygote ended, or is none that we can speak with."""


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

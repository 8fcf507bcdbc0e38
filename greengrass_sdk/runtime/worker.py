# SPDX-License-Identifier: Apache-2.0
"""
The worker: imports the handler, says so, then serves one item after the other.

The session is there before the import, because functions publish while they are imported, and some
never return from it. The main thread waits in `receive`; threads that the function started go on.

How a worker ends: the core closes the channel (exit at once), SIGTERM (log, exit 0), the import
fails (READY with FAILED, exit 1), or user code ends the process. `sys.exit` in a handler is not an
exception to report but the end of the process, as it is for a script.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
from _thread import get_ident

from greengrass_sdk import _native
from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._py.channel import StreamChannel
from greengrass_sdk.client import session
from greengrass_sdk.errors import CoreUnavailableError, GreengrassError
from greengrass_sdk.runtime import birth, documents, logs
from greengrass_sdk.runtime.context import (
    ClientContext,
    FunctionFacts,
    LambdaContext,
    parse_client_context,
)
from greengrass_sdk.runtime.handler import resolve
from greengrass_sdk.runtime.outcome import (
    PayloadError,
    ResultError,
    error_document,
    from_user_code,
    log_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

    from greengrass_sdk._native._abc import Channel
    from greengrass_sdk.runtime.birth import Origins
    from greengrass_sdk.runtime.protocol import SpawnMessage

__all__ = ["DESCRIPTORS", "Output", "Worker", "main"]

DESCRIPTORS = (4, 6)
"""How many a worker is born with: over a stream, and with the shared memory of its rings."""

_BATCH_BYTES = 256 * 1024  # of work that is taken at once
_MESSAGE, _INVOKE, _EVENT = Kind.MESSAGE, Kind.INVOKE, Flag.EVENT
_RESULT_BYTES = 6 * 1024 * 1024  # where the request names no limit
_INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(message: SpawnMessage, fds: list[int], origins: Origins, output: Output) -> NoReturn:
    """
    Be the worker that `message` describes; runs in a child of the zygote.

    Args:
        message: The spawn request.
        fds: Channel, log socket, standard output, standard error; over rings also their shared
            memory and what wakes the core.
        origins: What the zygote looked up once for all its children.
        output: Of this process; its log socket is known only now.
    """
    channel_fd, output.sink.fd, stdout, stderr, *rings = fds
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel_fd)
    worker = Worker(message, _channel(sock, rings, message.get("spin_ns", 0)), output)
    try:
        birth.become(message, stdout, stderr, origins)
    except (GreengrassError, OSError) as error:
        worker.refuse(error)
    worker.start()
    worker.serve()


def _channel(sock: socket.socket, rings: list[int], spin_ns: int) -> Channel:
    if not rings:
        return StreamChannel(sock)
    from greengrass_sdk._native._ring import RingChannel

    return RingChannel(sock, *rings, spin_ns=spin_ns)


class Output:
    """The log socket of a process, and the two streams that write to it."""

    __slots__ = ("sink", "writers")

    def __init__(self) -> None:
        self.sink = logs.LogSocket()
        self.writers = logs.install(self.sink)


class Worker:
    """One function process."""

    __slots__ = (
        "_binary",
        "_boot",
        "_channel",
        "_endpoint",
        "_facts",
        "_forks",
        "_handler",
        "_left",
        "_lines",
        "_message",
        "_pid",
        "_result_bytes",
        "_sink",
        "_writers",
    )

    def __init__(self, message: SpawnMessage, channel: Channel, output: Output) -> None:
        self._message = message
        self._channel = channel
        self._sink = output.sink
        self._writers = output.writers
        self._lines = tuple(writer.lines for writer in output.writers)
        self._pid = os.getpid()
        self._forks = _Forks()
        self._boot = bytes.fromhex(message["boot"])
        self._endpoint = message["endpoint"]
        self._binary = message["encoding"] == "binary"
        self._result_bytes = message["limits"].get("invoke_payload_bytes", _RESULT_BYTES)
        self._facts = FunctionFacts(
            arn=message["arn"],
            name=message["function_name"],
            version=message["version"],
            timeout_s=message["timeout_s"],
            memory_kib=message["memory_kib"],
            stream=f"{message['boot']}{message['worker']:016x}",
            boot=self._boot,
        )
        self._handler: Callable[[Any, Any], Any] | None = None
        self._left = 0  # items in hand behind the one that is handled

    # The import.

    def start(self) -> None:
        """Make this process the function's, then import the handler."""
        message = self._message
        logs.set_level(message["log_level"])
        signal.signal(signal.SIGTERM, self._terminated)
        forks = self._forks
        os.register_at_fork(
            before=forks.begin, after_in_parent=forks.end, after_in_child=forks.end_in_child
        )
        _native.forget_public_modules()
        session.adopt(
            session.Session(
                self._channel,
                endpoint=self._endpoint,
                boot=self._boot,
                identity=message["address"],
                limits=message["limits"],
                strict=message["strict"],
            )
        )
        self.import_handler()

    def import_handler(self) -> None:
        """Import the handler and tell the core; one that cannot be imported ends the process."""
        handler = self._message["handler"]
        try:
            self.load()
        except (SystemExit, KeyboardInterrupt) as exc:
            self._leave_forked_child(exc)
            text = f"handler {handler!r} ended the process while it was imported: {_call(exc)}"
            self._ready(error_document(type(exc)(text).with_traceback(exc.__traceback__)))
            self._exit_with(exc, text)
        except BaseException as exc:  # noqa: BLE001 - whatever a module raises, the core is told
            self._leave_forked_child(exc)
            self.refuse(exc)
        self._leave_forked_child(None)
        self._ready(b"")

    def load(self) -> None:
        """Import the handler; raises whatever the import raises."""
        self._handler = resolve(self._message["handler"], self._message["code"])

    def refuse(self, exc: BaseException) -> NoReturn:
        """Tell the core and the log why there is no handler, and exit."""
        what = f"Failed to import handler function {self._message['handler']!r} due to exception: "
        self._log(logs.FATAL, f"{what}{log_text(exc)}", logs.raised_at(from_user_code(exc)))
        self._ready(error_document(exc))
        self._exit(1)

    def _ready(self, document: bytes) -> None:
        try:
            self._channel.send(
                Kind.READY,
                Flag.FAILED if document else 0,
                endpoint=self._endpoint,
                payload=document,
            )
        except CoreUnavailableError:
            os._exit(0)

    # Serving.

    def serve(self) -> NoReturn:
        """Handle items until the core is gone."""
        receive = self._channel.receive_batch
        try:
            while True:
                frames = receive(_BATCH_BYTES, None)
                self._left = len(frames)
                for frame in frames:
                    self._left -= 1
                    self.handle(frame)
        except CoreUnavailableError:
            # Nobody waits for what threads or exit handlers would still do.
            os._exit(0)

    def handle(self, frame: Frame) -> None:
        """Handle one item; frames that are none belong to nobody."""
        kind = frame.kind
        sent: bytes | ClientContext | None
        if kind == _MESSAGE:
            discard, sent = True, frame.topic
        elif kind == _INVOKE:
            discard = bool(frame.flags & _EVENT)
            sent = self._client_context(frame.context) if frame.context else None
        else:
            return
        flags, result = self._run(frame, sent, discard)
        for lines in self._lines:
            if lines:
                self._end_lines()
        if frame.id:
            more = self._left > 0
            self._channel.answer(flags, self._endpoint, frame.id, result, more=more)

    def _run(
        self,
        frame: Frame,
        sent: bytes | ClientContext | None,
        discard: bool,  # noqa: FBT001 - for every message
    ) -> tuple[int, bytes]:
        """Return the flags and the payload of a RESULT."""
        handler = self._handler
        assert handler is not None  # noqa: S101 - `serve` follows `start`
        forks = self._forks
        try:
            event = frame.payload if self._binary else _parse(frame.payload)
            result = handler(event, LambdaContext(self._facts, frame.id, sent))
            if forks.is_child:
                self._leave_forked_child(None)
            return 0, b"" if discard else self._encode(result)
        except (SystemExit, KeyboardInterrupt) as exc:
            self._leave_forked_child(exc)
            self._exit_with(exc, f"the handler ended the process: {_call(exc)}")
        except BaseException as exc:  # noqa: BLE001 - an outcome, like a result
            self._leave_forked_child(exc)
            return Flag.HANDLED, self._handled(exc)

    def _end_lines(self) -> None:
        for writer in self._writers:
            writer.end_line()

    def _handled(self, exc: BaseException) -> bytes:
        """Log what a handler raised and return its error document."""
        try:
            self._log(logs.ERROR, log_text(exc), logs.raised_at(from_user_code(exc)))
            return error_document(exc)
        except MemoryError:
            # Not even room for a traceback; what the handler held goes with it.
            exc.__traceback__ = None
            return (
                b'{"errorMessage": "out of memory", "errorType": "MemoryError", "stackTrace": []}'
            )

    def _encode(self, result: Any) -> bytes:
        """Return what a handler returned as the payload of its result."""
        if not self._binary:
            try:
                payload = documents.dumps(result)
            except (TypeError, ValueError, RecursionError) as error:
                raise ResultError(
                    f"the handler's result is not JSON serialisable: {error}"
                ) from None
        elif isinstance(result, bytes | bytearray | memoryview):
            payload = bytes(result)
        elif isinstance(result, str):
            payload = result.encode("utf-8", "surrogateescape")
        elif result is None:
            payload = b""
        else:
            raise ResultError(
                "the handler of a function with binary encoding returns bytes or str,"
                f" not {type(result).__name__}"
            )
        if len(payload) > self._result_bytes:
            raise ResultError(
                f"the handler's result has {len(payload)} bytes, the limit is {self._result_bytes}"
                " (invoke_payload_bytes)"
            )
        return payload

    def _client_context(self, data: bytes) -> ClientContext | None:
        try:
            return parse_client_context(data)
        except (ValueError, RecursionError) as error:
            self._log(logs.WARN, f"client context ignored: {error}")
            return None

    # The end.

    def _terminated(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a child that was forked behind Python's back
            os._exit(128 + signal.SIGTERM)
        self._log(logs.INFO, "Caught SIGTERM. Stopping runtime.")
        self._exit(0)

    def _exit_with(self, exc: SystemExit | KeyboardInterrupt, text: str) -> NoReturn:
        """Log why, then end the process with the code that the exception asks for."""
        self._log(logs.ERROR, text, logs.raised_at(from_user_code(exc)))
        self._exit(_exit_code(exc))

    def _exit(self, code: int) -> NoReturn:
        """
        Run exit handlers, send what was printed, and end.

        Threads are not waited for: a function's timers never end by themselves.
        """
        try:
            atexit._run_exitfuncs()  # noqa: SLF001 - os._exit skips them, sys.exit waits for threads
        finally:
            for writer in self._writers:
                writer.end_lines()
            os._exit(code)

    def _leave_forked_child(self, exc: BaseException | None) -> None:
        """End a process that user code forked and that ran back into the worker's loop."""
        if os.getpid() == self._pid:
            return
        code = 0
        if isinstance(exc, SystemExit | KeyboardInterrupt):
            code = _exit_code(exc)
        elif exc is not None:
            self._log(logs.ERROR, log_text(exc), logs.raised_at(from_user_code(exc)))
            code = 1
        self._exit(code)

    def _log(self, level: bytes, text: str, origin: bytes | None = None) -> None:
        where = logs.origin_of(sys._getframe(1)) if origin is None else origin  # noqa: SLF001
        self._sink.write(level, where, text.encode("utf-8", "backslashreplace"))


def _parse(payload: bytes) -> Any:
    """Return the event of a JSON function; V1 calls it with {} when there is no payload."""
    if not payload:
        return {}
    try:
        return documents.loads(payload)
    except RecursionError:
        raise PayloadError("the payload is nested too deeply to be read as JSON") from None
    except ValueError as error:
        raise PayloadError(
            f"the payload is not JSON: {error}; a function that takes other payloads has"
            ' encoding = "binary"'
        ) from None


def _exit_code(exc: SystemExit | KeyboardInterrupt) -> int:
    """Return the exit code that a script would end with."""
    if isinstance(exc, KeyboardInterrupt):
        return _INTERRUPTED
    if exc.code is None:
        return 0
    return exc.code & 0xFF if isinstance(exc.code, int) else 1


def _call(exc: SystemExit | KeyboardInterrupt) -> str:
    if isinstance(exc, KeyboardInterrupt):
        return "KeyboardInterrupt"
    return f"sys.exit({'' if exc.code is None else repr(exc.code)})"


class _Forks:
    """
    Lets SIGTERM end a process that user code forks, as it ends any other process.

    The signal waits while the fork is made: the interpreter would forget one that reached the child
    before the child has the default handler.

    Attributes:
        is_child: Whether this process is such a child.
    """

    __slots__ = ("_masks", "is_child")

    def __init__(self) -> None:
        self._masks: dict[int, set[int]] = {}
        self.is_child = False

    def begin(self) -> None:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._masks[get_ident()] = {int(number) for number in mask}

    def end(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(get_ident(), set()))

    def end_in_child(self) -> None:
        self.is_child = True
        current = signal.getsignal(signal.SIGTERM)
        if getattr(current, "__func__", None) is Worker._terminated:  # noqa: SLF001 - its own handler
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.end()

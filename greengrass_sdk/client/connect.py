# SPDX-License-Identifier: Apache-2.0
"""
From nothing to a session: find a running core, connect to its socket, say hello.

A running core is found by its root, the folder it keeps everything in. Each core registers its root
under its process id in `running_dir()`, and holds the lock of its root while it lives.

Nothing here caches: a core may be restarted, or another one started, between two calls.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from greengrass_sdk.errors import (
    AuthorizationError,
    CoreUnavailableError,
    InvalidInputError,
    RemoteProtocolError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Literal

    from greengrass_sdk._native._abc import Channel
    from greengrass_sdk.client.session import Session

__all__ = [
    "connect_client",
    "connect_tool",
    "find_core",
    "is_running",
    "running_cores",
    "running_dir",
    "write_dir",
]

_HELLO_S = 10.0
_HEAD_BYTES = 24  # of a frame
_WELCOME_BYTES = 65536  # most that a core says to a hello
_DESCRIPTORS = 2  # of a connection over shared memory: the memory, and what wakes the core
_NAME_CHARS = frozenset("-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_START = "start one with `greengrass run FOLDER`"


def running_dir() -> Path:
    """Return the folder in which the running cores of this user are registered."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime):
        return Path(runtime, "greengrass")
    return Path(tempfile.gettempdir(), f"greengrass-{os.geteuid()}")


def running_cores() -> list[tuple[int, Path]]:
    """Return process id and root of every running core of this user, the oldest id first."""
    folder = running_dir()
    try:
        status = folder.lstat()
        names = os.listdir(folder)
    except OSError:
        return []
    if status.st_uid != os.geteuid():
        return []  # somebody else made it, to have us connect to their core
    found = []
    for pid in sorted(int(name) for name in names if name.isdecimal()):
        try:
            text = Path(folder, str(pid)).read_text("utf-8", "surrogateescape")
        except OSError:
            continue  # it ended just now
        root = text.removesuffix("\n")
        if os.path.isabs(root) and is_running(root):
            found.append((pid, Path(root)))
    return found


def is_running(root: str | os.PathLike[str]) -> bool:
    """Return whether a core holds the lock of this root."""
    import fcntl

    path = write_dir(root) / "var" / "state" / "core.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_dir(root: str | os.PathLike[str]) -> Path:
    """Return where the core of a root writes: `<root>/ggc`, or what its `config.json` names."""
    root = Path(root)
    try:
        text = (root / "config" / "config.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return root / "ggc"
    if '"writeDirectory"' in text:
        import json

        try:
            configured = json.loads(text)["writeDirectory"]
        except (ValueError, TypeError, KeyError):
            return root / "ggc"  # the core says what is wrong with it
        if isinstance(configured, str) and os.path.isabs(configured):
            return Path(configured)
    return root / "ggc"


def find_core(root: str | os.PathLike[str] | None = None) -> Path:
    """
    Return the root of the core that is meant.

    In this order: `root`; the environment variable GREENGRASS_ROOT; `.greengrass` in the working
    directory, if a core runs there; the only running core of this user.

    Raises:
        CoreUnavailableError: None runs, or several do and none was named; the message lists them.
    """
    named = root if root is not None else os.environ.get("GREENGRASS_ROOT")
    if named:
        return Path(named).absolute()
    here = Path.cwd() / ".greengrass"
    if is_running(here):
        return here
    cores = running_cores()
    if len(cores) == 1:
        return cores[0][1]
    if not cores:
        raise CoreUnavailableError(f"no core of yours is running; {_START}")
    roots = "\n".join(f"  {root} (pid {pid})" for pid, root in cores)
    raise CoreUnavailableError(
        f"{len(cores)} cores are running; say which one is meant by its root or by"
        f" GREENGRASS_ROOT:\n{roots}"
    )


def connect_client(root: str | os.PathLike[str] | None, name: str) -> Session:
    """
    Connect as `[clients.NAME]`; the token that proves the name is read from the core's state.

    Raises:
        CoreUnavailableError: No core answers.
        AuthorizationError: The core does not know the name, or its token cannot be read.
    """
    if not name or not _NAME_CHARS.issuperset(name):
        raise InvalidInputError(
            f"client name {name!r} must be letters, digits, '-' and '_', as in [clients.NAME]"
        )
    return _connect(find_core(root), "client", name)


def connect_tool(root: str | os.PathLike[str] | None) -> Session:
    """
    Connect as a command of the core's owner.

    Raises:
        CoreUnavailableError: No core answers.
        AuthorizationError: The core is somebody else's.
    """
    return _connect(find_core(root), "tool", None)


def _connect(root: Path, role: Literal["client", "tool"], name: str | None) -> Session:
    from greengrass_sdk import _native
    from greengrass_sdk.client.session import Session
    from greengrass_sdk.wire import control

    written = write_dir(root)
    sock = _open_socket(root, written)
    descriptors: list[int] = []
    try:
        hello = control.Hello(
            role,
            _token(written, name),
            name=name,
            pid=os.getpid(),
            features=[control.RING] if role == "client" and _native.impl == "c" else [],
        )
        answer = _ask(sock, control.encode(hello.to_wire()), descriptors)
        welcome = control.parse_welcome(control.decode(answer))
        if (control.RING in welcome.features) != bool(descriptors):
            raise RemoteProtocolError("the core's welcome and the descriptors do not match")
        channel = _channel(sock, descriptors, welcome.spin_ns)
    except TimeoutError as error:
        sock.close()
        raise CoreUnavailableError(
            f"the core of {root} accepted the connection but did not answer within {_HELLO_S:g} s"
        ) from error
    except BaseException:
        sock.close()
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return Session(
        channel,
        welcome.endpoint,
        welcome.boot,
        welcome.address,
        welcome.limits,
        strict=welcome.strict,
    )


def _ask(sock: socket.socket, hello: bytes, descriptors: list[int]) -> bytes:
    """
    Say hello and return the answer; append the descriptors that come with it, or none.

    No byte behind the answer is read: it may belong to a message.

    Raises:
        TimeoutError: The core said nothing.
        CoreUnavailableError: It ended the connection.
        RemoteProtocolError: It said something else.
    """
    import socket

    from greengrass_sdk._native import FrameDecoder, Kind, encode_frame

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            part, found, _, _ = socket.recv_fds(sock, size - len(data), _DESCRIPTORS)
            descriptors.extend(found)
            if not part:
                raise CoreUnavailableError("the core ended the connection; is it still running?")
            data += part
        return data

    sock.settimeout(_HELLO_S)
    try:
        sock.sendall(encode_frame(Kind.CONTROL, id=1, payload=hello))
        head = read(_HEAD_BYTES)
        decoder = FrameDecoder(_WELCOME_BYTES)
        size = int.from_bytes(head[:4], "little")
        frames = decoder.feed(head)  # which checks that size
        frames = frames or decoder.feed(read(size - _HEAD_BYTES))
    except (BrokenPipeError, ConnectionResetError) as error:
        raise CoreUnavailableError("the core ended the connection; is it still running?") from error
    if len(descriptors) not in {0, _DESCRIPTORS}:
        raise RemoteProtocolError(f"a welcome came with {len(descriptors)} descriptors")
    if frames[0].kind != Kind.CONTROL:
        raise RemoteProtocolError(f"the core answered a hello with a frame of {frames[0].kind}")
    return frames[0].payload


def _channel(sock: socket.socket, descriptors: list[int], spin_ns: int) -> Channel:
    """Return the channel over a socket, and over the memory behind `descriptors` if there is."""
    if not descriptors:
        from greengrass_sdk._native._py.channel import StreamChannel

        return StreamChannel(sock)
    from greengrass_sdk._native._ring import RingChannel

    memory = descriptors.pop(0)  # closed in any case
    channel = RingChannel(sock, memory, descriptors[0], spin_ns=spin_ns)
    descriptors.clear()
    return channel


def _open_socket(root: Path, written: Path) -> socket.socket:
    """Connect to the socket of a core, however long its path is."""
    import socket

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = os.open(written, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A socket address holds 108 bytes; the way through our own descriptor is short.
            near = f"/proc/self/fd/{folder}"
            sock.connect(f"{near if os.path.isdir(near) else written}/ipc.sock")
        finally:
            os.close(folder)
    except PermissionError as error:
        sock.close()
        raise AuthorizationError(
            f"the core of {root} belongs to another user; only its owner may connect"
        ) from error
    except OSError as error:
        sock.close()
        beside = root / ".greengrass"  # where `greengrass run` keeps the state of a project
        hint = f"the root of that project is {beside}" if beside.is_dir() else _START
        raise CoreUnavailableError(
            f"no core is running at {root} ({error.strerror}); {hint}"
        ) from error
    return sock


def _token(written: Path, name: str | None) -> str:
    """Return the token that proves a client's name, or that we may read the owner's files."""
    state = written / "var" / "state"
    path = state / "tool.token" if name is None else state / "tokens" / name
    try:
        token = path.read_text("ascii").strip()
    except FileNotFoundError as error:
        raise AuthorizationError(
            f"the group of this core declares no client {name!r}; add [clients.{name}] to it"
            if name is not None
            else f"{path} is missing; restart the core"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise AuthorizationError(f"cannot read the token {path}: {error}") from error
    if not token:
        raise AuthorizationError(f"the token {path} is empty; restart the core")
    return token

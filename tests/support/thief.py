# SPDX-License-Identifier: Apache-2.0
"""
A function that is after the secret of another one, by every way that a process has.

The text of this file is deployed as the code of a function. With ANOTHER_USER set it becomes one
when all is imported: the interpreter may lie where others cannot read.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from pathlib import Path
from typing import Any

import greengrasssdk
from greengrass_sdk import Client
from greengrass_sdk._native import Kind
from greengrass_sdk.client.session import current

UID = 54323  # of nobody on this host
SERVICE = b"arn:aws:lambda:::function:GGSecretManager:1"
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
PIDFD_GETFD, PIDFD_OPEN = 438, 434
GET_DUMPABLE = 3

libc = ctypes.CDLL(None, use_errno=True)
client = Client()
v1 = greengrasssdk.client("secretsmanager")


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def become_another_user() -> None:
    if os.environ.get("ANOTHER_USER") and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)


def handler(event: Any, context: Any) -> Any:
    return globals()[f"by_{event.pop('way')}"](**event)


def by_name(secret: str) -> list[str]:
    """Ask both SDKs."""
    told = []
    for ask in (
        lambda: client.secret(secret).text,
        lambda: v1.get_secret_value(SecretId=secret)["SecretString"],
    ):
        try:
            told.append(ask())
        except Exception as error:  # noqa: BLE001 - whatever it is
            told.append(f"{type(error).__name__}: {error}")
    return told


def by_context(secret: str, arn: str) -> Any:
    """Claim to be the other one."""
    claim = {"custom": {"source": arn, "subject": secret}, "client": {"functionArn": arn}}
    os.environ["MY_FUNCTION_ARN"] = arn
    asked = {"SecretId": secret, "functionArn": arn, "source": arn}
    return client.invoke(SERVICE.decode(), asked, client_context=claim).json()


def by_frame(secret: str, endpoint: int) -> str:
    """Ask past the SDK, in the name of an endpoint."""
    session = current(None)
    assert session is not None
    payload = b'{"SecretId": "' + secret.encode() + b'"}'
    return session.channel.call(
        Kind.INVOKE, 0, endpoint, SERVICE, b"", payload, 10.0
    ).payload.decode()


def by_socket(path: str) -> str:
    """Connect to the core as a program would."""
    with socket.socket(socket.AF_UNIX) as sock:
        return _attempt(lambda: sock.connect(path))


def by_files(folder: str) -> list[str]:
    """Return what can be opened under a folder, and every secret in it."""
    opened = []
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                opened.append(f"{name}: {Path(parent, name).read_bytes()!r}")
    return opened


def by_path(paths: list[str]) -> list[str]:
    """Try to read files that are known to be there."""
    return [_attempt(Path(path).read_bytes) for path in paths]


def by_process(pid: int) -> dict[str, str]:
    """Try everything that looks into another process."""
    found = {
        name: _attempt(lambda name=name: Path(f"/proc/{pid}/{name}").open("rb").read(1))  # noqa: SIM115
        for name in ("mem", "environ", "maps", "auxv", "stack")
    }
    found["fd"] = _attempt(lambda: list(Path(f"/proc/{pid}/fd").iterdir()))
    found["map_files"] = _attempt(lambda: list(Path(f"/proc/{pid}/map_files").iterdir()))
    found["attach"] = _system(lambda: libc.ptrace(PTRACE_ATTACH, pid, None, None))
    found["seize"] = _system(lambda: libc.ptrace(PTRACE_SEIZE, pid, None, None))
    room = ctypes.create_string_buffer(8)
    ours = Iovec(ctypes.cast(room, ctypes.c_void_p), 8)
    theirs = Iovec(ctypes.cast(room, ctypes.c_void_p), 8)
    found["process_vm_readv"] = _system(
        lambda: libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
    )
    pidfd = os.pidfd_open(pid)
    for number in range(3, 20):
        got = _system(lambda number=number: libc.syscall(PIDFD_GETFD, pidfd, number, 0))
        if got != "EPERM":
            found[f"pidfd_getfd {number}"] = got
    found["pidfd_getfd"] = _system(lambda: libc.syscall(PIDFD_GETFD, pidfd, 3, 0))
    os.close(pidfd)
    return found


def by_itself() -> dict[str, Any]:
    """Tell who this is."""
    return {"uid": os.getuid(), "pid": os.getpid(), "dumpable": libc.prctl(GET_DUMPABLE)}


def _attempt(action: Any) -> str:
    try:
        return repr(action())
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def _system(action: Any) -> str:
    ctypes.set_errno(0)
    result = action()
    return errno.errorcode[ctypes.get_errno()] if result == -1 else repr(result)


become_another_user()

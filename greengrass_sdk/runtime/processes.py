# SPDX-License-Identifier: Apache-2.0
"""
What Linux offers to a parent of processes, beyond the `os` module.

A zygote imports this once, before it forks, so that a child calls `prctl` without importing
anything. `ctypes` is loaded here and nowhere else in a function's process.

The rule for processes that a function leaves behind (Greengrass V1 guide, "Considerations when
choosing Lambda function containerization"): without a container, children that ignore SIGHUP or
have a session of their own survive the function; all others must not. :func:`hang_up` enforces it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "Survivor",
    "Title",
    "adopt_orphans",
    "die_with_parent",
    "environment_of",
    "hang_up",
    "hang_up_sessions",
    "orphans",
    "session_of",
    "set_dumpable",
    "set_name",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_NAME_BYTES = 15
_COMMAND_BYTES = 200
_HANGUP_BIT = 1 << (signal.SIGHUP - 1)

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]

# Made here: each size of such a buffer is a new class, and classes take long to make.
_name = ctypes.create_string_buffer(_NAME_BYTES + 1)


def _set(option: int, value: int) -> None:
    if _prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")


def adopt_orphans() -> None:
    """Become the parent of every process below this one that loses its own."""
    _set(_PR_SET_CHILD_SUBREAPER, 1)


def set_dumpable(allowed: bool) -> None:  # noqa: FBT001 - the kernel's own word and value
    """
    Let other processes of the same user into this one's memory, or keep them out.

    A change of user sets it anew, so that belongs before this.
    """
    _set(_PR_SET_DUMPABLE, int(allowed))


def die_with_parent(parent: int) -> None:
    """
    Be killed when the parent dies; exit now if `parent` has died already.

    A change of user undoes it, so that belongs before this.
    """
    _set(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def set_name(name: bytes) -> None:
    """Set the name that `ps -o comm` and `top` show; the kernel keeps 15 bytes."""
    _name.value = name[:_NAME_BYTES]
    _set(_PR_SET_NAME, ctypes.addressof(_name))


class Title:
    """
    The command line as `ps aux` shows it, `ps aux | grep FUNCTION` being how people look for one.

    The kernel reads it from where it once put the arguments and, behind them, the environment.
    :meth:`set` overwrites both: nothing may point into the old environment any more.
    """

    __slots__ = ("_bytes", "_start")

    def __init__(self) -> None:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        # Fields 48 to 51 of proc(5): arg_start, arg_end, env_start, env_end.
        start, arguments_end, environment_start, environment_end = map(int, fields[45:49])
        end = environment_end if arguments_end == environment_start else arguments_end
        self._start = start
        self._bytes = end - start if start else 0

    def set(self, title: bytes) -> None:
        """Show `title`, as much of it as there is room for."""
        if self._bytes > 1:
            text = title[: self._bytes - 1]
            ctypes.memmove(self._start, text.ljust(self._bytes, b"\0"), self._bytes)


class Survivor:
    """A process that outlives the worker that started it."""

    __slots__ = ("command", "pid")

    def __init__(self, pid: int, command: str) -> None:
        self.pid = pid
        self.command = command


def orphans(known: Collection[int]) -> list[int]:
    """Return the children of this single-threaded process that it did not fork itself."""
    pid = os.getpid()
    try:
        with open(f"/proc/self/task/{pid}/children", "rb") as file:
            children = [int(child) for child in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        children = [child for child, stat in _processes() if stat[0] == pid]
    return [child for child in children if child not in known]


def hang_up(leader: int, left: Iterable[int]) -> list[Survivor]:
    """
    Send SIGHUP to the session of a worker that has died and is not reaped yet; say who survives.

    Args:
        leader: The worker. As long as it is a zombie, its number cannot mean anybody else.
        left: Its children, which are now ours.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGHUP)
    left = list(left)
    if not left:
        return []
    tree = dict(_processes())
    hang_up_sessions({leader}, tree)
    family = set(left)
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in tree.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return [
        Survivor(pid, _command(pid))
        for pid in sorted(family)
        if pid in tree and (tree[pid][1] != leader or _withstands_hangup(pid))
    ]


def hang_up_sessions(
    leaders: Collection[int], tree: dict[int, tuple[int, int]] | None = None
) -> None:
    """
    Send SIGHUP to all members of sessions, also those in process groups of their own.

    SIGCONT goes with it, as from the kernel to an orphaned group: a stopped process hears it too.
    """
    for pid, (_, session) in (dict(_processes()) if tree is None else tree).items():
        if session in leaders and pid != session:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGHUP)
                os.kill(pid, signal.SIGCONT)


def session_of(pid: int) -> int | None:
    """Return the session of a process, None if it is gone."""
    stat = _stat(pid)
    return stat[1] if stat else None


def environment_of(pid: int, name: bytes) -> bytes | None:
    """Return a variable that a process was started with, None if that is not readable."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    prefix = name + b"="
    return next((item[len(prefix) :] for item in variables if item.startswith(prefix)), None)


def _withstands_hangup(pid: int) -> bool:
    """Whether a process ignores SIGHUP or handles it."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    masks = (int(line[7:], 16) for line in lines if line.startswith((b"SigIgn:", b"SigCgt:")))
    return any(mask & _HANGUP_BIT for mask in masks)


def _command(pid: int) -> str:
    for name in ("cmdline", "comm"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                words = file.read(_COMMAND_BYTES).replace(b"\0", b" ").strip()
        except OSError:
            break
        if words:
            return words.decode("utf-8", "replace")
    return "?"


def _processes() -> Iterable[tuple[int, tuple[int, int]]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(int(name))
            if stat is not None:
                yield int(name), stat


def _stat(pid: int) -> tuple[int, int] | None:
    """Return parent and session of a process; None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else (int(fields[1]), int(fields[3]))

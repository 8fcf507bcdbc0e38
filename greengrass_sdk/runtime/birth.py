# SPDX-License-Identifier: Apache-2.0
"""
From a fresh fork of the zygote to the process of one function, before any user code.

:func:`settle` is what every child does, before anybody asks for a function; :func:`become` is what
the request adds, and its order matters: limits and groups while there is the privilege to set them,
then the user, then what a change of user resets (undumpable, the parent-death signal). Every
microsecond of `become` is part of a function's cold start: no imports, no look at /proc.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

from greengrass_sdk.errors import GreengrassError
from greengrass_sdk.runtime import processes
from greengrass_sdk.runtime.preload import DROPIN_FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from greengrass_sdk.runtime.protocol import SpawnMessage

__all__ = ["Origins", "become", "import_path", "settle", "take_environment"]


class Origins:
    """What a zygote hands to its children beside the request: facts it looked up once."""

    __slots__ = ("debuggable", "dropin", "path", "pid", "title")

    def __init__(
        self,
        *,
        pid: int,
        path: list[str],
        dropin: dict[str, ModuleType],
        title: processes.Title,
        debuggable: bool,
    ) -> None:
        self.pid = pid
        self.path = path
        self.dropin = dropin
        self.title = title
        self.debuggable = debuggable


def settle(origins: Origins) -> None:
    """Leave the zygote behind: a session and signals of its own, no life without the parent."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    processes.die_with_parent(origins.pid)


def become(message: SpawnMessage, stdout: int, stderr: int, origins: Origins) -> None:
    """
    Turn this child of a zygote into the process that `message` describes.

    Raises:
        GreengrassError: The host does not allow it; the text says which part and why.
    """
    _refuse_isolation(message)
    _take_outputs(stdout, stderr, message["uid"], message["gid"])
    limit(message["rlimits"])
    changed = _change_user(message["uid"], message["gid"], message["groups"])
    if changed:
        processes.set_dumpable(origins.debuggable)
        processes.die_with_parent(origins.pid)
    take_on(message, origins)


def take_on(message: SpawnMessage, origins: Origins) -> None:
    """
    Take on what says whose process this is: environment, names, working folder, import path.

    Raises:
        GreengrassError: There is no such working folder.
    """
    take_environment(message["environment"])
    name = message["name"]
    processes.set_name(name.encode())
    origins.title.set(f"greengrass function {name} ({message['handler']})".encode())
    try:
        os.chdir(message["cwd"])
    except OSError as error:
        raise GreengrassError(f"working folder of function {name!r}: {error}") from error
    sys.argv = [name]
    sys.path[:] = import_path(message, origins.path)
    if sys.path[0] == DROPIN_FOLDER:
        sys.modules.update(origins.dropin)


def import_path(message: SpawnMessage, base: list[str]) -> list[str]:
    """
    Return what `sys.path` is in a worker.

    First what the request names (the drop-in before or behind the code folder), then the code
    folder, then the function's own PYTHONPATH, then the interpreter's `base`.
    """
    path = list(message["sys_path"])
    own = message["environment"].get("PYTHONPATH", "")
    for folder in (message["code"], *own.split(os.pathsep)):
        if folder and folder not in path:
            path.append(folder)
    return path + [folder for folder in base if folder not in path]


def _refuse_isolation(message: SpawnMessage) -> None:
    """Refuse what this version cannot give, instead of running without it."""
    for part in ("cgroup", "namespaces", "mounts"):
        if message.get(part):
            raise GreengrassError(
                f"function {message['name']!r} asks for {part}, which this version cannot give"
            )


def _take_outputs(stdout: int, stderr: int, uid: int | None, gid: int | None) -> None:
    for source, target in ((stdout, 1), (stderr, 2)):
        if (uid is not None or gid is not None) and os.geteuid() == 0:
            # A script that opens /dev/stderr needs the pipe to belong to its user.
            os.fchown(source, -1 if uid is None else uid, -1 if gid is None else gid)
        os.dup2(source, target)
        os.close(source)


def limit(rlimits: dict[str, list[int]]) -> None:
    for name, (soft, hard) in rlimits.items():
        try:
            resource.setrlimit(getattr(resource, name), (soft, hard))
        except (AttributeError, ValueError, OSError) as error:
            raise GreengrassError(f"resource limit {name!r} = [{soft}, {hard}]: {error}") from error


def _change_user(uid: int | None, gid: int | None, groups: list[int] | None) -> bool:
    """Take the identity of the function; return whether anything was to change."""
    if uid is None and gid is None and groups is None:
        return False
    try:
        if groups is not None:
            os.setgroups(groups)
        elif os.geteuid() == 0:
            os.setgroups([os.getegid() if gid is None else gid])
        if gid is not None:
            os.setresgid(gid, gid, gid)
        if uid is not None:
            os.setresuid(uid, uid, uid)
    except OSError as error:
        raise GreengrassError(
            f"cannot run as uid {uid}, gid {gid}, groups {groups}: {error.strerror};"
            " only a core that was started by root can run functions as another user"
        ) from error
    return True


def take_environment(environment: dict[str, str]) -> None:
    """Replace the whole environment."""
    zone = os.environ.get("TZ")
    # Not `clear` and `update`, whose detours through the mapping mixins take several times as long.
    for name in list(os.environ):
        del os.environ[name]
    for name, value in environment.items():
        os.environ[name] = value
    if environment.get("TZ") != zone:
        time.tzset()

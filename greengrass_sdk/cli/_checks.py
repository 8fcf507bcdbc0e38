# SPDX-License-Identifier: Apache-2.0
"""
The checks of `greengrass doctor`. Each looks at one thing, changes nothing, and says what to do.

`fail` means that a core cannot run here, `warn` that something is missing or weaker than it could
be, `info` that it is good to know.
"""

from __future__ import annotations

import grp
import importlib.util
import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FAIL", "INFO", "OK", "WARN", "Check", "all_checks"]

OK, INFO, WARN, FAIL = "ok", "info", "warn", "fail"

REQUIRED = ("attrs", "msgpack", "paho-mqtt", "cffi", "typing-extensions")
MINOR_VERSIONS = range(11, 20)
SOCKET_PATH_BYTES = 107
PROBE_TIMEOUT_S = 10.0


class Check(NamedTuple):
    """What one check found."""

    name: str
    state: str
    text: str
    advice: str = ""


def all_checks() -> list[Check]:
    """Run every check."""
    groups: tuple[Callable[[], Iterator[Check]], ...] = (
        installation,
        interpreters,
        native,
        kernel,
        identities,
        sockets,
        cores,
    )
    return [check for group in groups for check in group()]


def installation() -> Iterator[Check]:
    """Look at this interpreter and the packages in it."""
    import greengrass_sdk

    version = ".".join(str(part) for part in sys.version_info[:3])
    place = Path(greengrass_sdk.__file__ or "").parent
    yield Check("python", OK, f"{version}, {sys.executable}")
    yield Check("package", OK, f"greengrass_sdk {greengrass_sdk.__version__} in {place}")
    missing = [name for name in REQUIRED if _version(name) is None]
    if missing:
        command = f"{sys.executable} -m pip install {' '.join(missing)}"
        yield Check("requirements", FAIL, f"missing: {', '.join(missing)}", command)
    else:
        found = ", ".join(f"{name} {_version(name)}" for name in REQUIRED)
        yield Check("requirements", OK, found)
    yield _sdk_of_scripts()


def _sdk_of_scripts() -> Check:
    spec = importlib.util.find_spec("greengrasssdk")
    origin = "" if spec is None or spec.origin is None else spec.origin
    if not origin:
        text = "no script outside of a core can import greengrasssdk; functions can"
        return Check("greengrasssdk", INFO, text)
    owner = "ours" if "greengrass_sdk" in Path(origin).parts else "another package's"
    text = f"scripts import {owner}: {origin}; functions always get the one their group names"
    return Check("greengrasssdk", INFO, text)


def interpreters() -> Iterator[Check]:
    """List the Pythons on PATH that a function's `python` could name."""
    found = []
    for minor in MINOR_VERSIONS:
        path = shutil.which(f"python3.{minor}")
        if path is not None and _runs(path):
            found.append(f"python3.{minor}")
    text = f"on PATH: {', '.join(found) or 'none by its version'}"
    yield Check("pythons", INFO, text, "each needs greengrass-core installed to run functions")


def _runs(path: str) -> bool:
    """Return whether an interpreter starts; version managers leave scripts that do not."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", ""], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def native() -> Iterator[Check]:
    """Say whether C or Python moves the messages, and whether C could be built."""
    from greengrass_sdk import _native

    wanted = os.environ.get("GREENGRASS_SDK_NATIVE", "auto")
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    if _native.impl == "c":
        yield Check("native", OK, "the C extension is loaded")
    else:
        why = "asked for by GREENGRASS_SDK_NATIVE" if wanted == "python" else "not built or broken"
        advice = "with a compiler and Python's headers, install greengrass-core again"
        if wanted == "python":
            advice = ""
        elif compiler and headers:
            advice = "install greengrass-core again with `pip install -v`, which shows why"
        yield Check("native", WARN, f"pure Python ({why}): everything works, slower", advice)
    needed = _native.impl != "c" and wanted != "python"
    yield Check(
        "compiler",
        OK if compiler and headers else WARN if needed else INFO,
        f"{compiler or 'no C compiler'}, {'with' if headers else 'without'} Python headers",
        "" if compiler and headers else "Debian, Ubuntu: apt install gcc python3-dev",
    )


def kernel() -> Iterator[Check]:
    """Try what the core and its zygotes ask of the kernel."""
    system = platform.system()
    if system != "Linux":
        text = f"{system}: the SDK and the test doubles run here, a core does not"
        yield Check("kernel", FAIL, text, "run the core on Linux, or in a container or VM")
        return
    yield Check("kernel", OK, f"Linux {platform.release()}, {platform.machine()}")
    yield _try("pidfd", _try_pidfd, FAIL, "needs Linux 5.3 and a container that allows it")
    yield _try("memfd", _try_memfd, FAIL, "needs Linux 3.17 and a container that allows it")
    yield _user_namespaces()
    for name in ("hardlinks", "symlinks"):
        value = _read(f"/proc/sys/fs/protected_{name}")
        if value == "0":
            text = "off: users can plant links for root to follow"
            yield Check(f"protected_{name}", WARN, text, f"sysctl fs.protected_{name}=1")


def _try(name: str, attempt: Callable[[], object], state: str, advice: str) -> Check:
    try:
        attempt()
    except (OSError, AttributeError) as error:
        return Check(name, state, f"not available: {error}", advice)
    return Check(name, OK, "available")


def _try_pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _try_memfd() -> None:
    os.close(os.memfd_create("doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))


def _user_namespaces() -> Check:
    limit = _read("/proc/sys/user/max_user_namespaces")
    refused = {
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    }
    for setting, value in refused.items():
        if os.geteuid() != 0 and _read(setting) == value:
            text = f"kept from users by {setting}"
            return Check("user namespaces", INFO, text, "only containers of functions need them")
    if limit in (None, "0"):
        text = "not available; only containers of functions will need them"
        return Check("user namespaces", INFO, text)
    return Check("user namespaces", OK, "available")


def identities() -> Iterator[Check]:
    """Look for the accounts of the service, and say what one uid for all means."""
    missing = []
    for name, look in (("ggc_user", pwd.getpwnam), ("ggc_group", grp.getgrnam)):
        try:
            look(name)
        except KeyError:
            missing.append(name)
    if missing:
        text = f"missing: {', '.join(missing)}; only the service greengrassd needs them"
        advice = "addgroup --system ggc_group; adduser --system --ingroup ggc_group ggc_user"
        yield Check("ggc_user", INFO, text, advice)
    else:
        yield Check("ggc_user", OK, "ggc_user and ggc_group exist")
    yield from _reachable(needed=os.geteuid() == 0 or not missing)
    user = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    yield Check(
        "isolation",
        WARN,
        f"`greengrass run` starts functions as {user}, like the core: they can end each other "
        "and read this user's files, the key of the secrets among them",
        "run functions you do not trust by greengrassd, each with a run_as of its own",
    )


def _reachable(*, needed: bool) -> Iterator[Check]:
    """Look for an interpreter that other users cannot use, such as one in somebody's home."""
    import greengrass_sdk

    paths = {Path(sys.executable), Path(sys.base_prefix), Path(greengrass_sdk.__file__ or "")}
    paths |= {Path(path) for minor in MINOR_VERSIONS if (path := shutil.which(f"python3.{minor}"))}
    for found in sorted({*paths, *(each.resolve() for each in paths)}):
        closed = next((str(one) for one in reversed(found.parents) if _is_closed(one)), None)
        if closed is not None:
            yield Check(
                "other users",
                WARN if needed else INFO,
                f"{found} is out of reach for them ({closed} lets nobody else in): functions that "
                "run as ggc_user or with a run_as would fail in their imports",
                f"install Python and greengrass-core elsewhere (/opt), or chmod o+x {closed}",
            )
            return


def _is_closed(folder: Path) -> bool:
    """Return whether a folder lets only its owner and group in."""
    try:
        return not folder.stat().st_mode & stat.S_IXOTH
    except OSError:
        return True


def sockets() -> Iterator[Check]:
    """Look at where the core is found and connected to."""
    from greengrass_sdk.client.connect import running_dir

    folder = Path(running_dir())
    yield _running_dir(folder)
    if not Path("/proc/self/fd").is_dir():
        text = "/proc is not mounted: sockets under long paths cannot be reached"
        yield Check("sockets", FAIL, text, "mount -t proc proc /proc")
        return
    path = Path.cwd() / ".greengrass" / "ggc" / "ipc.sock"
    size = len(os.fsencode(path))
    long = size > SOCKET_PATH_BYTES
    how = (
        "longer than a socket address, reached through /proc/self/fd"
        if long
        else "reached as it is"
    )
    yield Check("sockets", OK, f"a core in this folder would listen on {path} ({how})")


def _running_dir(folder: Path) -> Check:
    name = "running cores"
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return Check(name, OK, f"are registered in {folder} (made by the first)")
    if found.st_uid != os.geteuid():
        text = f"{folder} belongs to uid {found.st_uid}: commands need --root to find a core"
        return Check(name, WARN, text, "remove it, or set XDG_RUNTIME_DIR to a folder of yours")
    return Check(name, OK, f"are registered in {folder}")


def cores() -> Iterator[Check]:
    """List the cores of this user that run."""
    from greengrass_sdk.client.connect import running_cores

    found = list(running_cores())
    if not found:
        yield Check("core", INFO, "none of yours is running")
    for pid, root in found:
        yield Check("core", INFO, f"pid {pid}, root {root}")


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

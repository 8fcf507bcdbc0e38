# SPDX-License-Identifier: Apache-2.0
"""
Where everything lies on disk: the tree of the Greengrass V1 guide below a root.

Nothing else in the core joins path names. What is written lies below the write directory, which is
`<root>/ggc` unless `config.json` names another; so the root itself may be read-only.
`docs/reference/on-disk-layout.md` shows the tree.

`Layout.create` makes the folders, `Layout.lock` keeps a second core off the same root, and
`Layout.announce` tells commands and clients of this user that a core runs here.

Ref: Greengrass V1 guide, "Configure a write directory for AWS IoT Greengrass", "FileSystem logs"
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.converters import optional

from greengrass_sdk.client.connect import running_dir
from greengrass_sdk.errors import ConfigError, InvalidInputError
from greengrass_sdk.model.arn import GGC_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SERVICE_ROOT", "Layout", "write_atomic"]

log = logging.getLogger(__name__)

SERVICE_ROOT = Path("/greengrass")
SERVICE_PID_FILE = Path("/var/run/greengrassd.pid")
DEVELOPMENT_ROOT_NAME = ".greengrass"

# Owners of functions must reach their code; what the core keeps about itself is its own business.
_OPEN = 0o755
_PRIVATE = 0o700

_PATH_TEXT = ("utf-8", "surrogateescape")

_PROBE_ATTEMPTS = 50
_PROBE_WAIT_S = 0.01


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", and links stay as named


@frozen
class Layout:
    """The paths below one root. Building one touches no disk."""

    root: Path = field(converter=_absolute)
    write_dir: Path | None = field(default=None, converter=optional(_absolute))

    # --- what is read

    @property
    def config_file(self) -> Path:
        """V1's `config.json`."""
        return self.root / "config" / "config.json"

    @property
    def certs_dir(self) -> Path:
        """Where `caPath`, `certPath` and `keyPath` of `config.json` are relative to."""
        return self.root / "certs"

    @property
    def control_script(self) -> Path:
        """The script behind `cd /greengrass/ggc/core; sudo ./greengrassd start`."""
        return self.root / "ggc" / "core" / "greengrassd"

    @property
    def daemon_script(self) -> Path:
        """What the core runs as, so that `ps` shows the name that the guide looks for."""
        return self.root / "ggc" / "packages" / GGC_VERSION / "bin" / "daemon"

    # --- what is written

    @property
    def writable(self) -> Path:
        """The write directory: `<root>/ggc` unless configured."""
        return self.write_dir if self.write_dir is not None else self.root / "ggc"

    @property
    def group_dir(self) -> Path:
        """Where the deployed group lies."""
        return self.writable / "deployment" / "group"

    @property
    def lambdas_dir(self) -> Path:
        """Where the code of the deployed functions lies, a folder per qualified ARN."""
        return self.writable / "deployment" / "lambda"

    def lambda_dir(self, arn: str) -> Path:
        """
        Return where the code of one function lies.

        Ref: Greengrass V1 guide, module 5: `ggc/deployment/lambda/<function version ARN>/`
        """
        return self.lambdas_dir / _file_name(arn)

    def resources_dir(self, arn: str) -> Path:
        """Return the folder in which a function finds its local resources."""
        return self.writable.joinpath("deployment", "resources", _file_name(arn))

    @property
    def log_dir(self) -> Path:
        """Top of all logs."""
        return self.writable / "var" / "log"

    @property
    def system_log_dir(self) -> Path:
        """Logs of the core: `runtime.log` and one per service."""
        return self.log_dir / "system"

    @property
    def crash_log(self) -> Path:
        """What made a core end."""
        return self.log_dir / "crash.log"

    def user_log(self, region: str, account: str, name: str) -> Path:
        """Return the log of one function; its versions share it, as the guide says."""
        folder = self.log_dir / "user" / _file_name(region) / _file_name(account)
        return folder / f"{_file_name(name)}.log"

    @property
    def state_dir(self) -> Path:
        """What the core remembers."""
        return self.writable / "var" / "state"

    @property
    def tokens_dir(self) -> Path:
        """One token per `[clients.NAME]`, readable by its owner only."""
        return self.state_dir / "tokens"

    @property
    def tool_token(self) -> Path:
        """The token of the commands (`greengrass publish`, `status`, ...)."""
        return self.state_dir / "tool.token"

    @property
    def shadow_database(self) -> Path:
        """The shadows, with their write-ahead log beside."""
        return self.state_dir / "shadows.db"

    @property
    def stream_dir(self) -> Path:
        """The streams, unless the group says where they are."""
        return self.state_dir / "streams"

    @property
    def secret_database(self) -> Path:
        """The secrets, encrypted, with their write-ahead log beside."""
        return self.state_dir / "secrets.db"

    @property
    def secret_key(self) -> Path:
        """The key of the secrets where `config.json` names none."""
        return self.state_dir / "secrets.key"

    @property
    def lock_file(self) -> Path:
        """Locked while a core runs; holds its process id."""
        return self.state_dir / "core.lock"

    @property
    def ipc_socket(self) -> Path:
        """Where local programs connect."""
        return self.writable / "ipc.sock"

    @property
    def pid_file(self) -> Path:
        """The process id for service managers; that of `/greengrass` is where V1 had it."""
        if self.root == SERVICE_ROOT:
            return SERVICE_PID_FILE
        return self.state_dir / "greengrassd.pid"

    # --- making it

    def create(self) -> None:
        """
        Make the folders and scripts that are missing; what is there stays as it is.

        A root called `.greengrass` (that of `greengrass run`) gets a `.gitignore` of `*`.

        Raises:
            ConfigError: A folder cannot be made or used; names it, the reason and what to do.
        """
        root_writable = self._make_root()
        for folder, mode in (
            (self.writable, _OPEN),
            (self.writable / "deployment", _OPEN),
            (self.group_dir, _OPEN),  # code may lie beside the group file
            (self.lambdas_dir, _OPEN),
            (self.writable / "var", _OPEN),
            (self.log_dir, _PRIVATE),
            (self.system_log_dir, _PRIVATE),
            (self.log_dir / "user", _PRIVATE),
            (self.state_dir, _PRIVATE),
            (self.tokens_dir, _PRIVATE),
        ):
            _make_folder(folder, mode, "folder")
        if root_writable:
            self._furnish_root()

    def _make_root(self) -> bool:
        """Return whether the root can be written to; with a write directory it need not be."""
        try:
            _make_folder(self.root, _OPEN, "root", parents=True)
        except ConfigError:
            if self.write_dir is None or not self.root.is_dir():
                raise
            if not _may(self.root, os.R_OK | os.X_OK):
                raise
            return False
        if self.write_dir is not None:
            _make_folder(self.write_dir, _OPEN, "write directory", parents=True)
        return True

    def _furnish_root(self) -> None:
        for folder in (self.root / "config", self.certs_dir):
            _make_folder(folder, _OPEN, "folder")
        for script, body in ((self.control_script, _CONTROL), (self.daemon_script, _DAEMON)):
            _make_folder(script.parent, _OPEN, "folder", parents=True)
            up = os.path.relpath(self.root, script.parent)
            _write_if_changed(script, _script(up, body), _OPEN)
        ignore = self.root / ".gitignore"
        if self.root.name == DEVELOPMENT_ROOT_NAME and not ignore.exists():
            _write_if_changed(ignore, "*\n", 0o644)

    # --- one core per root

    @contextmanager
    def lock(self) -> Iterator[None]:
        """
        Hold the root for this process; the kernel lets go of it however the process ends.

        Raises:
            ConfigError: Another core holds it (the text names its pid), or it cannot be locked.
        """
        descriptor = self._acquire()
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            yield
        finally:
            # The file stays: removing it would let a third core lock a new one beside the second.
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def _acquire(self) -> int:
        for _ in range(_PROBE_ATTEMPTS):
            descriptor = self._open_lock()
            try:
                if self._try_lock(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            time.sleep(_PROBE_WAIT_S)
        raise self._busy()

    def _open_lock(self) -> int:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            return os.open(self.lock_file, flags, 0o600)
        except OSError as error:
            raise _trouble("lock file", self.lock_file, "open", error) from error

    def _try_lock(self, descriptor: int) -> bool:
        """Return whether the lock is ours; False means: try again."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A command that looks whether a core runs takes a shared lock for a moment;
            # only a core takes an exclusive one.
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._busy() from None
            return False
        except OSError as error:
            raise _trouble("lock file", self.lock_file, "lock", error) from error
        try:
            named = self.lock_file.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _busy(self) -> ConfigError:
        pid = self.running_pid()
        who = f"the core with pid {pid}" if pid is not None else "another core"
        return ConfigError(
            f"root {self.root} is in use by {who}; "
            f"stop it ({self.control_script} stop) or choose another root"
        )

    def running_pid(self) -> int | None:
        """Return the process id in the lock file: that of the running core, if one runs."""
        try:
            text = self.lock_file.read_text("ascii").strip()
            return int(text) if text else None
        except (OSError, ValueError):
            return None

    # --- being found

    @contextmanager
    def announce(self) -> Iterator[None]:
        """
        Tell service managers, commands and clients that this process is the core of this root.

        Call it with the lock held: what a killed core of this root left behind is removed.

        Raises:
            ConfigError: The pid file cannot be written.
        """
        pid = os.getpid()
        try:
            write_atomic(self.pid_file, b"%d\n" % pid, 0o644)
        except OSError as error:
            raise _trouble("pid file", self.pid_file, "write", error) from error
        self.register()
        try:
            yield
        finally:
            self.unregister()
            with suppress(OSError, ValueError):
                if int(self.pid_file.read_text("ascii")) == pid:
                    self.pid_file.unlink()

    def register(self) -> None:
        """
        Write `<running dir>/<pid>` with the root in it, so that commands find this core.

        Where that is not possible the core runs all the same and commands need `--root`.
        """
        folder = Path(running_dir())
        try:
            folder.mkdir(_PRIVATE, parents=True, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, f"it is not a folder of uid {os.geteuid()}")
            self._remove_stale_entries(folder)
            write_atomic(folder / str(os.getpid()), f"{self.root}\n".encode(*_PATH_TEXT), 0o600)
        except OSError as error:
            log.warning(
                "cannot register this core in %s: %s; commands will need --root %s",
                folder,
                error.strerror,
                self.root,
            )

    def unregister(self) -> None:
        """Remove what `register` wrote."""
        with suppress(OSError):
            (Path(running_dir()) / str(os.getpid())).unlink()

    def _remove_stale_entries(self, folder: Path) -> None:
        # Whoever holds the lock of this root is the only core on it.
        root = str(self.root)
        for entry in folder.iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and entry.read_text(*_PATH_TEXT).strip() == root:
                    entry.unlink()


def write_atomic(path: Path, content: bytes, mode: int) -> None:
    """
    Replace a file as a whole: a reader sees the old content or the new one, never a part.

    Raises:
        OSError: It cannot be written; the old content is untouched.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(name, path)  # noqa: PTH105 - `name` is a str
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - `name` is a str
        raise


def _write_if_changed(path: Path, text: str, mode: int) -> None:
    content = text.encode(*_PATH_TEXT)
    try:
        if path.read_bytes() == content and stat.S_IMODE(path.stat().st_mode) == mode:
            return
    except OSError:
        log.debug("%s is missing or unreadable and is written anew", path)
    try:
        write_atomic(path, content, mode)
    except OSError as error:
        raise _trouble("file", path, "write", error) from error


def _make_folder(folder: Path, mode: int, what: str, *, parents: bool = False) -> None:
    """Make a folder with exactly `mode`, whatever the umask; one that is there must be usable."""
    try:
        if parents:
            folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode)
        folder.chmod(mode)
    except FileExistsError:
        if not folder.is_dir():
            raise ConfigError(
                f"{what} {folder} is not a folder; move the file away or choose another root"
            ) from None
        if not _may(folder, os.R_OK | os.W_OK | os.X_OK):
            _refuse_folder(folder, what)
    except OSError as error:
        raise _trouble(what, folder, "create", error) from error


def _may(folder: Path, bits: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(folder, bits, effective_ids=effective)


def _refuse_folder(folder: Path, what: str) -> None:
    code = errno.EACCES
    with suppress(OSError):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            code = errno.EROFS
    verb = "write to" if _may(folder, os.R_OK | os.X_OK) else "read"
    raise _trouble(what, folder, verb, OSError(code, os.strerror(code)))


def _trouble(what: str, path: Path, verb: str, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    return ConfigError(f"cannot {verb} {what} {path}: {reason}{_advice(path, error)}")


def _advice(path: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f" (as uid {os.geteuid()}); {_owner(path)}run as its owner or choose another root"
    if error.errno == errno.EROFS:
        return "; set writeDirectory in config/config.json to a folder that can be written to"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "; free some space"
    if error.errno in (errno.ENOLCK, errno.ENOTSUP):
        return "; the file system knows no locks, choose a root on a local disk"
    return "; choose another root"


def _owner(path: Path) -> str:
    for folder in (path, *path.parents):
        with suppress(OSError):
            return f"{folder} belongs to uid {folder.stat().st_uid}; "
    return ""


def _file_name(text: str) -> str:
    """Return `text` if it is safe as the name of one file."""
    if not text or text in {".", ".."} or "/" in text or "\0" in text:
        raise InvalidInputError(f"{text!r} cannot be the name of a file")
    return text


# --- scripts -----------------------------------------------------------------

_CONTROL = """\
named = any(word == "--root" or word.startswith("--root=") for word in arguments)
if not named and any(not word.startswith("-") for word in arguments):
    arguments += ["--root", root]
sys.exit(main(arguments))
"""

_DAEMON = """\
if not any(word == "--root" or word.startswith("--root=") for word in arguments):
    arguments += ["--root", root]
sys.exit(main(["start", "--foreground", *arguments]))
"""


def _script(up: str, body: str) -> str:
    """
    Return a script that runs `greengrassd` for the root that lies at `up` from its own folder.

    The shell runs the lines up to `exec` and becomes Python, to which they are a string: `#!` alone
    cannot name an interpreter with a long path or a space in it.
    """
    python = re.sub(r'([\\"$`])', r"\\\1", sys.executable)
    return f"""\
#!/bin/sh
"true" r''':'
exec "{python}" -I "$0" "$@"
'''
# Written by the core when it starts.
import os
import sys

sys.path.append({str(Path(__file__).parents[2])!r})
from greengrass_sdk.cli.greengrassd import main

root = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), {up!r}))
arguments = sys.argv[1:]
{body}"""

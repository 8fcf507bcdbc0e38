# SPDX-License-Identifier: Apache-2.0
"""
`greengrassd start|stop|restart`: the core as a service, as in the Greengrass V1 guide.

`start` checks the root and the group here, where a mistake can be shown, then runs the daemon
script of the root in a session of its own, so that `ps` shows the path the guide looks for. The
daemon reports through a pipe that it is ready, or why not; its standard output and error are
`crash.log`. `start --foreground` is that daemon, and what a service manager runs.

Ref: Greengrass V1 guide, "Start the AWS IoT Greengrass Core software", "Configure the init system"
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greengrass_sdk.cli._groups import GROUP_FILE
from greengrass_sdk.cli._notify import notify
from greengrass_sdk.cli._output import Output, UsageError, exit_code_of
from greengrass_sdk.cli._program import Parser, nearest, run_guarded, version_text
from greengrass_sdk.cli._serve import Supervision, build_core, layout_of, read_root, serve
from greengrass_sdk.errors import AuthorizationError, ConfigError, GreengrassError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.model.coreconfig import CoreConfig
    from greengrass_sdk.model.group import Group

__all__ = ["main", "parser"]

ACTIONS = ("start", "stop", "restart")
DEFAULT_ROOT = "/greengrass"
HEALTH_CHECK_S = 30.0
STOP_TIMEOUT_S = 30.0
PROTECTIONS = ("hardlinks", "symlinks")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `greengrassd` with `argv` (without the program's name) and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    output = Output(debug="--debug" in arguments)
    return run_guarded(output, lambda: _dispatch(arguments, output))


def parser() -> Parser:
    """Return the parser of the command line."""
    options = Parser(
        prog="greengrassd",
        description="Start, stop or restart the core as a service. Its group file is "
        "ROOT/ggc/deployment/group/group.toml; its functions run as ggc_user.",
    )
    options.add_argument("action", metavar="start|stop|restart", nargs="?")
    options.add_argument(
        "--root", metavar="DIR", default=DEFAULT_ROOT, help=f"default {DEFAULT_ROOT}"
    )
    options.add_argument(
        "--foreground", action="store_true", help="do not leave the terminal; for service managers"
    )
    options.add_argument(
        "-i", "--insecure", action="store_true", help="accept unprotected hardlinks and symlinks"
    )
    options.add_argument("--version", action="store_true", help="print the version and exit")
    options.add_argument("--debug", action="store_true", help="show tracebacks")
    options.add_argument("--ready-fd", type=int, help=_hidden())
    return options


def _hidden() -> str:
    import argparse

    return argparse.SUPPRESS


def _dispatch(arguments: list[str], output: Output) -> int:
    args = parser().parse_args(arguments)
    if args.version:
        output.text(version_text("greengrassd"))
        return 0
    if args.action is None:
        raise UsageError("say start, stop or restart", prog="greengrassd")
    if args.action not in ACTIONS:
        hint = nearest(args.action, ACTIONS) or "; there are: start, stop, restart"
        raise UsageError(f"unknown action {args.action!r}{hint}", prog="greengrassd")
    root = Path(args.root).absolute()
    if args.action == "start" and args.foreground:
        return _foreground(root, args, output)
    if args.action == "restart":
        _load_group(read_root(root)[0])  # what could not start again is not stopped
    if args.action in ("stop", "restart"):
        _stop(root, output)
    if args.action in ("start", "restart"):
        _start(root, args, output)
    return 0


# --- start --------------------------------------------------------------------


def _start(root: Path, args: argparse.Namespace, output: Output) -> None:
    output.text("Setting up greengrass daemon")
    layout, config = read_root(root)
    if (pid := running_pid(layout)) is not None:
        raise ConfigError(
            f"greengrass daemon is already running with PID: {pid} (root {root}); "
            "use restart, or stop it first"
        )
    _validate_protections(output, insecure=args.insecure)
    for warning in _load_group(layout).warnings:
        output.warning(warning)
    timeout_s = health_check_s(config)
    layout.create()
    output.text(f"Waiting for up to {timeout_s:g}s for Daemon to start")
    output.text()
    output.flush()
    pid = _spawn(layout, timeout_s, debug=args.debug)
    output.text(f"Greengrass successfully started with PID: {pid}")


def health_check_s(config: CoreConfig | None) -> float:
    """Return how long the start may take: `runtime.postStartHealthCheckTimeout` of config.json."""
    if config is None:
        return HEALTH_CHECK_S
    return float(config.runtime.post_start_health_check_timeout_ms) / 1000


def _validate_protections(output: Output, *, insecure: bool) -> None:
    output.text("Validating hardlink/softlink protection")
    for name in PROTECTIONS:
        setting = Path("/proc/sys/fs") / f"protected_{name}"
        try:
            protected = setting.read_text("ascii").strip() != "0"
        except OSError:
            continue  # hidden by a container: its host decides
        if not (protected or insecure):
            output.warning(
                f"fs.protected_{name} is off, so that users can plant links for root to follow; "
                f"sysctl fs.protected_{name}=1 switches it on, -i silences this"
            )


def _load_group(layout: Layout) -> Group:
    from greengrass_sdk.model.group import load_group

    path = layout.group_dir / GROUP_FILE
    if not path.exists():
        raise ConfigError(
            f"{path}: no group file; write one (`greengrass init` makes an example) "
            "and put it there"
        )
    return load_group(path)


def _spawn(layout: Layout, timeout_s: float, *, debug: bool) -> int:
    """Run the daemon script; return its pid when it is ready, raise its error if it is not."""
    readable, writable = os.pipe()
    command = [str(layout.daemon_script), "--ready-fd", str(writable)]
    crash_log = os.open(layout.crash_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            [*command, *(["--debug"] if debug else [])],
            stdin=subprocess.DEVNULL,
            stdout=crash_log,
            stderr=crash_log,
            pass_fds=(writable,),
            cwd="/",
            umask=0o022,
            start_new_session=True,
        )
    finally:
        os.close(crash_log)
        os.close(writable)
    try:
        report = _read_report(readable, timeout_s)
    finally:
        os.close(readable)
    if report is not None and "pid" in report:
        child.returncode = 0  # it lives on without us: no warning that nobody waited for it
        return int(report["pid"])
    if report is None:
        _end_child(child)
        raise ConfigError(
            f"the daemon was not ready within {timeout_s:g} s and was stopped; "
            f"{layout.system_log_dir / 'runtime.log'} says how far it came, "
            "runtime.postStartHealthCheckTimeout in config.json (milliseconds) allows more"
        )
    child.wait(STOP_TIMEOUT_S)
    raise _StartError(report, child.returncode, layout.crash_log)


class _StartError(GreengrassError):
    """What the daemon reported instead of being ready."""

    def __init__(self, report: dict[str, Any], status: int, crash_log: Path) -> None:
        died = f"the daemon died with status {status} before it was ready; see {crash_log}"
        super().__init__(report.get("message", died))
        self.code = report.get("code", "Internal")  # type: ignore[misc]  # as reported
        self.exit_code = report.get("exit_code", 1)  # type: ignore[misc]


def _read_report(readable: int, timeout_s: float) -> dict[str, Any] | None:
    """Return what the daemon reports: {} if it died silently, None if it took too long."""
    text = b""
    poll = select.poll()
    poll.register(readable, select.POLLIN)
    while not text.endswith(b"\n"):
        if not poll.poll(timeout_s * 1000):
            return None
        piece = os.read(readable, 65536)
        if not piece:
            return {}
        text += piece
    report: dict[str, Any] = json.loads(text)
    return report


def _end_child(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


# --- the daemon itself ---------------------------------------------------------


def _foreground(root: Path, args: argparse.Namespace, output: Output) -> int:
    from greengrass_sdk.core.loop import run_core

    report = _Report(args.ready_fd)
    try:
        layout, _config = read_root(root)
        core = build_core(_load_group(layout), root, as_current_user=False)
        run_core(
            serve(
                core,
                Supervision(
                    on_ready=lambda: _announce(report, output),
                    on_stopping=lambda _signal: _announce_stop(),
                ),
            )
        )
    except BaseException as error:
        report.failed(error)
        raise
    return 0


def _announce(report: _Report, output: Output) -> None:
    report.ready()
    notify(f"READY=1\nMAINPID={os.getpid()}")
    if report.to_terminal:
        output.text(f"Greengrass successfully started with PID: {os.getpid()}")
        output.flush()


def _announce_stop() -> None:
    notify("STOPPING=1")


class _Report:
    """The daemon's side of the pipe to `greengrassd start`; written once, then closed."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self.to_terminal = descriptor is None
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def ready(self) -> None:
        self._write({"pid": os.getpid()})

    def failed(self, error: BaseException) -> None:
        code = error.code if isinstance(error, GreengrassError) else type(error).__name__
        self._write({"code": code, "message": str(error), "exit_code": exit_code_of(error)})

    def _write(self, values: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.write(descriptor, json.dumps(values).encode() + b"\n")
        except OSError:
            return  # `start` gave up and is gone; crash.log has the text as well
        finally:
            os.close(descriptor)


# --- stop ----------------------------------------------------------------------


def running_pid(layout: Layout) -> int | None:
    """
    Return the pid of the core that holds the root's lock, None if nobody does.

    Raises:
        AuthorizationError: The root is somebody else's.
    """
    from greengrass_sdk.client.connect import is_running

    if layout.state_dir.exists() and not os.access(layout.state_dir, os.R_OK | os.X_OK):
        owner = layout.state_dir.stat().st_uid
        raise AuthorizationError(
            f"root {layout.root} belongs to uid {owner}; run this as its owner"
        )
    if not is_running(str(layout.root)):
        return None
    return layout.running_pid()


def _stop(root: Path, output: Output) -> None:
    pid = running_pid(layout_of(root))
    if pid is None:
        output.text("Greengrass is not running")
        return
    output.text(f"Stopping greengrass daemon of PID: {pid}")
    output.flush()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        output.text("Stopped greengrass daemon")
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(STOP_TIMEOUT_S * 1000):
            raise GreengrassError(
                f"the daemon with pid {pid} did not stop within {STOP_TIMEOUT_S:g} s; "
                f"`kill -9 {pid}` ends it and its functions"
            )
    except ProcessLookupError:
        pass  # it ended by itself in between
    finally:
        os.close(descriptor)
    output.text("Stopped greengrass daemon")

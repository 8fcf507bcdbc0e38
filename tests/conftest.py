# SPDX-License-Identifier: Apache-2.0
"""
What holds for every test.

- The header names the package under test and whether the C extension or the Python reference runs.
- Unit tests open no internet socket and do not sleep: `sockets` and `sleeps` mark the exceptions.
  Unix sockets are allowed, because frames and workers are tested over socketpairs.
- A run that ended without saying so (native code crashed, or the process was killed) is reported by
  the next one, so that a retry cannot turn a crash into a green gate.
- `needs_root` and `needs_compiler` skip with the reason where the machine cannot.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
UNIT = TESTS / "unit"
GUARDED = ("greengrass_sdk", "greengrasssdk", "greengrass_common", "tests")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell started us in the background; programs under test are to hear Ctrl-C all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("nightly", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


# --- which code is under test ------------------------------------------------


def pytest_report_header() -> list[str]:
    import greengrass_sdk
    from greengrass_sdk import _native

    folder = Path(next(iter(greengrass_sdk.__path__)))
    wanted = os.environ.get("GREENGRASS_SDK_NATIVE", "auto")
    if os.environ.get("GREENGRASS_TEST_INSTALLED") and folder == TESTS.parent / "greengrass_sdk":
        msg = f"the installed wheel was to be tested, but {folder} is imported"
        raise pytest.UsageError(msg)
    return [f"greengrass_sdk: {folder}", f"native: {_native.impl} (asked for: {wanted})"]


# --- a crash must not pass as green on a retry -------------------------------


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pytest_sessionstart(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput") or getattr(session.config, "cache", None) is None:
        return
    folder = session.config.cache.mkdir("greengrass-running")
    crashed = [flag for flag in folder.iterdir() if not _alive(int(flag.name))]
    session.config.stash[CRASHED] = [flag.read_text() for flag in crashed]
    for flag in crashed:
        flag.unlink(missing_ok=True)
    flag = folder / str(os.getpid())
    flag.write_text(" ".join(sys.argv[1:]))
    session.config.stash[FLAG] = flag


def pytest_sessionfinish(session: pytest.Session) -> None:
    flag = session.config.stash.get(FLAG, None)
    if flag is not None and flag.name == str(os.getpid()):  # a forked child is not the session
        flag.unlink(missing_ok=True)
    if session.config.stash.get(CRASHED, []) and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for arguments in terminalreporter.config.stash.get(CRASHED, []):
        terminalreporter.write_line(
            f"an earlier run never ended (crash in native code, or killed): pytest {arguments}",
            red=True,
        )


CRASHED = pytest.StashKey[list[str]]()
FLAG = pytest.StashKey[Path]()


# --- what a machine may lack -------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root")
    compiler = os.environ.get("CC", "cc").split()[0]
    if item.get_closest_marker("needs_compiler") and shutil.which(compiler) is None:
        pytest.skip(f"needs a C compiler ({compiler} is not on PATH)")


# --- unit tests do not reach out and do not wait -----------------------------


def _called_by_us(depth: int) -> bool:
    name = sys._getframe(depth + 1).f_globals.get("__name__", "")
    return name.split(".")[0] in GUARDED or name.startswith("test_")


@pytest.fixture(autouse=True)
def _no_internet_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if UNIT not in request.path.parents or request.node.get_closest_marker("sockets"):
        return
    create = socket.socket.__init__

    def guarded(self, family=-1, type=-1, proto=-1, fileno=None) -> None:
        # The standard library's default family is IPv4; a descriptor is already open.
        if fileno is None and family in (-1, socket.AF_INET, socket.AF_INET6):
            pytest.fail("a unit test opens an internet socket; mark it with pytest.mark.sockets")
        create(self, family, type, proto, fileno)

    monkeypatch.setattr(socket.socket, "__init__", guarded)


@pytest.fixture(autouse=True)
def _no_sleep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if UNIT not in request.path.parents or request.node.get_closest_marker("sleeps"):
        return
    sleep = time.sleep

    def guarded(seconds: float, /) -> None:
        # Popen.wait(timeout=...) sleeps inside the standard library: that is its business.
        if _called_by_us(1):
            pytest.fail(
                "a unit test sleeps; wait for the event, or mark it with pytest.mark.sleeps"
            )
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", guarded)

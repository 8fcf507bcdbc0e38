# SPDX-License-Identifier: Apache-2.0
"""greengrass_sdk.core.layout: the guide's tree, one core per root, found by everybody."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from greengrass_sdk.client.connect import is_running, running_cores, running_dir
from greengrass_sdk.core import layout as layout_module
from greengrass_sdk.core.layout import SERVICE_ROOT, Layout, write_atomic
from greengrass_sdk.errors import ConfigError, InvalidInputError

ARN = "arn:aws:lambda:us-east-1:000000000000:function:hello:1"


@pytest.fixture(autouse=True)
def _own_running_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "root")
    layout.create()
    return layout


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def as_nobody(*folders: Path):
    """Be a user who owns nothing, with a way to the test's folders."""
    for folder in folders:
        for path in (folder, *folder.parents):
            if path.stat().st_uid == os.geteuid() and path != Path("/"):
                path.chmod(mode(path) | 0o055)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# --- paths


def test_the_tree_of_the_guide():
    layout = Layout(Path("/greengrass"))
    expected = {
        "config_file": "config/config.json",
        "certs_dir": "certs",
        "control_script": "ggc/core/greengrassd",
        "daemon_script": "ggc/packages/1.11.6/bin/daemon",
        "group_dir": "ggc/deployment/group",
        "lambdas_dir": "ggc/deployment/lambda",
        "log_dir": "ggc/var/log",
        "system_log_dir": "ggc/var/log/system",
        "crash_log": "ggc/var/log/crash.log",
        "state_dir": "ggc/var/state",
        "tokens_dir": "ggc/var/state/tokens",
        "tool_token": "ggc/var/state/tool.token",
        "lock_file": "ggc/var/state/core.lock",
        "ipc_socket": "ggc/ipc.sock",
    }

    found = {name: str(getattr(layout, name).relative_to("/greengrass")) for name in expected}

    assert expected == found
    assert layout.lambdas_dir / ARN == layout.lambda_dir(ARN)
    user_log = layout.log_dir / "user/us-east-1/000000000000/hello.log"
    assert user_log == layout.user_log("us-east-1", "000000000000", "hello")
    assert SERVICE_ROOT == layout.root
    assert Path("/var/run/greengrassd.pid") == layout.pid_file


def test_with_a_write_directory_only_scripts_and_configuration_are_below_the_root():
    layout = Layout(Path("/greengrass"), Path("/data/gg"))

    assert Path("/data/gg/var/log") == layout.log_dir
    assert Path("/data/gg/var/state/core.lock") == layout.lock_file
    assert Path("/data/gg/deployment/lambda") == layout.lambdas_dir
    assert Path("/data/gg/ipc.sock") == layout.ipc_socket
    assert Path("/greengrass/config/config.json") == layout.config_file
    assert Path("/greengrass/ggc/core/greengrassd") == layout.control_script


def test_a_relative_root_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert tmp_path / "b" == Layout(Path("a/../b")).root


def test_roots_of_a_developer_keep_their_pid_file(tmp_path):
    assert tmp_path / "ggc/var/state/greengrassd.pid" == Layout(tmp_path).pid_file


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b"])
def test_names_from_outside_cannot_leave_their_folder(name):
    layout = Layout(Path("/greengrass"))

    with pytest.raises(InvalidInputError):
        layout.lambda_dir(name)
    with pytest.raises(InvalidInputError):
        layout.user_log("us-east-1", name, "hello")


# --- create


def test_create_makes_folders_with_their_modes_whatever_the_umask(tmp_path):
    layout = Layout(tmp_path / "root")
    old = os.umask(0o077)
    try:
        layout.create()
    finally:
        os.umask(old)

    for folder in (layout.root, layout.writable, layout.group_dir, layout.lambdas_dir):
        assert 0o755 == mode(folder), folder
    for folder in (layout.log_dir, layout.system_log_dir, layout.state_dir, layout.tokens_dir):
        assert 0o700 == mode(folder), folder
    assert layout.config_file.parent.is_dir()
    assert layout.certs_dir.is_dir()


def test_create_again_changes_nothing(layout):
    layout.config_file.write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")}

    layout.create()

    assert before == {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")}


def test_a_root_beside_a_project_is_ignored_by_git(tmp_path):
    Layout(tmp_path / ".greengrass").create()

    assert "*\n" == (tmp_path / ".greengrass" / ".gitignore").read_text()


def test_a_gitignore_of_the_user_stays(tmp_path):
    (tmp_path / ".greengrass").mkdir()
    (tmp_path / ".greengrass" / ".gitignore").write_text("mine\n")

    Layout(tmp_path / ".greengrass").create()

    assert "mine\n" == (tmp_path / ".greengrass" / ".gitignore").read_text()


def test_other_roots_get_no_gitignore(layout):
    assert not (layout.root / ".gitignore").exists()


def test_a_file_in_the_place_of_the_root_is_named(tmp_path):
    (tmp_path / "root").write_text("")

    with pytest.raises(ConfigError, match=re.escape(f"root {tmp_path / 'root'} is not a folder")):
        Layout(tmp_path / "root").create()


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "ggc").mkdir()
    (tmp_path / "ggc" / "var").write_text("")

    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'ggc' / 'var'} is not a folder")):
        Layout(tmp_path).create()


@pytest.mark.needs_root
def test_a_root_below_a_folder_of_somebody_else(tmp_path):
    with as_nobody(tmp_path), pytest.raises(ConfigError) as raised:
        Layout(tmp_path / "root").create()

    expected = (
        f"cannot create root {tmp_path / 'root'}: Permission denied (as uid 65534); "
        f"{tmp_path} belongs to uid 0; run as its owner or choose another root"
    )
    assert expected == str(raised.value)


@pytest.mark.needs_root
@pytest.mark.parametrize(("bits", "verb"), [(0o755, "write to"), (0o700, "read")])
def test_a_root_of_somebody_else(tmp_path, bits, verb):
    root = tmp_path / "root"
    root.mkdir()
    with as_nobody(tmp_path):
        os.seteuid(0)
        root.chmod(bits)
        os.seteuid(65534)
        with pytest.raises(ConfigError, match=f"cannot {verb} root .*Permission denied"):
            Layout(root).create()


@pytest.mark.needs_root
def test_a_read_only_root_is_fine_with_a_write_directory(tmp_path):
    root, writable = tmp_path / "root", tmp_path / "data"
    root.mkdir()
    writable.mkdir()
    os.chown(writable, 65534, 65534)
    with as_nobody(root):
        Layout(root, writable).create()

    assert [] == list(root.iterdir())
    assert (writable / "var" / "log" / "system").is_dir()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "set writeDirectory in config/config.json"),
        (errno.ENOSPC, "free some space"),
        (errno.ENAMETOOLONG, "choose another root"),
    ],
)
def test_what_the_system_says_comes_with_advice(tmp_path, monkeypatch, number, advice):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", fail)

    with pytest.raises(ConfigError) as raised:
        Layout(tmp_path / "root").create()

    assert os.strerror(number) in str(raised.value)
    assert advice in str(raised.value)


# --- one core per root


def test_the_lock_holds_the_pid_and_is_seen_by_clients(layout):
    assert not is_running(layout.root)
    with layout.lock():
        assert is_running(layout.root)
        assert f"{os.getpid()}\n" == layout.lock_file.read_text()
        assert os.getpid() == layout.running_pid()
        assert 0o600 == mode(layout.lock_file)

    assert not is_running(layout.root)
    assert layout.running_pid() is None


def test_a_second_core_on_the_same_root_is_told_who_has_it(layout):
    with layout.lock(), pytest.raises(ConfigError) as raised, layout.lock():
        pass

    assert f"root {layout.root} is in use by the core with pid {os.getpid()}" in str(raised.value)


def test_the_lock_can_be_taken_again(layout):
    for _ in range(3):
        with layout.lock():
            pass


def test_somebody_who_only_looks_does_not_stop_a_start(layout, monkeypatch):
    fcntl.flock(
        looking := os.open(layout.lock_file, os.O_RDONLY | os.O_CREAT, 0o600),
        fcntl.LOCK_SH,
    )
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            os.close(looking)

    monkeypatch.setattr(time, "sleep", wait)
    with layout.lock():
        assert os.getpid() == layout.running_pid()
    assert 3 == len(waits)


def test_a_lock_file_that_was_removed_is_not_held_by_two(layout, monkeypatch):
    """The lock counts only on the file that has the name now."""
    flock = fcntl.flock
    removed: list[None] = []

    def remove_before(descriptor, operation):
        if not removed:
            removed.append(layout.lock_file.unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_before)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with layout.lock():
        assert is_running(layout.root)


def test_a_link_in_the_place_of_the_lock_is_not_followed(layout, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    layout.lock_file.symlink_to(victim)

    with pytest.raises(ConfigError, match="cannot open lock file"), layout.lock():
        pass
    assert "precious" == victim.read_text()


def test_a_file_system_without_locks_is_named(layout, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)

    with pytest.raises(ConfigError, match="local disk"), layout.lock():
        pass


HOLD = """
import sys
from pathlib import Path
from greengrass_sdk.core.layout import Layout
layout = Layout(Path(sys.argv[1]))
with layout.lock(), layout.announce():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_core_leaves_does_not_stop_the_next(layout):
    command = [sys.executable, "-c", HOLD, layout.root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"held\n" == process.stdout.readline()
        assert [(process.pid, layout.root)] == running_cores()
        with pytest.raises(ConfigError, match=f"pid {process.pid}"), layout.lock():
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert f"{process.pid}\n" == layout.pid_file.read_text()
    assert (running_dir() / str(process.pid)).exists()
    with layout.lock(), layout.announce():
        assert [(os.getpid(), layout.root)] == running_cores()
        assert f"{os.getpid()}\n" == layout.pid_file.read_text()
        assert [str(os.getpid())] == [path.name for path in running_dir().iterdir()]
    assert not layout.pid_file.exists()
    assert [] == list(running_dir().iterdir())


# --- being found


def test_entries_of_other_roots_stay(layout, tmp_path):
    running_dir().mkdir(parents=True, mode=0o700)
    (running_dir() / "1").write_text(f"{tmp_path / 'other'}\n")
    (running_dir() / "notes").write_text(f"{layout.root}\n")

    layout.register()

    assert {"1", "notes", str(os.getpid())} == {path.name for path in running_dir().iterdir()}
    layout.unregister()
    layout.unregister()
    assert {"1", "notes"} == {path.name for path in running_dir().iterdir()}


def test_a_root_with_odd_bytes_is_registered(tmp_path, caplog):
    caplog.set_level("WARNING", "greengrass_sdk")  # pytest-xdist passes on no record with odd bytes
    layout = Layout(tmp_path / os.fsdecode(b"r\xff\xc3\xb6"))
    layout.create()

    with layout.lock():
        layout.register()
        assert [(os.getpid(), layout.root)] == running_cores()
        layout.unregister()


def test_a_registry_that_cannot_be_written_is_a_warning(layout, tmp_path, caplog):
    (tmp_path / "run").write_text("in the way")

    layout.register()

    assert f"commands will need --root {layout.root}" in caplog.text


@pytest.mark.needs_root
def test_a_registry_of_somebody_else_is_not_used(layout, caplog):
    running_dir().mkdir(parents=True)
    os.chown(running_dir(), 65534, 65534)

    layout.register()

    assert [] == list(running_dir().iterdir())
    assert "cannot register this core" in caplog.text


def test_a_pid_file_that_cannot_be_written_is_an_error(layout):
    layout.pid_file.mkdir()

    with pytest.raises(ConfigError, match="cannot write pid file"), layout.announce():
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(OSError, match="full"):
        write_atomic(path, b"new", 0o600)

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


# --- scripts


FAKE_COMMAND = """
import sys
def main(argv):
    print(*argv, sep="\\n")
    return 7
"""


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """Run a script of a root against a stand-in for the command, which prints its arguments."""
    package = tmp_path / "package" / "greengrass_sdk"
    (package / "cli").mkdir(parents=True)
    (package / "cli" / "greengrassd.py").write_text(FAKE_COMMAND)
    (package / "core").mkdir()
    monkeypatch.setattr(layout_module, "__file__", str(package / "core" / "layout.py"))
    interpreter = tmp_path / "a folder" / "py$thon"
    interpreter.parent.mkdir()
    interpreter.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(interpreter))

    def run(script, *arguments):
        # The installed package must not win over the stand-in: the script appends its folder.
        text = script.read_text().replace("sys.path.append(", "sys.path.insert(0, ")
        script.write_text(text)
        done = subprocess.run(
            [script, *arguments], capture_output=True, text=True, timeout=30, check=False, cwd="/"
        )
        assert (7, "") == (done.returncode, done.stderr)
        return done.stdout.splitlines()

    return run


def test_the_control_script_speaks_for_its_root(tmp_path, run_script):
    layout = Layout(tmp_path / "gg root")
    layout.create()
    script = layout.control_script

    assert 0o755 == mode(script)
    assert ["start", "--root", str(layout.root)] == run_script(script, "start")
    assert ["start", "--root", "/x"] == run_script(script, "start", "--root", "/x")
    assert ["stop", "--root=/x"] == run_script(script, "stop", "--root=/x")
    assert ["--version"] == run_script(script, "--version")


def test_the_daemon_script_runs_the_core_of_its_root(tmp_path, run_script):
    layout = Layout(tmp_path / "greengrass")
    layout.create()

    expected = ["start", "--foreground", "--root", str(layout.root)]
    assert expected == run_script(layout.daemon_script)


def test_a_root_that_was_moved_keeps_working_scripts(tmp_path, run_script):
    Layout(tmp_path / "old").create()
    (tmp_path / "old").rename(tmp_path / "new")

    script = Layout(tmp_path / "new").control_script
    assert ["stop", "--root", str(tmp_path / "new")] == run_script(script, "stop")


def test_a_script_of_another_version_is_written_anew(layout):
    layout.control_script.write_text("#!/bin/sh\n")

    layout.create()

    assert "greengrass_sdk.cli.greengrassd" in layout.control_script.read_text()

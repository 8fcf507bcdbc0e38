# SPDX-License-Identifier: Apache-2.0
"""`greengrassd`: start, stop and restart, with a daemon played by a script."""

from __future__ import annotations

import json
import os
import sys

import pytest

from greengrass_sdk.cli import greengrassd
from greengrass_sdk.core.layout import Layout

GROUP = 'schema = 1\n\n[group]\nname = "g"\ncore = "g-core"\n'

# What stands in for the daemon: it reports what the test says, then does what the test says.
DAEMON = """\
import fcntl, json, os, sys, time
report = {report!r}
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
if report is not None:
    os.write(fd, (json.dumps(dict(report, pid=os.getpid())
                             if report.get("ready") else report) + "\\n").encode())
{then}
"""


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "gg")
    layout.group_dir.mkdir(parents=True)
    (layout.group_dir / "group.toml").write_text(GROUP)
    return layout


@pytest.fixture
def daemon(monkeypatch, tmp_path):
    """Play the daemon: give what it reports (None: nothing) and what it does then."""

    def play(report, then=""):
        path = tmp_path / "daemon"
        path.write_text(f"#!{sys.executable} -I\n" + DAEMON.format(report=report, then=then))
        path.chmod(0o755)
        monkeypatch.setattr(Layout, "daemon_script", path)
        monkeypatch.setattr(Layout, "_furnish_root", lambda _self: None)

    return play


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = greengrassd.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_daemon_that_gets_ready_is_announced_with_its_pid(run, layout, daemon):
    daemon({"ready": True})
    code, out, _err = run("start", "-i", "--root", layout.root)
    lines = out.splitlines()

    assert code == 0
    assert lines[:-1] == [
        "Setting up greengrass daemon",
        "Validating hardlink/softlink protection",
        "Waiting for up to 30s for Daemon to start",
        "",
    ]
    assert lines[-1].startswith("Greengrass successfully started with PID: ")


def test_what_the_daemon_reports_is_the_error_of_the_start(run, layout, daemon):
    daemon({"code": "Package", "message": "bad.zip is no zip", "exit_code": 11})
    code, out, err = run("start", "-i", "--root", layout.root)

    assert (code, err) == (11, "error: bad.zip is no zip\n")
    assert "successfully" not in out


def test_a_daemon_that_dies_silently_is_an_error_that_names_the_log(run, layout, daemon):
    daemon(None, "print('last words', file=sys.stderr); sys.exit(7)")
    code, _out, err = run("start", "-i", "--root", layout.root)

    assert code == 1
    assert err.startswith("error: the daemon died with status 7 before it was ready; see ")
    assert layout.crash_log.read_text() == "last words\n"


def test_a_daemon_that_is_too_slow_is_ended(run, layout, daemon, tmp_path):
    daemon(None, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    (layout.root / "config").mkdir()
    setting = {"runtime": {"postStartHealthCheckTimeout": 1500}}
    layout.config_file.write_text(json.dumps(setting))
    code, out, err = run("start", "-i", "--root", layout.root)

    assert code == 3
    assert "Waiting for up to 1.5s for Daemon to start" in out
    assert "not ready within 1.5 s" in err
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_running_daemon_is_not_started_again(run, layout, monkeypatch):
    monkeypatch.setattr(greengrassd, "running_pid", lambda _layout: 4711)
    code, _out, err = run("start", "--root", layout.root)

    assert code == 3
    assert "already running with PID: 4711" in err


def test_without_a_group_file_nothing_is_started_or_made(run, tmp_path):
    code, _out, err = run("start", "-i", "--root", tmp_path / "none")

    assert code == 3
    assert f"{tmp_path}/none/ggc/deployment/group/group.toml: no group file" in err
    assert not (tmp_path / "none").exists()


def test_warnings_of_the_group_are_shown(run, layout, daemon):
    daemon({"ready": True})
    with (layout.group_dir / "group.toml").open("a") as file:
        file.write('[cloud]\nurl = "mqtt://localhost"\n')
    code, _out, err = run("start", "-i", "--root", layout.root)

    assert code == 0
    assert err.startswith("warning: ")


@pytest.mark.parametrize(("value", "warned"), [("0", True), ("1", False)])
def test_unprotected_links_are_warned_about_unless_accepted(
    run, layout, daemon, monkeypatch, value, warned
):
    from pathlib import Path

    original = Path.read_text

    def read_text(self, *arguments, **options):
        if str(self).startswith("/proc/sys/fs/protected_"):
            return value + "\n"
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    daemon({"ready": True})

    assert ("fs.protected_symlinks is off" in run("start", "--root", layout.root)[2]) is warned
    assert run("start", "-i", "--root", layout.root)[2] == ""


def test_stopping_what_does_not_run_is_no_error(run, layout):
    assert run("stop", "--root", layout.root) == (0, "Greengrass is not running\n", "")


def test_a_broken_config_does_not_keep_from_stopping(run, layout):
    (layout.root / "config").mkdir()
    layout.config_file.write_text("{")

    assert run("stop", "--root", layout.root)[0] == 0
    assert run("start", "--root", layout.root)[0] == 3


def test_what_could_not_start_again_is_not_stopped(run, layout, monkeypatch):
    stopped: list[object] = []
    monkeypatch.setattr(greengrassd, "_stop", lambda root, _output: stopped.append(root))
    (layout.group_dir / "group.toml").write_text("broken")
    code, _out, err = run("restart", "--root", layout.root)

    assert (code, stopped) == (3, [])
    assert "group.toml:1" in err


def test_the_root_of_somebody_else_is_refused(run, layout, monkeypatch):
    layout.state_dir.mkdir(parents=True)
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    code, _out, err = run("stop", "--root", layout.root)

    assert code == 6
    assert f"root {layout.root} belongs to uid {os.geteuid()}; run this as its owner" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "say start, stop or restart"),
        (["strat"], "unknown action 'strat'; did you mean 'start'?"),
        (["status"], "unknown action 'status'"),
        (["start", "--rot", "/x"], "unknown argument '--rot'; did you mean '--root'?"),
    ],
)
def test_wrong_usage_is_answered_with_what_there_is(run, arguments, text):
    code, _out, err = run(*arguments)

    assert code == 2
    assert err.startswith(f"error: {text}")


def test_the_version_is_printed(run):
    code, out, _err = run("--version")

    assert code == 0
    assert out.startswith("greengrassd ")

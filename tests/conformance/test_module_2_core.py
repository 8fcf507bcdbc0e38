# SPDX-License-Identifier: Apache-2.0
"""
The core starts, is seen by `ps`, restarts and stops.

Ref: Greengrass V1 guide, module 2, "Start AWS IoT Greengrass on the core device"
"""

from __future__ import annotations

import grp
import json
import pwd
import re
import subprocess
from pathlib import Path

import psutil
import pytest
from projects import write_project
from running_core import GREENGRASSD, RunningCore, environment

GROUP = """
schema = 1
[group]
name = "empty"
core = "empty-core"
"""
STARTED = r"Greengrass successfully started with PID: (\d+)"


class Daemon:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "greengrass"
        group = self.root / "ggc" / "deployment" / "group"
        group.mkdir(parents=True)
        (group / "group.toml").write_text(GROUP)
        self.environment = environment(folder / "run")

    def do(self, action: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GREENGRASSD, action, "--root", str(self.root)],
            env={**self.environment, **extra},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def started(self, action: str = "start") -> int:
        done = self.do(action)
        found = re.search(STARTED, done.stdout)
        assert found, done.stdout + done.stderr
        return int(found[1])

    def write_config(self, text: str) -> None:
        (self.root / "config").mkdir(exist_ok=True)
        (self.root / "config" / "config.json").write_text(text)


@pytest.fixture
def daemon(tmp_path):
    try:
        pwd.getpwnam("ggc_user")
        grp.getgrnam("ggc_group")
    except KeyError:
        pytest.skip("needs ggc_user and ggc_group, as the service does")
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.do("stop")


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie, which a container's init may not collect, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_start_tells_the_pid_of_the_daemon_that_ps_shows_under_its_path(daemon):
    """GG-M2-01"""
    pid = daemon.started()
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    path = rf"{re.escape(str(daemon.root))}/ggc/packages/[\d.]+/bin/daemon"
    assert any(re.fullmatch(path, argument) for argument in arguments), arguments


def test_stop_ends_the_daemon(daemon):
    """GG-M2-02"""
    pid = daemon.started()
    assert 0 == daemon.do("stop").returncode
    assert not is_alive(pid)


def test_restart_starts_a_new_daemon(daemon):
    """GG-M2-03"""
    first = daemon.started()
    second = daemon.started("restart")
    assert first != second
    assert (False, True) == (is_alive(first), is_alive(second))


def test_a_second_start_is_refused_and_names_the_pid(daemon):
    """GG-M2-04"""
    pid = daemon.started()
    second = daemon.do("start")
    assert second.returncode != 0
    assert str(pid) in second.stderr


PROJECT = """
import greengrasssdk
client = greengrasssdk.client("iot-data")
def handler(event, context):
    refused = 0
    for number in range(event):
        try:
            client.publish(topic="n", payload="{}", queueFullPolicy="AllOrException")
        except Exception:
            refused += 1
    return refused
"""


@pytest.fixture
def project(tmp_path):
    """Write a group whose function publishes for a slow one, and its `config.json`."""

    def project(config):
        write_project(
            tmp_path,
            {"burst": PROJECT, "slow": "def handler(e, c):\n  import time\n  time.sleep(1)"},
            {"burst": {"timeout_s": 20}, "slow": {"pinned": True}},
            rows=[("burst", "n", "slow")],
        )
        folder = tmp_path / ".greengrass" / "config"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        return tmp_path

    return project


def test_the_core_holds_as_many_work_items_as_config_json_says(project):
    """GG-M2-06"""
    with RunningCore(project({"runtime": {"maxWorkItemCount": 5}})) as core:
        assert 5 == core.status()["work_items"]["limit"]
        refused = int(core.command("invoke", "burst", "9").stdout)
    assert 0 < refused < 9


def test_everything_is_written_to_the_write_directory(project, tmp_path):
    """GG-M2-07"""
    written = tmp_path / "elsewhere"
    with RunningCore(project({"writeDirectory": str(written)})) as core:
        core.command("invoke", "burst", "0")
        assert (written / "var" / "log" / "system" / "runtime.log").is_file()
        assert not (core.root / "ggc" / "var").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param('{"coreThing": {"keepAlive": 600,}}', "config.json", id="trailing-comma"),
        pytest.param({"coreThing": {"keepAlive": 29}}, "keepAlive", id="keepAlive-29"),
        pytest.param({"coreThing": {"keepAlive": 1201}}, "keepAlive", id="keepAlive-1201"),
        pytest.param({"coreThing": {"ggMqttPort": 1023}}, "ggMqttPort", id="ggMqttPort-1023"),
        pytest.param({"coreThing": {"iotMqttPort": 1883}}, "iotMqttPort", id="iotMqttPort-1883"),
    ],
)
def test_a_wrong_config_json_stops_the_start_and_is_named(daemon, config, said):
    """GG-M2-05"""
    daemon.write_config(config if isinstance(config, str) else json.dumps(config))
    done = daemon.do("start")
    assert done.returncode != 0
    assert said in done.stderr
    assert not re.search(STARTED, done.stdout)

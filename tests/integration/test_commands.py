# SPDX-License-Identifier: Apache-2.0
"""The commands on a real core, as a user types them."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from running_core import GREENGRASS, GREENGRASSD, RunningCore, environment

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

HANDLER = """\
import json, os, sys
import greengrasssdk

client = greengrasssdk.client("iot-data")


def function_handler(event, context):
    print("got", json.dumps(event))
    if event.get("raise"):
        raise ValueError("asked to")
    client.publish(topic="out/" + event.get("name", "x"), payload=json.dumps(event))
    return {"uid": os.getuid(), "event": event}
"""

GROUP = """\
schema = 1

[group]
name = "commands"
core = "commands-core"

[functions.echo]
code = "code/"
handler = "echo.function_handler"

[[subscriptions]]
source = "cloud"
subject = "in/+"
target = "echo"

[[subscriptions]]
source = "echo"
subject = "out/#"
target = "cloud"
"""


FUNCTION_PINNED = "[functions.echo]\npinned = true"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "echo.py").write_text(HANDLER)
    (folder / "group.toml").write_text(GROUP)
    return folder


@pytest.fixture
def command(tmp_path):
    """Run a command in a folder, away from the user's own cores."""
    env = environment(tmp_path / "run")

    def call(*arguments, cwd=tmp_path, program=GREENGRASS, timeout=60, extra=None):
        return subprocess.run(
            [*program, *map(str, arguments)],
            cwd=cwd,
            env={**env, **(extra or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


# --- run ------------------------------------------------------------------------


def test_started_is_the_first_event_and_its_core_answers(project):
    with RunningCore(project) as core:
        assert core.events[0]["event"] == "started"
        assert core.events[0]["schema"] == 1
        assert core.events[0]["pid"] == core.process.pid
        assert core.root == project / ".greengrass"
        assert core.status()["pid"] == core.process.pid
        assert (core.root / ".gitignore").read_text() == "*\n"


def test_messages_invocations_and_logs_are_events_with_names(project):
    with RunningCore(project) as core:
        core.publish("in/a", '{"name": "grün"}')
        message = core.message("out/grün")
        core.command("invoke", "echo")
        invocation = core.wait(lambda event: event["event"] == "invocation")
        log = core.log("echo", "got")

    assert (message["source"], message["target"]) == ("echo", "cloud")
    assert json.loads(message["payload"]) == {"name": "grün"}
    assert (message["encoding"], message["outcome"], message["reason"]) == (
        "utf-8",
        "delivered",
        None,
    )
    assert (invocation["function"], invocation["outcome"]) == ("echo", "ok")
    assert invocation["duration_ms"] > 0
    assert (log["level"], log["message"]) == ("INFO", 'got {"name": "gr\\u00fcn"}')


def test_a_message_without_a_row_is_an_event_without_a_target(project):
    with RunningCore(project) as core:
        core.publish("nowhere", status=1)
        event = core.message("nowhere", target=None)

    assert event["outcome"] == "dropped"


def test_a_duration_ends_the_run_by_itself(project, command):
    done = command("run", project, "--json", "--for", "0")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["event"] == "started"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly(project, number):
    with RunningCore(project) as core:
        core.process.send_signal(number)
        assert core.process.wait(20) == 0
        assert "stopping; Ctrl-C again ends it at once" in core.told()


STUBBORN = """\
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf")


def function_handler(event, context):
    pass
"""


def test_a_second_interrupt_ends_the_run_at_once_and_its_workers_with_it(project):
    (project / "code" / "echo.py").write_text(STUBBORN)
    (project / "group.toml").write_text(GROUP.replace("[functions.echo]", FUNCTION_PINNED))
    with RunningCore(project, status=130) as core:
        core.log("echo", "deaf")
        [worker] = core.status()["functions"][0]["workers"]
        ended = os.pidfd_open(worker["pid"])
        core.process.send_signal(signal.SIGINT)
        while "stopping" not in core.told():
            assert core.process.poll() is None
        core.process.send_signal(signal.SIGINT)
        assert core.process.wait(20) == 130
        assert select.select([ended], [], [], 20)[0] == [ended]
        os.close(ended)


def test_people_get_text_and_no_json(project, command):
    done = command("run", project, "--for", "0")

    assert done.returncode == 0
    assert "{" not in done.stdout
    assert "commands runs with 1 function and 2 subscriptions" in done.stderr


def test_a_reader_that_goes_away_ends_the_run_cleanly(project, tmp_path):
    script = f"{' '.join(GREENGRASS)} run {project} --json | head -n 1; exit ${{PIPESTATUS[0]}}"
    with RunningCore(project, "--root", str(tmp_path / "other")):  # not disturbed by this one
        run = subprocess.Popen(
            ["bash", "-c", script],
            env=environment(tmp_path / "run"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert run.stdout is not None
        started = json.loads(run.stdout.readline())
        publish = [*GREENGRASS, "publish", "--root", started["root"], "in/a", "{}"]
        for _ in range(3):  # a broken pipe shows at the next write
            subprocess.run(publish, check=False, capture_output=True)
        assert run.wait(30) == 0
        run.stdout.close()


def test_a_second_core_on_the_same_root_is_refused_by_its_pid(project, command):
    with RunningCore(project) as core:
        done = command("run", project)

    assert done.returncode == 3
    assert f"in use by the core with pid {core.process.pid}" in done.stderr


def test_a_zip_runs_with_its_handler_and_is_linked_with_the_cloud(tmp_path):
    archive = tmp_path / "old.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("echo.py", HANDLER)
    with RunningCore(archive, "--on-demand", "--subscribe", "in/#") as core:
        core.publish("in/deep/down", '{"name": "z"}')
        assert core.message("out/z")["source"] == "old"
        core.publish("elsewhere", status=1)
        assert core.root.name.startswith("old-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.zip"]


def test_a_root_under_a_path_longer_than_a_socket_address_works(tmp_path, project):
    deep = tmp_path.joinpath(*["d" * 60] * 3)
    shutil.copytree(project, deep / "project")
    with RunningCore(deep / "project") as core:
        core.publish("in/a")


# --- finding the core -------------------------------------------------------------


def test_the_only_core_is_found_and_two_are_listed(project, tmp_path, command):
    shutil.copytree(project, tmp_path / "other")
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    with RunningCore(project, env=runtime) as first:
        found = command("status", "--json")
        assert json.loads(found.stdout)["root"] == str(first.root)
        with RunningCore(tmp_path / "other", env=runtime) as second:
            several = command("status")
            assert several.returncode == 7
            assert f"{first.root} (pid {first.process.pid})" in several.stderr
            assert f"{second.root} (pid {second.process.pid})" in several.stderr
            here = command("status", "--json", cwd=tmp_path / "other")
            assert json.loads(here.stdout)["root"] == str(second.root)
            named = command("status", "--json", extra={"GREENGRASS_ROOT": str(first.root)})
            assert json.loads(named.stdout)["root"] == str(first.root)
    assert command("status").returncode == 7


# --- publish, invoke, status, logs -------------------------------------------------


def test_publish_says_who_got_it_or_what_is_nearest(project):
    with RunningCore(project) as core:
        assert core.command("publish", "in/a", "{}").stdout == b"delivered to echo\n"
        nobody = core.command("publish", "in/a/b", "{}", status=1).stdout.decode()
        document = json.loads(core.command("publish", "in", "{}", "--json", status=1).stdout)
        stranger = core.command("publish", "in/a", "{}", "--as", "stranger", status=4).stderr

    assert nobody.startswith("nobody got it: no subscription has source 'cloud'")
    assert "(cloud -> echo)" in nobody
    assert document["deliveries"] == []
    assert document["nearest"]["subject"] == "in/+"
    assert b"stranger" in stranger


def test_a_topic_with_a_wildcard_is_refused(project):
    with RunningCore(project) as core:
        done = core.command("publish", "in/#", "{}", status=4)

    assert done.stderr.startswith(b"error: ")


def test_invoke_prints_the_result_or_the_trace(project):
    with RunningCore(project) as core:
        done = core.command("invoke", "echo", '{"name": "n"}')
        failed = core.command("invoke", "echo", '{"raise": 1}', status=1)
        broken = core.command("invoke", "echo", "no json", "--json", status=1)
        unknown = core.command("invoke", "ecko", status=20)
        event = core.command("invoke", "echo", "--event")

    assert json.loads(done.stdout) == {"uid": os.getuid(), "event": {"name": "n"}}
    lines = failed.stderr.decode().splitlines()
    assert lines[0] == "error: function 'echo' raised ValueError: asked to"
    assert "in function_handler" in lines[1]
    assert lines[2] == '    raise ValueError("asked to")'
    assert json.loads(broken.stdout)["outcome"] == "handled"
    assert json.loads(broken.stdout)["error"]["code"] == "FunctionHandled"
    assert unknown.stderr.startswith(b"error: ")
    assert event.stdout.startswith(b"accepted, request ")


def test_status_counts_what_happened(project):
    with RunningCore(project) as core:
        core.publish("in/a")
        core.message("out/x")
        core.command("invoke", "echo", '{"raise": 1}', status=1)
        status = core.status()
        text = core.command("status").stdout.decode()

    [function] = status["functions"]
    assert (function["name"], function["pinned"]) == ("echo", False)
    assert (function["ok"], function["handled"], function["unhandled"]) == (1, 1, 0)
    assert [(row["subject"], row["delivered"]) for row in status["subscriptions"]] == [
        ("in/+", 1),
        ("out/#", 1),
    ]
    assert status["group"] == "commands"
    assert text.startswith("commands (core commands-core), up ")


def test_logs_are_read_whether_the_core_runs_or_not(project, command):
    with RunningCore(project) as core:
        early = core.command("logs", "echo")
        core.command("invoke", "echo")
        core.log("echo", "got")
        core.command("invoke", "echo")  # the log is written before the next answer
        running = core.command("logs", "echo").stdout.decode()
    done = command("logs", "echo", "--root", core.root)
    system = command("logs", "--system", "--root", core.root)
    unknown = command("logs", "ecko", "--root", core.root)

    assert early.stdout == b""
    assert "][INFO]-echo.py:8,got {}" in running
    assert done.stdout.startswith(running)
    assert "][INFO]-" in system.stdout
    assert unknown.returncode == 4
    assert unknown.stderr.endswith("there are: echo\n")


def test_following_shows_records_as_they_come(project):
    with RunningCore(project) as core:
        core.command("invoke", "echo", '{"name": "first"}')
        follow = subprocess.Popen(
            [*GREENGRASS, "logs", "echo", "-f", "--json", "--root", str(core.root)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert follow.stdout is not None
        with follow.stdout as lines:
            assert "first" in json.loads(lines.readline())["message"]
            core.command("invoke", "echo", '{"name": "second"}')
            assert "second" in json.loads(lines.readline())["message"]
            follow.send_signal(signal.SIGINT)
            assert follow.wait(20) == 0


def test_doctor_finds_nothing_that_keeps_a_core_from_running(command):
    done = command("doctor", "--json")

    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["schema"] == 1


def test_what_init_writes_runs_and_answers(tmp_path, command):
    assert command("init", "demo").returncode == 0
    assert command("lint", "demo").returncode == 0
    with RunningCore(tmp_path / "demo") as core:
        core.publish("hello/ask", '{"name": "Ada"}')
        assert json.loads(core.message("hello/world")["payload"]) == {"message": "Hello, Ada!"}
        assert json.loads(core.command("invoke", "hello").stdout) == {"message": "Hello, world!"}


# --- greengrassd ------------------------------------------------------------------


def has_account():
    try:
        pwd.getpwnam("ggc_user")
    except KeyError:
        return False
    return True


@pytest.fixture
def service(project, command):
    """A root of greengrassd with the group in its place; what runs there in the end is stopped."""
    root = Path(tempfile.mkdtemp(prefix="gg-"))  # pytest's own folders are closed to ggc_user
    root.chmod(0o755)
    shutil.copytree(project, root / "ggc" / "deployment" / "group")

    class Service:
        path = root

        def __call__(self, *arguments):
            return command(*arguments, "--root", root, program=GREENGRASSD)

    service = Service()
    yield service
    service("stop")
    shutil.rmtree(root)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.needs_root
@pytest.mark.skipif(not has_account(), reason="needs the account ggc_user")
def test_the_service_starts_answers_restarts_and_stops(service, command):
    started = service("start")
    assert started.returncode == 0, started.stderr
    pid = int(
        started.stdout.splitlines()[-1].removeprefix("Greengrass successfully started with PID: ")
    )
    shown = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    assert f"{service.path}/ggc/packages/1.11.6/bin/daemon" in shown
    assert os.getsid(pid) == pid

    again = service("start")
    assert again.returncode == 3
    assert f"already running with PID: {pid}" in again.stderr

    result = command("invoke", "echo", "--root", service.path)
    assert json.loads(result.stdout)["uid"] == pwd.getpwnam("ggc_user").pw_uid

    restarted = service("restart")
    assert restarted.returncode == 0, restarted.stderr
    assert gone(pid)
    new = int(restarted.stdout.split()[-1])
    assert new != pid

    stopped = service("stop")
    assert stopped.stdout.splitlines() == [
        f"Stopping greengrass daemon of PID: {new}",
        "Stopped greengrass daemon",
    ]
    assert gone(new)
    assert service("stop").stdout == "Greengrass is not running\n"


@pytest.mark.needs_root
def test_a_start_that_fails_tells_the_reason_and_leaves_nothing(service):
    group = service.path / "ggc" / "deployment" / "group" / "group.toml"
    group.write_text(
        GROUP.replace("[functions.echo]\n", "[functions.echo]\nrun_as = {uid=0, gid=0}\n")
    )
    done = service("start")

    assert done.returncode == 3
    assert "configured to run as root" in done.stderr
    assert "configured to run as root" in (service.path / "ggc/var/log/crash.log").read_text()
    assert service("stop").stdout == "Greengrass is not running\n"


def test_a_foreground_service_tells_its_manager_and_stops_at_sigterm(service, tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        process = subprocess.Popen(
            [*GREENGRASSD, "start", "--foreground", "--root", str(service.path)],
            env={**environment(tmp_path / "run"), "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if os.geteuid() != 0 or not has_account():
                _out, err = process.communicate(timeout=30)
                assert process.returncode == 3
                assert err.startswith("error: ")
                return
            assert manager.recv(200) == f"READY=1\nMAINPID={process.pid}".encode()
            process.send_signal(signal.SIGTERM)
            assert manager.recv(200) == b"STOPPING=1"
            out, _err = process.communicate(timeout=30)
            assert process.returncode == 0
            assert out == f"Greengrass successfully started with PID: {process.pid}\n"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

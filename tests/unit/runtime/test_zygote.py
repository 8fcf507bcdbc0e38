# SPDX-License-Identifier: Apache-2.0
"""Forking, reaping and ending, in a real zygote."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greengrass_sdk import _native
from greengrass_sdk.runtime import processes, protocol, rehearsal, zygote

IDLE = "def handler(event, context): return event"


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in b"ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def zygote_descriptors(rig):
    return len(list(Path(f"/proc/{rig.process.pid}/fd").iterdir()))


def test_the_first_event_says_who_is_there(rig):
    assert rig.hello["pid"] == rig.process.pid
    assert rig.hello["version"] == protocol.VERSION
    assert rig.hello["python"].startswith("3.")


@pytest.mark.parametrize("impl", sorted({_native.impl, "python"}))
def test_the_first_event_says_what_workers_can_do(make_rig, impl):
    hello = make_rig(environment={"GREENGRASS_SDK_NATIVE": impl}).hello
    assert hello["features"] == (["ring"] if impl == "c" else [])


def test_a_spawn_gives_the_pid_and_a_pidfd_of_the_worker(rig):
    worker = rig.start("import os\ndef handler(e, c): return os.getpid()")
    assert worker.answer(b"") == worker.pid
    assert f"Pid:\t{worker.pid}\n" in Path(f"/proc/self/fdinfo/{worker.pidfd}").read_text()


def test_a_spare_waits_and_becomes_the_next_worker(rig, eventually):
    eventually(rig.children, "a spare waits")
    (spare,) = rig.children()
    assert rig.start(IDLE).pid == spare


def test_a_rehearsal_that_fails_is_told_and_costs_nothing_else(monkeypatch, capfd):
    def fail(_output, _origins):
        raise OSError("no descriptors are left")

    monkeypatch.setattr(rehearsal, "rehearse", fail)
    nothing: Any = None
    zygote._rehearse(nothing, nothing)
    assert "OSError: no descriptors are left" in capfd.readouterr().err


def test_a_fault_of_the_runtime_is_told_in_the_log_of_the_function(rig):
    worker = rig.spawn(IDLE, boot="no hexadecimal number")
    assert protocol.FAULT == worker.exit_code()
    assert b"ValueError: non-hexadecimal number" in worker.pipe(2)


def test_workers_start_whether_a_spare_waits_or_not(rig):
    workers = [rig.spawn(IDLE) for _ in range(5)]
    for number, worker in enumerate(workers):
        assert worker.ready() is None
        assert worker.answer(str(number).encode()) == number
    assert len({worker.pid for worker in workers}) == 5


def test_a_spare_that_was_killed_is_replaced(rig, eventually):
    eventually(rig.children, "a spare waits")
    (spare,) = rig.children()
    os.kill(spare, signal.SIGKILL)
    eventually(lambda: rig.children() not in ([spare], []), "another spare waits")
    assert rig.start(IDLE).pid != spare


def test_the_end_of_a_worker_is_reported_with_its_wait_status(rig):
    worker = rig.start(IDLE)
    worker.kill()
    report = worker.exited()
    assert (worker.pid, signal.SIGKILL, []) == (
        report["pid"],
        os.WTERMSIG(report["status"]),
        report["survivors"],
    )
    assert report["maxrss_kib"] > 1000


def test_nobody_else_notices_the_end_of_a_worker(rig):
    one, other = rig.start(IDLE), rig.start(IDLE)
    one.kill()
    one.exited()
    assert other.answer(b"5") == 5


@pytest.mark.looks_inside
def test_two_hundred_spawns_leave_no_descriptor_and_no_process(rig, eventually):
    code = rig.code(IDLE)
    rig.start(code).close()
    rig.event("exited")
    eventually(rig.children, "a spare waits")
    before = zygote_descriptors(rig)
    for _ in range(200):
        worker = rig.spawn(code)
        worker.close()
        rig.event("exited", worker.number)
    eventually(lambda: len(rig.children()) == 1, "only the spare is left")
    eventually(lambda: before == zygote_descriptors(rig), "the descriptors are what they were")


# --- what must not outlive the worker, and what may -----------------------------------


CHILDREN = """
import os, subprocess, sys
def handler(event, context):
    words = {event!r}
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, {options}).pid
"""


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["sleep", "600"], ""),
        (["sleep", "600"], "process_group=0"),
        (["sh", "-c", "sleep 600; true"], ""),
        (["sh", "-c", "kill -STOP $$; sleep 600"], ""),
    ],
)
def test_children_end_with_their_worker(rig, eventually, words, options):
    worker = rig.start(CHILDREN.format(event=words, options=options))
    child = worker.answer(b"")
    worker.kill()
    report = worker.exited()
    assert report["survivors"] == []
    eventually(lambda: gone(child), "the child ended")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["sleep", "600"], "start_new_session=True"),
        (["nohup", "sleep", "600"], "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"),
        (["setsid", "sleep", "600"], ""),
    ],
)
def test_children_with_a_session_of_their_own_or_that_ignore_hangups_survive(
    rig, eventually, words, options
):
    worker = rig.start(CHILDREN.format(event=words, options=options))
    child = worker.answer(b"")
    command = Path(f"/proc/{child}/cmdline")
    eventually(lambda: command.read_bytes().startswith(b"sleep\0"), "the program runs")
    worker.kill()
    assert worker.exited()["survivors"] == [{"pid": child, "command": "sleep 600"}]
    assert not gone(child)
    os.kill(child, signal.SIGKILL)
    eventually(lambda: gone(child), "the survivor was reaped")


def test_a_daemon_is_reported_when_its_worker_ends_not_when_another_does(rig, eventually):
    source = """
    import os, subprocess
    def handler(event, context):
        # The shell ends at once; its child has a session of its own and nobody.
        script = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
        return int(subprocess.check_output(script, shell=True))
    """
    other_arn = "arn:aws:lambda:us-east-1:000000000000:function:other:1"
    keeper = rig.start(
        source,
        arn=other_arn,
        environment={"PATH": os.environ["PATH"], "MY_FUNCTION_ARN": other_arn},
    )
    daemon = keeper.answer(b"")
    command = Path(f"/proc/{daemon}/cmdline")
    eventually(lambda: command.read_bytes().startswith(b"sleep\0"), "the daemon runs")
    bystander = rig.start(IDLE)
    bystander.kill()
    assert bystander.exited()["survivors"] == []
    keeper.kill()
    assert [survivor["pid"] for survivor in keeper.exited()["survivors"]] == [daemon]
    os.kill(daemon, signal.SIGKILL)


def test_a_survivor_is_reported_once(rig):
    source = CHILDREN.format(event=["sleep", "600"], options="start_new_session=True")
    one, other = rig.start(source), rig.start(IDLE)
    child = one.answer(b"")
    one.kill()
    assert len(one.exited()["survivors"]) == 1
    other.kill()
    assert other.exited()["survivors"] == []
    os.kill(child, signal.SIGKILL)


def test_survivors_that_have_ended_are_forgotten(monkeypatch):
    # Their numbers go to others, and a zygote may run for years.
    parent = zygote.Zygote.__new__(zygote.Zygote)
    parent._numbers, parent._arns, parent._spare = {}, {}, None
    gone_by = subprocess.Popen(["true"])
    gone_by.wait()
    parent._left = {os.getpid(), gone_by.pid}
    monkeypatch.setattr(processes, "orphans", lambda _known: [])
    assert parent._left_by(1) == []
    assert {os.getpid()} == parent._left


# --- the end of everything ---------------------------------------------------------------


NEVER_ENDS = """
import signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=threading.Event().wait).start()
print("importing")
while True:
    pass
"""


def test_the_death_of_the_core_ends_workers_within_a_second(make_rig):
    rig = make_rig()
    idle, busy = rig.start(IDLE), rig.spawn(NEVER_ENDS)
    assert busy.record()[2] == "importing"
    # A core that is killed has no time to say anything: its descriptors are closed, that is all.
    rig.control.close()
    for worker in (idle, busy):
        worker.wait_gone(1.0)
    assert rig.process.wait(5) == 0


def test_the_death_of_the_zygote_ends_workers_within_a_second(make_rig, eventually):
    rig = make_rig()
    idle, busy = rig.start(IDLE), rig.spawn(NEVER_ENDS)
    assert busy.record()[2] == "importing"
    eventually(lambda: len(rig.children()) == 3, "a spare waits")
    spare = rig.children()[-1]
    rig.process.kill()
    for worker in (idle, busy):
        worker.wait_gone(1.0)
    eventually(lambda: gone(spare), "the spare ended")


def test_stop_kills_what_is_left_and_reports_it(make_rig):
    rig = make_rig()
    worker = rig.start(
        NEVER_ENDS.replace("while True:", "while False:") + "def handler(e, c): pass"
    )
    protocol.send(rig.control, {"op": "stop"})
    assert worker.exit_code() == -signal.SIGKILL
    assert rig.process.wait(5) == 0


def test_ctrl_c_is_the_cores_business(rig):
    rig.process.send_signal(signal.SIGINT)
    assert rig.start(IDLE).answer(b"1") == 1


def test_a_core_that_talks_nonsense_is_left(make_rig, capfd):
    rig = make_rig()
    worker = rig.start(IDLE)
    protocol.send(rig.control, {"op": "dance"})
    worker.wait_gone(1.0)
    assert rig.process.wait(5) == 1
    assert "the core sent 'dance'" in capfd.readouterr().err


# --- secrecy -----------------------------------------------------------------------------


DUMPABLE = """
import ctypes
def handler(event, context):
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
"""


def test_workers_are_undumpable(rig):
    assert rig.start(DUMPABLE).answer(b"") == 0


def test_workers_can_be_debugged_where_that_was_asked_for(make_rig):
    rig = make_rig(environment={"GREENGRASS_DEBUGGABLE": "1"})
    assert rig.start(DUMPABLE).answer(b"") == 1


@pytest.mark.needs_root
@pytest.mark.parametrize(("debuggable", "dumpable"), [("0", 0), ("1", 1)])
def test_a_change_of_user_does_not_undo_that(make_rig, tmp_path, debuggable, dumpable):
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(0o755)
    rig = make_rig(environment={"GREENGRASS_DEBUGGABLE": debuggable})
    assert rig.start(DUMPABLE, uid=65534, gid=65534).answer(b"") == dumpable


def test_nothing_of_the_zygotes_environment_is_left_in_a_workers_memory_of_it(make_rig):
    rig = make_rig(environment={"LEAK": "s3cret", "GREENGRASS_DEBUGGABLE": "1"})
    worker = rig.start(IDLE)
    assert b"s3cret" not in Path(f"/proc/{worker.pid}/environ").read_bytes()


# --- in this process ---------------------------------------------------------------------


def test_the_descriptor_is_the_only_argument():
    with pytest.raises(IndexError):
        zygote.main([])


def test_an_address_that_is_no_socket_is_an_error():
    reader, writer = os.pipe()
    os.close(writer)
    try:
        with pytest.raises(OSError):
            zygote.main([str(reader)])
    finally:
        socket.close(reader)

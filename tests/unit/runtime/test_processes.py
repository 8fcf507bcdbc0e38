# SPDX-License-Identifier: Apache-2.0
"""Looks at processes; what a zygote does with them is in test_zygote.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from greengrass_sdk.runtime import processes


@pytest.fixture
def sleeper():
    with subprocess.Popen(
        ["sleep", "600"], env={"MARK": "mine"}, start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_a_process_has_a_session_and_the_environment_it_was_started_with(sleeper, eventually):
    assert processes.session_of(sleeper.pid) == sleeper.pid
    # Popen is told of the exec a moment before the new memory can be read.
    eventually(lambda: processes.environment_of(sleeper.pid, b"MARK") == b"mine", "it has MARK")
    assert processes.environment_of(sleeper.pid, b"MAR") is None


def test_a_process_that_is_gone_has_neither(sleeper):
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert processes.session_of(sleeper.pid) is None
    sleeper.wait()
    assert processes.session_of(sleeper.pid) is None
    assert processes.environment_of(sleeper.pid, b"MARK") is None


def test_children_that_nobody_knows_are_orphans(sleeper):
    assert sleeper.pid in processes.orphans(set())
    assert sleeper.pid not in processes.orphans({sleeper.pid})


# Tests may run under nohup, which children inherit.
HEARING = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"


def test_a_session_is_hung_up_but_not_its_leader(tmp_path, eventually):
    script = "trap '' HUP; sleep 600 & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as shell:
        assert shell.stdout is not None
        deaf = int(shell.stdout.readline())
        # A child in a process group of its own, in the same session, that does not ignore SIGHUP.
        joined = subprocess.Popen(
            [sys.executable, "-c", f"{HEARING}; print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with joined:
            assert joined.stdout is not None
            joined.stdout.readline()
            tree = {joined.pid: (os.getpid(), shell.pid), deaf: (shell.pid, shell.pid)}
            tree[shell.pid] = (os.getpid(), shell.pid)
            processes.hang_up_sessions({shell.pid}, tree)
            assert joined.wait(10) == -signal.SIGHUP
        assert processes.session_of(shell.pid) == shell.pid
        assert processes.session_of(deaf) == shell.pid
        os.killpg(shell.pid, signal.SIGKILL)


def test_a_process_is_named_in_a_fork(tmp_path):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            processes.set_name(b"a-name-that-is-too-long")
            processes.set_dumpable(True)
            os.write(writer, Path("/proc/self/comm").read_bytes())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"a-name-that-is-\n"


def test_an_operation_that_the_kernel_refuses_raises():
    with pytest.raises(OSError, match="prctl"):
        processes._set(2**20, 0)

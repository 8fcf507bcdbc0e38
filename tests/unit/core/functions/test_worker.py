# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from greengrass_sdk.core.functions import worker as module
from greengrass_sdk.core.functions.worker import Channels, End, WorkerProcess, describe_exit


class Log:
    def __init__(self):
        self.records = []

    def write(self, level, origin, message):
        self.records.append((level, origin, message))


def run(play, *, listens=True):
    async def scenario():
        log = Log()
        lost: list[WorkerProcess] = []
        channels = Channels.open()
        worker = WorkerProcess("f", channels, asyncio.get_running_loop(), log, lost.append)
        if listens:
            worker.listen()
        try:
            await play(worker, log, lost)
        finally:
            worker.close()
            worker.close_outputs()
            channels.close_theirs()
            channels.channel.close()

    asyncio.run(scenario())


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


FAULT = ": unless the function asked for it, the runtime failed, and its log tells why"


@pytest.mark.parametrize(
    ("status", "reason", "error_type"),
    [
        (3 << 8, "the worker exited with code 3", "Runtime.ExitError"),
        (
            70 << 8,
            f"the worker exited with code 70{FAULT}",
            "Runtime.ExitError",
        ),
        (signal.SIGKILL, "the worker was ended by signal 9 (SIGKILL)", "Runtime.SignalError"),
        (63, "the worker was ended by signal 63 (unknown)", "Runtime.SignalError"),
        (None, "the worker was killed because its zygote died", "Runtime.ExitError"),
    ],
)
def test_an_exit_is_put_into_words(status, reason, error_type):
    end = describe_exit(status)
    assert {"errorMessage": reason, "errorType": error_type} == json.loads(end.document)


def open_descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_a_worker_over_rings_gets_their_descriptors_last():
    before = open_descriptors()
    channels = Channels.open()
    assert 4 == len(channels.theirs)
    more = [os.open(os.devnull, os.O_RDONLY), os.eventfd(0)]
    channels.add(more)
    assert more == channels.theirs[4:]
    channels.close()
    assert before == open_descriptors()


def test_log_records_keep_level_origin_and_order():
    async def play(worker, log, _):
        their_log = worker.channels.theirs[1]
        os.write(their_log, b"Wa.py:3\0careful")
        os.write(their_log, "Ea.py:4\0größer\nline".encode())
        await until(lambda: len(log.records) == 2)
        assert [("WARN", "a.py:3", "careful"), ("ERROR", "a.py:4", "größer\nline")] == log.records

    run(play)


def test_what_c_code_prints_is_split_at_newlines():
    async def play(worker, log, _):
        _, _, stdout, stderr = worker.channels.theirs
        os.write(stdout, b"one\ntw")
        os.write(stdout, b"o\nthree")
        os.write(stderr, b"oops\n")
        await until(lambda: len(log.records) == 3)
        worker.channels.close_theirs()
        await until(lambda: not worker.has_outputs)
        assert sorted(log.records) == [
            ("ERROR", "stderr", "oops"),
            ("INFO", "stdout", "one"),
            ("INFO", "stdout", "three"),
            ("INFO", "stdout", "two"),
        ]

    run(play)


def test_drain_takes_what_was_written_before_the_end():
    async def play(worker, log, _):
        os.write(worker.channels.theirs[1], b"Ia.py:1\0last words")
        worker.channels.close_theirs()
        worker.drain()
        assert [("INFO", "a.py:1", "last words")] == log.records
        assert not worker.has_outputs

    run(play)


def test_what_a_worker_printed_that_was_closed_before_it_was_listened_to_is_read_to_its_end():
    async def play(worker, log, _):
        worker.close()
        worker.listen()
        os.write(worker.channels.theirs[2], b"last words\n")
        worker.channels.close_theirs()
        await until(lambda: not worker.has_outputs)
        assert [("INFO", "stdout", "last words")] == log.records

    run(play, listens=False)


def test_a_worker_that_closes_its_channel_is_lost_if_no_exit_is_reported(monkeypatch):
    monkeypatch.setattr(module, "_EXIT_REPORT_S", 0.001)

    async def play(worker, _, lost):
        worker.ended()
        await until(lambda: lost)
        assert [worker] == lost

    run(play)


def sleeper():
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL
    )


def test_a_signal_meant_for_a_worker_that_is_being_born_is_sent_at_its_birth():
    async def play(worker, _log, _lost):
        worker.kill()
        process = sleeper()
        worker.born(process.pid, os.pidfd_open(process.pid))
        assert -signal.SIGKILL == process.wait(10)
        worker.kill()  # nobody is there any more

    run(play)


def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(flush=True)\n"
        "time.sleep(60)\n"
    )

    async def play(worker, _log, _lost):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            worker.born(process.pid, os.pidfd_open(process.pid))
            worker.terminate(0.01)
            assert -signal.SIGKILL == await asyncio.to_thread(process.wait, 10)

    run(play)


def test_a_worker_that_breaks_the_contract_is_killed_and_the_log_says_why():
    async def play(worker, log, _):
        process = sleeper()
        worker.born(process.pid, os.pidfd_open(process.pid))
        worker.cut("answered item 9, which it was not asked")
        process.wait(10)
        text = "the worker was cut off: it answered item 9, which it was not asked"
        assert [("FATAL", "greengrass", text)] == log.records
        assert End(text, "Runtime.ProtocolError") == worker.verdict

    run(play)

# SPDX-License-Identifier: Apache-2.0
import asyncio
import os
import signal

import pytest

from greengrass_sdk.core.functions.zygotes import Zygotes
from greengrass_sdk.errors import ConfigError


def run(play):
    async def scenario():
        gone: list[object] = []
        zygotes = Zygotes(lambda _: None, gone.append)
        try:
            await play(zygotes, gone)
        finally:
            await zygotes.stop()

    asyncio.run(scenario())


def test_one_zygote_serves_all_functions_of_an_interpreter():
    async def play(zygotes, _):
        first, second = await asyncio.gather(zygotes.get(None), zygotes.get(None))
        assert first is second
        assert first is await zygotes.get(None)
        assert {None: first} == zygotes.running

    run(play)


def test_a_zygote_that_died_is_told_and_replaced_at_the_next_request():
    async def play(zygotes, gone):
        first = await zygotes.get(None)
        os.kill(first.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not gone:
                await asyncio.sleep(0)
        assert [first] == gone
        assert first is not await zygotes.get(None)

    run(play)


def test_an_interpreter_that_is_not_there_is_a_clear_error_every_time():
    async def play(zygotes, _):
        for _ in range(2):
            with pytest.raises(ConfigError, match="there is no such file; name an interpreter"):
                await zygotes.get("/no/such/python")
        assert {} == zygotes.running

    run(play)


def test_stop_ends_a_zygote_that_is_being_started():
    async def play(zygotes, gone):
        task = asyncio.create_task(zygotes.get(None))
        await asyncio.sleep(0)
        await zygotes.stop()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [] == gone

    run(play)


def test_resume_lets_a_stopped_zygote_go_on():
    async def play(zygotes, _):
        zygote = await zygotes.get(None)
        os.kill(zygote.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, zygote.pid, os.WSTOPPED)
        zygotes.resume()
        assert os.waitid(os.P_PID, zygote.pid, os.WCONTINUED) is not None

    run(play)

# SPDX-License-Identifier: Apache-2.0
"""A core in the foreground: signals, durations, and a clean end of each."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from greengrass_sdk.cli._serve import Supervision, layout_of, read_root, serve
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.errors import ConfigError


class Core:
    """Remembers what was asked of it; a test may hold its start or its stop."""

    def __init__(self):
        self.calls: list[str] = []
        self.starting = asyncio.Event()
        self.starting.set()
        self.stopping = asyncio.Event()
        self.stopping.set()
        self.asked = asyncio.Event()
        self.error: Exception | None = None

    async def start(self):
        self.calls.append("start")
        await self.starting.wait()
        if self.error is not None:
            raise self.error
        self.calls.append("ready")

    async def stop(self):
        self.calls.append("stop")
        await self.stopping.wait()

    async def wait_stopped(self):
        await self.asked.wait()

    def request_stop(self):
        self.calls.append("asked")
        self.asked.set()


def kill(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_cleanly(number):
    async def body():
        core, told = Core(), list[str]()
        await serve(core, Supervision(on_ready=kill(number), on_stopping=told.append))
        assert told == [number.name]
        assert core.calls == ["start", "ready", "asked", "stop"]

    asyncio.run(body())


def test_a_duration_ends_the_run_by_itself():
    async def body():
        core = Core()
        await serve(core, Supervision(duration_s=0))
        assert core.calls == ["start", "ready", "stop"]

    asyncio.run(body())


def test_the_core_may_be_asked_by_somebody_else():
    async def body():
        core = Core()
        await serve(core, Supervision(on_ready=core.request_stop))
        assert core.calls == ["start", "ready", "asked", "stop"]

    asyncio.run(body())


def test_a_signal_during_the_start_gives_it_up():
    async def body():
        core, ready = Core(), []
        core.starting.clear()
        asyncio.get_running_loop().call_soon(kill(signal.SIGTERM))
        await serve(core, Supervision(on_ready=lambda: ready.append(1)))
        assert (ready, core.calls) == ([], ["start", "asked", "stop"])

    asyncio.run(body())


def test_a_start_that_fails_raises_its_error_after_the_stop():
    async def body():
        core = Core()
        core.error = ConfigError("no root")
        with pytest.raises(ConfigError, match="no root"):
            await serve(core, Supervision())
        assert core.calls == ["start", "stop"]

    asyncio.run(body())


def test_a_second_interrupt_while_stopping_forces_the_end():
    async def body():
        core, forced = Core(), []
        core.stopping.clear()

        def force():
            forced.append(1)
            core.stopping.set()

        def stopping(_name):
            asyncio.get_running_loop().call_soon(kill(signal.SIGINT))

        await serve(
            core,
            Supervision(on_ready=kill(signal.SIGINT), on_stopping=stopping, force=force),
        )
        assert forced == [1]

    asyncio.run(body())


def test_a_second_sigterm_forces_nothing():
    async def body():
        core, forced = Core(), []

        def again(_name):
            kill(signal.SIGTERM)()

        await serve(
            core,
            Supervision(
                on_ready=kill(signal.SIGTERM), on_stopping=again, force=lambda: forced.append(1)
            ),
        )
        assert forced == []

    asyncio.run(body())


def test_the_signals_are_given_back_afterwards():
    async def body():
        await serve(Core(), Supervision(duration_s=0))

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    asyncio.run(body())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_root_without_a_config_has_the_default_layout(tmp_path):
    layout, config = read_root(tmp_path)

    assert (layout.root, layout.writable, config) == (tmp_path, tmp_path / "ggc", None)


def test_the_write_directory_of_the_config_is_used(tmp_path):
    (tmp_path / "config").mkdir()
    written = {"writeDirectory": str(tmp_path / "elsewhere")}
    (tmp_path / "config" / "config.json").write_text(json.dumps(written))
    layout, _config = read_root(tmp_path)

    assert layout.writable == tmp_path / "elsewhere"
    assert layout_of(tmp_path) == layout


def test_a_broken_config_is_refused(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text("{")

    with pytest.raises(ConfigError, match=r"config\.json"):
        read_root(tmp_path)
    assert layout_of(tmp_path) == Layout(tmp_path)

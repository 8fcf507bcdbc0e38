# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from greengrass_sdk.client.tools import CoreTools
from greengrass_sdk.core.config import load_config
from greengrass_sdk.core.daemon import Core
from greengrass_sdk.core.layout import Layout
from greengrass_sdk.errors import ConfigError, PackageError
from greengrass_sdk.model.group import parse_group

HEAD = 'schema = 1\n[group]\nname = "g"\ncore = "c"\n'
FUNCTION = '[functions.f]\ncode = "code"\nhandler = "f.handler"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "f.py").write_text("def handler(event, context): return event\n")
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def core(folder, text=FUNCTION, **options):
    group = parse_group(HEAD + text, base=folder, file="group.toml")
    return Core(group, Layout(folder / "root"), **options)


def test_a_core_starts_answers_its_owner_and_stops_without_a_trace(folder):
    events: list[dict[str, Any]] = []

    async def scenario():
        running = core(folder, on_event=events.append)
        await running.start()

        def ask():
            with CoreTools(folder / "root") as tools:
                return tools.status(), tools.invoke("f", b'{"a": 1}')

        status, result = await asyncio.to_thread(ask)
        assert os.getpid() == status["pid"]
        assert ("ok", b'{"a": 1}') == (result["outcome"], result["payload"])
        await running.stop()
        await running.stop()

    asyncio.run(scenario())
    assert "started" == events[0]["event"]
    assert not (folder / "root" / "ggc" / "ipc.sock").exists()
    assert [] == list((folder / "run").rglob("[0-9]*"))


def test_a_stopped_zygote_does_not_hold_up_the_end_of_a_core(folder):
    pinned = FUNCTION + "pinned = true\n"

    async def scenario():
        running = core(folder, pinned)
        await running.start()

        def stop_zygote():
            with CoreTools(folder / "root") as tools:
                assert "ok" == tools.invoke("f", b"{}")["outcome"]
                [zygote] = tools.status()["zygotes"]
            os.kill(zygote["pid"], signal.SIGSTOP)

        await asyncio.to_thread(stop_zygote)
        began = asyncio.get_running_loop().time()
        await running.stop()
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(scenario()) < 5  # what a worker would be given that does not end


def test_a_tools_stop_ends_the_wait(folder):
    async def scenario():
        running = core(folder)
        await running.start()

        def ask():
            with CoreTools(folder / "root") as tools:
                tools.stop()

        await asyncio.to_thread(ask)
        async with asyncio.timeout(10):
            await running.wait_stopped()
        await running.stop()

    asyncio.run(scenario())


def test_a_second_core_on_the_same_root_is_refused_and_the_first_goes_on(folder):
    async def scenario():
        first = core(folder)
        await first.start()
        with pytest.raises(ConfigError, match=f"is in use by the core with pid {os.getpid()}"):
            await core(folder).start()
        assert (folder / "root" / "ggc" / "ipc.sock").exists()
        await first.stop()

    asyncio.run(scenario())


def test_a_start_that_fails_is_logged_and_releases_the_root(folder):
    async def scenario():
        broken = core(folder)
        (folder / "code" / "f.py").unlink()
        (folder / "code").rmdir()
        with pytest.raises(PackageError):
            await broken.start()
        log = folder / "root" / "ggc" / "var" / "log" / "system" / "runtime.log"
        assert "the core does not start: function 'f': code " in log.read_text()
        (folder / "code").mkdir()
        again = core(folder)
        await again.start()
        await again.stop()

    asyncio.run(scenario())


def test_config_json_wins_over_the_group_file(folder):
    async def scenario():
        layout = Layout(folder / "root")
        layout.create()
        layout.config_file.write_text('{"runtime": {"maxWorkItemCount": 7}}')
        running = core(folder, config=load_config(layout.config_file))
        await running.start()
        assert 7 == running.group.limits.work_items
        await running.stop()

    asyncio.run(scenario())


def test_the_warnings_of_config_json_are_logged(folder):
    async def scenario():
        layout = Layout(folder / "root")
        layout.create()
        layout.config_file.write_text('{"runtime": {"maxWorkItemCout": 7}}')
        running = core(folder, config=load_config(layout.config_file))
        await running.start()
        await running.stop()
        log = (layout.system_log_dir / "runtime.log").read_text()
        assert "runtime.maxWorkItemCout: unknown key; did you mean 'maxWorkItemCount'?" in log

    asyncio.run(scenario())


def test_a_start_leaves_the_processs_open_files_as_they_were(folder):
    async def scenario():
        running = core(folder)
        await running.start()
        await running.stop()

    asyncio.run(scenario())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        asyncio.run(scenario())
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_shadows_survive_a_restart_of_the_core(folder):
    def ask(operation, payload=b""):
        context = b'{"custom": {"subject": "$aws/things/T/shadow/%s"}}' % operation
        with CoreTools(folder / "root") as tools:
            answer = tools.invoke("GGShadowService", payload, client_context=context)
            return json.loads(answer["payload"]), tools.request("shadows")["shadows"]

    async def scenario():
        for question in ((b"update", b'{"state": {"desired": {"a": 1}}}'), (b"get",)):
            running = core(folder)
            await running.start()
            answer, found = await asyncio.to_thread(ask, *question)
            await running.stop()
            assert (1, {"a": 1}) == (answer["version"], answer["state"]["desired"])
            assert [["T", "", 1]] == found

    asyncio.run(scenario())


def test_a_damaged_file_of_shadows_stops_the_start_and_stays_as_it_is(folder):
    running = core(folder)
    running.layout.create()
    path = folder / "root" / "ggc" / "var" / "state" / "shadows.db"
    path.write_bytes(b"no database" * 500)
    with pytest.raises(ConfigError, match="not a database"):
        asyncio.run(running.start())
    assert b"no database" * 500 == path.read_bytes()

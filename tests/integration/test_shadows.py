# SPDX-License-Identifier: Apache-2.0
"""Shadows on a core that dies, starts with a damaged file, or has thousands of things."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import threading

import pytest
from projects import write_project
from running_core import GREENGRASS, RunningCore, environment

from greengrass_sdk import AsyncClient, Client
from greengrass_sdk.errors import CoreUnavailableError

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(180)]

THINGS = 3000


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "project", {}, {}, clients=["one", "two"])


def database(core):
    return core.root / "ggc" / "var" / "state" / "shadows.db"


class Writer(threading.Thread):
    """Updates things until the core is gone; `accepted` is what it was told."""

    def __init__(self, client, things):
        super().__init__(daemon=True)
        self.client = client
        self.things = things
        self.accepted: dict[str, tuple[int, int]] = {}
        self.asked: dict[str, int] = {}
        self.begun = threading.Event()
        self.failure: Exception | None = None

    def run(self):
        try:
            for number in range(1_000_000):
                thing = self.things[number % len(self.things)]
                self.asked[thing] = number
                change = self.client.shadow(thing).update(reported={"n": number})
                self.accepted[thing] = change.version, number
                if number > 20:
                    self.begun.set()
        except CoreUnavailableError:
            pass
        except Exception as error:  # noqa: BLE001 - told by the test, in its thread
            self.failure = error
        self.begun.set()


def test_whatever_was_accepted_survives_a_death_amid_updates(project):
    """And of what was under way all or nothing, by the version."""
    choose = random.Random(11)
    kept: dict[str, tuple[int, int]] = {}
    for _ in range(3):
        with (
            RunningCore(project, status=-signal.SIGKILL) as core,
            Client(root=core.root, name="one") as one,
            Client(root=core.root, name="two") as two,
        ):
            for thing, (version, number) in kept.items():
                document = one.shadow(thing).get()
                assert (version, {"n": number}) == (document.version, document.reported)
            writers = [Writer(one, ["A", "B", "C"]), Writer(two, ["X", "Y"])]
            for writer in writers:
                writer.start()
            for writer in writers:
                assert writer.begun.wait(60)
            writers[0].join(choose.random() / 5)  # the instant of the death
            core.process.kill()
            core.process.wait()
            for writer in writers:
                writer.join(60)
                assert writer.failure is None
        with RunningCore(project) as core, Client(root=core.root, name="one") as one:
            for writer in writers:
                for thing, (version, number) in writer.accepted.items():
                    document = one.shadow(thing).get()
                    found = document.version, document.reported["n"]
                    assert found in [(version, number), (version + 1, writer.asked[thing])]
                    kept[thing] = found


def test_a_damaged_file_stops_the_start_and_is_left_as_it_is(project):
    with RunningCore(project) as core, Client(root=core.root, name="one") as client:
        client.shadow("T").update(reported={"a": "x" * 500})
        file = database(core)
    file.write_bytes(file.read_bytes().replace(b"xxxx", b"xxzx", 1))
    before = {each.name: each.read_bytes() for each in file.parent.glob("shadows.db*")}
    with pytest.raises(AssertionError) as raised, RunningCore(project):
        pass
    told = str(raised.value)
    assert f"cannot use the shadows in {file}" in told
    assert "it is damaged: shadow 'T' does not match its checksum" in told
    assert "Restore the file from a backup" in told
    after = {each.name: each.read_bytes() for each in file.parent.glob("shadows.db*")}
    assert before == {name: content for name, content in after.items() if name in before}
    assert before["shadows.db"] == file.read_bytes()


def test_thousands_of_things_are_updated_at_once_listed_and_there_after_a_restart(project):
    async def update_all(root):
        async with AsyncClient(root=root, name="one") as client:
            limit = asyncio.Semaphore(200)

            async def update(number):
                async with limit:
                    shadow = client.shadow(f"thing-{number:04}")
                    return (await shadow.update(desired={"n": number})).version

            return await asyncio.gather(*map(update, range(THINGS)))

    with RunningCore(project) as core:
        assert [1] * THINGS == asyncio.run(update_all(core.root))
    with RunningCore(project) as core, Client(root=core.root, name="two") as client:
        found = json.loads(core.command("shadow", "list", "--json").stdout)["shadows"]
        assert [f"thing-{number:04}" for number in range(THINGS)] == [row["thing"] for row in found]
        numbers = [client.shadow(row["thing"]).get().desired["n"] for row in found]
    assert list(range(THINGS)) == numbers


def test_no_change_is_lost_where_several_modify_one_shadow(project):
    async def count(client, times):
        shadow = client.shadow("counter")
        for _ in range(times):
            await shadow.modify(
                lambda found: {"reported": {"n": found.reported.get("n", 0) + 1}}, attempts=1000
            )

    async def main(root):
        async with (
            AsyncClient(root=root, name="one") as one,
            AsyncClient(root=root, name="two") as two,
        ):
            await asyncio.gather(*(count(client, 25) for client in (one, two) for _ in range(4)))
            return await one.shadow("counter").get()

    with RunningCore(project) as core:
        document = asyncio.run(main(core.root))
    assert (200, {"n": 200}) == (document.version, document.reported)


def test_a_watch_prints_each_change_and_the_end(project, tmp_path):
    with RunningCore(project) as core, Client(root=core.root, name="one") as client:
        watch = subprocess.Popen(
            [*GREENGRASS, "shadow", "watch", "T", "--json", "--root", str(core.root)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(tmp_path / "run"),
        )
        assert watch.stdout is not None
        with watch.stdout as lines:
            assert json.loads(lines.readline())["shadow"] is None
            client.shadow("T").update(desired={"a": 1})
            assert 1 == json.loads(lines.readline())["shadow"]["version"]
            client.shadow("T").delete()
            assert json.loads(lines.readline())["shadow"] is None
            watch.send_signal(signal.SIGINT)
            lines.read()
        assert 130 == watch.wait(20)

# SPDX-License-Identifier: Apache-2.0
"""
Streams after `kill -9`: what was acknowledged is there, in order, once.

A process appends to two streams, one that is flushed and one that is not, and tells each
acknowledgement; it is killed at a random instant, in the middle of whatever it does. A process that
is killed leaves what it wrote to the operating system, so that nothing acknowledged is lost even of
the stream that is not flushed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from greengrass_sdk.core.storage.files import FolderFiles
from greengrass_sdk.core.storage.log import SegmentLog
from greengrass_sdk.core.streams.manager import StreamManager
from greengrass_sdk.core.streams.store import FolderStore
from greengrass_sdk.model.stream import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    StrategyOnFull,
)

WAIT_S = 30.0
IN_A_ROW = 10  # crashes of the same streams
NAMES = ("flushed", "quick")
SEGMENT_BYTES = 16 * 1024


def definition(name: str) -> MessageStreamDefinition:
    return MessageStreamDefinition(
        name,
        max_size=1 << 40,
        stream_segment_size=SEGMENT_BYTES,
        strategy_on_full=StrategyOnFull.RejectNewData,
        flush_on_write=name == "flushed",
        export_definition=ExportDefinition(kinesis=[KinesisConfig("k", "kinesis")]),
    )


def payload(name: str, number: int) -> bytes:
    """Return the message of that number: it says which, and is of any size."""
    return b"%s %d " % (name.encode(), number) + b"x" * (number * 7919 % 900)


async def append(folder: Path, seed: int) -> None:
    """Append, export and tell, until killed; the child's part."""
    chance = random.Random(seed)
    manager = StreamManager(FolderStore(folder), sync_s=0.005)
    await manager.start()
    for name in NAMES:
        if name not in await manager.list_streams():
            await manager.create_message_stream(definition(name))

    def tell(**said: object) -> None:
        os.write(1, json.dumps(said).encode() + b"\n")

    async def load(name: str) -> None:
        status = (await manager.describe_message_stream(name)).storage_status
        number = status.newest_sequence_number + 1
        while True:
            count = chance.randint(1, 20)
            batch = [payload(name, number + each) for each in range(count)]
            first, last = await manager.append_messages(name, batch)
            if (first, last) != (number, number + count - 1):
                raise AssertionError(f"{name}: {first} to {last} instead of {number}")
            number = last + 1
            tell(stream=name, next=number)

    async def export() -> None:
        [task] = [each for each in manager.export_tasks() if each.stream == "quick"]
        while True:
            batch = await manager.read_export(task, 10, timeout_s=1)
            if batch:
                last = batch[-1].sequence_number
                await manager.advance_export(task, last, len(batch), 1)
                tell(exported=last)

    tell(ready=True)
    await asyncio.gather(*map(load, NAMES), export())


class Told:
    """What the children have told so far."""

    def __init__(self) -> None:
        self.next = dict.fromkeys(NAMES, 0)
        self.exported = -1

    def take(self, line: bytes) -> None:
        said = json.loads(line)
        if "stream" in said:
            self.next[said["stream"]] = said["next"]
        self.exported = said.get("exported", self.exported)


def crash(folder: Path, told: Told, chance: random.Random) -> None:
    """Let a child work, kill it, and take what it has told."""
    command = [sys.executable, __file__, str(folder), str(chance.random())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            assert json.loads(child.stdout.readline()) == {"ready": True}
            select.select([], [], [], chance.random() * 0.15)
        finally:
            child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate(timeout=WAIT_S)
    whole, _, _ = rest.rpartition(b"\n")
    for line in whole.splitlines():
        told.take(line)


def check(folder: Path, told: Told) -> None:
    """Compare what is on the disk with what was told."""
    for number, name in enumerate(NAMES, 1):
        files = FolderFiles(folder / f"{number:06d}")
        log = SegmentLog.open(files, SEGMENT_BYTES)
        assert told.next[name] <= log.next
        start = 0
        while start < log.next:
            blocks, gap = log.read(start, 1 << 30, 1 << 20)
            assert gap is None
            found = [each for block in blocks for each in block.payloads()]
            assert [payload(name, start + n) for n in range(len(found))] == found
            start = blocks[-1].stop
        told.next[name] = log.next  # the next child goes on there


def check_export(folder: Path, told: Told) -> None:
    """The export is where it was told to be, or at most one batch further."""
    store = FolderStore(folder)
    store.load()
    last = store.exports(2)["k"].last_exported_sequence_number if told.exported >= 0 else -1
    store.close()
    assert told.exported <= last <= told.exported + 10
    told.exported = last


@pytest.mark.parametrize(
    "crashes",
    [
        pytest.param(6, marks=pytest.mark.timeout(120)),
        pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_what_was_acknowledged_survives_kill_9_at_any_instant(tmp_path, crashes):
    chance, told = random.Random(), Told()
    for number in range(crashes):
        folder = tmp_path / str(number // IN_A_ROW)
        if number % IN_A_ROW == 0:
            folder.mkdir()
            told = Told()
        crash(folder, told, chance)
        check(folder, told)
        check_export(folder, told)
    assert all(told.next.values()), "nothing was appended: this tested nothing"


if __name__ == "__main__":
    asyncio.run(append(Path(sys.argv[1]), hash(sys.argv[2])))

# SPDX-License-Identifier: Apache-2.0
"""
Streams on a disk that is full: it refuses, loses nothing, and goes on by itself.

The disk is a small tmpfs where one may be mounted; everywhere, a limit on the size of files, which
fails writes in their middle.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from greengrass_sdk.core.streams.manager import StreamManager
from greengrass_sdk.core.streams.store import FolderStore
from greengrass_sdk.errors import StreamStoreError
from greengrass_sdk.model.stream import (
    MessageStreamDefinition,
    ReadMessagesOptions,
    StrategyOnFull,
)

WAIT_S = 60.0
SIZE = 8 << 20
PAYLOAD = 50_000


def payload(number: int) -> bytes:
    return b"%8d" % number + b"x" * PAYLOAD


async def fill(manager: StreamManager, name: str, first: int) -> int:
    """Append until the disk is full; return the next sequence number."""
    number = first
    while True:
        try:
            taken = await manager.append_message(name, payload(number))
        except StreamStoreError as error:
            if "the disk is full" not in str(error):
                raise
            return number
        assert number == taken
        number += 1


async def check(manager: StreamManager, name: str, count: int) -> None:
    """Check that a stream holds what it took, and no more."""
    info = await manager.describe_message_stream(name)
    assert count - 1 == info.storage_status.newest_sequence_number
    start = 0
    while start < count:
        found = await manager.read_messages(name, ReadMessagesOptions(start, 1, 50))
        assert [payload(start + n) for n in range(len(found))] == [m.payload for m in found]
        start += len(found)


def definition(name: str, *, flush: bool = False) -> MessageStreamDefinition:
    return MessageStreamDefinition(
        name,
        max_size=1 << 40,
        strategy_on_full=StrategyOnFull.OverwriteOldestData,
        flush_on_write=flush,
    )


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.needs_root
def test_a_full_disk_refuses_loses_nothing_and_recovers_by_itself(small_disk):
    async def story() -> None:
        manager = StreamManager(FolderStore(small_disk / "streams"))
        await manager.start()
        await manager.create_message_stream(definition("quick"))
        await manager.create_message_stream(definition("flushed", flush=True))
        quick = await fill(manager, "quick", 0)
        flushed = await fill(manager, "flushed", 0)
        assert quick > 20
        await check(manager, "quick", quick)
        await check(manager, "flushed", flushed)
        await manager.delete_message_stream("quick")
        assert await fill(manager, "flushed", flushed) > flushed
        await manager.stop()

    asyncio.run(asyncio.wait_for(story(), WAIT_S))


@pytest.mark.needs_root
def test_a_disk_that_is_full_at_the_end_is_full_at_the_beginning_and_nothing_is_lost(small_disk):
    async def story() -> None:
        manager = StreamManager(FolderStore(small_disk / "streams"))
        await manager.start()
        await manager.create_message_stream(definition("r"))
        count = await fill(manager, "r", 0)
        await manager.stop()
        manager = StreamManager(FolderStore(small_disk / "streams"))
        await manager.start()
        await check(manager, "r", count)
        await fill(manager, "r", count)
        await manager.stop()

    asyncio.run(asyncio.wait_for(story(), WAIT_S))


# A limit on the size of files: it holds for a process, so there is a child.


async def limited(folder: Path) -> None:
    """Meet the limit, raise it, go on; the child's part."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    manager = StreamManager(FolderStore(folder))
    await manager.start()
    await manager.create_message_stream(definition("r"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * PAYLOAD + 1000, hard))
    count = await fill(manager, "r", 0)
    await check(manager, "r", count)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    after = await manager.append_message("r", payload(count))
    await check(manager, "r", after + 1)
    await manager.stop()
    sys.stdout.write(json.dumps([count, after]))


def test_a_write_that_fails_in_its_middle_is_as_if_it_had_not_been(tmp_path):
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert 0 == done.returncode, done.stderr
    count, after = json.loads(done.stdout)
    assert 1 <= count == after

    async def story() -> None:
        manager = StreamManager(FolderStore(tmp_path))
        await manager.start()
        await check(manager, "r", after + 1)
        await manager.stop()

    asyncio.run(asyncio.wait_for(story(), WAIT_S))


if __name__ == "__main__":
    asyncio.run(limited(Path(sys.argv[1])))

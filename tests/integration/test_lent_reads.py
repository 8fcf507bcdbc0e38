# SPDX-License-Identifier: Apache-2.0
"""
Large reads of streams, of which the core lends the file: what can happen to it meanwhile.

Whoever reads has the descriptor of a segment for as long as the answer is on its way, and looks at
the checksums. Nothing of that is to be seen: neither that it is so, nor a descriptor that is left.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from leftovers import Footprint, descriptors
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk.errors import StreamNotFoundError, StreamReadError
from greengrass_sdk.model.stream import StrategyOnFull
from greengrass_sdk.wire import streamcalls as calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greengrass_sdk.client.streams import Stream

pytestmark = [
    pytest.mark.needs_core,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not calls.READ_FLAGS, reason="who is slow asks the core to look"),
]

BATCH = 300_000
RECORDS = [b"%6d" % number + b"x" * 1018 for number in range(4096)]
PEER = """
    import sys
    from greengrass_sdk import Client
    from greengrass_sdk.client.streams import STREAMS_ARN
    from greengrass_sdk.wire import streamcalls as calls

    client = Client(root=sys.argv[1], name="peer")
    stream = client.stream("large")
    assert stream.read(0, most=1)
    request = calls.request_read("large", 0, 1, 9999, 0.0, 300_000, calls.UNCHECKED)
    for _ in range(20):  # more than may be under way at once: some wait in the core
        stream._begin(STREAMS_ARN, request)
    print("asked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCore]:
    folder = tmp_path_factory.mktemp("lent")
    project = write_project(folder, {}, {}, clients=["tester", "peer"], streams={"enabled": True})
    with RunningCore(project) as core:
        yield core


@pytest.fixture
def client(core: RunningCore) -> Iterator[Client]:
    with Client(root=core.root, name="tester") as client:
        yield client


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the first bytes of the answers to reads."""
    found: list[int] = []
    is_sound = calls.is_sound

    def look(answer: bytes) -> bool:
        found.append(answer[0])
        return is_sound(answer)

    monkeypatch.setattr(calls, "is_sound", look)
    return found


def fill(stream: Stream, records: list[bytes] = RECORDS, **options: Any) -> None:
    stream.create(stream_segment_size=1 << 20, **options)
    for first in range(0, len(records), 64):
        stream.append_many(records[first : first + 64])


def payloads(stream: Stream, start: int = 0) -> list[bytes]:
    return [message.payload for message in stream.iterate(start, batch_bytes=BATCH)]


def segments(core: RunningCore, record: bytes) -> list[Path]:
    """Return the files that hold a record."""
    return [path for path in Path(core.root).rglob("*.log") if record in path.read_bytes()]


def test_a_large_stream_is_read_from_its_files(client: Client, tags: list[int]) -> None:
    stream = client.stream("plain")
    fill(stream)
    assert RECORDS == payloads(stream)
    assert tags.count(2) > len(RECORDS) * 1024 // BATCH - 4


def test_a_client_on_a_socket_reads_the_same(core: RunningCore, client: Client) -> None:
    stream = client.stream("by socket")
    fill(stream)
    program = (
        "import sys\n"
        "from greengrass_sdk import Client\n"
        "from greengrass_sdk.wire import streamcalls as calls\n"
        "calls.READ_FLAGS = calls.UNCHECKED\n"
        "with Client(root=sys.argv[1], name='peer') as client:\n"
        "    for message in client.stream('by socket').iterate(batch_bytes=int(sys.argv[2])):\n"
        "        sys.stdout.buffer.write(message.payload)\n"
    )
    command = [sys.executable, "-P", "-c", program, str(core.root), str(BATCH)]
    env = {**os.environ, "GREENGRASS_SDK_NATIVE": "python"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, timeout=60)
    assert b"".join(RECORDS) == done.stdout


def test_a_byte_that_changes_on_the_disk_is_found_and_only_its_block_is_lost(
    core: RunningCore, client: Client, tags: list[int]
) -> None:
    stream = client.stream("damaged")
    marked = [record.replace(b"x", b"d") for record in RECORDS]
    fill(stream, marked)
    iterating = stream.iterate(batch_bytes=BATCH)
    found = [next(iterating).payload for _ in range(1000)]
    [path] = segments(core, marked[2000])
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(marked[2000]) + 500)
        file.write(b"!")
    with pytest.raises(StreamReadError, match="messages 1984 to 2047 of stream damaged") as caught:
        found += (message.payload for message in iterating)
    assert marked[:1984] == found
    assert 2048 == caught.value.next_sequence_number
    assert marked[2048:] == payloads(stream, 2048)
    assert {0, 2} <= set(tags)


def test_what_was_answered_is_read_although_the_stream_is_gone(client: Client) -> None:
    stream = client.stream("gone")
    fill(stream)
    iterating = stream.iterate(batch_bytes=BATCH)
    found = [next(iterating).payload for _ in range(500)]  # the third batch is on its way
    stream.delete()
    with pytest.raises(StreamNotFoundError):
        found += (message.payload for message in iterating)
    assert 500 < len(found)
    assert RECORDS[: len(found)] == found


def test_reading_goes_on_while_the_oldest_messages_are_overwritten(client: Client) -> None:
    stream = client.stream("overwritten")
    fill(stream, max_size=3 << 20, strategy_on_full=StrategyOnFull.OverwriteOldestData)
    iterating = stream.iterate(batch_bytes=BATCH)
    numbers = [next(iterating).sequence_number for _ in range(600)]
    for first in range(0, len(RECORDS), 64):
        stream.append_many(RECORDS[first : first + 64])
    for message in iterating:
        numbers.append(message.sequence_number)
        assert RECORDS[message.sequence_number % len(RECORDS)] == message.payload
    assert numbers == sorted(set(numbers))
    assert 2 * len(RECORDS) - 1 == numbers[-1]


def test_no_descriptor_is_left_whatever_becomes_of_who_reads(core: RunningCore) -> None:
    with Client(root=core.root, name="tester") as client:
        stream = client.stream("large")
        fill(stream)
        assert RECORDS == payloads(stream)
        before = Footprint.settled(core.process.pid)
        mine = descriptors(os.getpid())
        for count in (1, 400, 700, 2000):  # what was asked ahead is given up
            iterating: Any = stream.iterate(batch_bytes=BATCH)
            for _ in range(count):
                next(iterating)
            iterating.close()
        assert RECORDS == payloads(stream)
        assert mine == descriptors(os.getpid())
        command = [sys.executable, "-P", "-c", textwrap.dedent(PEER), str(core.root)]
        pipe = subprocess.PIPE
        for end in ("kill", "exit"):
            with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as peer:
                assert peer.stdout is not None
                assert "asked\n" == peer.stdout.readline()
                if end == "kill":
                    peer.kill()
        assert RECORDS == payloads(stream)
        before.check(core.process.pid)
    # Also of one that is closed before its answers came.
    other = Client(root=core.root, name="tester")
    iterating = other.stream("large").iterate(batch_bytes=BATCH)
    assert RECORDS[:700] == [next(iterating).payload for _ in range(700)]
    other.close()
    del iterating
    assert not [name for name in descriptors(os.getpid()) if "/streams/" in name]

# SPDX-License-Identifier: Apache-2.0
"""The manager in an event loop, on a folder and with its two threads."""

import asyncio
import errno
from threading import Event
from typing import Any

import pytest

from greengrass_sdk.core.storage import files as files_module
from greengrass_sdk.core.streams.manager import READ_BYTES, StreamManager
from greengrass_sdk.core.streams.service import Append
from greengrass_sdk.core.streams.store import FolderStore, MemoryStore
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamFullError,
    StreamNotFoundError,
    StreamStoreError,
)
from greengrass_sdk.model.stream import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    ReadMessagesOptions,
    StrategyOnFull,
)
from greengrass_sdk.wire.blocks import encode_body, parse_blocks

WAIT_S = 10.0


def definition(name="r", **options):
    return MessageStreamDefinition(name, strategy_on_full=StrategyOnFull.RejectNewData, **options)


def exporting(name="r"):
    exports = ExportDefinition(kinesis=[KinesisConfig("k", "kinesis")])
    return definition(name, export_definition=exports)


def run(story, store=None, **options):
    """Run a story with a manager that has the stream `r`."""

    async def whole():
        manager = StreamManager(MemoryStore() if store is None else store, **options)
        await manager.start()
        try:
            async with asyncio.timeout(WAIT_S):
                return await story(manager)
        finally:
            await manager.stop()

    return asyncio.run(whole())


def with_stream(story, store=None, created=None, **options):
    async def begun(manager):
        await manager.create_message_stream(created or definition())
        return await story(manager)

    return run(begun, store, **options)


def payloads(messages):
    return [message.payload for message in messages]


def test_messages_get_numbers_and_are_read():
    async def story(manager):
        assert 0 == await manager.append_message("r", b"a")
        assert (1, 2) == await manager.append_messages("r", [b"b", b"c"])
        found = await manager.read_messages("r", ReadMessagesOptions(0, 3, 9))
        assert [(0, b"a"), (1, b"b"), (2, b"c")] == [
            (message.sequence_number, message.payload) for message in found
        ]
        assert {("r", 5000)} == {(m.stream_name, m.ingest_time) for m in found}

    with_stream(story, clock=lambda: 5.0)


def test_a_read_of_what_is_there_can_be_done_at_once():
    async def story(manager):
        await manager.append_messages("r", [b"a"])
        [block] = parse_blocks(b"".join(manager.try_read("r", 0, 1, 9, READ_BYTES)))
        assert [b"a"] == block.payloads()
        with pytest.raises(NotEnoughMessagesError):
            manager.try_read("r", 0, 2, 9, READ_BYTES)

    with_stream(story)


def test_where_messages_are_found_is_another_place_once_they_are_removed():
    async def story(manager):
        await manager.append_messages("r", [b"a", b"b"])
        first = manager.try_window("r", 0, 2)
        assert first == manager.try_window("r", 0, 2)
        assert first != manager.try_window("r", 1, 1)
        with pytest.raises(NotEnoughMessagesError):
            manager.try_window("r", 0, 3)
        await manager.delete_message_stream("r")
        with pytest.raises(StreamNotFoundError):
            manager.try_window("r", 0, 2)
        await manager.create_message_stream(definition())
        await manager.append_messages("r", [b"a", b"b"])
        assert first != manager.try_window("r", 0, 2)
        await manager.stop()
        assert None is manager.try_window("r", 0, 2)

    with_stream(story)


def test_a_read_without_options_returns_the_oldest_message():
    async def story(manager):
        await manager.append_messages("r", [b"a", b"b"])
        assert [b"a"] == payloads(await manager.read_messages("r"))

    with_stream(story)


def test_streams_are_made_changed_listed_described_and_deleted():
    async def story(manager):
        await manager.update_message_stream(definition(time_to_live_millis=60_000))
        assert ["r"] == await manager.list_streams()
        info = await manager.describe_message_stream("r")
        assert (60_000, -1) == (
            info.definition.time_to_live_millis,
            info.storage_status.newest_sequence_number,
        )
        await manager.delete_message_stream("r")
        assert [] == await manager.list_streams()

    with_stream(story)


def test_requests_that_break_a_rule_are_refused():
    async def story(manager):
        for request in (
            lambda: manager.create_message_stream(definition("a/b")),
            lambda: manager.update_message_stream(definition(max_size=1)),
            lambda: manager.delete_message_stream(""),
            lambda: manager.append_message("r", "text"),
            lambda: manager.append_message("r", b""),
            lambda: manager.append_messages("r", []),
            lambda: manager.read_messages("r", ReadMessagesOptions(0, 2, 1)),
            lambda: manager.describe_message_stream("a/b"),
        ):
            with pytest.raises(InvalidStreamRequestError):
                await request()

    with_stream(story)


def test_errors_of_the_service_reach_who_asked():
    async def story(manager):
        with pytest.raises(StreamNotFoundError):
            await manager.append_message("no", b"x")
        await manager.append_message("r", b"x" * 900)
        with pytest.raises(StreamFullError):
            await manager.append_message("r", b"x" * 900)

    with_stream(story, created=definition(max_size=1024))


def test_many_appends_at_once_keep_their_order():
    async def story(manager):
        numbers = await asyncio.gather(
            *(manager.append_message("r", b"%d" % number) for number in range(500))
        )
        assert list(range(500)) == numbers
        found = await manager.read_messages("r", ReadMessagesOptions(0, 500, 500))
        assert [b"%d" % number for number in range(500)] == payloads(found)

    with_stream(story)


def test_who_gives_up_waiting_for_an_append_disturbs_nobody():
    async def story(manager):
        gone = asyncio.ensure_future(manager.append_message("r", b"a"))
        await asyncio.sleep(0)
        gone.cancel()
        assert 1 == await manager.append_message("r", b"b")

    with_stream(story)


def test_a_reader_that_waits_hears_of_new_messages():
    async def story(manager):
        reading = asyncio.ensure_future(
            manager.read_messages("r", ReadMessagesOptions(0, 2, 2, 60_000))
        )
        for payload in (b"a", b"b"):
            await manager.append_message("r", payload)
        assert [b"a", b"b"] == payloads(await reading)

    with_stream(story)


def test_a_reader_that_waits_in_vain_hears_so_in_time():
    async def story(manager):
        with pytest.raises(NotEnoughMessagesError):
            await manager.read_messages("r", ReadMessagesOptions(0, 1, 1, 1))

    with_stream(story)


def test_a_reader_that_waits_hears_that_its_stream_is_deleted():
    async def story(manager):
        reading = asyncio.ensure_future(manager.read_blocks("r", 0, 1, 1, timeout_s=60))
        await manager.list_streams()
        await manager.delete_message_stream("r")
        with pytest.raises(StreamNotFoundError):
            await reading

    with_stream(story)


def test_a_reader_that_waits_hears_that_the_core_stops():
    async def story(manager):
        reading = asyncio.ensure_future(manager.read_blocks("r", 0, 1, 1, timeout_s=60))
        await manager.list_streams()
        await manager.stop()
        with pytest.raises(StreamError):
            await reading
        with pytest.raises(StreamStoreError, match="was stopped"):
            await manager.append_message("r", b"x")
        with pytest.raises(StreamStoreError, match="was stopped"):
            await manager.list_streams()
        await manager.stop()

    with_stream(story)


def test_what_was_acknowledged_survives_a_stop(tmp_path):
    async def before(manager):
        await manager.append_messages("r", [b"a", b"b"])

    async def after(manager):
        assert [b"a", b"b"] == payloads(
            await manager.read_messages("r", ReadMessagesOptions(0, 2, 2))
        )

    with_stream(before, FolderStore(tmp_path))
    run(after, FolderStore(tmp_path))


class SlowDisk:
    """Stands between a file and its sync."""

    def __init__(self, monkeypatch):
        self.began, self.go_on = Event(), Event()
        self.failure = None
        self.syncs = 0
        monkeypatch.setattr(files_module._FolderFile, "sync", lambda _: self.sync())

    def sync(self):
        self.began.set()
        assert self.go_on.wait(WAIT_S)
        self.syncs += 1
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def disk(monkeypatch):
    return SlowDisk(monkeypatch)


def append(manager, payload):
    """Append, and return the results that come, in a list that grows."""
    told: list[Any] = []
    manager.append(Append("r", 1, encode_body([payload])), told.append)
    return told


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


def test_an_append_that_is_flushed_counts_once_it_is_on_the_disk(tmp_path, disk):
    async def story(manager):
        first = append(manager, b"a")
        await until(disk.began.is_set)
        others = [append(manager, b"b"), append(manager, b"c")]
        await manager.list_streams()
        assert [[], [], []] == [first, *others]
        syncs = disk.syncs
        disk.go_on.set()
        await until(lambda: all([first, *others]))
        assert [0, 1, 2] == [told[0].first for told in (first, *others)]
        assert 2 == disk.syncs - syncs, "one for the first, one for all that waited"

    disk.go_on.set()

    async def begun(manager):
        await manager.create_message_stream(definition(flush_on_write=True))
        disk.began.clear()
        disk.go_on.clear()
        await story(manager)

    run(begun, FolderStore(tmp_path))


def test_an_append_that_is_not_flushed_counts_at_once(tmp_path, disk):
    async def story(manager):
        disk.began.clear()
        disk.go_on.clear()
        assert 0 == await manager.append_message("r", b"a")
        assert not disk.began.is_set()
        disk.go_on.set()

    disk.go_on.set()
    with_stream(story, FolderStore(tmp_path))


def test_what_is_not_flushed_is_on_the_disk_after_a_while(tmp_path, disk):
    async def story(manager):
        disk.began.clear()
        await manager.append_message("r", b"a")
        await until(disk.began.is_set)

    disk.go_on.set()
    with_stream(story, FolderStore(tmp_path), sync_s=0.01)


def test_flush_returns_when_everything_is_on_the_disk(tmp_path, disk):
    async def story(manager):
        await manager.append_message("r", b"a")
        syncs = disk.syncs
        await manager.flush()
        assert 1 == disk.syncs - syncs

    disk.go_on.set()
    with_stream(story, FolderStore(tmp_path))


def test_a_disk_that_does_not_confirm_fails_the_append_and_is_not_trusted(tmp_path, disk, caplog):
    async def story(manager):
        disk.failure = OSError(errno.EIO, "broken")
        with pytest.raises(StreamStoreError, match="the disk did not confirm what was written"):
            await manager.append_message("r", b"a")
        disk.failure = None
        assert "go on in new segments" in caplog.text
        await manager.append_message("r", b"c")
        assert len(list(tmp_path.glob("*/*.log"))) > 1

    disk.go_on.set()
    created = definition(flush_on_write=True)
    with_stream(story, FolderStore(tmp_path), created=created)


def test_exports_are_told_as_they_change():
    async def story(manager):
        changes = []
        unwatch = manager.watch_exports(lambda: changes.append(len(manager.export_tasks())))
        await manager.create_message_stream(exporting("s"))
        await manager.delete_message_stream("s")
        unwatch()
        await manager.create_message_stream(exporting("t"))
        assert [1, 0] == changes
        assert ["t"] == [task.stream for task in manager.export_tasks()]

    with_stream(story)


def test_an_export_gets_each_batch_until_it_is_done():
    async def story(manager):
        [task] = manager.export_tasks()
        assert [] == await manager.read_export(task, 2)
        await manager.append_messages("r", [b"a", b"b", b"c"])
        assert [b"a", b"b"] == payloads(await manager.read_export(task, 2))
        assert [b"a", b"b"] == payloads(await manager.read_export(task, 2))
        await manager.advance_export(task, 1, 2, 2)
        assert [b"c"] == payloads(await manager.read_export(task, 2))

    with_stream(story, created=exporting())


def test_an_export_waits_for_messages():
    async def story(manager):
        [task] = manager.export_tasks()
        assert [] == await manager.read_export(task, 2, timeout_s=0.001)
        reading = asyncio.ensure_future(manager.read_export(task, 2, timeout_s=60))
        await manager.append_message("r", b"a")
        assert [b"a"] == payloads(await reading)

    with_stream(story, created=exporting())


def test_why_an_export_stands_still_is_described():
    async def story(manager):
        [task] = manager.export_tasks()
        await manager.report_export(task, "no way")
        info = await manager.describe_message_stream("r")
        assert "no way" == info.export_statuses[0].error_message

    with_stream(story, created=exporting())


def test_a_verification_reads_everything():
    async def story(manager):
        await manager.append_messages("r", [b"a", b"b"])
        found = await manager.verify("r")
        assert (2, [], None) == (found["messages"], found["damaged"], found["next"])

    with_stream(story)


def test_a_bug_in_the_service_fails_the_appends_and_nothing_else(monkeypatch, caplog):
    async def story(manager):
        def broken(_requests):
            raise ValueError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(type(manager._service), "append", lambda _, requests: broken(requests))
            with pytest.raises(StreamError, match="a bug"):
                await manager.append_message("r", b"a")
        assert "a bug of ours" in caplog.text
        assert 0 == await manager.append_message("r", b"a")

    with_stream(story)


def test_a_place_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    async def story():
        manager = StreamManager(FolderStore(tmp_path / "file"))
        with pytest.raises(StreamStoreError, match="file"):
            await manager.start()
        await manager.stop()

    asyncio.run(story())

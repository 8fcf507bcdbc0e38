# SPDX-License-Identifier: Apache-2.0

import asyncio

import pytest
from stream_core import StreamPosts

from greengrass_sdk._native import Flag, Kind
from greengrass_sdk.core.streams import endpoint as module
from greengrass_sdk.core.streams.manager import StreamManager
from greengrass_sdk.core.streams.store import FolderStore, MemoryStore
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamFullError,
    StreamNotFoundError,
    StreamResponseTooLargeError,
)
from greengrass_sdk.model.limits import STREAM_REQUESTS
from greengrass_sdk.model.stream import MessageStreamDefinition, Persistence, StrategyOnFull
from greengrass_sdk.wire import streamcalls as calls

WAIT_S = 10.0
ANSWER_BYTES = 100_000


def definition(**options):
    return MessageStreamDefinition(
        "r", strategy_on_full=StrategyOnFull.RejectNewData, **options
    ).as_dict()


def run(story, **options):
    async def whole():
        manager = StreamManager(MemoryStore())
        await manager.start()
        setting = StreamPosts(manager, ANSWER_BYTES)
        try:
            calls.read_json(
                await setting.ask(
                    calls.request_definition(calls.CREATE, "r", definition(**options))
                )
            )
            await story(setting)
        finally:
            setting.endpoint.close()
            await manager.stop()

    asyncio.run(whole())


def test_it_has_a_post_for_each_request_at_once():
    async def story(setting):
        assert STREAM_REQUESTS == len(setting.takes)

    run(story)


def test_messages_are_appended_and_read():
    async def story(setting):
        answer = await setting.ask(calls.request_append("r", [b"a", b"b"]))
        assert (0, 2, None) == calls.read_append(answer)
        answer = await setting.ask(calls.request_read("r", 0, 1, 9, 0, 0))
        [block] = calls.read_blocks(answer)
        assert (0, [b"a", b"b"]) == (block.first, block.payloads())

    run(story)


def test_what_is_answered_later_is_made_to_leave():
    async def story(setting):
        before = setting.flushed
        await setting.ask(calls.request(calls.LIST))
        async with asyncio.timeout(WAIT_S):
            while setting.flushed == before:
                await asyncio.sleep(0)

    run(story)


def test_streams_are_listed_described_changed_verified_and_deleted():
    async def story(setting):
        ask = setting.ask
        assert ["r"] == calls.read_json(await ask(calls.request(calls.LIST)))
        changed = definition(time_to_live_millis=60_000)
        calls.read_json(await ask(calls.request_definition(calls.UPDATE, "r", changed)))
        info = calls.read_json(await ask(calls.request(calls.DESCRIBE, "r")))
        assert (changed, -1) == (info["definition"], info["storageStatus"]["newestSequenceNumber"])
        assert [] == calls.read_json(await ask(calls.request_verify("r", 0)))["damaged"]
        calls.read_json(await ask(calls.request(calls.DELETE, "r")))
        assert [] == calls.read_json(await ask(calls.request(calls.LIST)))

    run(story)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", InvalidStreamRequestError),
        (calls.request(99, "r"), InvalidStreamRequestError),
        (calls.request(calls.APPEND, "r"), InvalidStreamRequestError),
        (calls.request(calls.APPEND, "r", b"\1\0\0\0nonsense"), InvalidStreamRequestError),
        (calls.request(calls.READ, "r"), InvalidStreamRequestError),
        (calls.request(calls.CREATE, "s", b"[]"), InvalidStreamRequestError),
        (calls.request(calls.CREATE, "s", b'{"strategyOnFull": 7}'), InvalidStreamRequestError),
        (calls.request_append("no", [b"a"]), StreamNotFoundError),
        (calls.request(calls.DESCRIBE, "no"), StreamNotFoundError),
        (calls.request_read("r", 0, 1, 1, 0, 0), NotEnoughMessagesError),
    ],
    ids=range(10),
)
def test_a_request_that_cannot_be_served_is_answered_with_why(payload, error):
    async def story(setting):
        with pytest.raises(error):
            calls.read_append(await setting.ask(payload))

    run(story)


def test_appends_one_by_one_are_taken_as_far_as_there_is_room():
    async def story(setting):
        request = calls.request_append("r", [b"x" * 100] * 20, calls.SEPARATE)
        first, count, refused = calls.read_append(await setting.ask(request))
        assert (0, 7, StreamFullError) == (first, count, type(refused))

    run(story, max_size=1024)


def test_a_reader_that_waits_stops_nobody():
    async def story(setting):
        waiting = setting.send(calls.request_read("r", 0, 1, 1, 60, 0))
        await setting.ask(calls.request(calls.LIST))
        assert waiting not in setting.answers
        await setting.ask(calls.request_append("r", [b"a"]))
        async with asyncio.timeout(WAIT_S):
            while waiting not in setting.answers:
                await asyncio.sleep(0)
        [block] = calls.read_blocks(setting.answers[waiting])
        assert [b"a"] == block.payloads()

    run(story)


def test_too_many_readers_that_wait_are_told_at_once_that_there_is_nothing(monkeypatch):
    async def story(setting):
        setting.send(calls.request_read("r", 0, 1, 1, 60, 0))
        with pytest.raises(NotEnoughMessagesError):
            calls.read_blocks(await setting.ask(calls.request_read("r", 0, 1, 1, 60, 0)))

    monkeypatch.setattr(module, "_WAITING", 1)
    run(story)


def test_an_answer_is_as_large_as_the_router_takes():
    async def story(setting):
        for _ in range(20):
            await setting.ask(calls.request_append("r", [b"x" * 10_000]))
        answer = await setting.ask(calls.request_read("r", 0, 1, 100, 0, 0))
        assert 5 <= len(calls.read_blocks(answer)) <= 10

    run(story)


def test_a_message_that_fits_in_no_answer_is_told_to_be_too_large():
    async def story(setting):
        await setting.ask(calls.request_append("r", [b"x" * (ANSWER_BYTES + 1)]))
        with pytest.raises(StreamResponseTooLargeError, match="larger than an answer"):
            calls.read_blocks(await setting.ask(calls.request_read("r", 0, 1, 1, 0, 0)))

    run(story)


def test_events_and_messages_are_ended_without_an_answer():
    async def story(setting):
        append = calls.request_append("r", [b"a"])
        assert b"" == await setting.ask(append, flags=Flag.EVENT)
        assert b"" == await setting.ask(b"hello", kind=Kind.MESSAGE)
        [block] = calls.read_blocks(await setting.ask(calls.request_read("r", 0, 1, 9, 0, 0)))
        assert [b"a"] == block.payloads()

    run(story)


def test_a_bug_is_told_and_ends_nothing(monkeypatch, caplog):
    async def story(setting):
        async def broken(_manager):
            raise ValueError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(StreamManager, "list_streams", broken)
            with pytest.raises(StreamError, match="internal failure"):
                calls.read_json(await setting.ask(calls.request(calls.LIST)))
        assert "a bug of ours" in caplog.text
        assert ["r"] == calls.read_json(await setting.ask(calls.request(calls.LIST)))

    run(story)


def read_large(tmp_path, persistence, flags, **window):
    """Return the first byte of the answer to a read of half a megabyte, in 16 appends."""
    answers = []

    async def whole():
        manager = StreamManager(FolderStore(tmp_path))
        await manager.start()
        setting = StreamPosts(manager)
        try:
            created = definition(persistence=persistence)
            await setting.ask(calls.request_definition(calls.CREATE, "r", created))
            for _ in range(16):
                await setting.ask(calls.request_append("r", [bytes([7]) * 32_000]))
            asked = {"start": 0, "least": 1, "most": 99, "timeout_s": 0, "max_bytes": 0} | window
            answers.append(await setting.ask(calls.request_read("r", flags=flags, **asked)))
        finally:
            setting.endpoint.close()
            await manager.stop()

    asyncio.run(whole())
    [answer] = answers
    assert calls.is_sound(answer)
    payloads = [payload for block in calls.read_blocks(answer) for payload in block.payloads()]
    assert {bytes([7]) * 32_000} == set(payloads)
    return answer[0], len(payloads)


def test_a_large_read_of_a_file_is_lent_to_who_looks_at_it(tmp_path):
    assert (2, 16) == read_large(tmp_path, Persistence.File, calls.UNCHECKED)
    assert (2, 16) == read_large(tmp_path / "b", Persistence.File, calls.UNCHECKED, timeout_s=1)


@pytest.mark.parametrize(
    ("persistence", "flags", "window", "expected"),
    [
        (Persistence.File, 0, {}, 16),
        (Persistence.Memory, calls.UNCHECKED, {}, 16),
        (Persistence.File, calls.UNCHECKED, {"max_bytes": 100_000}, 3),
        (Persistence.File, calls.UNCHECKED, {"most": 15}, 15),
        (Persistence.File, calls.UNCHECKED, {"max_bytes": 200_000, "start": 12}, 4),
    ],
    ids=["not asked for", "memory", "little", "in the middle of what is noted", "near the end"],
)
def test_other_reads_are_answered_by_the_core(tmp_path, persistence, flags, window, expected):
    assert (0, expected) == read_large(tmp_path, persistence, flags, **window)

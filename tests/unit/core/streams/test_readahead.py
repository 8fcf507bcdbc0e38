# SPDX-License-Identifier: Apache-2.0
"""Answers that are made before they are asked for: when they are, and when they no longer count."""

from __future__ import annotations

import asyncio
from typing import Any

import cbor2
import pytest

from greengrass_sdk.core.streams.manager import StreamManager
from greengrass_sdk.core.streams.readahead import KEPT_S, LARGEST, ReadAhead
from greengrass_sdk.core.streams.store import MemoryStore
from greengrass_sdk.errors import InvalidStreamRequestError, StreamNotFoundError
from greengrass_sdk.model.stream import MessageStreamDefinition, StrategyOnFull
from greengrass_sdk.wire.streams import Call, Operation


class Setting:
    """A stream with a hundred messages, and a client that reads it."""

    def __init__(self, manager, clock):
        self.manager, self.clock = manager, clock
        self.reads = []  # where each read of the manager began
        manager_that_counts: Any = self
        self.ahead = ReadAhead(manager_that_counts, asyncio.get_running_loop())
        self.asked = 0

    def try_read(self, name, start, *rest):
        self.reads.append(start)
        return self.manager.try_read(name, start, *rest)

    def try_window(self, *asked):
        return self.manager.try_window(*asked)

    async def create(self, name="s", **options):
        await self.manager.create_message_stream(
            MessageStreamDefinition(
                name=name, strategy_on_full=StrategyOnFull.OverwriteOldestData, **options
            )
        )

    async def append(self, first, stop, suffix=b""):
        await self.manager.append_messages("s", [b"%d" % n + suffix for n in range(first, stop)])

    def frame(self, start, least=10, most=None, request_id=None, name="s"):
        self.asked += 1
        options = {
            "desiredStartSequenceNumber": start,
            "minMessageCount": least,
            "maxMessageCount": most or least,
        }
        body = {"streamName": name, "readMessagesOptions": options}
        call = Call(Operation.READ, request_id or f"id-{self.asked:04}", body)
        try:
            frame = self.ahead.answer(call)
        finally:
            self.ahead.go_on()
        if frame is None:
            return None
        answer = cbor2.loads(frame[5:])
        assert (len(frame) - 4, Operation.READ_RESPONSE) == (
            int.from_bytes(frame[:4], "big"),
            frame[4],
        )
        assert (call.request_id, 0) == (answer["requestId"], answer["status"])
        return [(each["sequenceNumber"], each["payload"]) for each in answer["messages"]]

    async def read(self, start, *counts, **others):
        """Return what is read, when all that follows from it has happened."""
        found = self.frame(start, *counts, **others)
        await idle()
        return found

    async def read_in_order(self, stop=20):
        for start in range(0, stop, 10):
            assert messages(start, start + 10) == await self.read(start)


def messages(first, stop, suffix=b""):
    return [(number, b"%d" % number + suffix) for number in range(first, stop)]


async def idle():
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def reading():
    def run(conversation):
        async def whole():
            clock = [1000.0]
            manager = StreamManager(MemoryStore(), clock=lambda: clock[0])
            await manager.start()
            setting = Setting(manager, clock)
            try:
                await setting.create(time_to_live_millis=60_000)
                await setting.append(0, 100)
                await conversation(setting)
            finally:
                await manager.stop()

        asyncio.run(whole())

    return run


def test_who_reads_on_gets_an_answer_that_was_made_before(reading):
    async def conversation(setting):
        await setting.read_in_order()
        for start in range(20, 90, 10):
            setting.reads.clear()
            assert messages(start, start + 10) == setting.frame(start)
            assert [] == setting.reads
            await idle()
            assert [start + 10] == setting.reads
        assert messages(90, 100) == await setting.read(90)

    reading(conversation)


@pytest.mark.parametrize("starts", [[0], [0, 0, 0], [0, 20, 10], [10, 0], [0, 11]])
def test_nothing_is_made_for_who_does_not_read_on(reading, starts):
    async def conversation(setting):
        for start in starts:
            await setting.read(start)
        assert starts == setting.reads

    reading(conversation)


def test_nothing_is_made_for_who_asks_for_other_counts(reading):
    async def conversation(setting):
        await setting.read(0)
        await setting.read(10, 5, 10)
        assert [0, 10] == setting.reads

    reading(conversation)


def test_what_already_waits_in_the_loop_comes_first(reading):
    async def conversation(setting):
        await setting.read(0)
        setting.frame(10)
        seen = []
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: seen.extend(setting.reads))
        await idle()
        assert ([0, 10], [0, 10, 20]) == (seen, setting.reads)

    reading(conversation)


def test_an_answer_is_made_only_of_all_messages_that_are_asked_for(reading):
    async def conversation(setting):
        for start in range(0, 96, 32):
            await setting.read(start, 1, 32)
        assert [0, 32, 64] == [*dict.fromkeys(setting.reads)]
        await setting.append(100, 120)
        assert messages(96, 120) == await setting.read(96, 1, 32)

    reading(conversation)


def test_messages_that_came_later_do_not_change_what_is_right(reading):
    async def conversation(setting):
        await setting.read_in_order(90)
        await setting.append(100, 200)
        assert messages(90, 100) == setting.frame(90)
        assert 1 == setting.reads.count(90)

    reading(conversation)


def test_an_answer_out_of_a_deleted_stream_is_not_given(reading):
    async def conversation(setting):
        await setting.read_in_order()
        await setting.manager.delete_message_stream("s")
        with pytest.raises(StreamNotFoundError):
            setting.frame(20)

    reading(conversation)


@pytest.mark.parametrize("count", [20, 100])
def test_an_answer_out_of_a_deleted_stream_is_not_given_for_one_of_the_same_name(reading, count):
    async def conversation(setting):
        await setting.read_in_order()
        await setting.manager.delete_message_stream("s")
        await setting.create()
        await setting.append(0, count, b" anew")
        expected = messages(20, 30, b" anew") if count > 20 else None
        assert expected == setting.frame(20)

    reading(conversation)


def test_an_answer_with_messages_that_were_removed_since_is_not_given(reading):
    async def conversation(setting):
        await setting.read_in_order()
        setting.clock[0] += 61  # longer than messages are kept
        await setting.append(100, 120)
        assert messages(100, 110) == setting.frame(20)

    reading(conversation)


def test_an_answer_whose_messages_were_overwritten_is_not_given(reading):
    async def conversation(setting):
        await setting.manager.delete_message_stream("s")
        await setting.create(max_size=64 * 1024, stream_segment_size=16 * 1024)
        await setting.append(0, 100)
        await setting.read_in_order()
        large = b"x" * 10_000
        for number in range(100, 110):
            await setting.append(number, number + 1, large)
        info = await setting.manager.describe_message_stream("s")
        oldest = info.storage_status.oldest_sequence_number
        assert oldest > 100
        assert messages(oldest, oldest + 1, large) == setting.frame(20, 1)
        assert None is setting.frame(20)  # there are no ten of them

    reading(conversation)


def test_an_answer_is_given_only_to_who_asks_for_exactly_that(reading):
    async def conversation(setting):
        await setting.read_in_order()
        assert messages(20, 25) == setting.frame(20, 5)
        await setting.read_in_order()
        assert messages(25, 35) == setting.frame(25)

    reading(conversation)


def test_an_answer_is_not_given_to_who_reads_on_in_another_stream(reading):
    async def conversation(setting):
        await setting.create("other")
        await setting.manager.append_messages("other", [b"x"] * 100)
        await setting.read_in_order()
        assert [(20, b"x")] == setting.frame(20, name="other")[:1]

    reading(conversation)


def test_an_answer_is_given_once(reading):
    async def conversation(setting):
        await setting.read_in_order()
        setting.reads.clear()
        assert messages(20, 30) == setting.frame(20)
        assert messages(20, 30) == setting.frame(20)
        assert [20] == setting.reads

    reading(conversation)


def test_an_answer_is_given_to_a_request_with_an_id_of_any_length(reading):
    async def conversation(setting):
        await setting.read_in_order()
        assert messages(20, 30) == await setting.read(20, request_id="a much longer id")
        assert messages(30, 40) == await setting.read(30, request_id="ü")

    reading(conversation)


def test_a_client_that_is_faster_gets_its_answer_and_one_is_made_for_the_next(reading):
    async def conversation(setting):
        for start in range(0, 50, 10):
            assert messages(start, start + 10) == setting.frame(start)
        await idle()
        assert [0, 10, 20, 30, 40, 50] == setting.reads

    reading(conversation)


def test_a_large_answer_is_not_made_before(reading):
    async def conversation(setting):
        payloads = bytes(LARGEST // 10)
        await setting.manager.append_messages("s", [payloads] * 40)
        for start in (100, 110, 120):
            await setting.read(start)
        assert [100, 110, 120] == setting.reads

    reading(conversation)


def test_an_answer_that_becomes_too_large_is_not_kept(reading):
    async def conversation(setting):
        payloads = bytes(LARGEST // 10)
        await setting.manager.append_messages("s", [payloads] * 10)
        await setting.read(80)
        await setting.read(90)
        assert None is setting.ahead._ready
        assert 10 == len(await setting.read(100))

    reading(conversation)


def test_an_answer_of_many_small_messages_that_is_too_large_is_not_kept(reading):
    async def conversation(setting):
        for number in range(3):  # 57 bytes of CBOR each, and more
            await setting.manager.append_messages("s", [b"x" * (1 + 20 * (number == 2))] * 3500)
        for start in (100, 3600):
            assert 3500 == len(await setting.read(start, 3500))
        assert [100, 3600, 7100] == setting.reads
        assert None is setting.ahead._ready

    reading(conversation)


def test_an_answer_that_nobody_asks_for_is_forgotten_after_a_while(reading):
    async def conversation(setting):
        await setting.read_in_order()
        for now in (5.0, 5.0 + KEPT_S):
            setting.ahead.age(now)
            assert None is not setting.ahead._ready
        setting.ahead.age(5.1 + KEPT_S)
        assert None is setting.ahead._ready
        setting.reads.clear()
        assert messages(20, 30) == setting.frame(20)
        assert [20] == setting.reads

    reading(conversation)


def test_nothing_is_kept_or_made_for_a_connection_that_is_gone(reading):
    async def conversation(setting):
        await setting.read_in_order()
        setting.frame(20)
        setting.ahead.close()
        await idle()
        assert (None, [0, 10, 20]) == (setting.ahead._ready, setting.reads)

    reading(conversation)


def test_nothing_is_made_while_the_storage_is_busy(reading, monkeypatch):
    async def conversation(setting):
        await setting.read(0)
        setting.frame(10)
        monkeypatch.setattr(setting.manager._worker, "try_now", lambda _: None)
        await idle()
        assert None is setting.ahead._ready
        assert None is setting.frame(20)

    reading(conversation)


def test_a_request_that_breaks_a_rule_is_refused_and_nothing_is_made(reading):
    async def conversation(setting):
        await setting.read(0)
        with pytest.raises(InvalidStreamRequestError):
            setting.frame(10, 0)
        await setting.read(10)
        assert [0, 10] == setting.reads

    reading(conversation)

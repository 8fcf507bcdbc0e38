# SPDX-License-Identifier: Apache-2.0
"""Streams by both clients, against the stream manager itself."""

from __future__ import annotations

import asyncio
import inspect
from itertools import islice

import pytest
from stream_core import StreamCore

from greengrass_sdk import AsyncClient, Client, errors
from greengrass_sdk.client.streams import AsyncStream, Stream
from greengrass_sdk.core.streams.store import FolderStore
from greengrass_sdk.model.stream import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    StrategyOnFull,
)
from greengrass_sdk.wire import streamcalls as calls


@pytest.fixture
def core():
    core = StreamCore()
    yield core
    core.close()


async def _first(iterator, count):
    found = []
    async for item in iterator:
        found.append(item)
        if len(found) == count:
            break
    await iterator.aclose()
    return found


class Blocking:
    """Calls methods of `Stream`."""

    def __init__(self, core):
        self.core = core

    def call(self, method, *args, **kwargs):
        return getattr(Stream(self.core.invoke, "r"), method)(*args, **kwargs)

    def take(self, count, method, *args, **kwargs):
        return list(islice(self.call(method, *args, **kwargs), count))


class Later:
    """Calls methods of `AsyncStream`, each in a loop of its own."""

    def __init__(self, core):
        self.core = core
        self.stream = AsyncStream(core.invoke_later, "r")

    def call(self, method, *args, **kwargs):
        async def run():
            return await getattr(self.stream, method)(*args, **kwargs)

        return asyncio.run(run())

    def take(self, count, method, *args, **kwargs):
        async def run():
            return await _first(getattr(self.stream, method)(*args, **kwargs), count)

        return asyncio.run(run())


@pytest.fixture(params=[Blocking, Later])
def stream(request, core):
    return request.param(core)


def content(messages):
    return [(message.sequence_number, message.payload) for message in messages]


def test_a_stream_is_made_with_defaults_and_described(stream):
    stream.call("create")
    info = stream.call("describe")
    expected = MessageStreamDefinition("r", strategy_on_full=StrategyOnFull.RejectNewData)
    assert (expected, -1) == (info.definition, info.storage_status.newest_sequence_number)


def test_a_stream_is_made_as_a_definition_says(stream):
    exports = ExportDefinition(kinesis=[KinesisConfig("k", "kinesis")])
    wanted = MessageStreamDefinition(
        "r", strategy_on_full=StrategyOnFull.OverwriteOldestData, export_definition=exports
    )
    stream.call("create", wanted)
    info = stream.call("describe")
    assert (wanted, ["k"]) == (
        info.definition,
        [each.export_config_identifier for each in info.export_statuses],
    )


def test_a_definition_of_another_stream_or_with_more_attributes_is_refused(stream):
    other = MessageStreamDefinition("s", strategy_on_full=StrategyOnFull.RejectNewData)
    for arguments in ({"definition": other}, {"definition": other, "max_size": 5000}):
        with pytest.raises(errors.InvalidStreamRequestError, match="either a definition"):
            stream.call("create", **arguments)


def test_a_definition_that_breaks_a_rule_is_not_even_asked(stream, core):
    with pytest.raises(errors.InvalidStreamRequestError, match="max_size must be at least"):
        stream.call("create", max_size=1)
    assert [] == core.asked


def test_a_stream_is_updated_and_deleted(stream, core):
    stream.call("create")
    stream.call("update", time_to_live_millis=60_000)
    assert 60_000 == stream.call("describe").definition.time_to_live_millis
    stream.call("delete")
    with pytest.raises(errors.StreamNotFoundError, match="stream r doesn't exist"):
        stream.call("describe")


def test_payloads_are_what_they_are_everywhere(stream):
    stream.call("create")
    assert 0 == stream.call("append", "text")
    assert range(1, 4) == stream.call("append_many", [b"bytes", {"a": 1}, memoryview(b"view")])
    assert [(0, b"text"), (1, b"bytes"), (2, b'{"a":1}'), (3, b"view")] == [
        (number, payload.replace(b" ", b"")) for number, payload in content(stream.call("read"))
    ]


def test_many_messages_cross_in_one_request(stream, core):
    stream.call("create")
    core.asked.clear()
    assert range(1000) == stream.call("append_many", [b"x"] * 1000)
    assert 1 == len(core.asked)


@pytest.mark.parametrize("messages", [[], [b""], [b"a", ""]])
def test_nothing_is_no_message(stream, messages):
    with pytest.raises(errors.InvalidStreamRequestError):
        stream.call("append_many", messages)


def test_a_full_stream_says_so(stream):
    stream.call("create", max_size=1024)
    stream.call("append", b"x" * 600)
    with pytest.raises(errors.StreamFullError, match="stream r is full"):
        stream.call("append", b"x" * 600)


def test_a_read_is_bounded_by_what_is_asked(stream):
    stream.call("create")
    stream.call("append_many", [b"a", b"b", b"c"])
    assert [(1, b"b")] == content(stream.call("read", 1, most=1))
    assert [(0, b"a")] == content(stream.call("read", max_bytes=1))
    with pytest.raises(errors.NotEnoughMessagesError):
        stream.call("read", 1, least=3)
    with pytest.raises(errors.InvalidStreamRequestError, match="start is at least 0"):
        stream.call("read", -1)


def test_iterating_ends_with_the_newest_message(stream):
    stream.call("create")
    stream.call("append_many", [b"%d" % number for number in range(10)])
    found = stream.take(99, "iterate", 2, batch_bytes=10)
    assert [(number, b"%d" % number) for number in range(2, 10)] == content(found)
    assert 10 == len(stream.take(99, "__iter__" if isinstance(stream, Blocking) else "__aiter__"))


@pytest.fixture
def ahead(core):
    """Return a stream that may ask ahead, of ten messages, each larger than a batch."""
    stream = Stream(core.invoke, "r", core.begin)
    stream.create()
    stream.append_many([b"%d" % number for number in range(10)])
    return stream


def test_who_iterates_on_is_asked_ahead_for(core, ahead):
    assert list(range(10)) == [m.sequence_number for m in ahead.iterate(batch_bytes=1)]
    assert ["asked", "finished"] * 9 == core.ahead


def test_who_looks_at_the_first_batch_only_is_not_asked_ahead_for(core, ahead):
    iterating = ahead.iterate(batch_bytes=1)
    assert b"0" == next(iterating).payload
    iterating.close()
    assert [] == core.ahead


def test_what_was_asked_ahead_is_given_up_with_the_iterator(core, ahead):
    iterating = ahead.iterate(batch_bytes=1)
    assert [b"0", b"1", b"2"] == [next(iterating).payload for _ in range(3)]
    iterating.close()
    assert ["asked", "finished", "asked", "cancelled"] == core.ahead


def test_messages_that_came_after_what_was_asked_ahead_are_iterated(ahead):
    iterating = ahead.iterate(batch_bytes=1)
    found = [next(iterating).payload for _ in range(10)]
    ahead.append(b"new")
    assert b"new" == next(iterating).payload
    assert [] == list(iterating)
    assert 10 == len(found)


# Large reads of what lies on a disk: the core lends, and does not look.

LARGE = [b"%4d" % number + b"x" * 10_000 for number in range(100)]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "READ_FLAGS", calls.UNCHECKED)
    core = StreamCore(FolderStore(tmp_path / "streams"))
    yield core
    core.close()


@pytest.fixture(params=[Blocking, Later])
def stored(request, disk):
    """Return a stream on a disk, of a mebibyte in four segments."""
    stream = request.param(disk)
    stream.call("create", stream_segment_size=262_144)
    for first in range(0, 100, 5):
        stream.call("append_many", LARGE[first : first + 5])
    return stream


def segments(tmp_path):
    return sorted(tmp_path.rglob("*.log"))


def damage(path, content):
    """Change a byte of a message in a file."""
    data = path.read_bytes()
    position = data.index(content) + 100
    with path.open("r+b") as file:
        file.seek(position)
        file.write(b"!")


def how_it_was_asked(core):
    return [
        call.flags for call in map(calls.Call.parse, core.asked) if call.operation == calls.READ
    ]


def test_what_is_lent_is_looked_at_by_who_reads(stored, tmp_path):
    found = stored.call("read", max_bytes=200_000)
    assert LARGE[: len(found)] == [message.payload for message in found]
    assert [calls.UNCHECKED] == how_it_was_asked(stored.core)
    assert LARGE == [
        message.payload for message in stored.take(999, "iterate", batch_bytes=200_000)
    ]
    assert {calls.UNCHECKED} == set(how_it_was_asked(stored.core))


def test_damage_in_what_was_lent_is_found_by_the_core(stored, tmp_path):
    damage(segments(tmp_path)[0], LARGE[12])
    found = stored.call("read", max_bytes=200_000)
    assert LARGE[:10] == [message.payload for message in found]
    assert [calls.UNCHECKED, 0] == how_it_was_asked(stored.core)
    with pytest.raises(errors.StreamReadError, match="10 to 14 of stream r are damaged") as caught:
        stored.call("read", 10, max_bytes=200_000)
    assert 15 == caught.value.next_sequence_number
    rest = stored.take(999, "iterate", 15, batch_bytes=200_000)
    assert LARGE[15:] == [message.payload for message in rest]


def test_a_file_that_has_become_short_is_found_by_the_core(stored, tmp_path):
    last = segments(tmp_path)[1]
    with last.open("r+b") as file:
        file.truncate(150_000)
    first = int(last.stem)
    found = stored.call("read", first, max_bytes=250_000)
    assert 0 < len(found) < 20
    assert LARGE[first : first + len(found)] == [message.payload for message in found]
    assert [calls.UNCHECKED, 0] == how_it_was_asked(stored.core)


def test_what_was_asked_ahead_and_is_damaged_is_asked_again(disk, tmp_path):
    stream = Stream(disk.invoke, "r", disk.begin)
    stream.create(stream_segment_size=262_144)
    for first in range(0, 100, 5):
        stream.append_many(LARGE[first : first + 5])
    damage(segments(tmp_path)[2], LARGE[62])
    found: list[bytes] = []
    with pytest.raises(errors.StreamReadError, match="60 to 64 of stream r are damaged"):
        found += (message.payload for message in stream.iterate(batch_bytes=200_000))
    assert LARGE[:60] == found
    assert "finished" in disk.ahead


def test_following_goes_on_with_what_comes(stream):
    stream.call("create")
    stream.call("append_many", [b"a", b"b"])
    assert [(0, b"a"), (1, b"b")] == content(stream.take(2, "follow", 0))


def test_following_begins_with_what_is_new(core):
    stream = Stream(core.invoke, "r")
    stream.create()
    stream.append(b"old")

    async def run():
        later = AsyncStream(core.invoke_later, "r")
        following = asyncio.ensure_future(_first(later.follow(), 1))
        while not any(calls.READ == payload[0] for payload in core.asked):
            await asyncio.sleep(0)
        await later.append(b"new")
        return await following

    assert [(1, b"new")] == content(asyncio.run(run()))


def test_following_asks_again_when_nothing_came(core, monkeypatch):
    monkeypatch.setattr("greengrass_sdk.client.streams._POLL_S", 0.001)
    stream = Stream(core.invoke, "r")
    stream.create()

    async def run():
        later = AsyncStream(core.invoke_later, "r")
        following = asyncio.ensure_future(_first(later.follow(0), 1))
        while sum(calls.READ == payload[0] for payload in core.asked) < 3:
            await asyncio.sleep(0)
        await later.append(b"new")
        return await following

    assert [(0, b"new")] == content(asyncio.run(run()))


def test_appends_at_once_share_requests_and_keep_their_order(core):
    Stream(core.invoke, "r").create()
    core.asked.clear()

    async def run():
        stream = AsyncStream(core.invoke_later, "r")
        return await asyncio.gather(*(stream.append(b"%d" % n) for n in range(1000)))

    assert list(range(1000)) == asyncio.run(run())
    assert len(core.asked) < 10
    found = list(Stream(core.invoke, "r"))
    assert [(number, b"%d" % number) for number in range(1000)] == content(found)


def test_of_appends_at_once_those_that_find_room_stay(core):
    Stream(core.invoke, "r").create(max_size=1024)

    async def run():
        stream = AsyncStream(core.invoke_later, "r")
        appends = (stream.append(b"x" * 100) for _ in range(20))
        return await asyncio.gather(*appends, return_exceptions=True)

    results = asyncio.run(run())
    assert list(range(7)) == results[:7]
    assert {errors.StreamFullError} == set(map(type, results[7:]))


def test_appends_at_once_that_fail_all_hear_why(core):
    async def run():
        stream = AsyncStream(core.invoke_later, "r")
        appends = (stream.append(b"x") for _ in range(3))
        return await asyncio.gather(*appends, return_exceptions=True)

    assert {errors.StreamNotFoundError} == set(map(type, asyncio.run(run())))


def test_an_append_that_is_given_up_does_not_disturb_the_others(core):
    Stream(core.invoke, "r").create()

    async def run():
        stream = AsyncStream(core.invoke_later, "r")
        appends = [asyncio.ensure_future(stream.append(b"%d" % n)) for n in range(3)]
        await asyncio.sleep(0)
        appends[1].cancel()
        return await asyncio.gather(*appends, return_exceptions=True)

    first, given_up, last = asyncio.run(run())
    assert (0, 2) == (first, last)
    assert isinstance(given_up, asyncio.CancelledError)


def test_what_is_appended_may_change_afterwards(core):
    Stream(core.invoke, "r").create()

    async def run():
        stream = AsyncStream(core.invoke_later, "r")
        buffer = bytearray(b"before")
        append = asyncio.ensure_future(stream.append(buffer))
        await asyncio.sleep(0)
        buffer[:] = b"after!"
        await append

    asyncio.run(run())
    assert [(0, b"before")] == content(Stream(core.invoke, "r"))


def no_manager(function, payload):
    raise errors.FunctionNotFoundError("no function", function=function)


async def no_manager_later(function, payload):
    no_manager(function, payload)


def test_a_group_without_a_stream_manager_says_how_to_get_one():
    with pytest.raises(ConnectionRefusedError, match="enabled = true") as caught:
        Stream(no_manager, "r").append(b"a")
    assert isinstance(caught.value, errors.StreamsDisabledError)
    with pytest.raises(errors.StreamsDisabledError):
        asyncio.run(AsyncStream(no_manager_later, "r").read())


def test_a_name_that_no_stream_can_have_is_refused():
    with pytest.raises(errors.InvalidStreamRequestError, match="must match regex"):
        Client(name="x").stream("a/b")


def test_clients_list_all_streams(core, monkeypatch):
    Stream(core.invoke, "r").create()
    monkeypatch.setattr(Client, "invoke", lambda _, *args: core.invoke(*args))
    monkeypatch.setattr(AsyncClient, "invoke", lambda _, *args: core.invoke_later(*args))
    assert ["r"] == Client(name="x").streams()
    assert ["r"] == asyncio.run(AsyncClient(name="x").streams())


def test_an_asynchronous_client_has_one_stream_of_a_name():
    client = AsyncClient(name="x")
    stream = client.stream("r")
    assert stream is client.stream("r")
    assert "AsyncStream(name='r')" == repr(stream)


def test_both_kinds_have_the_same_calls():
    for name, method in inspect.getmembers(Stream, inspect.isfunction):
        if not name.startswith("_"):
            other = getattr(AsyncStream, name)
            assert list(inspect.signature(method).parameters) == list(
                inspect.signature(other).parameters
            )

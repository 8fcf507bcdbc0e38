# SPDX-License-Identifier: Apache-2.0

import errno

import pytest

from greengrass_sdk.core.storage.files import MemoryFiles
from greengrass_sdk.core.storage.segment import SEGMENT_HEADER_BYTES, log_name
from greengrass_sdk.core.streams.service import Append, Appended, StreamService
from greengrass_sdk.core.streams.store import MemoryStore, Stored
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    NotEnoughMessagesError,
    StreamError,
    StreamFullError,
    StreamNotFoundError,
    StreamPayloadTooLargeError,
    StreamReadError,
    StreamResponseTooLargeError,
    StreamStoreError,
    StreamUpdateError,
)
from greengrass_sdk.model.stream import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    Persistence,
    StorageStatus,
    StrategyOnFull,
)
from greengrass_sdk.wire.blocks import HEADER_BYTES, encode_body, parse_blocks

REJECT, OVERWRITE = StrategyOnFull.RejectNewData, StrategyOnFull.OverwriteOldestData
ALL = 1 << 30
START_MS = 1_000_000
HUNDRED = HEADER_BYTES + 104  # one message of 100 bytes


class Clock:
    now_ms = START_MS

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def service(store, clock):
    return opened(store, clock)


def opened(store, clock):
    service = StreamService(store, clock)
    service.open()
    return service


def definition(name="r", strategy=REJECT, **options):
    return MessageStreamDefinition(name, strategy_on_full=strategy, **options)


def request(*payloads, name="r", separate=False):
    return Append(name, len(payloads), encode_body(payloads), separate)


def append(service, *payloads, name="r", separate=False):
    [result] = service.append([request(*payloads, name=name, separate=separate)])
    if isinstance(result, StreamError):
        raise result
    return result


def read(service, start=0, least=1, most=ALL, max_bytes=ALL, name="r"):
    blocks = service.read(name, start, least, most, max_bytes)
    found = [payload for block in blocks for payload in block.payloads()]
    stored = parse_blocks(b"".join(service.read_stored(name, start, least, most, max_bytes)))
    assert found == [payload for block in stored for payload in block.payloads()]
    return found


class TestDefinitions:
    def test_a_new_stream_is_empty(self, service):
        service.create(definition())
        info = service.describe("r")
        assert StorageStatus(0, -1, 0) == info.storage_status
        assert (definition(), []) == (info.definition, info.export_statuses)
        assert ["r"] == service.names()

    def test_a_name_is_given_once(self, service):
        service.create(definition())
        with pytest.raises(InvalidStreamRequestError, match="stream r already exists"):
            service.create(definition())

    def test_a_stream_that_was_deleted_is_gone_and_may_be_made_anew(self, service, store, clock):
        service.create(definition())
        append(service, b"a")
        service.delete("r")
        with pytest.raises(StreamNotFoundError, match="stream r doesn't exist"):
            service.delete("r")
        assert [] == opened(store, clock).names()
        service.create(definition())
        assert 0 == append(service, b"b").first

    def test_a_stream_that_is_not_there_is_not_found(self, service):
        for ask in (
            lambda: service.describe("no"),
            lambda: service.update(definition("no")),
            lambda: read(service, name="no"),
            lambda: append(service, b"a", name="no"),
            lambda: service.verify("no", 0),
            lambda: service.read_export("no", "k", 1, 1),
        ):
            with pytest.raises(StreamNotFoundError) as caught:
                ask()
            assert ("no", 5) == (caught.value.stream, caught.value.status)

    def test_an_update_counts_at_once_and_later(self, service, store, clock):
        service.create(definition())
        wanted = definition(strategy=OVERWRITE, time_to_live_millis=60_000)
        service.update(wanted)
        assert wanted == service.describe("r").definition
        assert wanted == opened(store, clock).describe("r").definition

    def test_an_update_that_is_not_allowed_changes_nothing(self, service):
        service.create(definition())
        with pytest.raises(StreamUpdateError):
            service.update(definition(persistence=Persistence.Memory))
        assert definition() == service.describe("r").definition

    def test_a_stream_in_memory_ends_with_the_core(self, service, store, clock):
        service.create(definition(persistence=Persistence.Memory))
        append(service, b"a")
        assert [b"a"] == read(service)
        service.update(definition(persistence=Persistence.Memory, flush_on_write=True))
        assert [] == opened(store, clock).names()
        service.delete("r")

    def test_streams_and_their_messages_survive(self, service, store, clock):
        service.create(definition())
        append(service, b"a", b"b")
        again = opened(store, clock)
        assert [b"a", b"b"] == read(again)
        assert 2 == append(again, b"c").first

    def test_what_was_lost_is_told_when_streams_are_opened(self, service, store, clock, caplog):
        service.create(definition())
        append(service, b"a")
        [stored] = store.load()
        stored.files.open(log_name(0)).write(SEGMENT_HEADER_BYTES, b"XX")
        assert 0 == append(opened(store, clock), b"b").first
        assert "stream r: 00000000000000000000.log: a torn tail of" in caplog.text

    def test_a_stream_that_cannot_be_opened_takes_no_other_along(
        self, service, store, clock, caplog
    ):
        class Broken(MemoryFiles):
            def names(self):
                raise OSError(errno.EIO, "broken")

        service.create(definition())
        service.create(definition("s"))
        store._streams[1] = Stored(1, definition(), Broken())
        assert ["s"] == opened(store, clock).names()
        assert "stream r cannot be opened and is left alone" in caplog.text


class TestAppending:
    def test_messages_get_their_numbers_in_their_order(self, service):
        service.create(definition())
        results = service.append([request(b"a"), request(b"b", b"c"), request(b"d")])
        assert [Appended(0, 1), Appended(1, 2), Appended(3, 1)] == results
        assert [b"a", b"b", b"c", b"d"] == read(service)

    def test_one_request_that_is_refused_does_not_concern_the_others(self, service):
        service.create(definition())
        results = service.append([request(b"a"), request(b"x", name="no"), request(b"b")])
        assert [Appended(0, 1), Appended(1, 1)] == [results[0], results[2]]
        assert isinstance(results[1], StreamNotFoundError)

    def test_a_body_that_is_none_is_refused(self, service):
        service.create(definition())
        [result] = service.append([Append("r", 2, b"nonsense")])
        assert isinstance(result, InvalidStreamRequestError)

    def test_a_stream_says_whether_an_append_counts_only_on_the_disk(self, service):
        service.create(definition(flush_on_write=True))
        assert append(service, b"a").flush
        [unsynced] = service.take_unsynced(["r"])
        assert unsynced.sync({}) is None
        assert [] == service.take_unsynced()

    def test_a_full_stream_rejects_new_data_and_says_so(self, service):
        service.create(definition(max_size=1024))
        for _ in range(1024 // HUNDRED):
            append(service, b"x" * 100)
        with pytest.raises(StreamFullError, match="stream r is full") as caught:
            append(service, b"x" * 100)
        assert (3, "r") == (caught.value.status, caught.value.stream)
        assert 1024 // HUNDRED == len(read(service))

    def test_a_full_stream_loses_its_oldest_segments(self, service):
        service.create(definition(strategy=OVERWRITE, max_size=2048))
        for number in range(100):
            append(service, b"%100d" % number)
        status = service.describe("r").storage_status
        assert 99 == status.newest_sequence_number
        assert 2048 - 512 - HUNDRED <= status.total_bytes <= 2048
        found = read(service)
        assert [b"%100d" % number for number in range(100 - len(found), 100)] == found

    def test_all_or_none_of_a_request_find_room(self, service):
        service.create(definition(max_size=1024))
        append(service, b"x" * 100)
        with pytest.raises(StreamFullError):
            append(service, *[b"x" * 100] * 9)
        assert 1 == len(read(service))

    def test_messages_that_were_appended_one_by_one_stay_if_they_find_room(self, service):
        service.create(definition(max_size=1024))
        result = append(service, *[b"x" * 100] * 20, separate=True)
        assert (0, 1024 // HUNDRED) == (result.first, result.count)
        assert isinstance(result.refused, StreamFullError)
        assert result.count == len(read(service))

    @pytest.mark.parametrize("strategy", [REJECT, OVERWRITE])
    def test_a_message_larger_than_the_stream_is_too_large(self, service, strategy):
        service.create(definition(strategy=strategy, max_size=1024))
        append(service, b"a")
        with pytest.raises(StreamPayloadTooLargeError, match="larger than stream r") as caught:
            append(service, b"x" * 1024)
        assert 4 == caught.value.status
        assert [b"a"] == read(service)

    def test_messages_live_so_long_at_least(self, service, clock):
        service.create(definition(time_to_live_millis=60_000, stream_segment_size=1024))
        append(service, b"x" * 1000)
        clock.now_ms += 30_000
        append(service, b"y" * 1000)
        clock.now_ms += 30_000
        assert 2 == len(read(service))
        clock.now_ms += 1
        assert [b"y" * 1000] == read(service)
        clock.now_ms += 30_000
        assert 2 == append(service, b"z").first
        assert [b"z"] == read(service)

    def test_a_stream_whose_messages_have_all_expired_is_empty(self, service, clock):
        service.create(definition(time_to_live_millis=60_000))
        append(service, b"a", b"b")
        clock.now_ms += 60_001
        assert StorageStatus(2, 1, 0) == service.describe("r").storage_status


class FullFiles(MemoryFiles):
    error = None

    def open(self, name):
        return FullFile(super().open(name), self)


class FullFile:
    def __init__(self, file, files):
        self.file, self.files = file, files

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, offset, *parts):
        if self.files.error is not None:
            raise self.files.error
        self.file.write(offset, *parts)


class TestDisk:
    @pytest.fixture
    def files(self):
        return FullFiles()

    @pytest.fixture
    def service(self, clock, files):
        class Store(MemoryStore):
            def add(self, definition):
                stored = self._streams[1] = Stored(1, definition, files)
                return stored

        service = opened(Store(), clock)
        service.create(definition())
        append(service, b"a")
        return service

    def test_a_full_disk_refuses_loses_nothing_and_recovers_by_itself(self, service, files):
        files.error = OSError(errno.ENOSPC, "no space left")
        with pytest.raises(StreamStoreError, match="stream r cannot grow: the disk is full"):
            append(service, b"b")
        assert [b"a"] == read(service)
        files.error = None
        assert 1 == append(service, b"b").first
        assert [b"a", b"b"] == read(service)

    def test_all_that_share_a_write_hear_that_it_failed(self, service, files):
        files.error = OSError(errno.EIO, "broken")
        results = service.append([request(b"b"), request(b"c", b"d"), request(b"x", name="no")])
        assert [StreamStoreError, StreamStoreError, StreamNotFoundError] == list(map(type, results))
        assert "cannot be stored" in str(results[0])
        assert [b"a"] == read(service)

    def test_what_was_written_before_the_disk_was_full_stays(self, service, files):
        """A request may reach over the border of a segment: the one before is written by then."""
        service.update(definition(stream_segment_size=1024))
        append(service, b"b" * 900)
        files.error = OSError(errno.ENOSPC, "no space left")
        results = service.append([request(b"c" * 900), request(b"d")])
        assert [StreamStoreError, StreamStoreError] == list(map(type, results))
        files.error = None
        assert 2 == append(service, b"c").first

    def test_memory_that_is_used_up_is_told(self, service, files):
        files.error = MemoryError()
        [result] = service.append([request(b"b")])
        assert (15, [b"a"]) == (result.status, read(service))

    def test_a_disk_that_did_not_sync_is_not_trusted_with_more(self, service, files):
        service.distrust(["r", "no"])
        append(service, b"b")
        assert [log_name(0), log_name(1)] == files.names()
        assert [b"a", b"b"] == read(service)


class TestReading:
    def test_a_read_begins_with_the_oldest_that_is_left(self, service):
        service.create(definition(strategy=OVERWRITE, max_size=1024))
        for number in range(50):
            append(service, b"%100d" % number)
        oldest = service.describe("r").storage_status.oldest_sequence_number
        assert [b"%100d" % oldest] == read(service, 0, 1, 1)

    def test_fewer_than_the_least_are_none(self, service):
        service.create(definition())
        append(service, b"a", b"b")
        assert [b"a", b"b"] == read(service, 0, 2)
        with pytest.raises(NotEnoughMessagesError, match="fewer than the 3") as caught:
            read(service, 0, 3)
        assert 13 == caught.value.status
        with pytest.raises(NotEnoughMessagesError, match="has 0 messages from sequence number 9"):
            read(service, 9)

    def test_the_least_that_do_not_fit_in_an_answer_are_too_many(self, service):
        service.create(definition())
        append(service, *[b"x" * 100] * 10)
        assert 1 == len(read(service, 0, 1, 10, 50))
        with pytest.raises(StreamResponseTooLargeError, match="ask for fewer"):
            read(service, 0, 5, 10, 200)

    def test_damage_is_told_with_where_to_go_on(self, service, store, caplog):
        service.create(definition())
        for payload in (b"a", b"b", b"c"):
            append(service, payload)
        [stored] = store.load()
        stored.files.open(log_name(0)).write(SEGMENT_HEADER_BYTES + HEADER_BYTES + 5, b"XX")
        assert [b"a"] == read(service)
        with pytest.raises(StreamReadError, match="messages 1 to 1 of stream r are") as caught:
            read(service, 1)
        assert (14, 2) == (caught.value.status, caught.value.next_sequence_number)
        assert [b"c"] == read(service, 2)
        assert "are damaged; reading can go on at 2" in caplog.text

    def test_a_verification_tells_what_is_good_and_what_is_damaged(self, service, store):
        service.create(definition())
        for payload in (b"a", b"b", b"c"):
            append(service, payload)
        whole = {"messages": 3, "bytes": 3 * (HEADER_BYTES + 5), "damaged": [], "next": None}
        assert whole == service.verify("r", 0)
        [stored] = store.load()
        stored.files.open(log_name(0)).write(SEGMENT_HEADER_BYTES + HEADER_BYTES + 5, b"XX")
        found = service.verify("r", 0)
        assert (2, [[1, 1]], None) == (found["messages"], found["damaged"], found["next"])


class TestExports:
    @pytest.fixture
    def service(self, service):
        exports = ExportDefinition(kinesis=[KinesisConfig("k", "kinesis")])
        service.create(definition(export_definition=exports))
        return service

    def export(self, service, most=ALL):
        blocks = service.read_export("r", "k", most, ALL)
        return [payload for block in blocks for payload in block.payloads()]

    def test_what_was_exported_does_not_come_again_not_even_later(self, service, store, clock):
        append(service, b"a", b"b", b"c")
        assert [b"a", b"b"] == self.export(service, 2)
        assert [b"a", b"b"] == self.export(service, 2)
        service.advance_export("r", "k", 1, 2, 2)
        assert [b"c"] == self.export(service)
        again = opened(store, clock)
        assert [b"c"] == self.export(again)
        [status] = again.describe("r").export_statuses
        assert (1, START_MS, 2, 2) == (
            status.last_exported_sequence_number,
            status.last_export_time,
            status.exported_bytes_from_stream,
            status.exported_messages_count,
        )

    def test_nothing_new_is_nothing_to_export(self, service):
        assert [] == self.export(service)

    def test_an_export_skips_what_is_gone(self, service):
        small = service.describe("r").definition.replaced(
            strategy_on_full=OVERWRITE, max_size=4096, stream_segment_size=1024
        )
        service.update(small)
        for number in range(100):
            append(service, b"%100d" % number)
        oldest = service.describe("r").storage_status.oldest_sequence_number
        assert b"%100d" % oldest == self.export(service, 1)[0]

    def test_an_export_skips_what_is_damaged(self, service, store):
        for payload in (b"a", b"b", b"c"):
            append(service, payload)
        [stored] = store.load()
        stored.files.open(log_name(0)).write(SEGMENT_HEADER_BYTES, b"XX")
        assert [b"b", b"c"] == self.export(service)

    def test_tasks_are_told_of_all_streams(self, service):
        service.create(
            definition("s", export_definition=ExportDefinition(kinesis=[KinesisConfig("x", "y")]))
        )
        assert [("r", "k"), ("s", "x")] == [
            (task.stream, task.identifier) for task in service.export_tasks()
        ]

    def test_why_an_export_stands_still_is_described(self, service):
        service.report_export("r", "k", "no way")
        assert "no way" == service.describe("r").export_statuses[0].error_message

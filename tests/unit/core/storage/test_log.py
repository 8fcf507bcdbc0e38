# SPDX-License-Identifier: Apache-2.0

import errno
from pathlib import Path

import pytest

from greengrass_sdk.core.storage.files import FolderFiles, MemoryFiles
from greengrass_sdk.core.storage.log import SegmentLog
from greengrass_sdk.core.storage.segment import SEGMENT_HEADER_BYTES, Gap, index_name, log_name
from greengrass_sdk.wire.blocks import HEADER_BYTES, encode_body, parse_blocks

SMALL = HEADER_BYTES + 5
TWO = SEGMENT_HEADER_BYTES + 2 * SMALL  # a segment of two small messages
ALL = 1 << 30


def log_with(*payloads, files=None, segment_bytes=TWO):
    opened = SegmentLog.open(MemoryFiles() if files is None else files, segment_bytes)
    append(opened, *payloads)
    return opened


def append(opened, *payloads):
    for payload in payloads:
        opened.put(1, encode_body([payload]), 1000)
    opened.commit()


def sync(opened):
    return opened.take_unsynced().sync({})


def read(opened, start=0, count=ALL, max_bytes=ALL):
    blocks, gap = opened.read(start, count, max_bytes)
    return [payload for block in blocks for payload in block.payloads()], gap


def test_an_empty_log_begins_with_zero():
    opened = log_with()
    assert (0, 0, 0, None) == (
        opened.oldest,
        opened.next,
        opened.size,
        opened.oldest_segment_newest_ms,
    )
    assert ([], None) == read(opened)


def test_messages_are_read_over_the_borders_of_segments():
    opened = log_with(b"a", b"b", b"c", b"d", b"e")
    assert ([b"a", b"b", b"c", b"d", b"e"], None) == read(opened)
    assert ([b"b", b"c", b"d"], None) == read(opened, 1, 3)
    assert ([], None) == read(opened, 5)
    assert 5 * SMALL == opened.size


def test_a_log_opened_again_goes_on():
    files = MemoryFiles()
    log_with(b"a", b"b", b"c", files=files)
    opened = log_with(b"d", files=files)
    assert (0, 4, 4 * SMALL) == (opened.oldest, opened.next, opened.size)
    assert ([b"a", b"b", b"c", b"d"], None) == read(opened)
    assert [] == list(opened.reports())


def test_a_read_is_bounded_in_bytes_but_has_one_message_at_least():
    opened = log_with(*[b"x" * 100] * 10, segment_bytes=ALL)
    assert 1 == len(read(opened, max_bytes=1)[0])
    assert 3 == len(read(opened, max_bytes=3 * (HEADER_BYTES + 104))[0])


def in_runs(opened, start=0, count=ALL, max_bytes=ALL):
    parts, following = opened.runs(start, count, max_bytes)
    blocks = parse_blocks(b"".join(parts))
    return [payload for block in blocks for payload in block.payloads()], following


def test_whole_blocks_are_read_as_they_are_stored_over_the_borders_of_segments():
    opened = log_with(b"a", b"b", b"c", b"d", b"e")
    assert ([b"a", b"b", b"c", b"d", b"e"], 5) == in_runs(opened)
    assert ([b"a", b"b", b"c"], 3) == in_runs(opened, count=3)
    assert ([b"a"], 1) == in_runs(opened, max_bytes=SMALL + 1)
    assert ([], 5) == in_runs(opened, 5)


def test_whole_blocks_are_read_on_from_where_a_reader_was():
    opened = log_with(b"a", b"b", b"c", b"d", segment_bytes=ALL)
    assert ([], 1) == in_runs(opened, 1)  # nobody was there
    assert ([b"a"], 1) == in_runs(opened, count=1)
    assert ([b"b", b"c", b"d"], 4) == in_runs(opened, 1)
    assert ([b"d"], None) == read(opened, 3)
    append(opened, b"e")
    assert ([b"e"], 5) == in_runs(opened, 4)


def test_blocks_that_must_be_taken_apart_are_no_run():
    opened = log_with(segment_bytes=ALL)
    opened.put(3, encode_body([b"a", b"b", b"c"]), 0)
    opened.put(2, encode_body([b"d", b"e"]), 0)
    assert ([b"a", b"b", b"c"], 3) == in_runs(opened, count=3)
    assert ([], 0) == in_runs(opened, count=4)
    assert ([], 0) == in_runs(opened, max_bytes=SMALL)


def test_damage_is_no_run():
    files = MemoryFiles()
    opened = log_with(b"a", b"b", b"c", b"d", files=files)
    files.open(log_name(2)).write(SEGMENT_HEADER_BYTES + 20, b"!")
    assert ([], 0) == in_runs(opened)  # `read` tells where the damage is
    assert ([b"a", b"b"], 2) == in_runs(opened, count=2)


def test_blocks_of_one_file_are_lent_if_they_are_enough(tmp_path):
    opened = log_with(b"a", b"b", b"c", files=FolderFiles(tmp_path))
    extent, lent = opened.lend(0, ALL, ALL, 2 * SMALL)
    assert (0, 2, 2 * SMALL) == (extent.first, extent.stop, len(lent))
    blocks = parse_blocks(bytes(lent))
    assert [b"a", b"b"] == [payload for block in blocks for payload in block.payloads()]
    assert opened.lend(2, ALL, ALL, 2 * SMALL) is None
    assert opened.lend(0, 1, ALL, 0) is None
    assert log_with(files=FolderFiles(tmp_path / "none")).lend(0, ALL, ALL, 0) is None
    assert log_with(b"a").lend(0, ALL, ALL, 0) is None  # it is only memory


def test_what_was_lent_stays_when_its_segment_goes(tmp_path):
    opened = log_with(b"a", b"b", b"c", files=FolderFiles(tmp_path))
    _, lent = opened.lend(0, ALL, ALL, 0)
    opened.drop_oldest()
    assert [b"a", b"b"] == [one for block in parse_blocks(bytes(lent)) for one in block.payloads()]


def test_what_was_lent_stays_when_its_segment_is_sealed(tmp_path):
    opened = log_with(b"a", files=FolderFiles(tmp_path), segment_bytes=ALL)
    _, lent = opened.lend(0, ALL, ALL, 0)
    opened.seal()
    assert [b"a"] == next(parse_blocks(bytes(lent))).payloads()


def test_a_block_of_many_messages_is_bounded_too():
    opened = log_with(segment_bytes=ALL)
    opened.put(100, encode_body([b"x" * 100] * 100), 0)
    found, _ = read(opened, max_bytes=1000)
    assert 1 <= len(found) <= 10
    assert [b"x" * 100] == read(opened, 99)[0]


def test_a_message_larger_than_a_segment_has_one_for_itself():
    opened = log_with(b"a", b"x" * 1000, b"b")
    assert ([b"a", b"x" * 1000, b"b"], None) == read(opened)


def test_the_oldest_segment_can_be_removed_and_the_numbers_go_on():
    files = MemoryFiles()
    opened = log_with(b"a", b"b", b"c", files=files)
    opened.drop_oldest()
    assert (2, 3, SMALL) == (opened.oldest, opened.next, opened.size)
    assert ([b"c"], None) == read(opened)
    opened.drop_oldest()
    assert (3, 3, 0, None) == (
        opened.oldest,
        opened.next,
        opened.size,
        opened.oldest_segment_newest_ms,
    )
    again = log_with(b"d", files=files)
    assert ([b"d"], 3, 4) == (read(again)[0], again.oldest, again.next)


def test_removing_what_is_not_written_yet_writes_it_first():
    opened = log_with()
    opened.put(1, encode_body([b"a"]), 0)
    opened.drop_oldest()
    opened.put(1, encode_body([b"b"]), 0)
    assert ([b"b"], 1) == (read(opened)[0], opened.oldest)


def test_what_is_synced_is_described_and_what_is_not_full_is_not():
    files = MemoryFiles()
    opened = log_with(b"a", b"b", b"c", files=files)
    assert opened.unsynced
    assert sync(opened) is None
    assert not opened.unsynced
    assert [index_name(0), log_name(0), log_name(2)] == files.names()


def test_a_log_whose_indexes_are_lost_is_read_as_a_whole():
    files = MemoryFiles()
    sync(log_with(b"a", b"b", b"c", files=files))
    files.remove(index_name(0))
    assert ([b"a", b"b", b"c"], None) == read(log_with(files=files))


def test_an_index_without_its_segment_is_removed():
    files = MemoryFiles()
    files.open(index_name(9)).write(0, b"x")
    log_with(files=files)
    assert [] == files.names()


def test_a_torn_tail_is_told():
    files = MemoryFiles()
    log_with(b"a", files=files)
    file = files.open(log_name(0))
    file.write(file.size, b"torn")
    assert [f"{log_name(0)}: a torn tail of 4 bytes was cut"] == list(
        log_with(files=files).reports()
    )


def test_damage_stops_a_read_that_has_something_and_fails_one_that_has_not():
    files = MemoryFiles()
    opened = log_with(*(bytes([65 + n]) for n in range(6)), files=files)
    files.open(log_name(2)).write(SEGMENT_HEADER_BYTES, b"XX")
    assert ([b"A", b"B"], Gap(2, 3)) == read(opened)
    assert ([], Gap(2, 3)) == read(opened, 2)
    assert ([b"D", b"E", b"F"], None) == read(opened, 3)
    assert [f"{log_name(2)}: the messages 2 to 2 are damaged"] == list(
        log_with(files=files).reports()
    )


def test_the_end_of_a_segment_that_is_gone_is_damage_when_others_follow():
    files = MemoryFiles()
    log_with(*(bytes([65 + n]) for n in range(4)), files=files)
    files.open(log_name(0)).truncate(SEGMENT_HEADER_BYTES + SMALL)
    opened = log_with(files=files)
    assert ([b"A"], Gap(1, 2)) == read(opened)
    assert ([], Gap(1, 2)) == read(opened, 1)
    assert ([b"C", b"D"], None) == read(opened, 2)
    assert "the messages 1 to 1 are damaged" in "".join(opened.reports())


def test_a_segment_that_is_gone_is_damage():
    files = MemoryFiles()
    log_with(*(bytes([65 + n]) for n in range(6)), files=files)
    files.remove(log_name(2))
    opened = log_with(files=files)
    assert ([b"A", b"B"], Gap(2, 4)) == read(opened)
    assert ([b"E", b"F"], None) == read(opened, 4)


def test_a_damaged_segment_gets_no_index():
    files = MemoryFiles()
    log_with(*(bytes([65 + n]) for n in range(4)), files=files)
    files.open(log_name(0)).write(SEGMENT_HEADER_BYTES, b"XX")
    opened = log_with(files=files)
    append(opened, b"E", b"F")
    sync(opened)
    assert index_name(0) not in files.names()
    assert index_name(2) in files.names()


def test_a_new_segment_is_begun_when_the_old_one_is_not_trusted():
    files = MemoryFiles()
    opened = log_with(b"a", files=files)
    opened.seal()
    append(opened, b"b")
    assert ([b"a", b"b"], None) == read(opened)
    assert [log_name(0), log_name(1)] == files.names()


class FullFiles(MemoryFiles):
    full = False

    def open(self, name):
        if self.full:
            raise OSError(errno.ENOSPC, "full")
        return super().open(name)


def test_a_segment_that_cannot_be_begun_loses_nothing_and_is_begun_later():
    files = FullFiles()
    opened = log_with(b"a", b"b", files=files)
    files.full = True
    with pytest.raises(OSError, match="full"):
        append(opened, b"c")
    assert (2, [b"a", b"b"]) == (opened.next, read(opened)[0])
    files.full = False
    append(opened, b"c")
    assert [b"a", b"b", b"c"] == read(opened)[0]
    assert [b"a", b"b", b"c"] == read(log_with(files=files))[0]


class FailingFile:
    def sync(self):
        raise OSError(errno.EIO, "broken")


def test_a_sync_that_fails_tells_why_once_for_all_who_share_it():
    opened = log_with(b"a")
    unsynced = opened.take_unsynced()
    unsynced.files.append(FailingFile())
    seen: dict[int, OSError | None] = {}
    first = unsynced.sync(seen)
    assert errno.EIO == first.errno
    assert first is unsynced.sync(seen)


def test_a_log_that_was_abandoned_waits_for_no_disk():
    opened = log_with(b"a", b"b", b"c")
    unsynced = opened.take_unsynced()
    opened.abandon()
    seen: dict[int, OSError | None] = {}
    assert unsynced.sync(seen) is None
    assert {} == seen


def test_many_segments_do_not_need_many_descriptors(tmp_path):
    opened = log_with(*[b"x"] * 200, files=FolderFiles(tmp_path))
    sync(opened)
    assert 200 == len(read(opened)[0])
    assert len(list(Path("/proc/self/fd").iterdir())) < 100
    assert 200 == len(read(log_with(files=FolderFiles(tmp_path)))[0])

# SPDX-License-Identifier: Apache-2.0
"""When batches are sent, with exporters by script and pauses of nothing."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading

import pytest
from fake_exports import FakeSource, Recorder, messages, setting, task
from hypothesis import given, settings, strategies as st

from greengrass_sdk.core.streams.exporters import schedule as module
from greengrass_sdk.core.streams.exporters.exporter import ExportError
from greengrass_sdk.core.streams.exporters.schedule import ExportSchedule, Pauses
from greengrass_sdk.errors import StreamStoreError

WAIT_S = 10.0


class Setting:
    def __init__(self, source, schedule, recorder):
        self.source, self.schedule, self.recorder = source, schedule, recorder

    async def until(self, wanted):
        async with asyncio.timeout(WAIT_S):
            while not wanted():
                await asyncio.sleep(0.001)

    async def exported(self, count, identifier="e"):
        await self.until(
            lambda: sum(n for name, _, n, _ in self.source.advances if name == identifier) >= count
        )


def run(conversation, *tasks, threads=5, now_ms=lambda: 10**9, kbit_s=None, pauses=None):
    async def whole():
        source, recorder = FakeSource(*tasks), Recorder()
        schedule = ExportSchedule(
            source,
            setting(),
            threads,
            now_ms,
            kbit_s,
            pauses or Pauses(0.001, 0.002, lambda: 0.0),
            recorder.make,
        )
        schedule.start()
        try:
            await conversation(Setting(source, schedule, recorder))
        finally:
            await schedule.stop()
        assert recorder.at_once == 0
        return recorder

    return asyncio.run(whole())


def test_messages_are_sent_in_order_and_batches():
    async def conversation(setting):
        setting.source.put(messages(7))
        await setting.exported(7)

    recorder = run(conversation, task(batch_size=3))
    assert [("e", [0, 1, 2]), ("e", [3, 4, 5]), ("e", [6])] == recorder.batches
    assert (1, 1) == (recorder.made, recorder.closed)


def test_the_position_follows_what_has_arrived():
    async def conversation(setting):
        setting.source.put(messages(3))
        await setting.exported(3)
        setting.source.put(messages(1, first=3))
        await setting.exported(4)
        assert [("e", 2, 3, 12), ("e", 3, 1, 4)] == setting.source.advances

    run(conversation, task())


def test_a_batch_that_failed_comes_again_with_a_new_exporter_and_says_why(caplog):
    failures = itertools.count()

    def script(batch):
        if next(failures) < 3:
            raise ExportError("export stream K doesn't exist")

    async def conversation(setting):
        setting.recorder.script = script
        setting.source.put(messages(2))
        await setting.exported(2)
        assert [("e", "export stream K doesn't exist")] * 3 + [
            ("e", None)
        ] == setting.source.reports

    caplog.set_level(logging.INFO)
    recorder = run(conversation, task())
    assert [("e", [0, 1])] * 4 == recorder.batches
    assert (4, 4) == (recorder.made, recorder.closed)
    told = [text for text in caplog.messages if "doesn't exist" in text]
    assert ["stream s, export e: export stream K doesn't exist"] == told
    assert "stream s, export e: goes on, after 3 failures" in caplog.messages


def test_what_arrived_of_a_batch_does_not_come_again():
    def script(batch):
        if batch[0].sequence_number == 0:
            raise ExportError("half", done=2)

    async def conversation(setting):
        setting.recorder.script = script
        setting.source.put(messages(5))
        await setting.exported(5)

    recorder = run(conversation, task())
    assert [("e", [0, 1, 2, 3, 4]), ("e", [2, 3, 4])] == recorder.batches


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 7),
    st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=12),
)
def test_whatever_fails_all_arrive_in_order_and_twice_only_within_a_batch(count, size, fates):
    """Each fate is a batch: None arrives; a number is how many of it did before the failure."""
    remaining = iter(fates)

    def script(batch):
        done = next(remaining, None)
        if done is not None:
            raise ExportError("no", done=min(done, len(batch)))

    async def conversation(setting):
        setting.recorder.script = script
        setting.source.put(messages(count))
        await setting.exported(count)

    recorder = run(conversation, task(batch_size=size))
    assert list(range(count)) == [number for _, number in recorder.arrived]


def test_a_fault_of_an_exporter_is_told_and_tried_again(caplog):
    faults = itertools.count()

    def script(batch):
        if next(faults) == 0:
            raise KeyError("oops")

    async def conversation(setting):
        setting.recorder.script = script
        setting.source.put(messages(1))
        await setting.exported(1)
        assert ("e", "KeyError: 'oops'") == setting.source.reports[0]

    run(conversation, task())
    assert any("a fault of its exporter" in text for text in caplog.messages)


def test_streams_do_not_wait_for_each_other():
    blocked = threading.Event()

    def script(batch):
        if batch[0].stream_name == "slow":
            blocked.wait(WAIT_S)

    async def conversation(setting):
        setting.recorder.script = script
        setting.source.put(messages(1, "slow"))
        setting.source.put(messages(3, "fast"))
        await setting.exported(3, "f")
        assert 0 == setting.source.positions.get(("slow", "e"), 0)
        blocked.set()
        await setting.exported(1)

    run(conversation, task("slow"), task("fast", "f"))


def test_no_more_threads_than_allowed():
    barrier = threading.Event()

    async def conversation(setting):
        setting.recorder.script = lambda batch: barrier.wait(WAIT_S)
        for number in range(6):
            setting.source.put(messages(1, f"s{number}"))
        await setting.until(lambda: setting.recorder.at_once == 2)
        barrier.set()
        await setting.until(lambda: len(setting.source.advances) == 6)

    recorder = run(conversation, *(task(f"s{n}", f"e{n}") for n in range(6)), threads=2)
    assert 2 == recorder.most_at_once


def test_higher_priorities_go_first():
    started = threading.Event()

    async def conversation(setting):
        setting.recorder.script = lambda batch: started.wait(WAIT_S)
        setting.source.put(messages(1, "first"))
        await setting.until(lambda: setting.recorder.at_once == 1)
        for stream in ("none", "ten", "one"):
            setting.source.put(messages(1, stream))
        await asyncio.sleep(0.02)  # until they stand in line
        started.set()
        await setting.until(lambda: len(setting.source.advances) == 4)

    recorder = run(
        conversation,
        task("first", "f"),
        task("none", "n"),
        task("ten", "t", priority=10),
        task("one", "o", priority=1),
        threads=1,
    )
    assert ["f", "o", "t", "n"] == [name for name, _ in recorder.batches]


def test_a_batch_waits_for_its_size_or_its_age(monkeypatch):
    monkeypatch.setattr(module, "_LOOK_S", 0.001)
    now = [1_000_000]

    async def conversation(setting):
        setting.source.put(messages(2))
        await asyncio.sleep(0.02)
        assert [] == setting.recorder.batches
        setting.source.put(messages(3, first=2))
        await setting.exported(5)
        now[0] += 60_006
        setting.source.put(messages(1, first=5))
        await setting.exported(6)

    recorder = run(
        conversation,
        task(batch_size=5, batch_interval_millis=60_000),
        now_ms=lambda: now[0],
    )
    assert [("e", [0, 1, 2, 3, 4]), ("e", [5])] == recorder.batches


def test_bandwidth_is_shared_by_all():
    """The first batch leaves at once; what it cost keeps the second one back."""

    async def conversation(setting):
        setting.source.put(messages(1, "a", size=100_000))
        await setting.exported(1, "a")
        setting.source.put(messages(1, "b", size=10))
        await asyncio.sleep(0.02)
        assert [("a", [0])] == setting.recorder.batches

    run(conversation, task("a", "a"), task("b", "b"), kbit_s=1.0)


# --- changes --------------------------------------------------------------------


def test_an_export_begins_ends_and_changes_with_its_definition():
    async def conversation(setting):
        source = setting.source
        source.put(messages(1))
        await setting.exported(1)
        source.change(task(), task("t", "f"))
        source.put(messages(1, "t"))
        await setting.exported(1, "f")
        source.change(task("t", "f"))
        source.put(messages(1, first=1))
        source.change(task("t", "f"), task(batch_size=1))
        await setting.exported(2)
        assert 3 == setting.recorder.made

    recorder = run(conversation, task())
    assert 3 == recorder.closed


def test_a_change_waits_for_the_batch_that_is_sent():
    """Otherwise two exporters would send the same stream at once, and order were lost."""
    sending, go = threading.Event(), threading.Event()

    def script(batch):
        sending.set()
        go.wait(WAIT_S)

    async def conversation(setting):
        setting.recorder.script = script
        setting.source.put(messages(3))
        await setting.until(sending.is_set)
        setting.source.change(task(batch_size=1))
        await asyncio.sleep(0.02)
        assert 1 == len(setting.recorder.batches)
        go.set()
        await setting.exported(3)

    recorder = run(conversation, task(batch_size=2))
    assert 1 == recorder.most_at_once
    assert ("e", [0, 1]) == recorder.batches[0]
    assert ("e", [0]) == recorder.batches[1]  # nobody knows whether it arrived


def test_an_export_whose_stream_is_made_again_goes_on():
    async def conversation(setting):
        source = setting.source
        source.put(messages(1))
        await setting.exported(1)
        del source.streams["s"]
        source.positions.clear()
        source._more.set()
        await setting.until(lambda: setting.recorder.closed == 1)
        source.change(task())
        source.put(messages(1))
        await setting.exported(2)

    run(conversation, task())


def test_an_export_whose_stream_is_made_again_before_it_has_ended_goes_on():
    async def conversation(setting):
        source, closing, go = setting.source, threading.Event(), threading.Event()

        def close_late():
            closing.set()
            go.wait(WAIT_S)

        setting.recorder.closing = close_late
        source.put(messages(1))
        await setting.exported(1)
        del source.streams["s"]
        source.positions.clear()
        source._more.set()
        await setting.until(closing.is_set)
        source.change(task())
        source.put(messages(1))
        go.set()
        await setting.exported(2)

    run(conversation, task())


def test_an_export_outlives_a_disk_that_fails():
    async def conversation(setting):
        setting.source.failing = StreamStoreError("the disk is full")
        setting.source.put(messages(1))
        setting.source.change(task("s", "e2"))
        await setting.until(lambda: ("e2", "the disk is full") in setting.source.reports)
        setting.source.failing = None
        await setting.exported(1, "e2")

    run(conversation, task())


def test_stopping_ends_what_waits_and_does_not_note_what_is_sent(monkeypatch):
    monkeypatch.setattr(module, "_STOP_S", 0.05)
    sending, go = threading.Event(), threading.Event()

    async def whole():
        source, recorder = FakeSource(task()), Recorder()
        recorder.script = lambda batch: (sending.set(), go.wait(WAIT_S))[0]  # type: ignore[func-returns-value]
        schedule = ExportSchedule(source, setting(), 1, lambda: 0, make=recorder.make)
        schedule.start()
        source.put(messages(1))
        async with asyncio.timeout(WAIT_S):
            while not sending.is_set():
                await asyncio.sleep(0.001)
        await schedule.stop()
        await schedule.stop()
        assert schedule.setting.stopping.is_set()
        assert [] == source.advances
        go.set()
        for one in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait([one])

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("failures", "low", "high"),
    [(1, 0.25, 0.5), (2, 0.5, 1.0), (3, 1.0, 2.0), (8, 30.0, 60.0), (1000, 30.0, 60.0)],
)
def test_pauses_double_up_to_a_bound(failures, low, high):
    assert low == Pauses(jitter=lambda: 0.0).after(failures)
    assert high == Pauses(jitter=lambda: 1.0).after(failures)
    assert low <= Pauses().after(failures) <= high

# SPDX-License-Identifier: Apache-2.0
"""Conversations about work items: which worker runs what, since when, and how it ended."""

import json

from router_bench import BOOT, CLOUD, DEMAND, PINNED, TOOL, Bench, only

from greengrass_sdk._native import Flag, Kind, request_id
from greengrass_sdk._native._py.router.events import (
    Finished,
    NeedWorkers,
    Outcome,
    RetireWorker,
    Send,
    WorkerReady,
)
from greengrass_sdk._native._py.router.state import CORE

# Functions that keep what they answer to themselves.


def test_a_confidential_function_hears_who_asks_and_nobody_is_shown_its_answer():
    bench = Bench(confidential=True)
    bench.machine.tap = True
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    [item] = only(bench.invoke(b"demand"), Send)
    assert TOOL == item.endpoint
    outputs = bench.result(11, DEMAND, item.id, b"secret")
    [answer] = only(outputs, Send)
    assert (TOOL, b"secret") == (answer.endpoint, answer.payload)
    [finished] = only(outputs, Finished)
    assert b"" == finished.document


# Workers come, import, fail and idle.


def test_parallel_invocations_start_workers_up_to_the_limit():
    bench = Bench(max_workers=2)
    wanted = [only(bench.invoke(b"demand"), NeedWorkers) for _ in range(4)]
    assert [sum(need.workers for need in needs) for needs in wanted] == [1, 1, 0, 0]


def test_a_failed_import_ends_the_item_that_asked_for_the_worker():
    bench = Bench()
    bench.invoke(b"demand", number=1)
    bench.invoke(b"demand", number=2)
    bench.worker(11, DEMAND)
    outputs = bench.ready(11, DEMAND, Flag.FAILED, b'{"errorMessage":"no"}')
    [answer] = only(outputs, Send)
    assert (
        answer.id,
        answer.flags,
        answer.payload,
    ) == (1, Flag.UNHANDLED, b'{"errorMessage":"no"}')
    bench.machine.detach(11, b"exit", bench.now)
    assert only(bench.step(), Send) == []
    assert bench.target(DEMAND).items == 1


def test_a_failed_import_of_a_pinned_function_ends_calls_and_keeps_messages():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    bench.invoke(b"pinned")
    bench.publish(b"a")
    bench.worker(11, PINNED)
    [answer] = only(bench.ready(11, PINNED, Flag.FAILED, b"{}"), Send)
    assert answer.flags == Flag.UNHANDLED
    assert bench.target(PINNED).items == 1


def test_a_worker_that_dies_in_its_import_ends_the_item_that_asked_for_it():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.machine.detach(11, b"died", bench.now)
    [answer] = only(bench.step(), Send)
    assert (answer.flags, answer.payload) == (Flag.UNHANDLED, b"died")


def test_an_import_on_demand_has_ten_seconds_and_a_pinned_one_all_the_time():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.worker(12, PINNED)
    outputs = bench.at(10.0).step()
    assert [retire.peer for retire in only(outputs, RetireWorker)] == [11]
    assert b"import did not finish within 10 s" in only(outputs, Send)[0].payload
    assert bench.at(1000.0).step() == []


def test_an_idle_worker_is_stopped_after_its_time():
    bench = Bench(idle_s=5.0)
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    bench.result(11, DEMAND, 1)
    assert bench.at(4.9).step() == []
    assert [RetireWorker(11, DEMAND, Outcome.OK, "idle for 5 s")] == bench.at(5.1).step()
    assert bench.target(DEMAND).workers == {}


def test_a_worker_that_closed_its_channel_gets_nothing_though_its_import_ended():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.machine.close(11)
    assert [WorkerReady(11, DEMAND), NeedWorkers(DEMAND, 1)] == bench.ready(11, DEMAND)
    bench.machine.detach(11, b"died", bench.now)
    assert bench.step() == []
    assert bench.target(DEMAND).items == 1


def test_an_import_error_larger_than_a_result_is_not_passed_on():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    [answer] = only(bench.ready(11, DEMAND, Flag.FAILED, bytes(201)), Send)
    assert json.loads(answer.payload) == {
        "errorMessage": "import error of 201 bytes is larger than the limit of 200 bytes",
        "errorType": "ImportErrorTooLarge",
    }


def test_a_worker_that_lives_on_after_its_import_failed_is_ended():
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED, Flag.FAILED, b"{}")
    assert only(bench.at(4.9).step(), RetireWorker) == []
    reason = "did not exit within 5 s after its import failed"
    assert [RetireWorker(11, PINNED, Outcome.UNHANDLED, reason)] == bench.at(5.0).step()
    assert bench.target(PINNED).workers == {}


def test_an_idle_worker_that_closed_its_channel_is_not_ended_for_idleness():
    bench = Bench(idle_s=5.0)
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    bench.result(11, DEMAND, 1)
    bench.machine.close(11)
    assert bench.at(10.0).step() == []


def test_a_worker_is_busy_while_it_holds_an_item():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    assert not bench.machine.is_busy(11)
    bench.ready(11, DEMAND)
    assert bench.machine.is_busy(11)
    bench.result(11, DEMAND, 1)
    assert not bench.machine.is_busy(11)
    assert not bench.machine.is_busy(99)
    assert not bench.machine.is_busy(CORE)


def test_a_worker_that_could_not_be_started_ends_the_item_that_asked_for_it():
    bench = Bench()
    bench.invoke(b"demand", number=1)
    bench.invoke(b"demand", number=2)
    bench.machine.worker_failed(DEMAND, b'{"errorMessage":"no"}', bench.now)
    [answer] = only(bench.step(), Send)
    assert (answer.id, answer.flags) == (1, Flag.UNHANDLED)
    assert bench.target(DEMAND).starting == 1


def test_a_worker_that_fails_though_nobody_asked_for_it_changes_nothing():
    bench = Bench()
    bench.machine.worker_failed(DEMAND, b"{}", bench.now)
    assert bench.step() == []
    assert bench.target(DEMAND).starting == 0


def test_the_exit_of_a_worker_that_was_retired_ends_nothing_more():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.at(10.0).step()
    bench.machine.detach(11, b"killed", bench.now)
    assert bench.step() == []


# Items run, and end once.


def test_a_handler_that_overruns_its_timeout_ends_unhandled_in_lambdas_words():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.at(1.0).ready(11, DEMAND)
    assert 4.0 == bench.machine.next_deadline()
    assert bench.at(3.9).step() == []
    retire, answer, finished = bench.at(4.0).step()
    assert RetireWorker(11, DEMAND, Outcome.TIMEOUT, "timed out after 3 s") == retire
    assert answer.flags == Flag.UNHANDLED | Flag.TIMEOUT
    message = json.loads(answer.payload)["errorMessage"]
    expected = f"2023-11-14T22:13:24.000Z {request_id(BOOT, 1)} Task timed out after 3.00 seconds"
    assert expected == message
    assert finished.outcome == Outcome.TIMEOUT
    # Nothing it writes later counts.
    assert bench.result(11, DEMAND, 1, b"late") == []


def test_the_timeout_of_a_queued_item_starts_when_its_handler_starts():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.publish(b"a")
    bench.publish(b"a")
    bench.at(2.5).result(11, PINNED, 1)
    assert only(bench.at(5.0).step(), RetireWorker) == []
    assert [RetireWorker(11, PINNED, Outcome.TIMEOUT, "timed out after 3 s")] == only(
        bench.at(5.5).step(), RetireWorker
    )


def test_a_death_ends_the_running_item_and_keeps_the_waiting_ones_in_order():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.publish(b"a", b"0")
    bench.result(11, PINNED, 1)  # quick: the next ones are sent ahead
    for payload in (b"1", b"2", b"3"):
        bench.publish(b"a", payload)
    bench.machine.detach(11, b"{}", bench.now)
    [finished] = bench.step()
    assert (finished.item.payload, finished.outcome) == (b"1", Outcome.UNHANDLED)
    bench.worker(12, PINNED)
    outputs = bench.ready(12, PINNED)
    assert [send.payload for send in only(outputs, Send)] == [b"2"]
    outputs = bench.result(12, PINNED, outputs[-1].id)
    assert [send.payload for send in only(outputs, Send)] == [b"3"]


def test_a_result_that_was_written_before_the_death_counts():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    bench.machine.close(11)
    [answer] = bench.result(11, DEMAND, 1, b"out")
    assert (answer.flags, answer.payload) == (0, b"out")
    bench.machine.detach(11, b"{}", bench.now)
    assert bench.step() == []


def test_a_call_that_does_not_start_within_a_minute_ends_and_says_why():
    bench = Bench()
    bench.invoke(b"pinned")
    bench.worker(11, PINNED)
    [answer, _] = bench.at(60.0).step()
    assert answer.flags == Flag.UNHANDLED
    assert b"the function is still importing" in answer.payload
    assert bench.machine.work_items[0] == 0


def test_work_items_refuse_only_targets_above_their_share():
    bench = Bench(rows=[(CLOUD, b"a", PINNED), (CLOUD, b"b", DEMAND)], work_items=4)
    for _ in range(4):
        bench.publish(b"a")
    bench.publish(b"b")
    bench.publish(b"b")
    bench.publish(b"b")
    assert bench.routes[0].delivered == 4
    assert bench.routes[1].delivered == 2
    assert bench.routes[1].dropped == {"work items of the core used up": 1}


def test_a_result_that_is_too_large_ends_unhandled():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    [answer] = only(bench.result(11, DEMAND, 1, bytes(201)), Send)
    assert answer.flags == Flag.UNHANDLED
    assert b"result of 201 bytes is larger than the limit of 200 bytes" in answer.payload


def test_an_error_of_the_handler_is_handed_on():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    [answer] = only(bench.result(11, DEMAND, 1, b"oops", Flag.HANDLED), Send)
    assert (answer.flags, answer.payload) == (Flag.HANDLED, b"oops")


def test_an_old_import_failure_is_not_the_reason_once_the_function_has_started():
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED, Flag.FAILED, b"old")
    bench.machine.detach(11, b"", bench.now)
    bench.worker(12, PINNED)
    bench.ready(12, PINNED)
    bench.machine.detach(12, b"", bench.now)
    bench.invoke(b"pinned")
    [answer] = only(bench.at(60.0).step(), Send)
    assert b"no worker could be started" in answer.payload


# Items that were sent ahead.


def test_items_are_sent_ahead_only_to_quick_handlers():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    assert len(bench.publish(b"a")) == 1
    assert len(bench.publish(b"a")) == 0
    bench.at(0.01).result(11, PINNED, 1)
    assert len(bench.publish(b"a")) == 1
    bench.at(1.0).result(11, PINNED, 2)
    assert len(bench.publish(b"a")) == 0


def test_a_function_with_a_credit_of_its_own_is_sent_so_many_items_however_slow_it_is():
    bench = Bench(pinned=True, credit=40, queue_items=100)
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    [first] = only(bench.invoke(b"demand"), Send)
    bench.at(5.0).result(11, DEMAND, first.id)
    sent = [only(bench.invoke(b"demand"), Send) for _ in range(50)]
    assert [1] * 40 + [0] * 10 == list(map(len, sent))


def test_a_call_that_lies_with_a_busy_worker_for_a_minute_ends_and_its_late_answer_is_ignored():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)], timeout_s=100.0)
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.publish(b"a")
    bench.result(11, PINNED, 1)  # quick: the next ones are sent ahead
    bench.publish(b"a")
    assert only(bench.invoke(b"pinned"), Send)[0].id == 3
    bench.publish(b"a")
    outputs = bench.at(60.0).step()
    [answer] = only(outputs, Send)
    assert (answer.kind, answer.flags, answer.id) == (Kind.RESULT, Flag.UNHANDLED, 7)
    assert b"has not started after 60 s" in answer.payload
    assert bench.machine.work_items[0] == 2
    bench.result(11, PINNED, 2)
    assert bench.result(11, PINNED, 3, b"late") == []
    bench.result(11, PINNED, 4)
    assert bench.machine.work_items[0] == 0


def test_a_call_that_was_given_up_is_neither_ended_nor_sent_again_when_the_worker_dies():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)], timeout_s=100.0)
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.publish(b"a")
    bench.result(11, PINNED, 1)
    bench.publish(b"a")
    bench.invoke(b"pinned")
    bench.invoke(b"pinned")
    bench.at(60.0).step()
    bench.result(11, PINNED, 2)
    bench.machine.detach(11, b"died", bench.now)
    assert bench.step() == []
    assert bench.machine.work_items[0] == 0


def test_a_slow_first_run_is_not_taken_for_a_quick_one():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.publish(b"a")
    bench.at(2.0).result(11, PINNED, 1)
    bench.publish(b"a")
    assert bench.publish(b"a") == []


def test_a_worker_is_told_the_first_of_the_names_whatever_the_caller_wrote():
    bench = Bench()
    bench.invoke(b"demand:1")
    bench.worker(11, DEMAND)
    [sent] = only(bench.ready(11, DEMAND), Send)
    assert sent.topic == b"demand"

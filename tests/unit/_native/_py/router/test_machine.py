# SPDX-License-Identifier: Apache-2.0
"""Conversations with the router machine: frames in at a time, outputs out."""

import json

import pytest

from greengrass_sdk._native import Flag, Frame, Kind, Status, TopicIndex, request_id
from greengrass_sdk._native._py.router.events import (
    CutOff,
    Finished,
    NeedWorkers,
    Outcome,
    RetireWorker,
    Send,
    Tapped,
    Unrouted,
    WorkerReady,
)
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import CORE, FunctionRules, FunctionTarget, Route
from greengrass_sdk.errors import LocalProtocolError

PINNED, DEMAND, CLIENT, CLOUD, TOOL = 1, 2, 3, 4, 5
BOOT = bytes(range(8))


def rules(**changes):
    values = {
        "pinned": False,
        "timeout_s": 3.0,
        "max_workers": 2,
        "idle_s": 60.0,
        "queue_items": 4,
        "queue_bytes": 1000,
    }
    return FunctionRules(**{**values, **changes})


class Bench:
    """A machine with a pinned and an on-demand function, a client, the cloud and a tool."""

    def __init__(self, *, rows=(), work_items=100, strict=False, timeout_s=3.0, **demand):
        self.machine = Router(
            work_items=work_items,
            topic_payload_bytes=100,
            invoke_payload_bytes=200,
            strict=strict,
            boot=BOOT,
            epoch=1_700_000_000.0,
        )
        pinned = rules(pinned=True, max_workers=1, timeout_s=timeout_s)
        self.machine.define_function(PINNED, pinned, [b"pinned"])
        self.machine.define_function(DEMAND, rules(**demand), [b"demand", b"demand:1"])
        self.machine.define_peer_target(CLIENT, queue_items=2, queue_bytes=50)
        self.machine.define_service(CLOUD)
        self.machine.define_service(TOOL)
        index = TopicIndex()
        self.routes = []
        for number, (source, subject, target) in enumerate(rows):
            index.add(source, subject, number)
            self.routes.append(Route(f"row-{number}", target))
        self.machine.install_routes(index, self.routes)
        self.now = 0.0

    def step(self):
        return self.machine.step(self.now)

    def at(self, now):
        self.now = now
        return self

    def frame(self, peer, *fields):
        """Let `peer` send a frame; fields left out at the end are zero or empty."""
        blank = (0, 0, 0, 0, b"", b"", b"")
        self.machine.receive(peer, Frame(*fields, *blank[len(fields) :]), self.now)
        return self.step()

    def publish(self, topic, payload=b"x", *, source=CLOUD, peer=CORE, flags=0, number=0):
        return self.frame(peer, Kind.PUBLISH, flags, source, number, topic, b"", payload)

    def invoke(self, name, payload=b"{}", *, number=7, event=False):
        flags = Flag.EVENT if event else 0
        return self.frame(CORE, Kind.INVOKE, flags, TOOL, number, name, b"ctx", payload)

    def worker(self, peer, endpoint):
        self.machine.attach_worker(peer, endpoint, self.now)
        return self.step()

    def ready(self, peer, endpoint, flags=0, payload=b""):
        return self.frame(peer, Kind.READY, flags, endpoint, 0, b"", b"", payload)

    def result(self, peer, endpoint, number, payload=b"", flags=0):
        return self.frame(peer, Kind.RESULT, flags, endpoint, number, b"", b"", payload)

    def target(self, endpoint) -> FunctionTarget:
        state = self.machine.target_state(endpoint)
        assert isinstance(state, FunctionTarget)
        return state


def only(outputs, kind):
    return [output for output in outputs if isinstance(output, kind)]


def test_a_message_goes_to_every_target_once_in_the_order_of_the_rows():
    bench = Bench(rows=[(CLOUD, b"a/#", PINNED), (CLOUD, b"a/b", PINNED), (CLOUD, b"a/b", DEMAND)])
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    outputs = bench.publish(b"a/b", b"hi")
    assert outputs == [
        Send(11, Kind.MESSAGE, 0, PINNED, 1, b"a/b", b"", b"hi"),
        NeedWorkers(DEMAND, 1),
    ]
    assert [route.delivered for route in bench.routes] == [1, 0, 1]


def test_a_message_without_a_row_is_dropped_and_reported_once():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    assert [Unrouted(CLOUD, b"b")] == bench.publish(b"b")
    assert bench.publish(b"b") == []
    assert bench.machine.unrouted == 2


def test_a_strict_group_refuses_a_message_without_a_row():
    bench = Bench(strict=True)
    outputs = bench.publish(b"b", flags=Flag.ANSWER, number=9)
    verdict = only(outputs, Send)[0]
    assert (verdict.kind, verdict.flags, verdict.id) == (Kind.VERDICT, Status.NO_ROUTE, 9)


def test_all_or_exception_delivers_to_all_or_to_none():
    bench = Bench(rows=[(CLOUD, b"a", PINNED), (CLOUD, b"a", CLIENT)])
    flags = Flag.ANSWER | Flag.ALL_OR_EXCEPTION
    [verdict] = only(bench.publish(b"a", flags=flags), Send)
    assert verdict.flags == Status.QUEUE_FULL
    assert b"not connected (row-1)" in verdict.payload
    assert bench.target(PINNED).items == 0
    bench.machine.attach(21, CLIENT)
    verdict, message = sorted(only(bench.publish(b"a", flags=flags), Send))[:2]
    assert verdict.flags == Status.OK
    assert (message.peer, message.kind, message.topic) == (21, Kind.MESSAGE, b"a")
    assert bench.target(PINNED).items == 1


def test_a_full_queue_drops_with_its_reason():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    for _ in range(5):
        bench.publish(b"a")
    assert bench.routes[0].delivered == 4
    assert bench.routes[0].dropped == {"queue full": 1}


def test_an_invocation_on_demand_starts_a_worker_and_returns_its_result():
    bench = Bench()
    assert [NeedWorkers(DEMAND, 1)] == bench.invoke(b"demand", b"in")
    assert bench.worker(11, DEMAND) == []
    outputs = bench.ready(11, DEMAND)
    assert [
        WorkerReady(11, DEMAND),
        Send(11, Kind.INVOKE, 0, DEMAND, 1, b"demand", b"ctx", b"in"),
    ] == outputs
    work_id = (1).to_bytes(8, "little")
    assert [Send(CORE, Kind.RESULT, 0, TOOL, 7, b"", work_id, b"out")] == bench.result(
        11, DEMAND, 1, b"out"
    )
    assert bench.machine.work_items[0] == 0
    # The idle worker takes the next one at once.
    assert [Send(11, Kind.INVOKE, 0, DEMAND, 2, b"demand", b"ctx", b"{}")] == bench.invoke(
        b"demand"
    )


def test_parallel_invocations_start_workers_up_to_the_limit():
    bench = Bench(max_workers=2)
    wanted = [only(bench.invoke(b"demand"), NeedWorkers) for _ in range(4)]
    assert [sum(need.workers for need in needs) for needs in wanted] == [1, 1, 0, 0]


def test_an_unknown_function_is_refused():
    [verdict] = Bench().invoke(b"nobody")
    assert (verdict.kind, verdict.flags, verdict.id) == (Kind.VERDICT, Status.NOT_FOUND, 7)


def test_an_event_is_accepted_with_its_id_and_its_result_goes_nowhere():
    bench = Bench()
    accepted = bench.invoke(b"demand", event=True)[-1]
    assert (accepted.kind, accepted.flags) == (Kind.VERDICT, Status.OK)
    assert int.from_bytes(accepted.context, "little") == 1
    bench.worker(11, DEMAND)
    [_, sent] = bench.ready(11, DEMAND)
    assert sent.flags == Flag.EVENT
    assert bench.result(11, DEMAND, 1) == []


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


def test_a_call_that_does_not_start_within_a_minute_ends_and_says_why():
    bench = Bench()
    bench.invoke(b"pinned")
    bench.worker(11, PINNED)
    [answer, _] = bench.at(60.0).step()
    assert answer.flags == Flag.UNHANDLED
    assert b"the function is still importing" in answer.payload
    assert bench.machine.work_items[0] == 0


def test_an_idle_worker_is_stopped_after_its_time():
    bench = Bench(idle_s=5.0)
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    bench.result(11, DEMAND, 1)
    assert bench.at(4.9).step() == []
    assert [RetireWorker(11, DEMAND, Outcome.OK, "idle for 5 s")] == bench.at(5.1).step()
    assert bench.target(DEMAND).workers == {}


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


@pytest.mark.parametrize(
    ("kind", "endpoint", "number", "reason"),
    [
        (Kind.RESULT, PINNED, 99, "answered item 99"),
        (Kind.PUBLISH, DEMAND, 0, "spoke for endpoint 2"),
        (Kind.VERDICT, PINNED, 0, "sent a frame of kind"),
        (Kind.READY, PINNED, 0, "nobody waits for"),
    ],
)
def test_a_peer_that_breaks_the_contract_is_cut_off(kind, endpoint, number, reason):
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    [cut] = only(bench.frame(11, kind, 0, endpoint, number, b"t"), CutOff)
    assert cut.peer == 11
    assert reason in cut.reason
    assert bench.frame(11, kind, 0, endpoint, number, b"t") == []


def test_a_publish_that_the_sender_should_have_refused_cuts_it_off():
    bench = Bench()
    bench.worker(11, PINNED)
    [cut] = only(bench.publish(b"a/+", source=PINNED, peer=11), CutOff)
    assert "published what its own side must refuse" in cut.reason


def test_the_cloud_may_publish_topics_with_wildcard_characters():
    bench = Bench(rows=[(CLOUD, b"a/#", PINNED)])
    bench.publish(b"a/+")
    assert bench.routes[0].delivered == 1


def test_a_client_that_does_not_read_gets_its_messages_later_within_bounds():
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    bench.machine.hold(21, held=True)
    for payload in (b"1", b"2", b"3"):
        assert bench.publish(b"a", payload) == []
    assert bench.routes[0].dropped == {"queue full": 1}
    bench.machine.hold(21, held=False)
    assert [send.payload for send in bench.step()] == [b"1", b"2"]


def test_the_tap_tells_every_target_and_every_end():
    bench = Bench(rows=[(CLOUD, b"a", DEMAND)])
    bench.machine.tap = True
    [tapped] = only(bench.publish(b"a", b"1"), Tapped)
    assert (CLOUD, bench.routes[0], b"a", b"1", "delivered", "") == tapped
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    [finished] = only(bench.result(11, DEMAND, 1), Finished)
    assert finished.outcome == Outcome.OK


def test_a_stopping_router_refuses_invocations():
    bench = Bench()
    bench.machine.stop()
    [verdict] = bench.invoke(b"demand")
    assert verdict.flags == Status.STOPPING


# Peers that are closed, cut off or replaced: nothing is sent to them.


def test_a_worker_that_closed_its_channel_gets_nothing_though_its_import_ended():
    bench = Bench()
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.machine.close(11)
    assert [WorkerReady(11, DEMAND), NeedWorkers(DEMAND, 1)] == bench.ready(11, DEMAND)
    bench.machine.detach(11, b"died", bench.now)
    assert bench.step() == []
    assert bench.target(DEMAND).items == 1


def test_the_result_of_a_call_is_not_sent_to_a_caller_that_was_cut_off():
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.frame(11, Kind.INVOKE, 0, PINNED, 5, b"demand")
    bench.worker(12, DEMAND)
    bench.ready(12, DEMAND)
    bench.machine.cut(11, "did not read", bench.now)
    bench.step()
    assert only(bench.result(12, DEMAND, 1), Send) == []


def test_a_peer_that_was_closed_gets_no_verdict():
    bench = Bench()
    bench.worker(11, PINNED)
    bench.machine.close(11)
    assert bench.frame(11, Kind.INVOKE, 0, PINNED, 5, b"nobody") == []


@pytest.mark.parametrize("end", ["close", "cut", "detach"])
def test_messages_kept_for_a_client_that_ended_are_not_sent_to_it(end):
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    bench.machine.hold(21, held=True)
    bench.publish(b"a")
    if end == "close":
        bench.machine.close(21)
    elif end == "cut":
        bench.machine.cut(21, "did not read", bench.now)
    else:
        bench.machine.detach(21, b"", bench.now)
    bench.step()
    bench.machine.hold(21, held=False)
    assert bench.step() == []


def test_a_client_that_connects_anew_starts_with_an_empty_queue():
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    bench.machine.hold(21, held=True)
    bench.publish(b"a", b"old")
    bench.machine.attach(22, CLIENT)
    [message] = bench.publish(b"a", b"new")
    assert (message.peer, message.payload) == (22, b"new")
    bench.machine.hold(21, held=False)
    assert bench.step() == []


def test_a_peer_that_was_cut_off_is_forgotten_at_once():
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    bench.machine.cut(21, "did not read", bench.now)
    assert [CutOff(21, "did not read")] == bench.step()
    bench.publish(b"a")
    assert bench.routes[0].dropped == {"not connected": 1}
    assert bench.machine._peers.keys() == {CORE}


# The core itself is trusted, and is never cut off.


def test_the_core_may_publish_in_the_name_of_any_endpoint():
    bench = Bench(rows=[(CLIENT, b"a", PINNED)])
    assert only(bench.publish(b"a", source=CLIENT), CutOff) == []
    assert bench.routes[0].delivered == 1


@pytest.mark.parametrize(
    ("kind", "payload"), [(Kind.PUBLISH, bytes(101)), (Kind.READY, b""), (Kind.RESULT, b"")]
)
def test_a_mistake_of_the_core_itself_is_raised_and_cuts_nobody_off(kind, payload):
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    with pytest.raises(LocalProtocolError):
        bench.frame(CORE, kind, 0, CLOUD, 0, b"a", b"", payload)
    bench.publish(b"a")
    assert bench.routes[0].delivered == 1


# What a hostile function writes harms nobody else.


def test_a_client_context_that_no_frame_could_carry_on_is_refused():
    bench = Bench()
    [verdict] = bench.frame(CORE, Kind.INVOKE, 0, TOOL, 7, b"demand", bytes(65537))
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.TOO_LARGE)


def test_client_contexts_count_in_the_bound_of_the_queue():
    bench = Bench(queue_bytes=1000)
    [_] = bench.frame(CORE, Kind.INVOKE, 0, TOOL, 7, b"demand", bytes(600), bytes(100))
    [verdict] = bench.frame(CORE, Kind.INVOKE, 0, TOOL, 8, b"demand", bytes(600), bytes(100))
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.QUEUE_FULL)


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


# Items that were sent ahead.


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


def test_an_idle_worker_that_closed_its_channel_is_not_ended_for_idleness():
    bench = Bench(idle_s=5.0)
    bench.invoke(b"demand")
    bench.worker(11, DEMAND)
    bench.ready(11, DEMAND)
    bench.result(11, DEMAND, 1)
    bench.machine.close(11)
    assert bench.at(10.0).step() == []

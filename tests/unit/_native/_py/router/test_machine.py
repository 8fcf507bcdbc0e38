# SPDX-License-Identifier: Apache-2.0
"""Conversations with the router machine: who gets a message, who may call, who may speak."""

import os

import pytest
from router_bench import CLIENT, CLOUD, DEMAND, PINNED, TOOL, Bench, only

from greengrass_sdk._native import Flag, Kind, Status
from greengrass_sdk._native._py.lent import Lent
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
from greengrass_sdk._native._py.router.state import CORE, FunctionRules
from greengrass_sdk.errors import InvalidInputError, LocalProtocolError

# Publish.


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


def test_the_tap_is_read_as_it_was_set():
    bench = Bench()
    assert not bench.machine.tap
    bench.machine.tap = True
    assert bench.machine.tap


def test_a_message_that_is_too_large_is_refused_with_a_verdict_when_one_is_asked_for():
    bench = Bench(rows=[(CLOUD, b"a", PINNED)])
    [verdict] = bench.publish(b"a", bytes(101), flags=Flag.ANSWER)
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.TOO_LARGE)


def test_a_topic_that_is_no_topic_is_refused_with_a_verdict_when_one_is_asked_for():
    bench = Bench()
    bench.worker(11, PINNED)
    [verdict] = bench.publish(b"\xff", source=PINNED, peer=11, flags=Flag.ANSWER)
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.INVALID)


def test_topics_without_a_row_are_remembered_within_bounds():
    bench = Bench()
    for number in range(1025):
        bench.publish(b"%d" % number)
    assert bench.publish(b"1024") == []
    assert [Unrouted(CLOUD, b"0")] == bench.publish(b"0")


# Invoke.


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


def test_a_stopping_router_refuses_invocations():
    bench = Bench()
    bench.machine.stop()
    [verdict] = bench.invoke(b"demand")
    assert verdict.flags == Status.STOPPING


def test_a_client_context_that_no_frame_could_carry_on_is_refused():
    bench = Bench()
    [verdict] = bench.frame(CORE, Kind.INVOKE, 0, TOOL, 7, b"demand", bytes(65537))
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.TOO_LARGE)


def test_client_contexts_count_in_the_bound_of_the_queue():
    bench = Bench(queue_bytes=1000)
    [_] = bench.frame(CORE, Kind.INVOKE, 0, TOOL, 7, b"demand", bytes(600), bytes(100))
    [verdict] = bench.frame(CORE, Kind.INVOKE, 0, TOOL, 8, b"demand", bytes(600), bytes(100))
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.QUEUE_FULL)


def test_an_invocation_that_is_too_large_is_refused():
    [verdict] = Bench().invoke(b"demand", bytes(201))
    assert (verdict.kind, verdict.flags) == (Kind.VERDICT, Status.TOO_LARGE)


# Peers that are closed, cut off or replaced: nothing is sent to them.


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


def test_a_connection_may_be_attached_to_its_endpoint_twice():
    bench = Bench(rows=[(CLOUD, b"a", CLIENT)])
    bench.machine.attach(21, CLIENT)
    bench.machine.hold(21, held=True)
    bench.publish(b"a", b"kept")
    bench.machine.attach(21, CLIENT)
    bench.machine.hold(21, held=False)
    assert [send.payload for send in bench.step()] == [b"kept"]


def test_a_peer_that_speaks_for_a_function_gets_none_of_its_messages():
    bench = Bench(rows=[(PINNED, b"a", CLOUD), (CLOUD, b"b", PINNED)])
    bench.machine.attach(21, PINNED)
    bench.publish(b"a", source=PINNED, peer=21)
    assert bench.routes[0].delivered == 1
    assert bench.publish(b"b") == []


def test_only_a_function_has_workers():
    bench = Bench()
    with pytest.raises(InvalidInputError, match="endpoint 3 is not a function"):
        bench.worker(11, CLIENT)


def test_ends_of_unknown_peers_are_ignored():
    bench = Bench()
    bench.machine.close(99)
    bench.machine.hold(99, held=True)
    bench.machine.detach(99, b"", bench.now)
    assert bench.step() == []


def test_a_connection_that_has_not_said_who_it_is_can_be_cut_off():
    bench = Bench()
    bench.machine.cut(99, "wrote nonsense", bench.now)
    assert [CutOff(99, "wrote nonsense")] == bench.step()


def test_a_retired_worker_is_not_cut_off_as_well():
    bench = Bench()
    bench.worker(11, DEMAND)
    assert [retire.peer for retire in only(bench.at(10.0).step(), RetireWorker)] == [11]
    bench.machine.cut(11, "wrote nonsense", bench.now)
    assert bench.step() == []


# Peers that break the contract; the core is trusted, and never cut off.


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


def test_results_of_a_worker_are_taken_together_in_their_order():
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    for number in (7, 8):
        bench.invoke(b"pinned", number=number)
    bench.machine.end(11, PINNED, [(1, b"one"), (2, b"two")], bench.now)
    answers = [send for send in only(bench.step(), Send) if send.peer == CORE]
    assert [(7, b"one"), (8, b"two")] == [(send.id, send.payload) for send in answers]


def test_a_result_may_end_with_bytes_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"some bytes")
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    for number in (7, 8):
        bench.invoke(b"pinned", number=number)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    results: list[tuple[int, bytes | Lent]] = [(1, Lent(descriptor, 5, 5, b"lent ")), (2, b"two")]
    bench.machine.end(11, PINNED, results, bench.now)
    answers = [send for send in only(bench.step(), Send) if send.peer == CORE]
    assert [(7, b"lent bytes"), (8, b"two")] == [(send.id, send.payload) for send in answers]
    del results
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_results_that_nobody_asked_for_cut_off_and_are_the_last():
    bench = Bench()
    bench.worker(11, PINNED)
    bench.ready(11, PINNED)
    bench.invoke(b"pinned")
    bench.machine.end(11, PINNED, [(9, b""), (1, b"late")], bench.now)
    outputs = bench.step()
    assert [CutOff(11, "answered item 9, which it was not asked")] == only(outputs, CutOff)
    assert [Flag.UNHANDLED] == [send.flags for send in only(outputs, Send)]


def test_more_results_than_leave_in_one_call_are_all_taken():
    bench = Bench(work_items=1000)
    bench.machine.define_function(
        90, FunctionRules(True, 3.0, 1, 60.0, 1000, 1 << 20, False, 512), [b"many"]
    )
    bench.worker(11, 90)
    bench.ready(11, 90)
    for number in range(1, 151):
        bench.invoke(b"many", number=number)
    bench.machine.end(11, 90, [(number, b"%d" % number) for number in range(1, 151)], bench.now)
    assert [b"%d" % number for number in range(1, 151)] == [
        send.payload for send in only(bench.step(), Send) if send.peer == CORE
    ]

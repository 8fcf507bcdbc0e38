# SPDX-License-Identifier: Apache-2.0
"""The channel as its users see it; the peer is a core by script."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import sys
from array import array
from functools import partial
from threading import Barrier, Event, Thread

import pytest
from fake_core import FakeCore, encoded, result, verdict
from interrupts import places, raise_interrupted, run

from greengrass_sdk._native import MAX_FRAME, Flag, Frame, Kind
from greengrass_sdk._native._py import channel as channel_module, exchange, link
from greengrass_sdk._native._py.channel import StreamChannel
from greengrass_sdk.errors import (
    CoreUnavailableError,
    LocalProtocolError,
    RequestTimeoutError,
)

MODULES = [channel_module, exchange, link]
LARGE = 6 * 1024 * 1024

# Where CPython 3.11 may run a signal handler; newer ones look for signals less often.
PLACES = 20 if sys.version_info < (3, 12) else 0
FEW_PLACES = min(4, PLACES)  # of a receive that needs not wait


@pytest.fixture
def core():
    with FakeCore() as core:
        yield core


def silent(_frame):
    return None


def in_threads(count, target):
    """Run the target in threads; raise what the first of them raised."""
    failures = []

    def guarded(number):
        try:
            target(number)
        except BaseException as error:  # noqa: BLE001 - raised by the test
            failures.append(error)

    threads = [Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


# --- one thread


def test_a_frame_arrives_as_it_was_sent(core):
    core.channel.send(Kind.PUBLISH, 0, 7, 9, b"a/b", b"context", b"payload")
    assert [Frame(Kind.PUBLISH, 0, 7, 9, b"a/b", b"context", b"payload")] == core.wait(1)


@pytest.mark.parametrize(
    "payload",
    [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), memoryview(b"b.y.t.e.s.")[::2]],
    ids=["bytes", "bytearray", "memoryview", "with gaps"],
)
def test_any_buffer_is_accepted(core, payload):
    core.channel.send(Kind.PUBLISH, topic=b"t", context=payload, payload=payload)
    (frame,) = core.wait(1)
    assert (b"bytes", b"bytes") == (frame.context, frame.payload)


def test_a_buffer_of_larger_items_is_sent_as_its_bytes(core):
    numbers = array("I", [1, 2, 3])
    core.channel.send(Kind.PUBLISH, topic=b"t", payload=memoryview(numbers))
    assert numbers.tobytes() == core.wait(1)[0].payload


def test_the_largest_payload_passes_both_ways(core):
    payload = random.Random(1).randbytes(LARGE)
    assert payload == core.channel.call(Kind.INVOKE, topic=b"f", payload=payload).payload


def test_a_frame_that_breaks_the_format_is_refused_before_anything_is_sent(core):
    with pytest.raises(LocalProtocolError):
        core.channel.send(Kind.PUBLISH, topic=b"x" * 513)
    core.channel.send(Kind.PUBLISH, topic=b"next")
    assert [b"next"] == [frame.topic for frame in core.wait(1)]


def test_a_call_returns_the_answer_with_its_number(core):
    answer = core.channel.call(Kind.INVOKE, 0, 7, b"f", b"", b"ping")
    assert (Kind.RESULT, b"ping") == (answer.kind, answer.payload)


def test_a_call_without_an_answer_times_out_and_its_late_answer_is_dropped():
    with FakeCore(silent) as core:
        with pytest.raises(RequestTimeoutError, match=r"no answer within 0\.01 s") as caught:
            core.channel.call(Kind.INVOKE, topic=b"f", timeout_s=0.01)
        assert 0.01 == caught.value.timeout_s
        (asked,) = core.wait(1)
        core.send(result(asked, b"late"))
        core.message("t", b"next")
        frame = core.channel.receive(5)
        assert frame is not None
        assert b"next" == frame.payload


def test_a_late_control_answer_is_dropped_and_a_request_of_the_core_is_received():
    with FakeCore(silent) as core:
        with pytest.raises(RequestTimeoutError):
            core.channel.call(Kind.CONTROL, timeout_s=0.01)
        (asked,) = core.wait(1)
        core.send(Frame(Kind.CONTROL, id=asked.id, payload=b"late"))
        core.send(Frame(Kind.CONTROL, id=4711, payload=b"request"))
        frame = core.channel.receive(5)
        assert frame is not None
        assert b"request" == frame.payload


def test_begin_sends_and_finish_waits(core):
    first = core.channel.begin(Kind.INVOKE, topic=b"f", payload=b"1")
    second = core.channel.begin(Kind.INVOKE, topic=b"f", payload=b"2")
    assert b"2" == core.channel.finish(second, 5).payload
    assert b"1" == core.channel.finish(first, 5).payload


def test_a_number_can_be_finished_once(core):
    number = core.channel.begin(Kind.INVOKE, topic=b"f")
    core.channel.finish(number)
    with pytest.raises(KeyError):
        core.channel.finish(number)


def test_a_cancelled_number_is_forgotten(core):
    number = core.channel.begin(Kind.INVOKE, topic=b"f")
    core.channel.cancel(number)
    with pytest.raises(KeyError):
        core.channel.finish(number)


def test_receive_returns_messages_in_order_and_none_when_there_is_none_in_time(core):
    core.message("t", b"1")
    core.message("t", b"2")
    assert [b"1", b"2"] == [core.channel.receive(5).payload for _ in range(2)]
    assert core.channel.receive(0.01) is None
    assert core.channel.receive(0) is None


def test_receive_without_time_returns_what_has_arrived(core):
    core.message("t", b"1")
    select.select([core.channel.fileno()], [], [], 5)
    frame = core.channel.receive(0)
    assert frame is not None
    assert b"1" == frame.payload


def test_a_batch_holds_at_least_one_frame_and_then_no_more_bytes_than_asked_for(core):
    for payload in (b"12345", b"67", b"89", b"0", b""):
        core.message("t", payload)
    core.channel.call(Kind.INVOKE, topic=b"f")  # what was sent before its answer has arrived
    batches = [core.channel.receive_batch(4, 5) for _ in range(2)]
    assert [[b"12345"], [b"67", b"89"]] == [[frame.payload for frame in one] for one in batches]
    assert b"0" == core.channel.receive(0).payload
    assert b"" == core.channel.receive(0).payload


def test_receive_takes_one_empty_message_at_a_time(core):
    core.message("t", b"")
    core.message("t", b"")
    core.channel.call(Kind.INVOKE, topic=b"f")
    assert core.channel.receive(0) is not None
    assert core.channel.receive(0) is not None
    assert core.channel.receive(0) is None


def test_answers_and_messages_do_not_mix(core):
    core.message("t", b"message", id=1)  # a work id that is also the number of the call
    assert b"ping" == core.channel.call(Kind.INVOKE, topic=b"f", payload=b"ping").payload
    assert b"message" == core.channel.receive(5).payload


def test_frames_that_arrive_byte_by_byte_are_put_together(core):
    for byte in encoded(Frame(Kind.MESSAGE, topic=b"t", payload=b"slow")):
        core.send_bytes(bytes([byte]))
        assert core.channel.receive(0) is None or byte == ord("w")


def test_messages_that_nobody_receives_are_bounded_and_counted():
    def flood(frame):
        messages = [Frame(Kind.MESSAGE, topic=b"t") for _ in range(5000)]
        work = [Frame(Kind.MESSAGE, id=1, topic=b"t", payload=b"work")]
        return [*messages, *work, result(frame, b"")]

    with FakeCore(flood) as core:
        core.channel.call(Kind.INVOKE, topic=b"f")
        assert 904 == core.channel.dropped
        received = core.channel.receive_batch(10**9, 0)
        assert (4097, b"work") == (len(received), received[-1].payload)


# --- the end


def test_what_arrived_before_the_end_is_received_then_the_channel_raises(core):
    core.message("t", b"last")
    core.hang_up()
    assert b"last" == core.channel.receive(5).payload
    with pytest.raises(CoreUnavailableError, match="ended the connection"):
        core.channel.receive(5)
    with pytest.raises(CoreUnavailableError):
        core.channel.send(Kind.PUBLISH, topic=b"t")
    assert core.channel.closed


def test_a_peer_that_breaks_the_format_ends_the_connection(core):
    core.message("t", b"good")
    core.send_bytes(b"\xff" * 24)
    assert b"good" == core.channel.receive(5).payload
    with pytest.raises(CoreUnavailableError, match="length 4294967295 is more than"):
        core.channel.receive(5)


def test_a_frame_above_the_bound_ends_the_connection():
    ours, theirs = socket.socketpair()
    channel = StreamChannel(theirs, max_frame=100)
    with ours:
        ours.sendall(encoded(Frame(Kind.MESSAGE, topic=b"t", payload=b"x" * 100)))
        with pytest.raises(CoreUnavailableError, match="more than the 100 bytes"):
            channel.receive(5)
    channel.close()
    assert MAX_FRAME > LARGE


@pytest.mark.parametrize("who", ["us", "the core"])
def test_the_end_wakes_everybody(who):
    with FakeCore(silent) as core:
        channel = core.channel

        def wait(number):
            what = channel.receive if number % 2 else lambda: channel.call(Kind.INVOKE, topic=b"f")
            with pytest.raises(CoreUnavailableError):
                what()

        def end(_number):
            core.wait(4)
            (channel.close if who == "us" else core.hang_up)()

        in_threads(9, lambda number: end(0) if number == 8 else wait(number))


def test_close_wakes_a_blocked_sender():
    with FakeCore(reading=False) as core:
        blocked = Event()

        def send(_number):
            blocked.set()
            with pytest.raises(CoreUnavailableError):
                core.channel.send(Kind.PUBLISH, topic=b"t", payload=bytes(LARGE))

        def close(_number):
            blocked.wait()
            core.channel.close()

        in_threads(2, lambda number: send(0) if number else close(0))
        core.failure = None


def test_a_closed_channel_raises_and_may_be_closed_again(core):
    core.channel.close()
    core.channel.close()
    for use in (
        lambda: core.channel.send(Kind.PUBLISH, topic=b"t"),
        lambda: core.channel.call(Kind.INVOKE, topic=b"f"),
        lambda: core.channel.begin(Kind.INVOKE, topic=b"f"),
        lambda: core.channel.take(print),
        lambda: core.channel.submit(Kind.INVOKE, 0, 0, b"f", b"", b"", print),
        core.channel.receive,
        core.channel.fileno,
    ):
        with pytest.raises(CoreUnavailableError, match="was closed"):
            use()


def test_the_socket_is_closed_with_the_channel(core):
    descriptor = core.channel.fileno()
    core.channel.close()
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_the_child_of_a_fork_gets_a_clear_error_and_the_parent_goes_on(core):
    channel = core.channel
    channel.call(Kind.INVOKE, topic=b"f")
    descriptor = channel.fileno()
    child = os.fork()
    if not child:
        outcome = 1
        try:
            channel.close()
            for use in (channel.receive, lambda: channel.send(Kind.PUBLISH, topic=b"t")):
                try:
                    use()
                except CoreUnavailableError as error:
                    outcome += "forked" in str(error)
            outcome += not _is_open(descriptor)
        finally:
            os._exit(outcome)
    _, status = os.waitpid(child, 0)
    assert 4 == os.waitstatus_to_exitcode(status)
    assert b"on" == channel.call(Kind.INVOKE, topic=b"f", payload=b"on").payload


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


# --- many threads


def test_each_of_many_threads_gets_its_own_answers(core):
    def talk(number):
        for turn in range(100):
            payload = b"%d/%d" % (number, turn)
            assert payload == core.channel.call(Kind.INVOKE, topic=b"f", payload=payload).payload

    in_threads(12, talk)


def test_answers_out_of_order_reach_the_threads_that_asked():
    asked = []

    def in_reverse(frame):
        asked.append(frame)
        if len(asked) < 8:
            return None
        return [result(one, one.payload) for one in reversed(asked)]

    with FakeCore(in_reverse) as core:

        def ask(number):
            payload = b"%d" % number
            assert payload == core.channel.call(Kind.INVOKE, topic=b"f", payload=payload).payload

        in_threads(8, ask)


def test_every_message_is_received_by_one_of_many_threads(core):
    received = []

    def receive(_number):
        while True:
            frame = core.channel.receive(5)
            assert frame is not None
            if frame.payload == b"end":
                return
            received.append(frame.payload)

    payloads = [*(b"%d" % number for number in range(500)), *[b"end"] * 4]
    frames = (Frame(Kind.MESSAGE, topic=b"t", payload=payload) for payload in payloads)
    core.send_bytes(b"".join(map(encoded, frames)))
    in_threads(4, receive)
    assert [b"%d" % number for number in range(500)] == sorted(received, key=int)


def test_a_reader_that_leaves_hands_over_to_the_next():
    with FakeCore(
        lambda frame: [result(frame, b"")] if frame.payload == b"quick" else None
    ) as core:
        waiting = Barrier(2)

        def slow(_number):
            waiting.wait()
            answer = core.channel.call(Kind.INVOKE, topic=b"f", payload=b"slow", timeout_s=10)
            assert b"at last" == answer.payload

        def quick(_number):
            waiting.wait()
            for _ in range(100):
                core.channel.call(Kind.INVOKE, topic=b"f", payload=b"quick", timeout_s=10)
            (asked,) = [frame for frame in core.wait(101) if frame.payload == b"slow"]
            core.send(result(asked, b"at last"))

        in_threads(2, lambda number: quick(0) if number else slow(0))


def test_large_frames_of_many_threads_do_not_mix(core):
    def talk(number):
        payload = bytes([number]) * 700_000
        for _ in range(3):
            assert payload == core.channel.call(Kind.INVOKE, topic=b"f", payload=payload).payload

    in_threads(6, talk)


def test_two_sides_that_only_send_do_not_block_each_other():
    """The core has much for us while we have much for it, and it reads only between its sends."""
    with FakeCore(lambda _: [Frame(Kind.MESSAGE, id=1, payload=bytes(400_000))]) as core:
        for _ in range(30):
            core.channel.send(Kind.PUBLISH, topic=b"t", payload=bytes(400_000))
        for _ in range(30):
            assert core.channel.receive(10) is not None


def test_a_blocked_sender_and_a_waiting_reader_share_the_work():
    with FakeCore(lambda frame: [result(frame, b"")], reading=False) as core:
        sent = Event()

        def send(_number):
            core.channel.send(Kind.PUBLISH, topic=b"t", payload=bytes(LARGE))
            sent.set()

        def call(_number):
            core.channel.call(Kind.INVOKE, topic=b"f", timeout_s=10)

        def release(_number):
            core.message("t", b"wakes the reader")
            core.read()
            assert sent.wait(10)

        in_threads(3, lambda number: (send, call, release)[number](0))


def test_a_sender_gives_up_in_time_and_the_next_frame_still_arrives_whole():
    with FakeCore(reading=False) as core:
        payload = bytearray(b"x" * LARGE)
        with pytest.raises(RequestTimeoutError, match="did not read within"):
            core.channel.send(Kind.PUBLISH, topic=b"first", payload=payload, timeout_s=0.01)
        payload[:] = b"y" * LARGE  # the caller's memory is the caller's again
        core.read()
        core.channel.send(Kind.PUBLISH, topic=b"second", payload=b"z")
        first, second = core.wait(2)
        assert (b"x" * LARGE, b"z") == (first.payload, second.payload)


def test_a_frame_of_which_nothing_was_taken_is_taken_back():
    with FakeCore(reading=False) as core:
        for topic in (b"partly", b"never"):
            with pytest.raises(RequestTimeoutError):
                core.channel.send(Kind.PUBLISH, topic=topic, payload=bytes(LARGE), timeout_s=0.01)
        core.read()
        core.channel.send(Kind.PUBLISH, topic=b"last")
        assert [b"partly", b"last"] == [frame.topic for frame in core.wait(2)]


# --- signal handlers


def check_that_it_works(channel, core):
    """What holds after any interruption: calls work, nothing is held, nothing is expected."""
    answer = channel.call(Kind.INVOKE, topic=b"f", payload=b"still", timeout_s=10)
    assert b"still" == answer.payload
    inner = channel._exchange
    assert (None, None) == (inner.reading.holder, inner.writing.holder)
    assert ({}, {}, {}) == (inner.reading.queue, inner.writing.queue, inner.calls)
    assert core.failure is None


def test_a_call_may_be_interrupted_anywhere():
    for at in places():
        with FakeCore() as core:
            channel = core.channel
            action = partial(channel.call, Kind.INVOKE, topic=b"f", payload=b"x")
            if run(MODULES, action, raise_interrupted, at=at) is None:
                break
            check_that_it_works(channel, core)
    assert at >= PLACES  # how many depends on how the threads take turns


def test_a_large_send_may_be_interrupted_anywhere():
    payload = bytes(600_000)
    for at in places():
        with FakeCore() as core:
            channel = core.channel
            action = partial(channel.send, Kind.PUBLISH, topic=b"t", payload=payload)
            where = run(MODULES, action, raise_interrupted, at=at)
            check_that_it_works(channel, core)
            kinds = [frame.kind for frame in core.frames]
            assert kinds in ([Kind.PUBLISH, Kind.INVOKE], [Kind.INVOKE])
            if where is None:
                break
    assert at >= PLACES  # how many depends on how the threads take turns


def test_a_receive_may_be_interrupted_anywhere_without_loss_or_repetition():
    for at in places():
        with FakeCore() as core:
            channel = core.channel
            for number in range(3):
                core.message("t", b"%d" % number)
            got: list[Frame | None] = []

            def action(channel=channel, got=got):
                got.append(channel.receive())

            where = run(MODULES, action, raise_interrupted, at=at)
            check_that_it_works(channel, core)
            rest = [frame.payload for frame in channel.receive_batch(1000, 0)]
            whole = [b"0", b"1", b"2"]
            # Nobody can save what was already on its way from `receive` to its caller.
            lost = where is not None and where.startswith("LinkChannel.receive:")
            assert rest in ((whole, whole[1:]) if lost else ([whole[1:]] if got else [whole]))
            assert {} == channel._exchange.receivers
            if where is None:
                break
    assert at >= PLACES  # how many depends on how the threads take turns


def test_a_batch_may_be_interrupted_anywhere_without_loss_or_repetition():
    for at in places():
        with FakeCore() as core:
            channel = core.channel
            for number in range(3):
                core.message("t", b"%d" % number)
            got: list[Frame] = []

            def action(channel=channel, got=got):
                got.extend(channel.receive_batch(1 << 20))

            where = run(MODULES, action, raise_interrupted, at=at)
            check_that_it_works(channel, core)
            while len(got) < 3:
                got.extend(channel.receive_batch(1 << 20, 10))
            assert [b"0", b"1", b"2"] == [frame.payload for frame in got]
            if where is None:
                break
    assert at >= FEW_PLACES  # how many depends on how the threads take turns


def test_an_answer_to_an_item_is_a_result(core):
    core.channel.answer(Flag.HANDLED, 3, 7, b"first", more=True)
    core.channel.answer(0, 3, 8, b"", more=False)
    assert [(Kind.RESULT, Flag.HANDLED, 3, 7, b"first"), (Kind.RESULT, 0, 3, 8, b"")] == [
        (frame.kind, frame.flags, frame.endpoint, frame.id, frame.payload) for frame in core.wait(2)
    ]


@pytest.mark.parametrize("nested", ["send", "call"])
def test_a_signal_handler_may_use_the_channel_anywhere(nested):
    for at in places():
        with FakeCore() as core:
            channel = core.channel
            answers: list[bytes] = []

            def handler(channel=channel, answers=answers):
                if nested == "send":
                    channel.send(Kind.PUBLISH, topic=b"from the handler", payload=bytes(300_000))
                else:
                    answer = channel.call(Kind.INVOKE, topic=b"f", payload=b"in", timeout_s=10)
                    answers.append(answer.payload)

            payload = bytes(300_000)

            def action(channel=channel, payload=payload):
                answer = channel.call(Kind.INVOKE, topic=b"f", payload=payload, timeout_s=10)
                assert payload == answer.payload

            if run(MODULES, action, handler, at=at) is None:
                break
            check_that_it_works(channel, core)
            assert 3 == len(core.wait(3))
            assert answers == ([b"in"] if nested == "call" else [])
    assert at >= PLACES  # how many depends on how the threads take turns


def test_an_alarm_ends_a_wait_and_the_channel_goes_on():
    def ring(*_):
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with FakeCore(lambda frame: [verdict(frame)] if frame.payload else None) as core:
            for wait in (core.channel.receive, lambda: core.channel.call(Kind.INVOKE, topic=b"f")):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with pytest.raises(ZeroDivisionError):
                    wait()
            answer = core.channel.call(Kind.INVOKE, topic=b"f", payload=b"x", timeout_s=5)
            assert Kind.VERDICT == answer.kind
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest
from fake_core import BOOT, FakeCore, ListeningCore, echo, result, verdict

from greengrass_sdk import AsyncClient, InvokeResult, Message, errors
from greengrass_sdk._native import Flag, Frame, Kind, Status, request_id
from greengrass_sdk._native._py.channel import StreamChannel
from greengrass_sdk.client import session
from greengrass_sdk.client.aio import _Slot

LARGE = bytes(4_000_000)


@pytest.fixture
def listening(tmp_path):
    with ListeningCore(tmp_path / "root") as listening:
        yield listening


def test_a_message_leaves_as_with_the_blocking_client(core):
    asyncio.run(AsyncClient().publish("t", {"a": 1}))
    assert b'{"a": 1}' == core.wait(1)[0].payload


def test_all_or_exception_waits_for_the_verdict(core):
    core.script = lambda frame: [verdict(frame, Status.QUEUE_FULL, "full")]
    with pytest.raises(errors.QueueFullError, match="full"):
        asyncio.run(AsyncClient().publish("t", b"", queue_full_policy="AllOrException"))


def test_all_or_exception_returns_when_all_targets_have_it(core):
    asyncio.run(AsyncClient().publish("t", b"", queue_full_policy="AllOrException"))
    assert Flag.ALL_OR_EXCEPTION | Flag.ANSWER == core.wait(1)[0].flags


def test_a_publish_that_the_core_does_not_take_waits_without_blocking_the_loop():
    with FakeCore(reading=False) as core:
        limits = {"topic_payload_bytes": len(LARGE)}
        session.adopt(core.session(limits=limits))

        async def main():
            publish = asyncio.create_task(AsyncClient().publish("t", LARGE))
            await asyncio.sleep(0)
            core.read()
            await publish

        asyncio.run(main())
        session.adopt(None)
        assert LARGE == core.wait(1)[0].payload


def test_many_invocations_are_under_way_at_once():
    asked = []

    def in_reverse(frame):
        asked.append(frame)
        return [result(one, one.payload) for one in reversed(asked)] if len(asked) == 50 else None

    with FakeCore(in_reverse) as core:
        session.adopt(core.session())

        async def main():
            client = AsyncClient()
            calls = [client.invoke("f", str(number)) for number in range(50)]
            return await asyncio.gather(*calls)

        got = asyncio.run(main())
        session.adopt(None)
    assert [str(number).encode() for number in range(50)] == [one.payload for one in got]


def test_an_invocation_returns_or_raises_as_with_the_blocking_client(core):
    async def main():
        async with AsyncClient() as client:
            assert InvokeResult(b"x", request_id(BOOT, 42)) == await client.invoke("f", b"x")
            assert request_id(BOOT, 42) == await client.invoke_async("f")
            core.script = lambda frame: [result(frame, b"{}", Flag.HANDLED)]
            with pytest.raises(errors.FunctionHandledError):
                await client.invoke("f")

    asyncio.run(main())


def test_an_invocation_may_time_out_and_the_next_is_answered(core):
    async def main():
        core.script = lambda _frame: None
        with pytest.raises(errors.RequestTimeoutError, match=r"invoke 'f': no answer within 0\.01"):
            await AsyncClient().invoke("f", timeout_s=0.01)
        core.script = echo
        assert b"x" == (await AsyncClient().invoke("f", b"x")).payload

    asyncio.run(main())


def test_an_invocation_may_be_cancelled(core):
    async def main():
        core.script = lambda _frame: None
        call = asyncio.create_task(AsyncClient().invoke("f"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert {} == core.channel._exchange.calls

    asyncio.run(main())


def test_what_is_cancelled_before_it_is_sent_is_not_sent(core):
    async def main():
        client = AsyncClient()
        calls = [asyncio.create_task(client.invoke("f", name)) for name in ("one", "two")]
        calls[1].add_done_callback(lambda _: None)
        asyncio.get_running_loop().call_soon(calls[0].cancel)
        await asyncio.wait(calls)
        assert calls[0].cancelled()
        assert b"two" == calls[1].result().payload

    asyncio.run(main())
    assert [b"two"] == [frame.payload for frame in core.frames]


def test_what_is_asked_in_one_turn_is_sent_at_its_end(core, monkeypatch):
    happened = []
    submit = StreamChannel.submit

    def told(*fields):
        happened.append("sent")
        return submit(*fields)

    async def ask(client):
        happened.append("asked")
        return await client.invoke("f", b"x")

    async def main():
        client = AsyncClient()
        await asyncio.gather(*(ask(client) for _ in range(3)))

    monkeypatch.setattr(StreamChannel, "submit", told)
    asyncio.run(main())
    assert ["asked"] * 3 + ["sent"] * 3 == happened


def test_messages_are_sent_in_the_order_of_their_calls(core):
    async def main():
        client = AsyncClient()
        policies = ("AllOrException", "BestEffort") * 3
        calls = (
            client.publish("t", str(number), queue_full_policy=policy)
            for number, policy in enumerate(policies)
        )
        await asyncio.gather(*calls)

    asyncio.run(main())
    assert [b"0", b"1", b"2", b"3", b"4", b"5"] == [frame.payload for frame in core.wait(6)]


def test_a_message_that_is_answered_keeps_its_place_among_messages(core):
    async def main():
        client = AsyncClient()
        await asyncio.gather(
            client.publish("t", b"1"),
            client.publish("t", b"2", queue_full_policy="AllOrException"),
            client.publish("t", b"3"),
        )

    asyncio.run(main())
    assert [b"1", b"2", b"3"] == [frame.payload for frame in core.wait(3)]


def test_what_was_asked_is_what_the_memory_held_then(core):
    async def main():
        memory = bytearray(b"then")
        call = asyncio.create_task(AsyncClient().invoke("f", memory))
        asyncio.get_running_loop().call_soon(memory.__setitem__, slice(None), b"late")
        return (await call).payload

    assert b"then" == asyncio.run(main())


def test_what_a_signal_handler_interrupts_takes_no_other_request_along(core, monkeypatch):
    submit = StreamChannel.submit

    def interrupted(*_fields):
        monkeypatch.setattr(StreamChannel, "submit", submit)
        raise KeyboardInterrupt

    async def main():
        client = AsyncClient()
        return await asyncio.gather(*(client.invoke("f", name) for name in ("one", "two")))

    monkeypatch.setattr(StreamChannel, "submit", interrupted)
    loop = asyncio.new_event_loop()
    both = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(both)
    assert b"two" == loop.run_until_complete(asyncio.to_thread(core.wait, 1))[0].payload
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(both)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_one_client_serves_loop_after_loop(core):
    client = AsyncClient()
    for number in range(5):
        payload = str(number).encode()
        assert payload == asyncio.run(client.invoke("f", payload)).payload


def test_the_end_of_the_core_is_told(core):
    async def main():
        core.script = lambda _frame: core.hang_up()
        with pytest.raises(errors.CoreUnavailableError):
            await AsyncClient().invoke("f")

    asyncio.run(main())


def test_an_answer_after_the_end_of_its_loop_is_dropped(core):
    core.script = lambda _frame: None

    async def main():
        asyncio.create_task(AsyncClient().invoke("f")).add_done_callback(lambda _: None)
        await asyncio.sleep(0)

    asyncio.run(main())
    (asked,) = core.wait(1)
    core.send(result(asked, b"late"))
    core.script = echo
    assert b"x" == core.channel.call(Kind.INVOKE, topic=b"f", payload=b"x").payload


def test_outside_a_core_the_first_call_names_the_test_fixture():
    with pytest.raises(errors.CoreUnavailableError, match="fixture `greengrass`"):
        asyncio.run(AsyncClient().publish("t", b""))


def test_a_function_does_not_receive(core):
    with pytest.raises(errors.InvalidInputError, match="in its handler"):
        asyncio.run(AsyncClient().receive())


def test_a_program_beside_the_core_receives(listening):
    async def main():
        async with AsyncClient(root=listening.root, name="probe") as client:
            await client.publish("t", b"")
            (connection,) = listening.connections
            waiting = asyncio.create_task(client.receive(10))
            await asyncio.sleep(0)
            connection.send(Frame(Kind.CONTROL, id=4711))
            connection.message("t", b"0")
            assert Message("t", b"0") == await waiting
            with pytest.raises(errors.RequestTimeoutError, match="no message came within"):
                await client.receive(0.01)
            for number in (1, 2, 3):
                connection.message("t", b"%d" % number)
            got: list[Message] = []
            while len(got) < 3:
                got += await client.receive_many(timeout_s=10)
            assert [1, 2, 3] == [one.json() for one in got]

    asyncio.run(main())


def test_receive_many_leaves_what_is_too_large_for_the_next(listening):
    async def main():
        async with AsyncClient(root=listening.root, name="probe") as client:
            await client.publish("t", b"")
            (connection,) = listening.connections
            for payload in (b"12", b"3", b"4567", b"8"):
                connection.message("t", payload)
            await client.invoke("f")  # the messages have arrived with its answer
            batches = [await client.receive_many(4, timeout_s=10) for _ in range(3)]
            assert [[b"12", b"3"], [b"4567"], [b"8"]] == [
                [one.payload for one in batch] for batch in batches
            ]

    asyncio.run(main())


def test_a_cancelled_receive_leaves_the_message_for_the_next(listening):
    async def main():
        async with AsyncClient(root=listening.root, name="probe") as client:
            await client.publish("t", b"")
            (connection,) = listening.connections
            for turn in range(20):
                waiting = asyncio.create_task(client.receive())
                await asyncio.sleep(0)
                connection.message("t", b"%d" % turn)
                waiting.cancel()
                try:
                    got = await waiting
                except asyncio.CancelledError:
                    got = await client.receive(10)
                assert b"%d" % turn == got.payload

    asyncio.run(main())


def test_a_client_that_is_forgotten_warns_and_closes(listening):
    client = AsyncClient(root=listening.root, name="probe")
    asyncio.run(client.publish("t", b""))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
    assert [ResourceWarning] == [one.category for one in caught]


def test_a_shadow_is_asked_for_by_one_frame(core):
    core.script = lambda frame: [result(frame, b'{"state":{"reported":{"a":1}}}')]
    document = asyncio.run(AsyncClient().shadow("T").get())
    assert {"a": 1} == document.reported
    [frame] = core.wait(1)
    assert (Kind.INVOKE, b"GGShadowService", b"") == (frame.kind, frame.topic, frame.payload)
    assert b'{"custom": {"subject": "$aws/things/T/shadow/get"}}' == frame.context


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda frame: verdict(frame, Status.QUEUE_FULL, "full"), errors.QueueFullError),
        (lambda frame: verdict(frame, Status.NOT_FOUND, "none"), errors.FunctionNotFoundError),
        (lambda frame: result(frame, b"{}", Flag.UNHANDLED), errors.FunctionUnhandledError),
    ],
)
def test_a_service_that_does_not_answer_is_the_error_of_an_invocation(core, answer, error):
    core.script = lambda frame: [answer(frame)]
    with pytest.raises(error):
        asyncio.run(AsyncClient().shadow("T").get())


def test_a_request_that_no_invocation_may_have_is_not_sent(core):
    with pytest.raises(errors.LimitExceededError, match="invoke_payload_bytes"):
        asyncio.run(AsyncClient().shadow("T").update(desired={"a": "x" * 7_000_000}))


def test_what_comes_too_late_is_given_back():
    lost: list[int] = []

    async def main():
        waiting = _Slot[int](lost.append)
        waiting.deliver(1)
        waiting.abandon()
        await asyncio.sleep(0)
        filled = _Slot[int](lost.append)
        filled.fill(2)
        filled.fill(3)
        filled.abandon()
        failed = _Slot[int](lost.append)
        failed.fill(ValueError())
        failed.abandon()
        failed.fill(KeyError())
        return _Slot[int](lost.append), _Slot[int]()

    slot, careless = asyncio.run(main())
    slot.deliver(4)  # its loop is closed
    careless.deliver(5)
    assert [1, 3, 2, 4] == lost


def test_a_client_that_was_never_made_is_no_warning():
    with pytest.raises(TypeError):
        AsyncClient(token="x")  # type: ignore[call-arg]  # on purpose


def test_a_loop_is_woken_once_for_all_that_came_meanwhile(monkeypatch):
    async def main():
        loop = asyncio.get_running_loop()
        wakes = []
        schedule = loop.call_soon_threadsafe

        def counted(call):
            wakes.append(call)
            return schedule(call)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        for _ in range(2):
            slots = [_Slot[int]() for _ in range(100)]
            for number, slot in enumerate(slots):
                slot.deliver(number)
            assert list(range(100)) == [await slot.future for slot in slots]
        return len(wakes)

    assert 2 == asyncio.run(main())


def test_all_that_waits_is_given_back_where_the_loop_closes_in_between(monkeypatch):
    lost: list[int] = []

    async def main():
        loop = asyncio.get_running_loop()

        def closed(_call):
            raise RuntimeError("Event loop is closed")

        monkeypatch.setattr(loop, "call_soon_threadsafe", closed)
        _Slot[int](lost.append).deliver(1)
        monkeypatch.undo()
        slot = _Slot[int](lost.append)
        slot.deliver(2)
        return await slot.future

    assert (2, [1]) == (asyncio.run(main()), lost)

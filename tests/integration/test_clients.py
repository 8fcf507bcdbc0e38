# SPDX-License-Identifier: Apache-2.0
"""
Programs beside the core: `Client` and `AsyncClient` as a `[clients.NAME]`.

Ref: docs/how-to, "Connect a program of yours"
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from leftovers import eventually
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import AsyncClient, Client
from greengrass_sdk.errors import (
    AuthorizationError,
    CoreUnavailableError,
    FunctionHandledError,
    FunctionNotFoundError,
    FunctionTimeoutError,
    FunctionUnhandledError,
    InvalidInputError,
    LimitExceededError,
    NoSubscriptionError,
    QueueFullError,
    RequestTimeoutError,
)

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

CODE = """
    import time
    from greengrass_sdk import Client

    client = Client()


    def handler(event, context):
        if not isinstance(event, dict):
            client.publish("echo/out", event)
            return event
        if event.get("raise"):
            raise ValueError("asked to")
        if event.get("exit"):
            import os
            os._exit(1)
        if event.get("hang"):
            client.publish("echo/hangs", "")
            time.sleep(event["hang"])
        custom = context.client_context and context.client_context.custom
        return {"event": event, "custom": custom, "id": context.aws_request_id}


    def hang(event, context):
        time.sleep(300)


    def binary(event, context):
        return event[::-1]
"""
ECHO: dict[str, object] = {"handler": "f.handler", "timeout_s": 20}
FUNCTIONS: dict[str, dict[str, object]] = {
    "echo": ECHO,
    "hasty": ECHO | {"timeout_s": 0.3},
    "binary": {"handler": "f.binary", "encoding": "binary"},
    "full": {"handler": "f.hang", "timeout_s": 300, "max_workers": 1, "queue_items": 2},
}
ROWS = [
    ("a", "to/b", "b"),
    ("a", "to/echo", "echo"),
    ("a", "to/cloud", "cloud"),
    ("a", "to/full/and/b", "full"),
    ("a", "to/full/and/b", "b"),
    ("echo", "echo/#", "a"),
    ("cloud", "#", "a"),
]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    project = write_project(
        tmp_path_factory.mktemp("clients"), {"f": CODE}, FUNCTIONS, clients=["a", "b"], rows=ROWS
    )
    with RunningCore(project) as running:
        yield running


@pytest.fixture
def a(core):
    with free(core, "a") as client:
        yield client


@pytest.fixture
def b(core):
    with free(core, "b") as client:
        yield client


def await_free(core, name):
    """Wait until the core knows that the client of the last test is gone."""
    gone = {"name": name, "connected": False}
    eventually(lambda: gone in core.status()["clients"], f"{name} is free")


def free(core, name):
    """Return a connected client."""
    await_free(core, name)
    client = Client(root=core.root, name=name)
    client.invoke("binary")  # a client connects at its first use, and gets messages from then on
    return client


# --- messages -------------------------------------------------------------------------------------


def test_clients_publish_to_each_other_in_order(a, b):
    for number in range(1000):
        a.publish("to/b", number)
    received = [b.receive(timeout_s=10) for _ in range(1000)]
    assert list(range(1000)) == [message.json() for message in received]
    assert {"to/b"} == {message.topic for message in received}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("grün", "grün".encode()),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        ({"a": [1, None]}, b'{"a": [1, null]}'),
        (7, b"7"),
        (None, b"null"),
        (True, b"true"),
        ("", b""),
        ("x" * 131072, b"x" * 131072),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_payload_arrives_as_documented(a, b, payload, expected):
    a.publish("to/b", payload)
    assert expected == b.receive(timeout_s=10).payload


def test_receive_many_returns_what_has_arrived_within_its_bytes(a, b):
    for _ in range(10):
        a.publish("to/b", "x" * 1000)
    a.publish("to/b", "last", queue_full_policy="AllOrException")  # so all have arrived
    sizes: list[list[int]] = []
    while sum(len(batch) for batch in sizes) < 11:
        batch = b.receive_many(3000, timeout_s=10)
        sizes.append([len(message.payload) for message in batch])
    assert all(sum(batch) <= 3000 for batch in sizes), sizes
    assert [1000] * 10 + [4] == [size for batch in sizes for size in batch]


def test_a_first_message_larger_than_the_bytes_comes_all_the_same(a, b):
    a.publish("to/b", "x" * 1000)
    assert [1000] == [len(message.payload) for message in b.receive_many(10, timeout_s=10)]


def test_receive_gives_up_in_time_and_loses_nothing(a, b):
    with pytest.raises(RequestTimeoutError, match=r"no message came within 0.05 s"):
        b.receive(timeout_s=0.05)
    a.publish("to/b", 1)
    assert 1 == b.receive(timeout_s=10).json()


def test_threads_share_a_client(a, b):
    def publish(thread):
        for number in range(100):
            a.publish("to/b", [thread, number])
            assert {"n": number} == a.invoke("echo", {"n": number}).json()["event"]

    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(publish, thread) for thread in range(4)]
        takers = [pool.submit(b.receive, 20) for _ in range(400)]
        received = [taker.result().json() for taker in takers]
        for future in done:
            future.result()
    assert sorted([t, n] for t in range(4) for n in range(100)) == sorted(received)


def test_a_message_from_the_cloud_and_to_it(core, a):
    core.publish("any/topic", '{"from": "cloud"}')
    message = a.receive(timeout_s=10)
    assert ("any/topic", {"from": "cloud"}) == (message.topic, message.json())
    a.publish("to/cloud", "up")
    event = core.message("to/cloud")
    assert ("a", "up") == (event["source"], event["payload"])


def test_a_client_speaks_only_for_itself(core, b):
    """The rows of `a` are not those of `b`, whatever b publishes."""
    b.publish("to/cloud", "not a")
    event = core.message("to/cloud", target=None)
    assert ("b", "dropped") == (event["source"], event["outcome"])


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "x" * 257, "ü" * 129, 7])
def test_a_wrong_topic_is_refused_here(a, topic):
    with pytest.raises(InvalidInputError):
        a.publish(topic, "x")


def test_limits_are_told_by_their_numbers(a):
    with pytest.raises(LimitExceededError, match=r"131073 bytes.*131072"):
        a.publish("to/b", "x" * 131073)
    with pytest.raises(LimitExceededError, match=r"6291457 bytes.*6291456"):
        a.invoke("binary", bytes(6291457))
    with pytest.raises(InvalidInputError, match="queue_full_policy"):
        a.publish("to/b", "x", queue_full_policy="AllOrError")


# --- invocations ----------------------------------------------------------------------------------


def test_a_result_with_its_request_id_and_client_context(a):
    result = a.invoke("echo", {"n": 1}, client_context={"custom": {"key": "value"}})
    assert {"n": 1} == result.json()["event"]
    assert {"key": "value"} == result.json()["custom"]
    assert result.request_id == result.json()["id"]


@pytest.mark.parametrize("name", ["echo", "arn:aws:lambda:us-east-1:000000000000:function:echo"])
def test_a_function_is_known_by_name_version_and_arn(a, name):
    assert {} == a.invoke(name, {}).json()["event"]
    assert {} == a.invoke(name, {}, qualifier="1").json()["event"]
    assert {} == a.invoke(f"{name}:1", {}).json()["event"]


def test_six_mebibytes_go_there_and_back(a):
    payload = os.urandom(1024) * 6144
    assert payload[::-1] == a.invoke("binary", payload).payload


@pytest.mark.parametrize("name", ["nobody", "echo:2", "arn:aws:lambda:eu-west-1:1:function:echo"])
def test_an_unknown_function_or_version_is_not_found(a, name):
    with pytest.raises(FunctionNotFoundError, match=name):
        a.invoke(name)
    with pytest.raises(FunctionNotFoundError, match=name):
        a.invoke_async(name)


def test_outcomes_are_classes(a):
    with pytest.raises(FunctionHandledError, match="ValueError: asked to"):
        a.invoke("echo", {"raise": 1})
    with pytest.raises(FunctionUnhandledError, match="exited with code 1"):
        a.invoke("echo", {"exit": 1})
    with pytest.raises(FunctionTimeoutError, match=r"Task timed out after 0\.30 seconds"):
        a.invoke("hasty", {"hang": 60})


def test_a_client_gives_up_waiting_and_the_function_goes_on(core, a):
    with pytest.raises(RequestTimeoutError):
        a.invoke("echo", {"hang": 1}, timeout_s=0.1)
    event = core.wait(lambda event: event["event"] == "invocation" and event["duration_ms"] >= 1000)
    assert ("a", "echo", "ok") == (event["caller"], event["function"], event["outcome"])
    assert {"after": 1} == a.invoke("echo", {"after": 1}).json()["event"]


def test_an_event_is_accepted_with_its_request_id(core, a):
    request_id = a.invoke_async("echo", "7")
    event = core.wait(lambda event: event.get("request_id") == request_id)
    assert "ok" == event["outcome"]
    assert 7 == a.receive(timeout_s=10).json()


# --- full targets ---------------------------------------------------------------------------------


def test_a_full_function_refuses_calls_and_all_or_exception_but_not_best_effort(core, a, b):
    a.invoke_async("full", {})
    core.wait(lambda event: (event.get("function"), event.get("state")) == ("full", "running"))
    for _ in range(2):
        a.invoke_async("full", {})
    with pytest.raises(QueueFullError, match="queue full"):
        a.invoke_async("full", {})
    with pytest.raises(QueueFullError, match="queue full"):
        a.invoke("full", {})
    with pytest.raises(QueueFullError, match="nothing was delivered: queue full"):
        a.publish("to/full/and/b", 1, queue_full_policy="AllOrException")
    a.publish("to/full/and/b", 2)
    assert 2 == b.receive(timeout_s=10).json()  # and nothing of the first one
    drops = {
        (row["source"], row["target"]): row["dropped"]
        for row in core.status()["subscriptions"]
        if row["subject"] == "to/full/and/b"
    }
    assert {("a", "full"): {"queue full": 2}, ("a", "b"): {}} == drops


def test_a_client_that_does_not_read_loses_messages_and_stops_nobody(core, a):
    """Its queue fills; the drops are counted; the core and its other clients go on."""
    with free(core, "b") as deaf:
        for _ in range(400):
            a.publish("to/b", bytes(131072))
        assert {} == a.invoke("echo", {}).json()["event"]
        (row,) = [row for row in core.status()["subscriptions"] if row["subject"] == "to/b"]
        assert row["delivered"] + row["dropped"].get("queue full", 0) >= 400
        received = 0
        while True:
            try:
                received += len(deaf.receive_many(timeout_s=0.5))
            except RequestTimeoutError:
                break
        assert received > 0
        a.publish("to/b", "again")
        assert b"again" == deaf.receive(timeout_s=10).payload


def test_work_items_of_the_whole_core_are_shared_fairly(tmp_path):
    """When all are used, a function that holds more than its share is refused, another is not."""
    project = write_project(
        tmp_path,
        {"f": CODE},
        {
            "greedy": {"handler": "f.hang", "timeout_s": 300, "max_workers": 1},
            "modest": ECHO,
        },
        clients=["a"],
        limits={"work_items": 10},
    )
    with RunningCore(project) as core, Client(root=core.root, name="a") as client:
        for _ in range(10):
            client.invoke_async("greedy", {})
        with pytest.raises(QueueFullError, match="work items of the core used up"):
            client.invoke_async("greedy", {})
        assert {"n": 1} == client.invoke("modest", {"n": 1}).json()["event"]


# --- strict groups --------------------------------------------------------------------------------


def test_a_strict_group_refuses_what_no_row_matches(tmp_path):
    publisher = """
        from greengrass_sdk import Client, errors

        def handler(event, context):
            try:
                Client().publish("nowhere", "x")
            except errors.NoSubscriptionError as error:
                return str(error)
    """
    project = write_project(
        tmp_path,
        {"publisher": publisher},
        {"publisher": {}},
        clients=["a", "b"],
        rows=[("a", "to/b", "b")],
        group={"strict": True},
    )
    with RunningCore(project) as core, Client(root=core.root, name="a") as client:
        with pytest.raises(NoSubscriptionError, match="no subscription matches topic 'nowhere'"):
            client.publish("nowhere", "x")
        with pytest.raises(NoSubscriptionError):
            client.publish("nowhere", "x", queue_full_policy="AllOrException")
        client.publish("to/b", "x")  # b is not connected: a drop, as everywhere
        with pytest.raises(QueueFullError, match="not connected"):
            client.publish("to/b", "x", queue_full_policy="AllOrException")
        assert "no subscription matches topic 'nowhere'" in client.invoke("publisher").json()


def test_no_matching_row_is_success_for_all_or_exception(a):
    a.publish("nowhere", "x", queue_full_policy="AllOrException")


# --- who may connect ------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_and_says_what_to_declare(core):
    with (
        Client(root=core.root, name="stranger") as client,
        pytest.raises(AuthorizationError, match=r"add \[clients.stranger\]"),
    ):
        client.publish("to/b", "x")


def test_a_name_without_its_token_is_refused(core):
    token = core.root / "ggc" / "var" / "state" / "tokens" / "b"
    kept = token.read_text()
    assert 0o600 == token.stat().st_mode & 0o777
    try:
        token.write_text("0" * len(kept))
        with (
            Client(root=core.root, name="b") as client,
            pytest.raises(AuthorizationError, match="the token is not the one of client 'b'"),
        ):
            client.publish("to/b", "x")
    finally:
        token.write_text(kept)


def test_a_token_of_another_client_does_not_help(core):
    tokens = core.root / "ggc" / "var" / "state" / "tokens"
    kept = (tokens / "b").read_text()
    try:
        (tokens / "b").write_text((tokens / "a").read_text())
        with (
            Client(root=core.root, name="b") as client,
            pytest.raises(AuthorizationError, match="the token is not the one of client 'b'"),
        ):
            client.publish("to/b", "x")
    finally:
        (tokens / "b").write_text(kept)


def test_a_name_is_connected_once_and_the_first_stays(core, a):
    with (
        Client(root=core.root, name="a") as second,
        pytest.raises(AuthorizationError, match=rf"connected already \(pid {os.getpid()}\)"),
    ):
        second.publish("to/b", "x")
    assert {} == a.invoke("echo", {}).json()["event"]


def test_without_a_name_nobody_is_let_in(core):
    with Client(root=core.root) as client, pytest.raises(CoreUnavailableError, match="its name"):
        client.publish("to/b", "x")


def test_where_no_core_runs_the_error_says_how_to_start_one(tmp_path):
    with (
        Client(root=tmp_path, name="a") as client,
        pytest.raises(CoreUnavailableError, match="greengrass run"),
    ):
        client.publish("to/b", "x")


# --- the core goes away ---------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    return write_project(
        tmp_path / "project",
        {"f": CODE},
        {"echo": ECHO},
        clients=["a", "b"],
        rows=[*ROWS[:2], ("echo", "echo/#", "a")],
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_calls_end_when_the_core_does_and_the_next_one_connects_again(project, number):
    status = 0 if number == signal.SIGTERM else -number
    with Client(root=project / ".greengrass", name="a") as client, ThreadPoolExecutor() as pool:
        with RunningCore(project, status=status) as core:
            call = pool.submit(client.invoke, "echo", {"hang": 60})
            client.receive(timeout_s=10)
            taker = pool.submit(client.receive)
            core.process.send_signal(number)
            with pytest.raises((CoreUnavailableError, FunctionUnhandledError)):
                call.result(timeout=20)
            with pytest.raises(CoreUnavailableError):
                taker.result(timeout=20)
            core.process.wait(20)
            with pytest.raises(CoreUnavailableError):
                client.publish("to/b", "x")
        with RunningCore(project):
            assert {"n": 1} == client.invoke("echo", {"n": 1}).json()["event"]


def test_a_client_of_the_previous_core_keeps_its_token(project):
    token = project / ".greengrass" / "ggc" / "var" / "state" / "tokens" / "a"
    with RunningCore(project):
        first = token.read_text()
    with RunningCore(project) as core, Client(root=core.root, name="a") as client:
        assert first == token.read_text()
        client.publish("to/b", "x")


# --- asyncio --------------------------------------------------------------------------------------


def test_the_same_names_as_coroutines(core, b):
    async def scenario():
        async with AsyncClient(root=core.root, name="a") as client:
            result = await client.invoke("echo", {"n": 1})
            assert {"n": 1} == result.json()["event"]
            for number in range(100):
                await client.publish("to/b", number)
            await client.publish("to/b", "end", queue_full_policy="AllOrException")
            request_id = await client.invoke_async("echo", "5")
            assert 36 == len(request_id)
            message = await client.receive(timeout_s=10)
            assert ("echo/out", 5) == (message.topic, message.json())
            with pytest.raises(FunctionHandledError):
                await client.invoke("echo", {"raise": 1})
            with pytest.raises(RequestTimeoutError):
                await client.receive(timeout_s=0.01)

    await_free(core, "a")
    asyncio.run(scenario())
    received = [b.receive(timeout_s=10).payload for _ in range(101)]
    assert [str(number).encode() for number in range(100)] + [b"end"] == received


def test_many_calls_at_once_on_one_loop(core):
    async def scenario():
        async with AsyncClient(root=core.root, name="a") as client:
            calls = [client.invoke("binary", str(number)) for number in range(200)]
            results = await asyncio.gather(*calls)
            assert [str(n)[::-1].encode() for n in range(200)] == [r.payload for r in results]

    await_free(core, "a")
    asyncio.run(scenario())


def test_a_cancelled_call_leaves_the_client_usable(core):
    async def scenario():
        async with AsyncClient(root=core.root, name="a") as client:
            call = asyncio.create_task(client.invoke("echo", {"hang": 0.3}))
            await client.receive(timeout_s=10)  # it hangs now
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert {"n": 1} == (await client.invoke("echo", {"n": 1})).json()["event"]

    await_free(core, "a")
    asyncio.run(scenario())


def test_coroutines_end_when_the_core_does(project):
    async def scenario(core):
        async with AsyncClient(root=core.root, name="a") as client:
            call = asyncio.create_task(client.invoke("echo", {"hang": 60}))
            await client.receive(timeout_s=10)
            taker = asyncio.create_task(client.receive())
            core.process.kill()
            for task in (call, taker):
                with pytest.raises(CoreUnavailableError):
                    await asyncio.wait_for(task, 20)

    with RunningCore(project, status=-signal.SIGKILL) as core:
        asyncio.run(scenario(core))


# --- from another process, as the manual shows it -------------------------------------------------

PROBE = """
    import sys
    from greengrass_sdk import Client

    with Client(name="b") as client:
        print("ready" if client.invoke("binary", b"ab").payload == b"ba" else "", flush=True)
        for line in sys.stdin:
            print(client.receive(timeout_s=20).payload.decode(), flush=True)
"""


def test_a_program_finds_the_only_core_and_receives(core, a):
    await_free(core, "b")
    with subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(PROBE)],
        env=core._environment,
        cwd="/",
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as probe:
        asks, answers = probe.stdin, probe.stdout
        assert asks is not None
        assert answers is not None
        assert "ready\n" == answers.readline()
        for number in range(3):
            a.publish("to/b", number)
            print(file=asks, flush=True)
            assert f"{number}\n" == answers.readline()
        asks.close()
        assert 0 == probe.wait(20)

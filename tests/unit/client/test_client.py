# SPDX-License-Identifier: Apache-2.0
"""The blocking client, inside a function and beside a core."""

from __future__ import annotations

import gc
import warnings

import pytest
from fake_core import ADDRESS, BOOT, ENDPOINT, FakeCore, ListeningCore, result, verdict, work_id

from greengrass_sdk import Client, InvokeResult, Message, errors
from greengrass_sdk._native import Flag, Frame, Kind, Status, request_id
from greengrass_sdk.client import session


def answering(make):
    """Return a script that answers everything with what `make` makes of it."""
    return lambda frame: [make(frame)]


# --- publish


def test_a_message_leaves_as_a_frame_that_nobody_answers(core):
    Client().publish("a/b", "text")
    assert [Frame(Kind.PUBLISH, 0, ENDPOINT, 0, b"a/b", b"", b"text")] == core.wait(1)


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (b"bytes", b"bytes"),
        (bytearray(b"bytes"), b"bytes"),
        ("Grüße", "Grüße".encode()),
        ({"a": [1, None]}, b'{"a": [1, null]}'),
        ([], b"[]"),
        (1.5, b"1.5"),
        (True, b"true"),
        (None, b"null"),
    ],
)
def test_payloads_are_sent_as_the_manual_says(core, payload, sent):
    Client().publish("t", payload)
    assert sent == core.wait(1)[0].payload


def test_all_or_exception_waits_for_the_verdict(core):
    Client().publish("t", b"", queue_full_policy="AllOrException")
    (frame,) = core.wait(1)
    assert Flag.ALL_OR_EXCEPTION | Flag.ANSWER == frame.flags


def test_a_strict_group_wants_to_know(core):
    session.adopt(core.session(limits={"strict": True}))
    Client().publish("t", b"")
    assert Flag.ANSWER == core.wait(1)[0].flags


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.NOT_FOUND, errors.FunctionNotFoundError),
        (Status.QUEUE_FULL, errors.QueueFullError),
        (Status.NO_ROUTE, errors.NoSubscriptionError),
        (Status.TOO_LARGE, errors.LimitExceededError),
        (Status.INVALID, errors.InvalidInputError),
        (Status.STOPPING, errors.CoreUnavailableError),
        (Status.DENIED, errors.AuthorizationError),
    ],
)
def test_a_verdict_is_raised_as_the_error_it_means(core, status, kind):
    core.script = answering(lambda frame: verdict(frame, status, "because"))
    with pytest.raises(kind, match="because") as caught:
        Client().publish("t", b"", queue_full_policy="AllOrException")
    assert type(caught.value) is kind


def test_a_refusal_knows_source_and_topic(core):
    core.script = answering(lambda frame: verdict(frame, Status.NO_ROUTE))
    with pytest.raises(errors.NoSubscriptionError, match="publish to 't'") as caught:
        Client().publish("t", b"", queue_full_policy="AllOrException")
    assert (ADDRESS, "t") == (caught.value.source, caught.value.topic)


def test_bad_input_is_refused_before_anything_is_sent(core):
    client = Client()
    with pytest.raises(errors.InvalidInputError, match="wildcard"):
        client.publish("a/+", b"")
    with pytest.raises(errors.InvalidInputError, match="queue_full_policy is 'Sometimes'"):
        client.publish("t", b"", queue_full_policy="Sometimes")
    with pytest.raises(errors.LimitExceededError, match="topic_payload_bytes") as caught:
        client.publish("t", bytes(131_073))
    assert (131_072, 131_073) == (caught.value.limit, caught.value.actual)
    client.publish("t", bytes(131_072))
    assert 1 == len(core.wait(1))


def test_a_core_that_answers_nonsense_is_told_apart(core):
    core.script = answering(lambda frame: result(frame, b""))
    with pytest.raises(errors.RemoteProtocolError, match="answered a publish with a frame of kind"):
        Client().publish("t", b"", queue_full_policy="AllOrException")


# --- invoke


def test_an_invocation_returns_payload_and_request_id(core):
    got = Client().invoke("echo", {"a": 1}, client_context={"custom": {"k": "v"}})
    (frame,) = core.wait(1)
    assert InvokeResult(b'{"a": 1}', request_id(BOOT, 42)) == got
    assert {"a": 1} == got.json()
    assert (Kind.INVOKE, 0, ENDPOINT) == (frame.kind, frame.flags, frame.endpoint)
    assert (b"echo", b'{"custom": {"k": "v"}}') == (frame.topic, frame.context)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (Flag.HANDLED, errors.FunctionHandledError),
        (Flag.UNHANDLED, errors.FunctionUnhandledError),
        (Flag.UNHANDLED | Flag.TIMEOUT, errors.FunctionTimeoutError),
    ],
)
def test_a_function_that_failed_raises_with_its_error_document(core, flags, kind):
    document = b'{"errorMessage": "boom", "errorType": "ValueError", "stackTrace": []}'
    core.script = answering(lambda frame: result(frame, document, flags))
    with pytest.raises(kind, match="function 'f' failed: ValueError: boom") as caught:
        Client().invoke("f")
    assert type(caught.value) is kind
    assert "boom" == caught.value.json()["errorMessage"]
    assert ("f", request_id(BOOT, 42)) == (caught.value.function, caught.value.request_id)


@pytest.mark.parametrize(
    ("document", "words"),
    [(b"", "no reason"), (b"raw \xff", "raw"), (b"[1]", r"\[1\]"), (b"{}", "no reason")],
)
def test_an_error_document_may_be_anything(core, document, words):
    core.script = answering(lambda frame: result(frame, document, Flag.HANDLED))
    with pytest.raises(errors.FunctionHandledError, match=words):
        Client().invoke("f")


def test_an_invocation_that_is_refused_raises_why(core):
    core.script = answering(lambda frame: verdict(frame, Status.NOT_FOUND, "no such function"))
    with pytest.raises(errors.FunctionNotFoundError, match="no such function") as caught:
        Client().invoke("f", qualifier="7")
    assert "f:7" == caught.value.function


def test_an_invocation_that_takes_too_long_is_given_up(core):
    core.script = lambda _frame: None
    with pytest.raises(errors.RequestTimeoutError, match=r"invoke 'f': no answer within 0\.01 s"):
        Client().invoke("f", timeout_s=0.01)


def test_a_payload_above_the_groups_limit_is_refused(core):
    session.adopt(core.session(limits={"invoke_payload_bytes": 10}))
    with pytest.raises(errors.LimitExceededError, match="invoke_payload_bytes"):
        Client().invoke("f", bytes(11))


def test_an_event_returns_its_request_id(core):
    assert request_id(BOOT, 42) == Client().invoke_async("f", b"x")
    assert Flag.EVENT == core.wait(1)[0].flags


def test_an_event_that_is_refused_raises_why(core):
    core.script = answering(lambda frame: verdict(frame, Status.QUEUE_FULL, "full"))
    with pytest.raises(errors.QueueFullError, match="full") as caught:
        Client().invoke_async("f")
    assert "f" == caught.value.target


@pytest.mark.parametrize("method", ["invoke", "invoke_async"])
def test_an_answer_of_the_wrong_kind_is_told_apart(core, method):
    core.script = answering(lambda frame: Frame(Kind.CONTROL, id=frame.id))
    with pytest.raises(errors.RemoteProtocolError, match="kind 7"):
        getattr(Client(), method)("f")


def test_an_answer_without_work_id_is_told_apart(core):
    core.script = answering(lambda frame: Frame(Kind.RESULT, id=frame.id))
    with pytest.raises(errors.RemoteProtocolError, match="work id of 0 bytes"):
        Client().invoke("f")
    assert 8 == len(work_id(1))


# --- inside a function


def test_clients_of_a_function_share_its_connection_and_leave_it_open(core):
    with Client() as first, Client() as second:
        first.publish("1", b"")
    second = Client()
    second.publish("2", b"")
    assert [b"1", b"2"] == [frame.topic for frame in core.wait(2)]
    assert not core.channel.closed


def test_a_closed_client_stays_closed(core):
    client = Client()
    client.close()
    client.close()
    with pytest.raises(errors.CoreUnavailableError, match="was closed"):
        client.publish("t", b"")


def test_a_function_takes_neither_root_nor_name(core):
    for client in (Client(name="probe"), Client(root="/somewhere")):
        with pytest.raises(errors.InvalidInputError, match="neither root nor name"):
            client.publish("t", b"")


def test_a_function_does_not_receive(core):
    with pytest.raises(errors.InvalidInputError, match="in its handler"):
        Client().receive()


# --- outside


def test_outside_a_core_the_first_call_names_the_test_fixture():
    client = Client()
    for call in (
        lambda: client.publish("t", b""),
        lambda: client.invoke("f"),
        lambda: client.receive(0),
    ):
        with pytest.raises(
            errors.CoreUnavailableError, match=r"`greengrass` of greengrass_sdk\.te"
        ):
            call()


@pytest.fixture
def listening(tmp_path):
    with ListeningCore(tmp_path / "root") as listening:
        yield listening


def test_a_program_beside_the_core_speaks_under_its_name(listening):
    with Client(root=listening.root, name="probe") as client:
        client.publish("t", b"x")
        (connection,) = listening.connections
        hello, message = connection.wait(2)
    assert (Kind.CONTROL, 1) == (hello.kind, hello.id)
    assert Frame(Kind.PUBLISH, 0, ENDPOINT, 0, b"t", b"", b"x") == message


def test_it_receives_what_subscriptions_bring(listening):
    with Client(root=listening.root, name="probe") as client:
        client.publish("t", b"")
        (connection,) = listening.connections
        connection.send(Frame(Kind.CONTROL, id=4711))
        for number in range(5):
            connection.message("n/ü", b"%d" % number)
        assert Message("n/ü", b"0") == client.receive(10)
        got: list[Message] = []
        while len(got) < 4:
            got += client.receive_many(timeout_s=10)
        assert [1, 2, 3, 4] == [one.json() for one in got]
        with pytest.raises(errors.RequestTimeoutError, match=r"no message came within 0\.01 s"):
            client.receive(0.01)


def test_frames_that_are_no_messages_do_not_end_a_wait_early(listening):
    with Client(root=listening.root, name="probe") as client:
        client.publish("t", b"")
        (connection,) = listening.connections
        connection.send(Frame(Kind.CONTROL, id=4711))
        with pytest.raises(errors.RequestTimeoutError):
            client.receive(0.05)


def test_it_connects_again_when_the_core_was_restarted(listening):
    with Client(root=listening.root, name="probe") as client:
        client.publish("1", b"")
        listening.connections[0].hang_up()
        with pytest.raises(errors.CoreUnavailableError, match="ended the connection"):
            client.receive(10)
        client.publish("2", b"")
        assert b"2" == listening.connections[1].wait(2)[1].topic


def test_a_client_that_is_forgotten_warns_and_closes(listening):
    client = Client(root=listening.root, name="probe")
    client.publish("t", b"")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
    assert [ResourceWarning] == [one.category for one in caught]


def test_two_fake_cores_do_not_share():
    with FakeCore() as one, FakeCore() as two:
        one.channel.send(Kind.PUBLISH, topic=b"t")
        assert 1 == len(one.wait(1))
        assert [] == two.frames


def test_a_client_that_was_never_made_is_no_warning():
    with pytest.raises(TypeError):
        Client(token="x")  # type: ignore[call-arg]  # on purpose

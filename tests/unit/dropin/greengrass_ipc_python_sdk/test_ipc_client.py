# SPDX-License-Identifier: Apache-2.0
"""The client that AWS's copy of the SDK speaks through."""

from __future__ import annotations

import base64
import json

import pytest
from fake_core import BOOT, result, verdict

from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException, WorkItem
from greengrass_sdk._native import Flag, Frame, Kind, Status, request_id

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:1"
ROUTER = "arn:aws:lambda:::function:GGRouter"


def context(value):
    return base64.b64encode(json.dumps(value).encode())


def routed(policy="BestEffort", subject="a/b"):
    return context({"custom": {"source": "ignored", "subject": subject, "queueFullPolicy": policy}})


# --- posting


def test_work_is_posted_and_its_result_fetched(core):
    client = IPCClient()
    invocation = client.post_work(ARN, "ping", context({"custom": {}}))
    output = client.get_work_result(ARN, invocation)
    assert (b"ping", "") == (output.payload, output.func_err)
    (frame,) = core.wait(1)
    assert (ARN.encode(), b'{"custom": {}}') == (frame.topic, frame.context)


def test_results_may_be_fetched_in_any_order_and_once(core):
    client = IPCClient("localhost")
    first, second = (client.post_work(ARN, text, b"") for text in ("1", "2"))
    assert b"2" == client.get_work_result(ARN, second).payload
    assert b"1" == client.get_work_result(ARN, first).payload
    with pytest.raises(IPCException, match="no invocation"):
        client.get_work_result(ARN, first)


@pytest.mark.parametrize(
    ("flags", "kind"), [(Flag.HANDLED, "Handled"), (Flag.UNHANDLED, "Unhandled")]
)
def test_a_function_error_is_named(core, flags, kind):
    core.script = lambda frame: [result(frame, b"{}", flags)]
    client = IPCClient()
    assert (b"{}", kind) == client.get_work_result(ARN, client.post_work(ARN, b"", b""))


def test_an_event_has_an_id_and_no_result(core):
    client = IPCClient()
    assert request_id(BOOT, 42) == client.post_work(ARN, b"", b"", "Event")
    assert Flag.EVENT == core.wait(1)[0].flags


def test_work_for_the_router_is_a_message(core):
    client = IPCClient()
    identifier = client.post_work(ROUTER, b"x", routed(), "Event")
    assert (b"", "") == client.get_work_result(ROUTER, identifier)
    client.post_work(ROUTER, None, routed("AllOrError"), "Event")
    client.post_work(ROUTER, b"y", routed(""), "Event")
    frames = core.wait(3)
    assert [Kind.PUBLISH] * 3 == [frame.kind for frame in frames]
    assert [0, Flag.ALL_OR_EXCEPTION | Flag.ANSWER, 0] == [frame.flags for frame in frames]
    assert [(b"a/b", b"x"), (b"a/b", b""), (b"a/b", b"y")] == [
        (frame.topic, frame.payload) for frame in frames
    ]


@pytest.mark.parametrize(
    ("arn", "client_context", "kind", "words"),
    [
        (ROUTER, b"", "Event", "needs"),
        (ROUTER, context([]), "Event", "needs"),
        (ROUTER, context({"custom": {}}), "Event", "needs"),
        (ROUTER, routed("Sometimes"), "Event", "queueFullPolicy"),
        (ROUTER, routed(subject="a/#"), "Event", "wildcard"),
        (ARN, b"!", "Event", "base64"),
        (ARN, b"", "DryRun", "invocation type"),
        ("arn:aws:s3:::bucket", b"", "Event", "no function ARN"),
    ],
)
def test_what_is_no_work_is_refused(core, arn, client_context, kind, words):
    with pytest.raises(IPCException, match=words):
        IPCClient().post_work(arn, b"", client_context, kind)


def test_what_the_core_refuses_is_an_ipc_exception(core):
    core.script = lambda frame: [verdict(frame, Status.NOT_FOUND, "no function f")]
    client = IPCClient()
    with pytest.raises(IPCException, match=r"^no function f$"):
        client.post_work(ARN, b"", b"", "Event")
    invocation = client.post_work(ARN, b"", b"")
    with pytest.raises(IPCException, match=r"^no function f$"):
        client.get_work_result(ARN, invocation)


def test_results_that_nobody_fetches_are_bounded(core):
    client = IPCClient()
    invocations = [client.post_work(ARN, b"", b"") for _ in range(1030)]
    with pytest.raises(IPCException, match="no invocation"):
        client.get_work_result(ARN, invocations[0])
    assert "" == client.get_work_result(ARN, invocations[-1]).func_err


def test_a_port_is_deprecated_and_ignored(core):
    with pytest.warns(DeprecationWarning, match="port"):
        client = IPCClient("localhost", 8000)
    IPCClient.set_gg_daemon_port(9000)
    assert client.post_work(ARN, b"", b"", "Event")


# --- taking


def test_work_is_taken_and_reported_on(core):
    client = IPCClient()
    core.send(Frame(Kind.CONTROL, id=4711))
    core.send(Frame(Kind.INVOKE, id=1, topic=ARN.encode(), context=b"{}", payload=b"ping"))
    core.send(Frame(Kind.INVOKE, Flag.EVENT, id=2, topic=ARN.encode(), payload=b"event"))
    core.message("a/b", b"message", id=3)
    call, event, message = (client.get_work(ARN) for _ in range(3))
    expected = (request_id(BOOT, 1), b"ping", base64.b64encode(b"{}"))
    assert expected == tuple(call)
    assert (b"event", b"message") == (event.payload, message.payload)
    assert {"custom": {"subject": "a/b"}} == json.loads(
        base64.b64decode(message.client_context or b"")
    )
    client.post_work_result(ARN, WorkItem(call.invocation_id, "pong", None))
    client.post_work_result(ARN, WorkItem(event.invocation_id, b"ignored", None))
    client.post_handler_err(ARN, message.invocation_id, "boom")
    first, second, third = core.wait(3)
    assert [(1, 0, b"pong"), (2, 0, b"")] == [
        (frame.id, frame.flags, frame.payload) for frame in (first, second)
    ]
    assert (3, Flag.HANDLED) == (third.id, third.flags)
    assert "boom" == json.loads(third.payload)["errorMessage"]


def test_work_that_was_not_taken_cannot_be_reported_on(core):
    with pytest.raises(IPCException, match="no work"):
        IPCClient().post_work_result(ARN, WorkItem("unknown", b"", None))
    with pytest.raises(IPCException, match="no work"):
        IPCClient().post_handler_err(ARN, "unknown", "boom")


@pytest.mark.parametrize(
    ("error", "document"),
    [
        ("no model", {"errorMessage": "no model", "errorType": "Exception", "stackTrace": []}),
        (ImportError("x"), {"errorMessage": "x", "errorType": "ImportError", "stackTrace": []}),
    ],
    ids=["text", "exception"],
)
def test_a_failed_initialisation_is_reported(core, error, document):
    IPCClient().put_initialization_result(ARN, error)
    (frame,) = core.wait(1)
    assert (Kind.READY, Flag.FAILED) == (frame.kind, frame.flags)
    assert document == json.loads(frame.payload)


def test_a_good_initialisation_is_reported_by_the_runtime(core):
    client = IPCClient()
    client.put_initialization_result(ARN, None)
    client.post_work(ARN, b"", b"", "Event")
    assert [Kind.INVOKE] == [frame.kind for frame in core.wait(1)]


def test_outside_a_core_every_call_is_an_ipc_exception():
    client = IPCClient()
    for call in (
        lambda: client.post_work(ARN, b"", b""),
        lambda: client.get_work(ARN),
        lambda: client.put_initialization_result(ARN, "x"),
    ):
        with pytest.raises(IPCException, match="fixture `greengrass`"):
            call()

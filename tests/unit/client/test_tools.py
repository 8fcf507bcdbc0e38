# SPDX-License-Identifier: Apache-2.0
"""What the commands ask."""

from __future__ import annotations

import pytest
from fake_core import ListeningCore, answered, echo

from greengrass_sdk._native import Frame, Kind
from greengrass_sdk.client.tools import CoreTools, ToolConnection
from greengrass_sdk.errors import FunctionNotFoundError, LimitExceededError, RemoteProtocolError
from greengrass_sdk.wire import control


@pytest.fixture
def listening(tmp_path):
    with ListeningCore(tmp_path / "root") as listening:
        yield listening


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (lambda tools: tools.status(), {"op": "status"}),
        (
            lambda tools: tools.publish("t", b"x"),
            {"op": "publish", "topic": "t", "payload": b"x", "as": "cloud"},
        ),
        (
            lambda tools: tools.invoke("f", b"x", event=True),
            {
                "op": "invoke",
                "function": "f",
                "payload": b"x",
                "client_context": b"",
                "event": True,
            },
        ),
    ],
    ids=["status", "publish", "invoke"],
)
def test_a_request_is_a_map_and_so_is_its_answer(listening, ask, asked):
    with CoreTools(listening.root) as tools:
        assert {"asked": asked} == ask(tools)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda tools: tools.publish("t", bytes(131073)), "message for topic 't' has 131073 bytes"),
        (lambda tools: tools.invoke("f", bytes(6291457)), "payload for function 'f' has 6291457"),
    ],
    ids=["publish", "invoke"],
)
def test_a_payload_that_is_too_large_is_not_sent(listening, ask, text):
    with CoreTools(listening.root) as tools:
        with pytest.raises(LimitExceededError, match=text):
            ask(tools)
        assert {"asked": {"op": "status"}} == tools.status()


def test_stop_asks_for_the_end(listening):
    with CoreTools(listening.root) as tools:
        tools.stop()
        assert {"op": "stop"} == control.decode(listening.connections[0].wait(2)[1].payload)


def is_hello(frame):
    return control.decode(frame.payload).get("op") == "hello"


def test_an_error_is_raised_as_what_it_is(listening):
    def script(frame):
        if is_hello(frame):
            return echo(frame)
        answer = {"ok": False, "code": "FunctionNotFound", "message": "no function 'f'"}
        return [answered(frame, answer)]

    listening.script = script
    with (
        ToolConnection(listening.root) as connection,
        pytest.raises(FunctionNotFoundError, match="no function 'f'"),
    ):
        connection.request("invoke", function="f")


def test_an_answer_of_the_wrong_kind_is_told_apart(listening):
    listening.script = lambda frame: (
        echo(frame) if is_hello(frame) else [Frame(Kind.RESULT, id=frame.id)]
    )
    with (
        ToolConnection(listening.root) as connection,
        pytest.raises(RemoteProtocolError, match="answered 'status' with a frame of kind 4"),
    ):
        connection.request("status")

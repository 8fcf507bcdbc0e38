# SPDX-License-Identifier: Apache-2.0
import asyncio

import pytest

from greengrass_sdk._native import Flag, Kind, Status, request_id
from greengrass_sdk._native._py.router.events import Send, Tapped
from greengrass_sdk._native._py.router.state import Route
from greengrass_sdk.core.ipc.tools import Tools
from greengrass_sdk.errors import InvalidInputError

BOOT = bytes(range(8))
NEAREST = {"id": "r", "source": "a", "subject": "s", "target": "b", "why": "its source is 'a'"}


class World:
    """The router and the names of a group, as far as a tool asks for them."""

    def __init__(self):
        self.published = []
        self.called = []
        self.tapped = []
        self.answer = Send(0, Kind.RESULT, 0, 9, 1, b"", (5).to_bytes(8, "little"), b"out")
        self.stopped = False
        self.failure = None

    def traced(self, frame):
        self.published.append(frame)
        return self.tapped

    def everything(self):
        if self.failure:
            raise self.failure
        return [("T", "", 3)]

    async def changed(self, thing, name, version, timeout_s):
        self.waited = (thing, name, version, timeout_s)
        return 4

    async def call(self, endpoint, function, context, payload, *, event):
        self.called.append((endpoint, function, context, payload, event))
        return self.answer

    def name(self, endpoint):
        return f"name-{endpoint}"

    def sender(self, name):
        if name != "cloud":
            raise InvalidInputError(f"cannot publish as {name!r}")
        return 3

    def nearest_row(self, source, topic):
        return NEAREST

    def stop(self):
        self.stopped = True


def ask(world, **request):
    async def scenario():
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        tools = Tools(loop, world, world, BOOT, 9, 100, lambda: {"pid": 1}, world.stop, world)
        tools.ask(request, answered.set_result)
        async with asyncio.timeout(10):
            answer = await answered
        await asyncio.sleep(0)
        tools.close()
        return answer

    return asyncio.run(scenario())


def test_status_is_what_the_core_reports():
    assert {"ok": True, "pid": 1} == ask(World(), op="status")


def test_publish_tells_each_delivery():
    world = World()
    world.tapped = [
        Tapped(3, Route("r", 7), b"a", b"x", "delivered", ""),
        Tapped(3, Route("s", 8), b"a", b"x", "dropped", "queue full"),
    ]
    answer = ask(world, op="publish", topic="a", payload=b"x", **{"as": "cloud"})
    assert {
        "ok": True,
        "deliveries": [
            {"target": "name-7", "outcome": "delivered", "reason": None},
            {"target": "name-8", "outcome": "dropped", "reason": "queue full"},
        ],
        "nearest": None,
    } == answer
    assert [(3, b"a", b"x")] == [(f.endpoint, f.topic, f.payload) for f in world.published]


def test_publish_to_nobody_names_the_nearest_row():
    world = World()
    world.tapped = [Tapped(3, None, b"a", b"x", "dropped", "no subscription matches")]
    answer = ask(world, op="publish", topic="a", payload=b"x", **{"as": "cloud"})
    assert ([], NEAREST) == (answer["deliveries"], answer["nearest"])


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        ({"op": "dance"}, "InvalidInput", "unknown request 'dance'"),
        ({"op": "publish"}, "InvalidInput", "'topic' must be text, got NoneType"),
        ({"op": "publish", "topic": "a/+", "as": "cloud"}, "InvalidInput", ""),
        ({"op": "publish", "topic": "a", "as": "pump"}, "InvalidInput", "cannot publish as"),
        (
            {"op": "publish", "topic": "a", "as": "cloud", "payload": "x"},
            "InvalidInput",
            "'payload' must be bytes, got str",
        ),
        (
            {"op": "publish", "topic": "a", "as": "cloud", "payload": bytes(101)},
            "LimitExceeded",
            "the limit is 100 bytes",
        ),
        ({"op": "invoke", "function": 3}, "InvalidInput", "'function' must be text"),
    ],
)
def test_a_bad_request_is_refused_with_code_and_reason(request_, code, text):
    answer = ask(World(), **request_)
    assert (False, code) == (answer["ok"], answer["code"])
    assert text in answer["message"]


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [
        (0, "ok"),
        (Flag.HANDLED, "handled"),
        (Flag.UNHANDLED, "unhandled"),
        (Flag.UNHANDLED | Flag.TIMEOUT, "timeout"),
    ],
)
def test_invoke_tells_the_outcome(flags, outcome):
    world = World()
    world.answer = world.answer._replace(flags=flags)
    answer = ask(world, op="invoke", function="f", payload=b"in", client_context=b"ctx")
    assert {
        "ok": True,
        "outcome": outcome,
        "payload": b"out",
        "request_id": request_id(BOOT, 5),
    } == answer
    assert [(9, b"f", b"ctx", b"in", False)] == world.called


def test_an_accepted_event_is_ok():
    world = World()
    world.answer = world.answer._replace(kind=Kind.VERDICT, flags=Status.OK, payload=b"")
    assert "ok" == ask(world, op="invoke", function="f", payload=b"", event=True)["outcome"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.NOT_FOUND, "FunctionNotFound"),
        (Status.QUEUE_FULL, "QueueFull"),
        (Status.TOO_LARGE, "LimitExceeded"),
        (Status.STOPPING, "CoreUnavailable"),
        (Status.INVALID, "InvalidInput"),
    ],
)
def test_a_refused_invocation_has_the_code_of_its_error(status, code):
    world = World()
    world.answer = world.answer._replace(kind=Kind.VERDICT, flags=status, payload=b"why")
    answer = ask(world, op="invoke", function="f", payload=b"")
    assert {"ok": False, "code": code, "message": "why"} == answer


def test_stop_answers_before_the_core_stops():
    world = World()
    assert {"ok": True} == ask(world, op="stop")
    assert world.stopped


def test_all_shadows_are_listed():
    assert {"ok": True, "shadows": [["T", "", 3]]} == ask(World(), op="shadows")


def test_shadows_that_cannot_be_read_are_an_error():
    world = World()
    world.failure = OSError("cannot read the shadows in x: malformed")
    answer = ask(world, op="shadows")
    assert (False, "Shadow") == (answer["ok"], answer["code"])
    assert answer["message"].startswith("cannot read the shadows in x: malformed")


@pytest.mark.parametrize("version", [3, None])
def test_a_change_of_a_shadow_is_waited_for_but_not_for_ever(version):
    world = World()
    answer = ask(world, op="shadow-change", thing="T", name="", version=version, wait_s=1e9)
    assert {"ok": True, "version": 4} == answer
    assert ("T", "", version, 60) == world.waited


@pytest.mark.parametrize("wrong", [{"thing": 1}, {"version": "3"}, {"wait_s": None}])
def test_a_wrong_question_for_a_change_is_refused(wrong):
    question = {"thing": "T", "name": "", "version": 3, "wait_s": 1, **wrong}
    assert "InvalidInput" == ask(World(), op="shadow-change", **question)["code"]

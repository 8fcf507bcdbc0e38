# SPDX-License-Identifier: Apache-2.0
"""
The shadow service, by what it says.

Every rule is checked twice: on a running core and on the double, asked by an SDK and by messages.

Ref: AWS IoT developer guide, "Device Shadow service documents", "Device Shadow error messages";
Greengrass V1 guide, modules 5 and 6
"""

from __future__ import annotations

import itertools
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client, InvokeResult
from greengrass_sdk.client.shadows import subject
from greengrass_sdk.errors import ShadowNotFoundError, ShadowTooLargeError
from greengrass_sdk.model.arn import SHADOW_ARN, SHADOW_SERVICE
from greengrass_sdk.testing import FakeCore

if TYPE_CHECKING:
    from greengrass_sdk.testing.records import Message

RECEIVE_S = 10
NAMES = itertools.count()
ALL = "$aws/things/+/shadow/#"


def encoded(document: Any) -> bytes:
    if document is None:
        return b""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


class OnTheDouble:
    """A FakeCore with the rows of the core below; a device stands in for the client."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.seen = 0
        core.add_device("panel")
        core.subscribe("GGShadowService", ALL, "panel")
        core.subscribe("panel", ALL, "GGShadowService")

    def ask(self, operation: str, document: Any = None, *, thing: str, name: str = "") -> Any:
        context = {"custom": {"subject": subject(thing, name or None, operation)}}
        return self.invoke(context, document).json()

    def invoke(self, context: Any, document: Any = None) -> InvokeResult:
        return self.core.invoke(SHADOW_ARN, encoded(document), client_context=context)

    def publish(self, topic: str, document: Any = None) -> None:
        self.core.deliver(topic, encoded(document), source="panel")

    def received(self, count: int, thing: str = "") -> list[tuple[str, Any]]:
        found = self.outputs()[self.seen : self.seen + count]
        assert count == len(found)
        self.seen += count
        return [(message.subject, message.json()) for message in found]

    def nothing_else(self) -> None:
        assert self.seen == len(self.outputs())

    def outputs(self) -> list[Message]:
        return [each for each in self.core.messages if each.source == SHADOW_SERVICE]


class OnACore:
    """A core, an SDK, and a client with rows from and to GGShadowService."""

    def __init__(self, client: Client, thing: str) -> None:
        self.client = client
        self.thing = thing

    def ask(self, operation: str, document: Any = None, *, thing: str, name: str = "") -> Any:
        context = {"custom": {"subject": subject(thing, name or None, operation)}}
        return self.invoke(context, document).json()

    def invoke(self, context: Any, document: Any = None) -> InvokeResult:
        return self.client.invoke(SHADOW_ARN, encoded(document), client_context=context)

    def publish(self, topic: str, document: Any = None) -> None:
        self.client.publish(topic, encoded(document))

    def received(self, count: int, thing: str = "") -> list[tuple[str, Any]]:
        """Return messages of this thing; those of earlier tests may still come in between."""
        found: list[tuple[str, Any]] = []
        while len(found) < count:
            message = self.client.receive(RECEIVE_S)
            if message.topic.startswith(f"$aws/things/{thing or self.thing}/"):
                found.append((message.topic, message.json()))
        return found

    def nothing_else(self) -> None:
        """What comes next is the answer to a request that is made now."""
        topic = f"$aws/things/{self.thing}/shadow/name/sentinel/get"
        self.publish(topic)
        assert f"{topic}/rejected" == self.received(1)[0][0]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    rows = [("GGShadowService", ALL, "panel"), ("panel", ALL, "GGShadowService")]
    project = write_project(
        tmp_path_factory.mktemp("shadows"), {}, {}, clients=["panel"], rows=rows
    )
    with RunningCore(project) as core, Client(root=core.root, name="panel") as client:
        client.publish("not/routed", b"")  # connects
        yield client


@pytest.fixture(params=[pytest.param("core", marks=pytest.mark.needs_core), "double"])
def service(request, thing):
    if request.param == "core":
        yield OnACore(request.getfixturevalue("client"), thing)
        return
    with FakeCore() as core:
        yield OnTheDouble(core)


@pytest.fixture
def thing():
    return f"thing-{next(NAMES)}"


def short(thing, outputs):
    return [topic.removeprefix(f"$aws/things/{thing}/shadow/") for topic, _ in outputs]


def nested(levels):
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_an_update_merges_and_null_removes(service, thing):
    """GG-SH-01"""
    service.ask("update", {"state": {"desired": {"a": {"b": 1, "c": 2}, "d": [1, 2]}}}, thing=thing)
    service.ask("update", {"state": {"desired": {"a": {"b": None, "e": 3}, "d": [3]}}}, thing=thing)
    state = service.ask("get", thing=thing)["state"]
    assert {"a": {"c": 2, "e": 3}, "d": [3]} == state["desired"]


def test_a_section_without_keys_vanishes(service, thing):
    """GG-SH-02"""
    both = {"desired": {"a": 1}, "reported": {"a": 1}}
    service.ask("update", {"state": both}, thing=thing)
    service.ask("update", {"state": {"desired": {"a": None}, "reported": None}}, thing=thing)
    answer = service.ask("get", thing=thing)
    assert ({}, {}) == (answer["state"], answer["metadata"])


def test_every_value_has_a_timestamp(service, thing):
    """GG-SH-03"""
    answer = service.ask("update", {"state": {"reported": {"a": {"b": 1}, "c": [1]}}}, thing=thing)
    stamp = {"timestamp": answer["timestamp"]}
    expected = {"reported": {"a": {"b": stamp}, "c": [stamp]}}
    assert expected == answer["metadata"]
    assert expected == service.ask("get", thing=thing)["metadata"]
    assert isinstance(answer["timestamp"], int)


def test_the_delta_is_what_is_desired_and_not_reported(service, thing):
    """GG-SH-04"""
    desired = {"same": 1, "other": 2, "missing": 3, "inner": {"same": 1, "other": [1, 2]}}
    reported = {"same": 1, "other": 0, "more": 1, "inner": {"same": 1, "other": [1], "more": 1}}
    service.ask("update", {"state": {"desired": desired, "reported": reported}}, thing=thing)
    delta = {"other": 2, "missing": 3, "inner": {"other": [1, 2]}}
    assert delta == service.ask("get", thing=thing)["state"]["delta"]
    service.ask("update", {"state": {"reported": desired}}, thing=thing)
    assert "delta" not in service.ask("get", thing=thing)["state"]


def test_an_accepted_update_repeats_what_was_asked(service, thing):
    """GG-SH-05"""
    request = {"state": {"reported": {"a": 1}}, "clientToken": "token"}
    answer = service.ask("update", request, thing=thing)
    expected = {
        "state": {"reported": {"a": 1}},
        "metadata": {"reported": {"a": {"timestamp": answer["timestamp"]}}},
        "version": 1,
        "timestamp": answer["timestamp"],
        "clientToken": "token",
    }
    assert expected == answer
    service.received(2)


def test_delta_comes_before_documents_and_these_before_accepted(service, thing):
    """GG-SH-06"""
    for number in range(3):
        request = {"state": {"desired": {"n": number}}, "clientToken": str(number)}
        service.publish(f"$aws/things/{thing}/shadow/update", request)
    outputs = service.received(9)
    order = ["update/delta", "update/documents", "update/accepted"]
    assert order * 3 == short(thing, outputs)
    assert ["0"] * 3 + ["1"] * 3 + ["2"] * 3 == [each["clientToken"] for _, each in outputs]
    deltas = [document for topic, document in outputs if topic.endswith("delta")]
    assert [1, 2, 3] == [delta["version"] for delta in deltas]
    assert [{"n": 0}, {"n": 1}, {"n": 2}] == [delta["state"] for delta in deltas]
    assert {"n": {"timestamp": deltas[0]["timestamp"]}} == deltas[0]["metadata"]


def test_documents_tell_the_whole_shadow_before_and_after(service, thing):
    """GG-SH-07"""
    for colour in ("G", "R"):
        request = {"state": {"reported": {"property": colour}}}
        service.publish(f"$aws/things/{thing}/shadow/update", request)
    (_, first), _, (topic, second), _ = service.received(4)
    assert topic.endswith("update/documents")
    assert {"state": {}, "metadata": {}, "version": 0} == first["previous"]
    assert first["current"] == second["previous"]
    assert {"reported": {"property": "R"}} == second["current"]["state"]
    assert {"state", "metadata", "version"} == second["current"].keys()


def test_an_update_by_a_call_is_told_to_subscribers(service, thing):
    """GG-SH-08"""
    answer = service.ask("update", {"state": {"desired": {"a": 1}}}, thing=thing)
    outputs = service.received(3)
    assert ["update/delta", "update/documents", "update/accepted"] == short(thing, outputs)
    assert answer == outputs[2][1]
    service.ask("delete", thing=thing)
    assert ["delete/accepted"] == short(thing, service.received(1))


def test_reads_and_refusals_of_calls_are_told_to_the_caller_only(service, thing):
    """GG-SH-09"""
    service.ask("get", thing=thing)
    service.ask("update", b"no", thing=thing)
    service.nothing_else()


def test_requests_by_messages_are_answered_by_messages(service, thing):
    """GG-SH-10"""
    topic = f"$aws/things/{thing}/shadow/"
    service.publish(f"{topic}get", {"clientToken": "t"})
    service.publish(f"{topic}update", {"state": {"reported": {}}})
    service.publish(f"{topic}get")
    service.publish(f"{topic}delete")
    service.publish(f"{topic}delete")
    outputs = service.received(6)
    assert [
        "get/rejected",
        "update/documents",
        "update/accepted",
        "get/accepted",
        "delete/accepted",
        "delete/rejected",
    ] == short(thing, outputs)
    assert (404, "t") == (outputs[0][1]["code"], outputs[0][1]["clientToken"])


def test_a_deleted_shadow_keeps_its_version(service, thing):
    """GG-SH-11"""
    for _ in range(2):
        service.ask("update", {"state": {"desired": {"a": 1}}}, thing=thing)
    answer = service.ask("delete", {"clientToken": "t"}, thing=thing)
    expected = {"version": 2, "timestamp": answer["timestamp"], "clientToken": "t"}
    assert expected == answer
    assert 404 == service.ask("get", thing=thing)["code"]
    assert 3 == service.ask("update", {"state": {}}, thing=thing)["version"]
    assert {} == service.ask("get", thing=thing)["state"]


@pytest.mark.parametrize(("version", "code"), [(0, 409), (1, None), (2, 409)])
def test_an_update_of_another_version_is_a_conflict(service, thing, version, code):
    """GG-SH-12"""
    service.ask("update", {"state": {}}, thing=thing)
    answer = service.ask("update", {"state": {}, "version": version}, thing=thing)
    assert code == answer.get("code")
    assert code is None or answer["message"] == "Version conflict"


def test_named_shadows_are_apart_and_listed(service, thing):
    """GG-SH-13"""
    service.ask("update", {"state": {"reported": {"a": 1}}}, thing=thing)
    service.ask("update", {"state": {"reported": {"a": 2}}}, thing=thing, name="config")
    topics = short(thing, service.received(4))
    assert ["name/config/update/documents", "name/config/update/accepted"] == topics[2:]
    found = [service.ask("get", thing=thing, name=name) for name in ("", "config")]
    assert [1, 2] == [each["state"]["reported"]["a"] for each in found]
    assert ["config"] == service.ask("list", thing=thing)["results"]
    message = service.ask("get", thing=thing, name="none")["message"]
    assert f"No shadow exists with name: {thing}~none" == message


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": NaN}}}', 400, "Invalid JSON"),
        ({}, 400, "Missing required node: state"),
        ({"state": 1}, 400, "State node must be an object"),
        ({"state": {"desired": 1}}, 400, "Desired node must be an object"),
        ({"state": {"reported": []}}, 400, "Reported node must be an object"),
        ({"state": {"delta": {}}}, 400, "State contains an invalid node"),
        ({"state": {"desired": {"a": [1, None]}}}, 400, "State contains an invalid node"),
        ({"state": {}, "version": "1"}, 400, "Invalid version"),
        ({"state": {}, "clientToken": "x" * 65}, 400, "Invalid clientToken"),
        (
            {"state": {"desired": nested(7)}},
            400,
            "JSON contains too many levels of nesting; maximum is 6",
        ),
        (
            {"state": {"desired": {"a": "x" * 8192}}},
            413,
            "The payload exceeds the maximum size allowed",
        ),
        (
            '{"state": {}}'.encode("utf-16"),
            415,
            "Unsupported documented encoding; supported encoding is UTF-8",
        ),
    ],
    ids=range(15),
)
def test_bad_requests_are_refused_with_awss_words_and_change_nothing(
    service, thing, request_, code, message
):
    """GG-SH-14"""
    service.ask("update", {"state": {"reported": {"a": 1}}}, thing=thing)
    before = service.ask("get", thing=thing)
    answer = service.ask("update", request_, thing=thing)
    assert (code, message) == (answer["code"], answer["message"])
    after = service.ask("get", thing=thing)
    assert {**before, "timestamp": 0} == {**after, "timestamp": 0}
    service.received(2)
    service.publish(f"$aws/things/{thing}/shadow/update", request_)
    [(topic, refusal)] = service.received(1)
    assert (f"$aws/things/{thing}/shadow/update/rejected", code) == (topic, refusal["code"])


def test_what_is_not_there_is_not_found(service, thing):
    """GG-SH-15"""
    for operation in ("get", "delete"):
        answer = service.ask(operation, {"clientToken": "t"}, thing=thing)
        expected = {
            "code": 404,
            "message": f"No shadow exists with name: {thing}",
            "timestamp": answer["timestamp"],
            "clientToken": "t",
        }
        assert expected == answer


def test_the_deepest_and_largest_documents_that_are_allowed(service, thing):
    """GG-SH-16"""
    deep = {"state": {"desired": nested(6)}}
    assert 1 == service.ask("update", deep, thing=thing)["version"]
    large = {"state": {"desired": {"a": None}, "reported": {"a": "x" * (8192 - len('{"a":""}'))}}}
    assert 2 == service.ask("update", large, thing=thing)["version"]
    service.received(5)


def test_a_list_comes_in_pages(service, thing):
    """GG-SH-19"""
    for number in range(3):
        service.ask("update", {"state": {}}, thing=thing, name=f"n{number}")
    first = service.ask("list", {"pageSize": 2}, thing=thing)
    assert (["n0", "n1"], "n1") == (first["results"], first["nextToken"])
    second = service.ask("list", {"pageSize": 2, "nextToken": "n1"}, thing=thing)
    assert (["n2"], None) == (second["results"], second.get("nextToken"))


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("$aws/things/a/b/shadow/get", 400, "Invalid thing name: "),
        ("$aws/things/a b/shadow/get", 400, "Invalid thing name: "),
        ("$aws/things/T/shadow/name/a b/get", 400, "Invalid shadow name: "),
        ("$aws/things/T/shadow/put", 405, "Method Not Allowed"),
        ("elsewhere", 400, "Invalid request: "),
    ],
)
def test_a_call_hears_what_is_wrong_with_its_topic(service, asked, code, said):
    """GG-SH-20"""
    context = {"custom": {"subject": asked}}
    answer = service.invoke(context).json()
    assert (code, True) == (answer["code"], answer["message"].startswith(said))


def test_a_message_with_a_name_that_no_thing_has_is_rejected(service):
    """GG-SH-20"""
    service.publish("$aws/things/no thing/shadow/get")
    [(topic, refusal)] = service.received(1, thing="no thing")
    assert ("$aws/things/no thing/shadow/get/rejected", 400) == (topic, refusal["code"])


LIGHT = """
import json

import greengrasssdk

client = greengrasssdk.client("iot-data")


def handler(event, context):
    reported = {"state": {"reported": event["state"]}}
    client.update_thing_shadow(thingName="GG_TrafficLight", payload=json.dumps(reported))
"""


def test_a_function_follows_what_is_desired(greengrass, code):
    """GG-M5-02"""
    greengrass.add_function("light", "light.handler", code=code(light=LIGHT), pinned=True)
    greengrass.subscribe(
        "GGShadowService", "$aws/things/GG_TrafficLight/shadow/update/delta", "light"
    )
    light = greengrass.shadow("GG_TrafficLight")
    for number, colour in enumerate("GYR"):
        assert 2 * number + 1 == light.update(desired={"property": colour}).version
        assert ({"property": colour}, {}) == (light.reported, light.delta)
    assert 6 == light.version


AGGREGATOR = """
import greengrasssdk

client = greengrasssdk.client("iot-data")
greens = []


def function_handler(event, context):
    colour = event["current"]["state"]["reported"]["property"]
    if colour == "G":
        greens.append(colour)
        if len(greens) % 3 == 0:
            client.publish(topic="stats", payload=str(len(greens)))
"""


def test_a_function_is_triggered_by_every_update_and_its_error_is_told(greengrass, code):
    """GG-M6-01"""
    handler, folder = "car.function_handler", code(car=AGGREGATOR)
    greengrass.add_function("car", handler, code=folder, pinned=True)
    documents = "$aws/things/GG_TrafficLight/shadow/update/documents"
    greengrass.subscribe("GGShadowService", documents, "car")
    light = greengrass.shadow("GG_TrafficLight")
    light.update(desired={"property": "G"})
    for _ in range(6):
        light.update(reported={"property": "G"})
    assert [b"3", b"6"] == greengrass.published("stats").payloads
    [failure] = greengrass.errors
    assert "KeyError: 'reported'" in failure.text


def test_only_members_have_shadows_of_the_size_that_the_group_says(greengrass, tmp_path):
    """GG-SH-18"""
    settings = {"members_only": True, "state_bytes": 16}
    greengrass.load(write_project(tmp_path, {}, {}, shadows=settings))
    member = greengrass.shadow("failures-core")
    assert 1 == member.update(reported={"a": 1}).version
    with pytest.raises(ShadowTooLargeError):
        member.update(reported={"a": "x" * 20})
    with pytest.raises(ShadowNotFoundError, match="Thing not found"):
        greengrass.shadow("stranger").update(reported={"a": 1})


# --- a core alone ------------------------------------------------------------------------


@pytest.fixture
def lights(tmp_path):
    """Make the group of module 5: the rows of the guide, clients for the devices."""
    topic = "$aws/things/GG_TrafficLight/shadow/update"
    rows = [
        ("GG_Switch", topic, "GGShadowService"),
        ("GGShadowService", f"{topic}/accepted", "GG_Switch"),
        ("GGShadowService", f"{topic}/rejected", "GG_Switch"),
        ("GG_TrafficLight", topic, "GGShadowService"),
        ("GGShadowService", f"{topic}/delta", "GG_TrafficLight"),
        ("GGShadowService", f"{topic}/accepted", "GG_TrafficLight"),
        ("GGShadowService", f"{topic}/rejected", "GG_TrafficLight"),
    ]
    return write_project(tmp_path, {}, {}, clients=["GG_Switch", "GG_TrafficLight"], rows=rows)


def test_a_switch_changes_a_light_by_its_shadow(lights):
    """GG-M5-01"""
    topic = "$aws/things/GG_TrafficLight/shadow/update"
    versions = []
    with (
        RunningCore(lights) as core,
        Client(root=core.root, name="GG_Switch") as switch,
        Client(root=core.root, name="GG_TrafficLight") as light,
    ):
        light.publish("not/routed", b"")  # connects before the first delta
        for colour in "GYR":
            desired = {"desired": {"property": colour}}
            switch.publish(topic, {"state": desired, "clientToken": colour})
            accepted = switch.receive(RECEIVE_S)
            assert (f"{topic}/accepted", colour) == (accepted.topic, accepted.json()["clientToken"])
            delta = light.receive(RECEIVE_S)
            assert (f"{topic}/delta", {"property": colour}) == (delta.topic, delta.json()["state"])
            assert f"{topic}/accepted" == light.receive(RECEIVE_S).topic
            light.publish(topic, {"state": {"reported": {"property": colour}}})
            answers = [who.receive(RECEIVE_S) for who in (light, switch)]
            assert [f"{topic}/accepted"] * 2 == [answer.topic for answer in answers]
            reported = {"reported": {"property": colour}}
            assert [reported] * 2 == [answer.json()["state"] for answer in answers]
            versions += [delta.json()["version"], answers[0].json()["version"]]
        switch.publish(topic, {"state": 1})
        assert [f"{topic}/rejected"] * 2 == [
            who.receive(RECEIVE_S).topic for who in (switch, light)
        ]
    assert [1, 2, 3, 4, 5, 6] == versions


def test_a_function_is_triggered_by_every_update_and_survives_its_own_errors(tmp_path):
    """GG-M6-01"""
    topic = "$aws/things/GG_TrafficLight/shadow/update"
    project = write_project(
        tmp_path,
        {"car": AGGREGATOR},
        {"car": {"handler": "car.function_handler", "pinned": True}},
        clients=["light"],
        rows=[
            ("light", topic, "GGShadowService"),
            ("GGShadowService", f"{topic}/documents", "car"),
            ("car", "stats", "cloud"),
        ],
    )
    with RunningCore(project) as core, Client(root=core.root, name="light") as light:
        light.publish(topic, {"state": {"desired": {"property": "G"}}})
        core.log("car", "KeyError")
        for _ in range(6):
            light.publish(topic, {"state": {"reported": {"property": "G"}}})
        assert "6" == core.message("stats", count=2)["payload"]


def test_whatever_was_accepted_survives_the_sudden_death_of_the_core(tmp_path):
    """GG-SH-17"""
    project = write_project(tmp_path, {}, {}, clients=["panel"])
    accepted = {}
    with RunningCore(project, status=-signal.SIGKILL) as core:
        with Client(root=core.root, name="panel") as client:
            for number in range(100):
                shadow = client.shadow(f"thing-{number % 7}")
                accepted[shadow.thing] = shadow.update(reported={"n": number}).version, number
        core.process.kill()
        core.process.wait()
    with RunningCore(project) as core, Client(root=core.root, name="panel") as client:
        for thing, (version, number) in accepted.items():
            document = client.shadow(thing).get()
            assert (version, {"n": number}) == (document.version, document.reported)

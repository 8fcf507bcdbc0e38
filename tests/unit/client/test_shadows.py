# SPDX-License-Identifier: Apache-2.0
"""Shadows by both clients: what leaves, and what becomes of the answers."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest
from fake_core import result

from greengrass_sdk import AsyncClient, Client, InvokeResult, ShadowChange, ShadowDocument, errors
from greengrass_sdk.client.shadows import AsyncShadow, Shadow, read_answer
from greengrass_sdk.model.arn import SHADOW_SERVICE

WHOLE = {
    "state": {"desired": {"a": 1}, "reported": {"a": 2}, "delta": {"a": 1}},
    "metadata": {"desired": {"a": {"timestamp": 5}}},
    "version": 7,
    "timestamp": 9,
}
CHANGED = {"version": 8, "timestamp": 9}
ABSENT = {"code": 404, "message": "No shadow exists with name: T", "timestamp": 9}
CONFLICT = {"code": 409, "message": "Version conflict", "timestamp": 9}


class Service:
    """Answers invocations from a list, and remembers what was asked."""

    def __init__(self, *answers):
        self.answers = [json.dumps(answer).encode() for answer in answers]
        self.asked = []

    def invoke(self, function, payload, *, client_context):
        assert SHADOW_SERVICE == function
        self.asked.append((json.loads(client_context)["custom"]["subject"], payload))
        return InvokeResult(self.answers.pop(0), "r")

    async def invoke_later(self, function, payload, *, client_context):
        return self.invoke(function, payload, client_context=client_context)


@pytest.fixture(params=["blocking", "asyncio"])
def call(request):
    """Return a function that calls a method of the shadow of a service."""

    def run(service, method, *args, name=None, **kwargs):
        if request.param == "blocking":
            shadow = Shadow(service.invoke, "T", name)
            return getattr(shadow, method)(*args, **kwargs)
        later = AsyncShadow(service.invoke_later, "T", name)
        return asyncio.run(getattr(later, method)(*args, **kwargs))

    return run


def test_a_get_returns_the_shadow(call):
    service = Service(WHOLE)
    document = call(service, "get")
    assert [("$aws/things/T/shadow/get", b"")] == service.asked
    assert ({"a": 1}, {"a": 2}, {"a": 1}, 7, 9) == (
        document.desired,
        document.reported,
        document.delta,
        document.version,
        document.timestamp,
    )
    assert WHOLE["metadata"] == document.metadata
    assert WHOLE == json.loads(document.payload)


def test_sections_that_are_not_there_are_empty(call):
    document = call(Service({**WHOLE, "state": {}}), "get")
    assert ({}, {}, {}) == (document.desired, document.reported, document.delta)


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        ({}, {"state": {}}),
        ({"desired": {"a": None}}, {"state": {"desired": {"a": None}}}),
        ({"desired": None, "reported": {}}, {"state": {"desired": None, "reported": {}}}),
        (
            {"reported": {"a": 1}, "version": 0, "client_token": "c"},
            {"state": {"reported": {"a": 1}}, "version": 0, "clientToken": "c"},
        ),
    ],
)
def test_an_update_asks_for_what_was_given(call, arguments, request_):
    service = Service(CHANGED)
    change = call(service, "update", name="N", **arguments)
    assert [("$aws/things/T/shadow/name/N/update", request_)] == service.asked
    assert (8, 9, CHANGED) == (change.version, change.timestamp, json.loads(change.payload))


def test_a_delete_returns_the_last_version(call):
    service = Service(CHANGED)
    assert 8 == call(service, "delete").version
    assert [("$aws/things/T/shadow/delete", b"")] == service.asked


def test_a_list_is_of_the_thing(call):
    service = Service({"results": ["a", "b"], "timestamp": 1})
    assert ["a", "b"] == call(service, "list", name="N")
    assert [("$aws/things/T/shadow/list", b"")] == service.asked


def test_a_list_is_asked_for_page_by_page(call):
    service = Service({"results": ["a", "b"], "nextToken": "b"}, {"results": ["c"]})
    assert ["a", "b", "c"] == call(service, "list")
    assert [b"", {"nextToken": "b"}] == [payload for _, payload in service.asked]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ShadowError),
        (404, errors.ShadowNotFoundError),
        (409, errors.ShadowVersionConflictError),
        (413, errors.ShadowTooLargeError),
        (500, errors.ShadowError),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(call, status, kind):
    refusal = {"code": status, "message": "why not", "timestamp": 1}
    with pytest.raises(kind) as caught:
        call(Service(refusal), "get", name="N")
    error = caught.value
    assert f"shadow 'N' of 'T': why not ({status})" == str(error)
    assert (kind, "T", "N", status) == (type(error), error.thing, error.shadow, error.status)


@pytest.mark.parametrize("answer", [b"", b"no", b"[]"])
def test_an_answer_that_is_no_document_is_a_fault_of_the_core(answer):
    with pytest.raises(errors.RemoteProtocolError):
        read_answer(answer, "T", None)


# --- modify


def test_a_modification_is_made_of_the_shadow_and_its_version(call):
    service = Service(WHOLE, CHANGED)
    change = call(service, "modify", lambda document: {"desired": {"a": document.desired["a"] + 1}})
    assert 8 == change.version
    request = {"state": {"desired": {"a": 2}}, "version": 7}
    assert ("$aws/things/T/shadow/update", request) == service.asked[1]


def test_a_modification_of_no_shadow_makes_one(call):
    service = Service(ABSENT, CHANGED)
    call(service, "modify", lambda document: {"reported": {"v": document.version}})
    assert {"state": {"reported": {"v": 0}}, "version": 0} == service.asked[1][1]


def test_a_modification_is_tried_again_if_others_were_faster(call):
    service = Service(WHOLE, CONFLICT, {**WHOLE, "version": 8}, CHANGED)
    seen = []

    def change(document):
        seen.append(document.version)
        return {"desired": {}}

    call(service, "modify", change)
    assert [7, 8] == seen
    assert [7, 8] == [service.asked[number][1]["version"] for number in (1, 3)]


def test_a_modification_is_given_up_after_some_attempts(call):
    service = Service(WHOLE, CONFLICT, WHOLE, CONFLICT)
    with pytest.raises(errors.ShadowVersionConflictError):
        call(service, "modify", lambda _: {"desired": {}}, attempts=2)
    assert 4 == len(service.asked)


def test_a_modification_may_leave_the_shadow_alone(call):
    service = Service(WHOLE)
    assert call(service, "modify", lambda _: None) is None
    assert 1 == len(service.asked)


@pytest.mark.parametrize(
    ("change", "attempts"), [({"state": {}}, 1), ({"desired": {}}, 0), ({"delta": {}}, 1)]
)
def test_a_modification_that_cannot_be_is_refused_here(call, change, attempts):
    with pytest.raises(errors.InvalidInputError):
        call(Service(WHOLE, CHANGED), "modify", lambda _: change, attempts=attempts)


# --- names, texts, and the way through a client


@pytest.mark.parametrize(("thing", "name"), [("", None), ("a/b", None), ("T", ""), ("T", "a/b")])
def test_a_name_that_would_change_the_topic_is_refused(thing, name):
    with pytest.raises(errors.InvalidInputError, match="of a shadow is"):
        Client().shadow(thing, name)


def test_nothing_shows_what_is_in_a_shadow():
    secret = {"state": {"desired": {"a": "secret"}}, "version": 1, "timestamp": 2}
    payload = json.dumps(secret).encode()
    shown = [
        repr(each)
        for each in (
            ShadowDocument(payload, secret),
            ShadowChange(payload, secret),
            Client().shadow("T", "N"),
        )
    ]
    assert [
        f"ShadowDocument(version=1, payload=<{len(payload)} bytes>)",
        "ShadowChange(version=1, timestamp=2)",
        "Shadow(thing='T', name='N')",
    ] == shown


def test_both_kinds_of_shadow_have_the_same_calls():
    names = [name for name in vars(Shadow) if not name.startswith("_")]
    assert names == [name for name in vars(AsyncShadow) if not name.startswith("_")]
    for name in names:
        blocking, later = getattr(Shadow, name), getattr(AsyncShadow, name)
        assert inspect.iscoroutinefunction(later)
        assert inspect.signature(blocking) == inspect.signature(later)


def test_a_client_invokes_the_shadow_service(core):
    core.script = lambda frame: [result(frame, json.dumps(WHOLE).encode())]
    assert 7 == Client().shadow("T").get().version

    async def scenario():
        async with AsyncClient() as client:
            return (await client.shadow("T").get()).version

    assert 7 == asyncio.run(scenario())
    assert [SHADOW_SERVICE.encode()] * 2 == [frame.topic for frame in core.wait(2)]
    context = {"custom": {"subject": "$aws/things/T/shadow/get"}}
    assert [context] * 2 == [json.loads(frame.context) for frame in core.wait(2)]

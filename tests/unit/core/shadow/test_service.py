# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from greengrass_sdk.core.shadow.requests import Operation, ShadowId
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.shadow.store import MemoryStore, Record

T = ShadowId("T")
NAMED = ShadowId("T", "N")
TOPIC = "$aws/things/T/shadow/"


class Failing(MemoryStore):
    """A store whose commits fail as long as `fails` is true."""

    fails = True

    def commit(self, changes):
        if Failing.fails:
            raise OSError("the disk is full")
        super().commit(changes)


class Client:
    """Asks a service, and keeps what it published."""

    def __init__(self, **settings):
        self.store = settings.pop("store", None) or MemoryStore()
        self.service = ShadowService(self.store, **settings)
        self.outputs = []
        self.now = 100.9

    def ask(self, operation, document=b"", shadow=T, *, by_topic=False):
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        outcome = self.service.serve(
            shadow, Operation(operation), payload, self.now, by_topic=by_topic
        )
        self.outputs = [(topic, json.loads(payload)) for topic, payload in outcome.outputs]
        answer = json.loads(outcome.reply)
        assert answer.get("code", 200) == outcome.code
        return answer

    def update(self, shadow=T, *, by_topic=False, **fields):
        return self.ask("update", fields, shadow, by_topic=by_topic)


@pytest.fixture
def client():
    return Client()


def test_an_update_is_answered_with_what_was_asked(client):
    answer = client.update(state={"desired": {"a": 1, "b": None}}, clientToken="c")
    stamp = {"timestamp": 100}
    expected = {
        "state": {"desired": {"a": 1, "b": None}},
        "metadata": {"desired": {"a": stamp, "b": stamp}},
        "version": 1,
        "timestamp": 100,
        "clientToken": "c",
    }
    assert expected == answer


def test_a_get_tells_the_whole_shadow_with_the_delta(client):
    client.update(state={"desired": {"a": 1}, "reported": {"a": 2}})
    client.now = 200
    stamp = {"timestamp": 100}
    expected = {
        "state": {"desired": {"a": 1}, "reported": {"a": 2}, "delta": {"a": 1}},
        "metadata": {"desired": {"a": stamp}, "reported": {"a": stamp}},
        "version": 1,
        "timestamp": 200,
    }
    assert expected == client.ask("get")
    assert {**expected, "clientToken": "c"} == client.ask("get", {"clientToken": "c"})


def test_a_get_has_no_delta_where_nothing_differs(client):
    client.update(state={"desired": {"a": 1}, "reported": {"a": 1}})
    assert {"desired": {"a": 1}, "reported": {"a": 1}} == client.ask("get")["state"]


def test_an_update_publishes_delta_then_documents_then_accepted(client):
    client.update(state={"reported": {"a": 1}})
    client.now = 101
    answer = client.update(state={"desired": {"a": 2}}, clientToken="c")
    tail = {"timestamp": 101, "clientToken": "c"}
    new, old = {"timestamp": 101}, {"timestamp": 100}
    previous = {"state": {"reported": {"a": 1}}, "metadata": {"reported": {"a": old}}, "version": 1}
    current = {
        "state": {"desired": {"a": 2}, "reported": {"a": 1}},
        "metadata": {"desired": {"a": new}, "reported": {"a": old}},
        "version": 2,
    }
    delta = {"state": {"a": 2}, "metadata": {"a": new}, "version": 2, **tail}
    assert [
        (f"{TOPIC}update/delta", delta),
        (f"{TOPIC}update/documents", {"previous": previous, "current": current, **tail}),
        (f"{TOPIC}update/accepted", answer),
    ] == client.outputs


def test_the_first_documents_have_an_empty_previous_one(client):
    client.update(state={"reported": {"a": 1}})
    (_, document), _ = client.outputs
    assert {"state": {}, "metadata": {}, "version": 0} == document["previous"]


def test_a_delta_that_remains_is_published_again(client):
    client.update(state={"desired": {"a": 1}})
    client.update(state={"reported": {"b": 1}})
    assert (f"{TOPIC}update/delta", {"a": 1}) == (
        client.outputs[0][0],
        client.outputs[0][1]["state"],
    )


def test_no_delta_is_published_where_nothing_differs(client):
    client.update(state={"reported": {"a": 1}})
    assert [f"{TOPIC}update/documents", f"{TOPIC}update/accepted"] == [
        topic for topic, _ in client.outputs
    ]


def test_what_nobody_gets_is_not_made():
    client = Client(wanted=lambda topic: topic.endswith("delta"))
    client.update(state={"desired": {"a": 1}})
    assert [f"{TOPIC}update/delta"] == [topic for topic, _ in client.outputs]
    client.ask("delete")
    assert [] == client.outputs
    client.ask("get", by_topic=True)
    assert [] == client.outputs


def test_every_update_is_a_version_also_if_it_changes_nothing(client):
    assert [1, 2, 3] == [client.update(state={})["version"] for _ in range(3)]
    assert {"state": {}, "metadata": {}, "version": 3, "timestamp": 100} == client.ask("get")


def test_an_update_without_state_empties_the_shadow(client):
    client.update(state={"desired": {"a": 1}})
    answer = client.update(state=None)
    assert (None, {"timestamp": 100}) == (answer["state"], answer["metadata"])
    assert {} == client.ask("get")["state"]


@pytest.mark.parametrize("operation", ["get", "delete"])
def test_what_is_not_there_is_not_found(client, operation):
    expected = {"code": 404, "message": "No shadow exists with name: T", "timestamp": 100}
    assert expected == client.ask(operation)
    expected = {**expected, "message": "No shadow exists with name: T~N", "clientToken": "c"}
    assert expected == client.ask(operation, {"clientToken": "c"}, NAMED)


def test_a_delete_answers_the_version_and_the_versions_go_on(client):
    client.update(state={"desired": {"a": 1}})
    client.update(state={"desired": {"a": 2}})
    answer = client.ask("delete", {"clientToken": "c"})
    assert {"version": 2, "timestamp": 100, "clientToken": "c"} == answer
    assert [(f"{TOPIC}delete/accepted", answer)] == client.outputs
    assert 404 == client.ask("get")["code"]
    assert 404 == client.ask("delete")["code"]
    assert 3 == client.update(state={"desired": {"b": 1}})["version"]
    assert {"desired": {"b": 1}, "delta": {"b": 1}} == client.ask("get")["state"]


@pytest.mark.parametrize(("version", "code"), [(2, None), (1, 409), (3, 409), (0, 409)])
def test_an_update_of_a_version_needs_that_version(client, version, code):
    client.update(state={})
    client.update(state={})
    assert code == client.update(state={}, version=version).get("code")


def test_version_0_is_for_a_shadow_that_is_not_there(client):
    assert 409 == client.update(state={}, version=1)["code"]
    assert 1 == client.update(state={}, version=0)["version"]
    client.ask("delete")
    conflict = client.update(state={}, version=1, clientToken="c")
    assert (409, "Version conflict", "c") == tuple(
        conflict[key] for key in ("code", "message", "clientToken")
    )
    assert 2 == client.update(state={}, version=0)["version"]


def test_a_state_has_a_size():
    client = Client(state_bytes=20)
    assert 1 == client.update(state={"desired": {"a": "x" * 12}})["version"]
    refused = client.update(state={"reported": {"a": 1}}, clientToken="c")
    expected = (413, "The payload exceeds the maximum size allowed", "c")
    assert expected == (refused["code"], refused["message"], refused["clientToken"])
    assert 2 == client.update(state={"desired": {"a": "x"}, "reported": {"a": 1}})["version"]


def test_named_shadows_are_shadows_of_their_own(client):
    client.update(state={"desired": {"a": 1}})
    client.update(NAMED, state={"desired": {"b": 1}})
    assert f"{TOPIC}name/N/update/delta" == client.outputs[0][0]
    assert {"b": 1} == client.ask("get", shadow=NAMED)["state"]["desired"]
    client.ask("delete", shadow=NAMED)
    assert {"a": 1} == client.ask("get")["state"]["desired"]


def test_the_named_shadows_of_a_thing_are_listed(client):
    for name in ("b", "a", ""):
        client.update(ShadowId("T", name), state={})
    client.update(ShadowId("U", "c"), state={})
    assert {"results": ["a", "b"], "timestamp": 100} == client.ask("list")
    client.ask("delete", shadow=ShadowId("T", "a"))
    assert ["b"] == client.ask("list")["results"]


def test_a_list_comes_in_pages(client):
    names = [f"N{number:03}" for number in range(250)]
    for name in names:
        client.update(ShadowId("T", name), state={})
    found: list[str] = []
    pages: list[int] = []
    asked: dict[str, str] = {}
    while True:
        answer = client.ask("list", asked)
        found += answer["results"]
        pages.append(len(answer["results"]))
        if "nextToken" not in answer:
            break
        asked = {"nextToken": answer["nextToken"]}
    assert (names, [100, 100, 50]) == (found, pages)
    assert names[250:] == client.ask("list", {"nextToken": names[-1]})["results"]
    page = client.ask("list", {"pageSize": 2, "nextToken": "N010"})
    assert (["N011", "N012"], "N012") == (page["results"], page["nextToken"])


@pytest.mark.parametrize("page", [{"pageSize": 0}, {"pageSize": 101}, {"pageSize": "1"}])
def test_a_page_of_a_list_has_one_to_a_hundred_names(client, page):
    answer = client.ask("list", page)
    assert (400, "Invalid pageSize: it is a number from 1 to 100") == (
        answer["code"],
        answer["message"],
    )


@pytest.mark.parametrize("token", [1, "a/b", "x" * 65])
def test_a_token_that_no_page_had_is_refused(client, token):
    assert "Invalid nextToken" == client.ask("list", {"nextToken": token})["message"]


def test_a_list_sees_what_is_not_committed_yet(client):
    client.update(ShadowId("T", "a"), state={})
    asked = [
        ("update", ShadowId("T", "b"), b'{"state": {}}'),
        ("delete", ShadowId("T", "a"), b""),
        ("list", T, b""),
    ]
    answers = [
        client.service.handle(shadow, Operation(operation), payload, 1, by_topic=False)
        for operation, shadow, payload in asked
    ]
    assert ["b"] == json.loads(answers[-1].reply)["results"]


def test_requests_by_topics_are_answered_on_topics(client):
    answer = client.ask("get", by_topic=True)
    assert [(f"{TOPIC}get/rejected", answer)] == client.outputs
    client.update(state={})
    answer = client.ask("get", {"clientToken": "c"}, by_topic=True)
    assert [(f"{TOPIC}get/accepted", answer)] == client.outputs
    answer = client.update(state=1, clientToken="c", by_topic=True)
    assert [(f"{TOPIC}update/rejected", answer)] == client.outputs
    assert (400, "c") == (answer["code"], answer["clientToken"])
    answer = client.ask("delete", by_topic=True)
    assert [(f"{TOPIC}delete/accepted", answer)] == client.outputs


@pytest.mark.parametrize(("operation", "document"), [("get", b""), ("update", b"no")])
def test_calls_hear_of_reads_and_refusals_themselves(client, operation, document):
    client.update(state={})
    client.ask(operation, document)
    assert [] == client.outputs


def test_only_members_have_shadows_if_the_group_says_so():
    client = Client(members=frozenset({"T"}))
    assert 1 == client.update(state={})["version"]
    expected = {"code": 404, "message": "Thing not found", "timestamp": 100}
    assert expected == client.update(ShadowId("U"), state={})


def test_a_bad_name_is_refused(client):
    assert 400 == client.update(ShadowId("a b"), state={})["code"]
    assert {} == client.store.records


@pytest.mark.parametrize(
    "document", [b"", b"[]", b'{"state": {"x": 1}}', b'{"state": {}, "version": 9}']
)
def test_a_refused_update_touches_nothing(client, document):
    client.update(state={"desired": {"a": 1}})
    before = dict(client.store.records)
    assert client.ask("update", document)["code"] >= 400
    assert before == client.store.records


def test_shadows_come_back_from_the_store(client):
    client.update(state={"desired": {"a": 1}})
    again = Client(store=client.store)
    assert client.ask("get") == again.ask("get")
    assert 2 == again.update(state={"reported": {"a": 1}})["version"]


def test_more_shadows_than_are_kept_decoded(client):
    for number in range(1100):
        client.update(ShadowId(f"T{number}"), state={"reported": {"n": number}})
    found = [
        client.ask("get", shadow=ShadowId(f"T{number}"))["state"]["reported"]["n"]
        for number in range(1100)
    ]
    assert list(range(1100)) == found


def test_what_is_kept_decoded_has_a_bound(client):
    for number in range(1100):
        client.update(ShadowId(f"T{number}"), state={"reported": {"a": "x" * 7000}})
    kept = client.service._known
    assert sum(held.size for held in kept.values()) == client.service._known_bytes
    assert client.service._known_bytes < 5_000_000
    for number in range(1100, 2300):
        client.update(ShadowId(f"T{number}"), state={})
    assert 1024 == len(client.service._known)


# --- several requests, one commit ---------------------------------------------------


def test_requests_see_the_changes_before_them_and_share_a_commit(client):
    service = client.service
    payload = b'{"state": {"desired": {"a": 1}}}'
    answers = [service.handle(T, Operation.UPDATE, payload, 1, by_topic=False) for _ in range(2)]
    assert [1, 2] == [json.loads(answer.reply)["version"] for answer in answers]
    (changed,) = service.changes().items()
    assert (T, 2) == (changed[0], changed[1].version)
    client.store.commit(service.changes())
    service.settle()
    assert {} == service.changes()
    assert 2 == client.ask("get")["version"]


def test_what_is_reverted_never_was(client):
    client.update(state={"desired": {"a": 1}})
    client.service.handle(T, Operation.DELETE, b"", 1, by_topic=False)
    client.service.revert()
    assert {} == client.service.changes()
    assert {"a": 1} == client.ask("get")["state"]["desired"]


def test_a_commit_that_fails_is_a_failure_of_the_service_and_changes_nothing(monkeypatch):
    client = Client(store=Failing())
    refused = client.update(state={}, clientToken="c", by_topic=True)
    expected = {
        "code": 500,
        "message": "Internal service failure",
        "timestamp": 100,
        "clientToken": "c",
    }
    assert expected == refused
    assert [(f"{TOPIC}update/rejected", refused)] == client.outputs
    assert 404 == client.ask("get")["code"]
    monkeypatch.setattr(Failing, "fails", False)
    assert 1 == client.update(state={})["version"]


def test_a_shadow_that_cannot_be_read_is_left_as_it_is(client, caplog):
    broken = Record(3, b"no json")
    client.store.records[T] = broken
    assert 500 == client.ask("get")["code"]
    assert 500 == client.update(state={}, clientToken="c")["code"]
    assert broken == client.store.records[T]
    assert "shadow 'T' cannot be read" in caplog.text


def test_the_failure_of_a_request_that_is_none_is_told_too(client):
    outcome = client.service.failed(
        T, Operation.UPDATE, b'{"state": 1, "clientToken": "c"}', 1, by_topic=False
    )
    assert (500, "c") == (outcome.code, json.loads(outcome.reply)["clientToken"])


def test_the_version_of_a_shadow_is_none_where_there_is_none(client):
    found = [client.service.version(T)]
    client.update(state={})
    found.append(client.service.version(T))
    client.ask("delete")
    assert [None, 1, None] == [*found, client.service.version(T)]

# SPDX-License-Identifier: Apache-2.0
"""`greengrass shadow`: what it asks a core, and what it prints."""

from __future__ import annotations

import json

import pytest

ACCEPTED = {"state": {"desired": {"a": 1}}, "metadata": {}, "version": 3, "timestamp": 4}


def answer(document):
    payload = json.dumps(document).encode()
    return {"outcome": "ok", "payload": payload, "request_id": "r"}


@pytest.fixture(autouse=True)
def _fine(core):
    core.answers["invoke"] = answer(ACCEPTED)


def asked(core):
    [(_, op, fields)] = core.asked
    context = json.loads(fields["client_context"])
    return op, fields["function"], context["custom"]["subject"], fields["payload"]


@pytest.mark.parametrize(
    ("words", "subject"),
    [
        (["get", "T"], "$aws/things/T/shadow/get"),
        (["get", "T", "--name", "N"], "$aws/things/T/shadow/name/N/get"),
        (["delete", "T"], "$aws/things/T/shadow/delete"),
    ],
)
def test_the_service_is_asked_as_by_an_sdk(core, run, words, subject):
    code, out, err = run("shadow", *words)
    assert (0, ACCEPTED, "") == (code, json.loads(out), err)
    assert ("invoke", "GGShadowService", subject, b"") == asked(core)


def test_json_is_one_document(run):
    _, out, _ = run("shadow", "get", "T", "--json")
    assert {"schema": 1, **ACCEPTED} == json.loads(out)
    assert 1 == out.count("\n")


def test_an_update_hands_the_request_on_as_written(core, run):
    assert 0 == run("shadow", "update", "T", '{"state":  {}}')[0]
    assert b'{"state":  {}}' == asked(core)[3]


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        (["--desired", '{"a": 1}'], {"state": {"desired": {"a": 1}}}),
        (["--reported", "null"], {"state": {"reported": None}}),
        (
            ["--desired", "{}", "--reported", "{}", "--expect", "7"],
            {"state": {"desired": {}, "reported": {}}, "version": 7},
        ),
    ],
)
def test_an_update_can_be_made_of_options(core, run, options, request_):
    assert 0 == run("shadow", "update", "T", *options)[0]
    assert request_ == json.loads(asked(core)[3])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get"], "get needs the name of a THING"),
        (["watch"], "watch needs the name of a THING"),
        (["fetch", "T"], "invalid choice"),
        (["get", "T", "{}"], "get takes no REQUEST"),
        (["delete", "T", "--expect", "1"], "delete takes no REQUEST"),
        (["update", "T"], "update needs a REQUEST"),
        (["update", "T", "--expect", "1"], "update needs a REQUEST"),
        (["update", "T", "{}", "--desired", "{}"], "either REQUEST or options"),
        (["update", "T", "--desired", "["], "--desired is not JSON"),
        (["update", "T", "--desired", "[]"], "--desired must be a JSON object"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_asked(core, run, words, said):
    code, out, err = run("shadow", *words)
    assert (2, "", []) == (code, out, core.asked)
    assert said in err


@pytest.mark.parametrize(
    ("code", "exit_code", "name"),
    [
        (400, 40, "Shadow"),
        (404, 41, "ShadowNotFound"),
        (409, 42, "ShadowVersionConflict"),
        (413, 43, "ShadowTooLarge"),
    ],
)
def test_a_refusal_is_an_error_with_a_code_of_its_own(core, run, code, exit_code, name):
    core.answers["invoke"] = answer({"code": code, "message": "why not", "timestamp": 1})
    found, out, err = run("shadow", "get", "T", "--json")
    assert (exit_code, name) == (found, json.loads(out)["error"]["code"])
    assert f"error: shadow 'T': why not ({code})\n" == err


SHADOWS = [["T", "", 3], ["T", "N", 1], ["U", "", 2]]


@pytest.mark.parametrize(
    ("words", "found"),
    [([], SHADOWS), (["T"], SHADOWS[:2]), (["T", "--name", "N"], [SHADOWS[1]]), (["X"], [])],
)
def test_shadows_are_listed(core, run, words, found):
    core.answers["shadows"] = {"shadows": SHADOWS}
    _, out, _ = run("shadow", "list", *words, "--json")
    assert found == [
        [each["thing"], each["name"] or "", each["version"]] for each in json.loads(out)["shadows"]
    ]


def test_shadows_are_a_table_for_people(core, run):
    core.answers["shadows"] = {"shadows": SHADOWS}
    assert run("shadow", "list")[1].splitlines()[:2] == ["THING  NAME  VERSION", "T            3"]
    core.answers["shadows"] = {"shadows": []}
    assert (0, "", "no shadows\n") == run("shadow", "list")


class Watched:
    """A core whose shadow goes through versions, None where it is deleted; then it is gone."""

    def __init__(self, core, monkeypatch, versions):
        self.versions = versions
        self.known = []
        self.current: int | None = None
        monkeypatch.setattr("greengrass_sdk.cli.shadow.ask", self.ask)

    def ask(self, root, op, fields):
        if op == "shadow-change":
            self.known.append(fields["version"])
            if not self.versions:
                raise KeyboardInterrupt
            self.current = self.versions.pop(0)
            return {"version": None if self.current is None else abs(self.current)}
        if self.current is None or self.current < 0:
            return answer({"code": 404, "message": "deleted, perhaps meanwhile"})
        return answer({**ACCEPTED, "version": self.current})


def test_a_watch_prints_each_version_until_it_is_interrupted(core, run, monkeypatch):
    watched = Watched(core, monkeypatch, [None, 1, 1, -2, 3])
    code, out, _ = run("shadow", "watch", "T")
    assert 130 == code
    versions = [
        None if line == "no shadow" else json.loads(line)["version"]
        for line in out.split("\n")[:-1]
    ]
    assert [None, 1, None, 3] == versions
    assert [-1, None, 1, 1, None, 3] == watched.known


def test_a_watch_of_what_no_thing_can_be_called_ends(core, run):
    core.answers["shadow-change"] = {"version": None}
    core.answers["invoke"] = answer({"code": 400, "message": "Invalid thing name", "timestamp": 1})
    code, _, err = run("shadow", "watch", "no thing")
    assert 40 == code
    assert "Invalid thing name" in err


def test_a_watch_with_json_prints_objects(core, run, monkeypatch):
    Watched(core, monkeypatch, [1, None])
    _, out, _ = run("shadow", "watch", "T", "--name", "N", "--json")
    first, second, _interrupted = (json.loads(line) for line in out.splitlines())
    assert {"thing": "T", "name": "N", "shadow": {**ACCEPTED, "version": 1}} == first
    assert {"thing": "T", "name": "N", "shadow": None} == second

# SPDX-License-Identifier: Apache-2.0
"""`greengrass invoke`: the result untouched, or what went wrong."""

from __future__ import annotations

import json

import pytest

from greengrass_sdk.errors import FunctionNotFoundError

FAILURE = {
    "errorMessage": "no celsius",
    "errorType": "KeyError",
    "stackTrace": [["climate.py", 12, "function_handler", 'event["celsius"]']],
}


def answer(outcome="ok", payload=b'{"a": 1}', request_id="r-1"):
    return {"ok": True, "outcome": outcome, "payload": payload, "request_id": request_id}


@pytest.fixture(autouse=True)
def _fine(core):
    core.answers["invoke"] = answer()


def test_the_default_payload_is_an_empty_object(core, run):
    run("invoke", "hello")

    fields = {"function": "hello", "payload": b"{}", "client_context": b"", "event": False}
    assert core.asked == [(None, "invoke", fields)]


def test_the_result_is_printed_untouched(run):
    assert run("invoke", "hello", "[]") == (0, '{"a": 1}\n', "")


def test_the_client_context_is_handed_on_as_written(core, run):
    run("invoke", "hello", "--client-context", '{"custom": {"k":1}}')

    assert core.asked[0][2]["client_context"] == b'{"custom": {"k":1}}'


def test_an_unknown_function_is_an_error_of_its_own_that_names_the_nearest_or_all(core, run):
    core.answers["invoke"] = FunctionNotFoundError("no function 'climat' in this group")
    core.answers["status"] = {"functions": [{"name": "climate"}, {"name": "door"}]}

    error = "error: no function 'climat' in this group; did you mean 'climate'?\n"
    assert run("invoke", "climat") == (20, "", error)
    assert run("invoke", "x")[2].endswith("; it has: climate, door\n")


@pytest.mark.parametrize("context", ["{", "[]", "text"])
def test_a_client_context_that_is_no_object_is_refused(core, run, context):
    code, _out, err = run("invoke", "hello", "--client-context", context)

    assert (code, core.asked) == (2, [])
    assert err.startswith("error: --client-context")


def test_an_exception_of_the_handler_is_shown_with_its_trace(core, run):
    core.answers["invoke"] = answer("handled", json.dumps(FAILURE).encode())
    code, out, err = run("invoke", "climate")

    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "error: function 'climate' raised KeyError: no celsius",
        '  File "climate.py", line 12, in function_handler',
        '    event["celsius"]',
    ]


def test_a_timeout_is_shown_with_its_text(core, run):
    document = {"errorMessage": "2026-01-01 Task timed out after 3.00 seconds"}
    core.answers["invoke"] = answer("timeout", json.dumps(document).encode())
    code, _out, err = run("invoke", "slow")

    assert code == 1
    assert err == (
        "error: function 'slow' failed (timeout): 2026-01-01 Task timed out after 3.00 seconds\n"
    )


@pytest.mark.parametrize(
    ("payload", "text"),
    [(b"", "it gave no reason"), (b"\x1b[2J", "\\x1b[2J"), (b"[]", "[]"), (b"\xff", "\ufffd")],
)
def test_a_failure_without_a_document_is_shown_safely(core, run, payload, text):
    core.answers["invoke"] = answer("unhandled", payload)

    assert run("invoke", "f")[2] == f"error: function 'f' failed (unhandled): {text}\n"


def test_json_holds_outcome_request_and_payload(run):
    _code, out, _err = run("invoke", "hello", "--json")

    assert json.loads(out) == {
        "schema": 1,
        "function": "hello",
        "outcome": "ok",
        "request_id": "r-1",
        "payload": '{"a": 1}',
        "encoding": "utf-8",
    }


def test_a_binary_result_is_base64_in_json(core, run):
    core.answers["invoke"] = answer(payload=b"\xff\x00")
    document = json.loads(run("invoke", "hello", "--json")[1])

    assert (document["payload"], document["encoding"]) == ("/wA=", "base64")


def test_a_failure_in_json_has_the_document_and_the_error(core, run):
    core.answers["invoke"] = answer("handled", json.dumps(FAILURE).encode())
    code, out, _err = run("invoke", "climate", "--json")
    document = json.loads(out)

    assert code == 1
    assert json.loads(document["payload"]) == FAILURE
    assert document["error"] == {
        "code": "FunctionHandled",
        "message": "function 'climate' raised KeyError: no celsius",
    }


def test_an_event_is_accepted_with_its_request_id(core, run):
    core.answers["invoke"] = answer(payload=b"")

    assert run("invoke", "hello", "--event") == (0, "accepted, request r-1\n", "")

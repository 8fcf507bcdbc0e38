# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

from greengrass_sdk.runtime.outcome import PayloadError, error_document, log_text


def fails(depth=0):
    if depth:
        fails(depth - 1)
    raise ValueError("I failed!")


def caught(call):
    try:
        call()
    except BaseException as exc:  # noqa: BLE001 - whatever it is, it is looked at
        return exc
    raise AssertionError


def test_a_document_has_message_type_and_the_users_frames():
    document = json.loads(error_document(caught(fails)))
    assert document["errorMessage"] == "I failed!"
    assert document["errorType"] == "ValueError"
    file, line, function, source = document["stackTrace"][-1]
    assert __file__ == file
    assert fails.__code__.co_firstlineno + 3 == line
    assert function == "fails"
    assert source == 'raise ValueError("I failed!")'


def test_frames_of_the_runtime_do_not_lead_the_stack_trace(tmp_path):
    from greengrass_sdk.runtime.handler import resolve

    exc = caught(lambda: resolve("no_such_module_here.handler", str(tmp_path)))
    exc.__traceback__ = exc.__traceback__.tb_next.tb_next  # the test's own frames
    assert json.loads(error_document(exc))["stackTrace"] == []
    assert log_text(exc).startswith("HandlerError: handler 'no_such_module_here.handler'")


def test_a_deep_recursion_gives_a_bounded_stack_trace():
    document = json.loads(error_document(caught(lambda: fails(400))))
    assert len(document["stackTrace"]) == 100


def test_a_huge_message_is_cut():
    document = json.loads(error_document(ValueError("x" * 1_000_000)))
    assert len(document["errorMessage"]) == 65536


def test_an_exception_that_cannot_be_text_is_described():
    class BrokenError(Exception):
        def __str__(self):
            raise RuntimeError

    assert (
        json.loads(error_document(BrokenError()))["errorMessage"]
        == "<RuntimeError in BrokenError.__str__>"
    )


def test_a_syntax_error_points_into_the_file():
    exc = caught(lambda: compile("x = = 1", "/code/bad.py", "exec"))
    exc.__traceback__ = None
    document = json.loads(error_document(exc))
    assert [["/code/bad.py", 1, "<module>", "x = = 1"]] == document["stackTrace"]


def test_a_payload_error_is_a_json_decode_error():
    assert json.loads(error_document(PayloadError("no")))["errorType"] == "JSONDecodeError"


def test_the_log_shows_causes():
    def chained():
        try:
            fails()
        except ValueError as cause:
            raise KeyError("outer") from cause

    text = log_text(caught(chained))
    assert "I failed!" in text
    assert "direct cause" in text
    assert text.endswith("KeyError: 'outer'")

# SPDX-License-Identifier: Apache-2.0
"""The runtime's own rules, without a process."""

from __future__ import annotations

import sys

import pytest

from greengrass_sdk import FunctionHandledError, FunctionUnhandledError


def fail():
    raise ValueError("inner")


def test_the_error_document_begins_in_the_users_code(core):
    core.add_function("f", lambda _event, _context: fail())
    with pytest.raises(FunctionHandledError) as caught:
        core.invoke("f")
    document = caught.value.json()
    assert ("inner", "ValueError") == (document["errorMessage"], document["errorType"])
    assert [__file__, __file__] == [frame[0] for frame in document["stackTrace"]]
    assert "fail" == document["stackTrace"][-1][2]
    cause = caught.value.__cause__
    assert cause is not None
    assert cause.__traceback__ is not None
    assert __file__ == cause.__traceback__.tb_frame.f_code.co_filename
    assert "ValueError: inner" in core.logs("f")[0].message


def test_an_import_error_begins_in_the_users_code(core, write):
    folder = write("import nothing_like_this\n")
    core.add_function("f", "app.handler", code=folder)
    with pytest.raises(FunctionUnhandledError, match="ModuleNotFoundError") as caught:
        core.invoke("f")
    assert str(folder / "app.py") == caught.value.json()["stackTrace"][0][0]


def test_a_payload_that_is_not_json_fails_as_in_a_core(core):
    core.add_function("f", lambda event, _context: event)
    with pytest.raises(FunctionHandledError, match="JSONDecodeError: the payload is not JSON"):
        core.invoke("f", "{")
    assert {} == core.invoke("f").json()


def test_an_import_that_exits_is_told_with_its_code(core, write):
    core.add_function("f", "app.handler", code=write("import sys\nsys.exit(3)\n"))
    with pytest.raises(FunctionUnhandledError, match=r"sys.exit\(3\)"):
        core.invoke("f")


def test_a_thread_that_ends_the_process_ends_the_worker(core):
    import os
    import threading
    import time

    def body(_event, _context):
        threading.Thread(target=os._exit, args=(5,)).start()
        time.sleep(1)

    core.add_function("f", body)
    with pytest.raises(FunctionUnhandledError, match="exited with code 5"):
        core.invoke("f")


def test_the_context_is_that_of_a_core(core):
    def look(_event, context):
        return [context.function_name, context.function_version, context.invoked_function_arn]

    core.add_function("f", look, version="3")
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:3"
    assert ["f", "3", arn] == core.invoke("f").json()


def test_a_line_without_its_end_is_logged_when_the_handler_returns(core):
    core.add_function("f", lambda _event, _context: sys.stdout.write("no newline"))
    core.invoke("f")
    assert ["no newline"] == [record.message for record in core.logs("f")]

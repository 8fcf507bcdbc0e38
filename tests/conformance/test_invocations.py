# SPDX-License-Identifier: Apache-2.0
"""
What a caller gets: results, errors, and what survives them.

Ref: Greengrass V1 guide, "Communication flow in Greengrass applications" (functions invoke
functions), "Lifecycle configuration for Greengrass Lambda functions", "Function timeout"; Lambda
developer guide, "Invoke", "Exceptions (Python)"
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

import greengrasssdk
from greengrass_sdk import (
    FunctionHandledError,
    FunctionNotFoundError,
    FunctionTimeoutError,
    FunctionUnhandledError,
    InvalidInputError,
    LimitExceededError,
)

ARN = "arn:aws:lambda:us-east-1:000000000000:function:echo"
functions = greengrasssdk.client("lambda")


def echo(event, context):
    custom = context.client_context.custom if context.client_context else None
    return {"event": event, "custom": custom}


def call(event, context):
    """Invoke as the SDK does; return the answer, or what was raised."""
    context_ = event.pop("ClientContext", None)
    if context_ is not None:
        event["ClientContext"] = base64.b64encode(json.dumps(context_).encode())
    try:
        answer = functions.invoke(**event)
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises
        return {"raised": [kind.__name__ for kind in type(error).__mro__], "text": str(error)}
    payload = answer["Payload"]
    data = payload if isinstance(payload, bytes) else payload.read()
    return {"payload": data.decode(), "error": answer["FunctionError"]}


def fail(event, context):
    raise ValueError(event)


def wait(event, context):
    import time

    time.sleep(event)
    return "done"


def leave(event, context):
    if event:
        os._exit(event)
    return "still there"


def unserialisable(event, context):
    return object()


@pytest.fixture
def caller(greengrass):
    greengrass.add_function("call", call)
    greengrass.add_function("echo", echo)
    greengrass.add_function("fail", fail)
    return lambda **event: greengrass.invoke("call", event).json()


def test_a_function_invokes_another_without_a_subscription(caller):
    """GG-IV-01: by its qualified or unqualified ARN, or that and a qualifier."""
    expected = {"payload": '{"event": {"a": 1}, "custom": null}', "error": ""}
    assert expected == caller(FunctionName=f"{ARN}:1", Payload='{"a": 1}')
    assert expected == caller(FunctionName=ARN, Payload='{"a": 1}')
    assert expected == caller(FunctionName=ARN, Qualifier="1", Payload='{"a": 1}')


def test_the_callers_client_context_is_the_functions(caller):
    """GG-IV-02"""
    answer = caller(FunctionName=ARN, Payload="1", ClientContext={"custom": {"language": "fr"}})
    assert {"event": 1, "custom": {"language": "fr"}} == json.loads(answer["payload"])


def test_an_event_is_accepted_at_once_and_its_outcome_is_only_logged(caller, greengrass):
    """GG-IV-03"""
    name = ARN.replace("echo", "fail")
    answer = caller(FunctionName=name, InvocationType="Event", Payload='"no"')
    assert {"payload": "", "error": ""} == answer
    assert ["handled"] == [failure.outcome for failure in greengrass.errors]
    assert "ValueError: no" in greengrass.logs("fail")[0].message


def test_an_exception_is_handled_with_a_document(caller, greengrass):
    """GG-IV-04"""
    answer = caller(FunctionName=ARN.replace("echo", "fail"), Payload='"no"')
    document = json.loads(answer["payload"])
    assert ("Handled", "no", "ValueError") == (
        answer["error"],
        document["errorMessage"],
        document["errorType"],
    )
    [[file, _line, name, source]] = document["stackTrace"]
    assert ("test_invocations.py", "fail", "raise ValueError(event)") == (
        Path(file).name,
        name,
        source,
    )
    with pytest.raises(FunctionHandledError, match="ValueError: no"):
        greengrass.invoke("fail", '"no"')


def test_a_handler_that_takes_too_long_is_ended_unhandled(greengrass):
    """GG-IV-05"""
    function = greengrass.add_function("wait", wait, timeout_s=0.5, pinned=True)
    with pytest.raises(FunctionTimeoutError, match=r"Task timed out after 0\.50 seconds"):
        greengrass.invoke(function, 30)
    greengrass.advance(2)
    assert "done" == greengrass.invoke(function, 0).json()


def test_a_function_that_exits_ends_unhandled_and_starts_again(greengrass):
    """GG-IV-06: on demand with the next item, a pinned one by itself, after a pause."""
    for name, pinned in (("demand", False), ("pinned", True)):
        greengrass.add_function(name, leave, pinned=pinned)
    for name in ("demand", "pinned"):
        with pytest.raises(FunctionUnhandledError, match="exited with code 3"):
            greengrass.invoke(name, 3)
    greengrass.advance(2)
    assert 1 == greengrass.function("pinned").workers
    for name in ("demand", "pinned"):
        assert "still there" == greengrass.invoke(name, 0).json()


def test_a_module_that_cannot_be_imported_ends_unhandled(greengrass, code):
    """GG-IV-07"""
    folder = code(broken="import nothing_like_it", without="x = 1", leaves="raise SystemExit(1)")
    for module in ("broken", "without", "leaves"):
        greengrass.add_function(module, f"{module}.handler", code=folder)
    with pytest.raises(FunctionUnhandledError, match="nothing_like_it"):
        greengrass.invoke("broken")
    with pytest.raises(FunctionUnhandledError, match="handler"):
        greengrass.invoke("without")
    with pytest.raises(FunctionUnhandledError):
        greengrass.invoke("leaves")


def test_what_is_not_there_is_not_found(caller, greengrass):
    """GG-IV-08: also a version that is not the function's."""
    wrong = [ARN.replace("echo", "ehco"), f"{ARN}:7"]
    answers = [caller(FunctionName=name) for name in wrong]
    assert all("InvocationException" in answer["raised"] for answer in answers)
    assert all(a["text"].startswith("Failed to invoke function due to") for a in answers)
    for name in ("ehco", *wrong):
        with pytest.raises(FunctionNotFoundError):
            greengrass.invoke(name)


def test_two_qualifiers_that_differ_are_refused(caller):
    """GG-IV-09"""
    answer = caller(FunctionName=f"{ARN}:1", Qualifier="2")
    text = "The derived qualifier from the function name does not match the specified qualifier."
    assert ("ValueError", text) == (answer["raised"][0], answer["text"])


def test_an_event_that_is_not_json_is_handled(greengrass):
    """GG-IV-10"""
    greengrass.add_function("echo", echo)
    with pytest.raises(FunctionHandledError, match="JSONDecodeError"):
        greengrass.invoke("echo", b"{")


def test_a_result_that_cannot_be_json_is_handled(greengrass):
    """GG-IV-11"""
    greengrass.add_function("bad", unserialisable)
    with pytest.raises(FunctionHandledError, match="not JSON serialisable"):
        greengrass.invoke("bad")


def test_an_invocation_has_at_most_6_mib(greengrass):
    """GG-IV-12"""
    greengrass.add_function("size", "builtins.len", encoding="binary")
    with pytest.raises(LimitExceededError, match="6291456"):
        greengrass.invoke("size", bytes(6_291_457))


def test_an_exception_restarts_nothing(greengrass, code):
    """GG-IV-13: module state is kept."""
    folder = code(
        state="""
        count = 0
        def handler(event, context):
            global count
            count += 1
            if event == "fail":
                raise KeyError(event)
            return count
        """
    )
    greengrass.add_function("state", "state.handler", code=folder, pinned=True)
    assert 1 == greengrass.invoke("state").json()
    with pytest.raises(FunctionHandledError):
        greengrass.invoke("state", '"fail"')
    assert 3 == greengrass.invoke("state").json()


def test_a_name_that_is_no_function_is_refused(greengrass):
    """GG-IV-14"""
    with pytest.raises(InvalidInputError):
        greengrass.invoke("arn:aws:iot:us-east-1:000000000000:thing/lamp")
    with pytest.raises(FunctionNotFoundError):
        greengrass.invoke("cloud")


def test_functions_wait_for_each_other_however_deep(greengrass, code):
    """GG-IV-15"""
    folder = code(
        down="""
        import json
        import greengrasssdk
        functions = greengrasssdk.client("lambda")
        ARN = "arn:aws:lambda:us-east-1:000000000000:function:down:1"
        def handler(event, context):
            if event == 0:
                return "bottom"
            answer = functions.invoke(FunctionName=ARN, Payload=json.dumps(event - 1))
            return json.loads(answer["Payload"].read())
        """
    )
    greengrass.add_function("down", "down.handler", code=folder)
    assert "bottom" == greengrass.invoke("down", 4).json()

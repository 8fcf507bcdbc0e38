# SPDX-License-Identifier: Apache-2.0
"""
What a function is given, what becomes of what it prints, and as whom it runs.

Ref: Greengrass V1 guide, "Run Lambda functions on the AWS IoT Greengrass core" (message-based
invocation, encoding of input, lifecycle), "Environment variables", "FileSystem logs", "Running a
Lambda function as root"; Lambda developer guide, "The context object (Python)", "Logging (Python)"
"""

from __future__ import annotations

import json
import os
import re
import zipfile

import psutil
import pytest
from running_core import EXAMPLES, RunningCore

from greengrass_sdk import FunctionUnhandledError

PROBE = """
import logging
import os
import sys

count = 0


def shape(event, context):
    return [type(event).__name__, event]


def describe(event, context):
    names = ("function_name", "function_version", "invoked_function_arn", "aws_request_id",
             "memory_limit_in_mb", "identity", "client_context")
    left = context.get_remaining_time_in_millis()
    return {"left": 0 < left <= 3000, **{name: getattr(context, name) for name in names}}


def variables(event, context):
    return {name: os.environ.get(name) for name in event}


def places(event, context):
    import beside

    here = os.path.dirname(os.path.abspath(__file__))
    with open("data.txt") as file:
        return [beside.VALUE, file.read(), os.path.samefile(os.getcwd(), here)]


def speak(event, context):
    print("to stdout")
    print("in", end="")
    print(" parts")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").warning("with %s", "arguments")


def count_up(event, context):
    global count
    count += 1
    return count


def nothing(event, context):
    pass
"""


@pytest.fixture
def probe(greengrass, code):
    """Add a function of PROBE, and return what invokes it."""
    folder = code(probe=PROBE, beside="VALUE = 7")
    (folder / "data.txt").write_text("data")

    def probe(name, **options):
        greengrass.add_function(name, f"probe.{name}", code=folder, **options)
        return lambda payload=b"": greengrass.invoke(name, payload).json()

    return probe


def test_a_function_learns_the_topic_that_invoked_it(greengrass):
    """GG-FN-01"""
    greengrass.load(EXAMPLES / "topic_echo")
    greengrass.deliver("test/input_message", '{"test-key": "Some string value"}')
    expected = 'Invoked on topic "test/input_message" with message "Some string value"'
    assert [expected] == [message.text for message in greengrass.published("test/topic_results")]


def test_what_a_function_logs_as_an_error_is_an_error_in_its_log(greengrass):
    """GG-FN-02"""
    greengrass.load(EXAMPLES / "topic_echo")
    greengrass.deliver("test/input_message", '{"another-key": 1}')
    [record] = greengrass.logs("echo")
    assert ("ERROR", True) == (record.level, 'has no "test-key"' in record.message)
    assert [] == greengrass.published()


def test_a_binary_function_gets_raw_bytes_and_returns_raw_bytes(greengrass):
    """GG-FN-03"""
    greengrass.load(EXAMPLES / "binary")
    greengrass.deliver("sensor/raw", b"\xd7\x00\x37")
    reading = {"temperature_c": 21.5, "humidity_percent": 55}
    assert reading == greengrass.published("sensor/decoded").one().json()
    assert b"\xff\xfe\x00" == greengrass.invoke("decoder", b"\xff\xfe\x00").payload


WHO = """
import os
import greengrasssdk
greengrasssdk.client("iot-data").publish(topic="who", payload=str(os.getuid()))
def function_handler(event, context):
    pass
"""
WHO_GROUP = """
schema = 1
[group]
name = "who"
core = "who-core"
[functions.who]
code = "who/"
handler = "who.function_handler"
pinned = true
run_as = { uid = 0, gid = 0 }
[[subscriptions]]
source = "who"
subject = "who"
target = "cloud"
"""


@pytest.fixture
def root_function(tmp_path):
    (tmp_path / "who").mkdir()
    (tmp_path / "who" / "who.py").write_text(WHO)
    (tmp_path / "group.toml").write_text(WHO_GROUP)
    return tmp_path


def test_a_function_with_an_explicit_user_id_0_is_refused(root_function):
    """GG-FN-04: the log has the guide's sentence."""
    said = "configured to run as root while Greengrass is not configured to run lambdas with root"
    with (
        pytest.raises(AssertionError, match=said),
        RunningCore(root_function),
    ):
        pass


@pytest.mark.needs_root
def test_a_function_may_run_as_root_where_config_json_allows_it(root_function):
    """GG-FN-05"""
    config = root_function / ".greengrass" / "config"
    config.mkdir(parents=True)
    allowed = {"runtime": {"allowFunctionsToRunAsRoot": "yes"}}
    (config / "config.json").write_text(json.dumps(allowed))
    with RunningCore(root_function) as core:
        assert "0" == core.message("who")["payload"]
    assert 0 == os.geteuid()


def test_an_event_is_whatever_the_json_says(probe):
    """GG-FN-06: without a payload it is {}."""
    shape = probe("shape")
    for value in ({"a": [1]}, [1], "text", 7, 1.5, None, True):
        assert [type(value).__name__, value] == shape(json.dumps(value))
    assert ["dict", {}] == shape()


def test_the_context_tells_who_is_invoked_and_how_long_it_may_take(probe, greengrass):
    """GG-FN-07"""
    told = probe("describe", version="4", memory_kib=131_072)()
    number = told.pop("aws_request_id")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", number)
    assert {
        "left": True,
        "function_name": "describe",
        "function_version": "4",
        "invoked_function_arn": greengrass.function("describe").arn,
        "memory_limit_in_mb": 128,
        "identity": None,
        "client_context": None,
    } == told


def test_the_variables_of_v1_and_the_functions_own_are_set(probe, greengrass):
    """GG-FN-08"""
    wanted = {
        "MINE": "21",
        "MY_FUNCTION_ARN": "arn:aws:lambda:us-east-1:000000000000:function:variables:1",
        "ROUTER_FUNCTION_ARN": "arn:aws:lambda:::function:GGRouter",
        "SHADOW_FUNCTION_ARN": "arn:aws:lambda:::function:GGShadowService",
        "SECRETS_MANAGER_FUNCTION_ARN": "arn:aws:lambda:::function:GGSecretManager:1",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "GGC_MAX_INTERFACE_VERSION": "1.5",
        "ENCODING_TYPE": "json",
    }
    variables = probe("variables", environment={"MINE": "21"})
    assert wanted == variables(json.dumps(list(wanted)))
    others = variables('["AWS_IOT_THING_NAME", "GGC_VERSION", "AWS_GREENGRASS_GROUP_NAME"]')
    assert all(others.values()), others


def test_code_finds_what_lies_beside_it_and_runs_in_its_folder(probe):
    """GG-FN-09"""
    assert [7, "data", True] == probe("places")()


def test_what_a_function_prints_and_logs_is_a_record_each(probe, greengrass):
    """GG-FN-10: print is INFO, standard error is ERROR."""
    probe("speak")()
    assert [
        ("INFO", "to stdout"),
        ("INFO", "in parts"),
        ("ERROR", "to stderr"),
        ("WARN", "with arguments"),
    ] == [(record.level, record.message) for record in greengrass.logs("speak")]
    assert greengrass.logs("speak")[3].origin.startswith("probe.py:")


def test_a_traceback_is_one_record(greengrass, code):
    """GG-FN-11"""
    folder = code(bad="def handler(event, context):\n    raise KeyError('no')\n")
    greengrass.add_function("bad", "bad.handler", code=folder)
    greengrass.invoke_async("bad")
    [record] = greengrass.logs("bad")
    assert ("ERROR", "Traceback (most recent call last):") == (
        record.level,
        record.message.split("\n")[0],
    )
    assert "KeyError: 'no'" == greengrass.errors[0].last_line


def test_module_code_runs_once_for_a_worker_that_is_reused(probe):
    """GG-FN-12"""
    count_up = probe("count_up")
    assert [1, 2, 3] == [count_up() for _ in range(3)]


def test_each_function_has_modules_of_its_own(probe, greengrass, code):
    """GG-FN-13: also of the same name."""
    count_up = probe("count_up")
    greengrass.add_function("other", "probe.count_up", code=code())
    assert [1, 2] == [count_up(), count_up()]
    assert 1 == greengrass.invoke("other").json()


def test_a_handler_that_returns_nothing_gives_null(probe):
    """GG-FN-14"""
    assert probe("nothing")() is None


def test_the_code_of_a_zip_lies_at_its_root(greengrass, tmp_path):
    """GG-FN-15"""
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("app.py", "import lib\ndef handler(event, context): return lib.X")
        archive.writestr("lib/__init__.py", "X = 9")
    greengrass.add_function("zipped", "app.handler", code=tmp_path / "code.zip")
    assert 9 == greengrass.invoke("zipped").json()


def test_a_handler_may_be_in_a_package(greengrass, code):
    """GG-FN-16"""
    package = code() / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from . import value\ndef f(event, context): return value.V")
    (package / "value.py").write_text("V = 3")
    greengrass.add_function("f", "package.inner.f", code=code())
    assert 3 == greengrass.invoke("f").json()


CHILDREN = """
import os
import signal
import subprocess

SLEEP = ["sleep", "300"]

def handler(event, context):
    plain = subprocess.Popen(SLEEP)
    session = subprocess.Popen(SLEEP, start_new_session=True)
    nohup = subprocess.Popen(SLEEP, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    print(plain.pid, session.pid, nohup.pid)
    os._exit(1)
"""


@pytest.mark.parametrize("greengrass_world", ["core"])
def test_children_end_with_a_function_unless_they_took_care_not_to(greengrass, code):
    """GG-FN-18: children that ignore SIGHUP or have a session of their own go on."""
    folder = code(children=CHILDREN)
    greengrass.add_function("children", "children.handler", code=folder)
    with pytest.raises(FunctionUnhandledError):
        greengrass.invoke("children")
    [said] = [record.message for record in greengrass.logs("children") if record.level == "INFO"]
    plain, session, nohup = [int(pid) for pid in said.split()]
    survivors = [psutil.Process(pid) for pid in (session, nohup)]
    try:
        if psutil.pid_exists(plain):
            psutil.Process(plain).wait(20)
        assert all(survivor.is_running() for survivor in survivors)
    finally:
        for survivor in survivors:
            survivor.kill()


def test_the_module_of_a_pinned_function_may_loop_for_ever(greengrass, code):
    """GG-FN-17: nobody invokes it."""
    folder = code(
        loop="""
        import time
        import greengrasssdk
        client = greengrasssdk.client("iot-data")
        number = 0
        while True:
            client.publish(topic="n", payload=str(number))
            number += 1
            time.sleep(0.2)
        """
    )
    greengrass.add_function("loop", "loop.handler", code=folder, pinned=True)
    greengrass.subscribe("loop", "n", "cloud")
    greengrass.advance(1)
    payloads = greengrass.cloud.received.payloads
    assert [b"0", b"1", b"2"] == payloads[:3]

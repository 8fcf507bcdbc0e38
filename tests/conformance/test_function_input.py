# SPDX-License-Identifier: Apache-2.0
"""
What a function is given, and as whom it runs.

Ref: Greengrass V1 guide, "Run Lambda functions on the AWS IoT Greengrass core" (message-based
invocation, encoding of input, lifecycle), "Running a Lambda function as root"
"""

from __future__ import annotations

import json
import os

import pytest
from running_core import RunningCore, copy_example


@pytest.fixture
def echo(tmp_path):
    return copy_example("topic_echo", tmp_path)


def test_a_function_learns_the_topic_that_invoked_it(echo):
    """GG-FN-01"""
    with RunningCore(echo) as core:
        core.publish("test/input_message", '{"test-key": "Some string value"}')
        event = core.message("test/topic_results")
    expected = 'Invoked on topic "test/input_message" with message "Some string value"'
    assert expected == event["payload"]


def test_what_a_function_logs_as_an_error_is_an_error_in_its_log(echo):
    """GG-FN-02"""
    with RunningCore(echo) as core:
        core.publish("test/input_message", '{"another-key": 1}')
        record = core.log("echo", 'has no "test-key"')
        assert [] == core.messages("test/topic_results")
    assert "ERROR" == record["level"]


def test_a_binary_function_gets_raw_bytes_and_returns_raw_bytes(tmp_path):
    """GG-FN-03"""
    with RunningCore(copy_example("binary", tmp_path)) as core:
        core.publish_bytes("sensor/raw", b"\xd7\x00\x37")
        event = core.message("sensor/decoded")
        answer = core.command("invoke", "decoder", "-", payload=b"\xff\xfe\x00")
    assert {"temperature_c": 21.5, "humidity_percent": 55} == json.loads(event["payload"])
    assert b"\xff\xfe\x00" == answer.stdout.rstrip(b"\n")


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

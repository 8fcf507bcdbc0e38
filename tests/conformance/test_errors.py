# SPDX-License-Identifier: Apache-2.0
"""
The double fails where a core does, with the same classes and the same texts.

Not V1's behaviour but ours: whatever is refused is done once on each world, and compared.
"""

from __future__ import annotations

import json
import re

import pytest

import greengrasssdk
from greengrass_sdk import Client, GreengrassError
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.realcore import RealCore

iot = greengrasssdk.client("iot-data")
functions = greengrasssdk.client("lambda")
client = Client()
ARN = "arn:aws:lambda:us-east-1:000000000000:function"
STRICT = """
schema = 1
group = { name = "strict", core = "strict-core", strict = true }
functions.act = { code = "code", handler = "act.handler" }
"""
ACT = """
from greengrass_sdk import Client
client = Client()
def handler(event, context):
    client.publish(event, "x")
"""
# What a function does with its clients, as expressions.
ACTS = {
    "wildcard": 'client.publish("a/#", "")',
    "too long": 'client.publish("a" * 257, "")',
    "empty topic": 'client.publish("", "")',
    "too large": 'client.publish("a", bytes(131_073))',
    "type": 'client.publish("a", {1})',
    "no json": 'client.publish("a", float("nan"))',
    "policy": 'client.publish("a", "", queue_full_policy="Maybe")',
    "not found": 'client.invoke("nobody")',
    "qualifier": 'client.invoke("act", qualifier="7")',
    "arn": 'client.invoke("arn:aws:iot:x")',
    "call too large": 'client.invoke("act", bytes(6_291_457))',
    "fails": 'client.invoke("fail", {"a": 1})',
    "event not found": 'client.invoke_async("nobody")',
    "sdk wildcard": 'iot.publish(topic="a/+", payload="")',
    "sdk topic": 'iot.publish(payload="")',
    "sdk type": 'iot.publish(topic="a", payload={1})',
    "sdk too large": 'iot.publish(topic="a", payload=bytes(131_073))',
    "sdk policy": 'iot.publish(topic="a", queueFullPolicy="Maybe")',
    "sdk not found": f'functions.invoke(FunctionName="{ARN}:nobody:1")',
    "sdk qualifier": f'functions.invoke(FunctionName="{ARN}:act:7")',
    "sdk name": 'functions.invoke(FunctionName="act")',
    "sdk context": f'functions.invoke(FunctionName="{ARN}:act:1", ClientContext="x")',
}
# What a test does with the fixture.
DRIVES = {
    "wildcard": lambda core: core.deliver("a/+"),
    "too large": lambda core: core.deliver("a", bytes(131_073)),
    "type": lambda core: core.deliver("a", {1}),
    "no source": lambda core: core.deliver("a", source="nobody"),
    "function as source": lambda core: core.deliver("a", source="act"),
    "handled": lambda core: core.invoke("fail", {"a": 1}),
    "not json": lambda core: core.invoke("fail", b"{"),
    "unserialisable": lambda core: core.invoke("unserialisable"),
    "exits": lambda core: core.invoke("leave", 3),
    "signal": lambda core: core.invoke("leave", -9),
    "timeout": lambda core: core.invoke("wait"),
    "import": lambda core: core.invoke("broken"),
    "no handler": lambda core: core.invoke("without"),
    "not found": lambda core: core.invoke("nobody"),
    "qualifier": lambda core: core.invoke("act", qualifier="7"),
    "event": lambda core: core.invoke_async("nobody"),
    "event qualifier": lambda core: core.invoke_async("act", qualifier="7"),
    "context": lambda core: core.invoke("act", client_context=7),
    "too large to invoke": lambda core: core.invoke("act", bytes(6_291_457)),
    "no log": lambda core: core.logs("nobody"),
    "no function": lambda core: core.function("nobody"),
    "filter": lambda core: core.published("a/#/b"),
}


def act(event, context):
    try:
        eval(event)
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return [kind.__name__ for kind in type(error).__mro__], str(error)


def fail(event, context):
    raise KeyError(event["b"])


def unserialisable(event, context):
    return {1}


def leave(event, context):
    import os

    if event < 0:
        os.kill(os.getpid(), -event)
    os._exit(event)


def wait(event, context):
    import time

    time.sleep(60)


def build(core, code):
    core.add_function("act", act)
    core.add_function("fail", fail)
    core.add_function("unserialisable", unserialisable)
    core.add_function("wait", wait, timeout_s=0.1)
    core.add_function("leave", leave)
    folder = code(broken="import nothing_like_it", without="x = 1")
    core.add_function("broken", "broken.handler", code=folder)
    core.add_function("without", "without.handler", code=folder)
    core.subscribe("cloud", "a", "act")
    return core


def said(error):
    """Return class and text of an error, without what differs in every run."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", str(error))
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    return type(error), text


@pytest.fixture
def worlds(code):
    with FakeCore() as fake, RealCore() as core:
        yield [build(each, code) for each in (fake, core)]
        for each in (fake, core):
            assert [] == each.errors


def test_a_functions_calls_fail_alike(worlds):
    """The text and the classes, from the error's own to Exception."""
    fake, core = [
        {name: world.invoke("act", json.dumps(call)).json() for name, call in ACTS.items()}
        for world in worlds
    ]
    assert fake == core
    assert [] == [name for name, told in core.items() if told is None]


def test_a_strict_group_refuses_alike(code, tmp_path):
    code(act=ACT)
    (tmp_path / "group.toml").write_text(STRICT)
    found = []
    for world in (FakeCore, RealCore):
        with world() as core:
            core.load(tmp_path)
            with pytest.raises(GreengrassError) as by_test:
                core.deliver("a")
            with pytest.raises(GreengrassError) as by_function:
                core.invoke("act", '"b"')
            found.append([said(by_test.value), said(by_function.value)])
    assert found[0] == found[1]


def test_what_a_test_does_fails_alike(worlds):
    found: list[dict[str, object]] = []
    for world in worlds:
        told = {}
        for name, drive in DRIVES.items():
            with pytest.raises(Exception) as caught:
                drive(world)
            told[name] = said(caught.value)
        found.append(told)
    assert found[0] == found[1]

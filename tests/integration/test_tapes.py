# SPDX-License-Identifier: Apache-2.0
"""A recording of a real core, replayed on the double, and the test that is made of it."""

from __future__ import annotations

import base64
import json
import subprocess
import zipfile
from typing import Any

import pytest
from projects import write_project
from running_core import GREENGRASS, RunningCore, copy_example
from user_tests import PYTEST

from greengrass_sdk import Client, FunctionHandledError
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.tape import read_tape

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(120)]

CODE = """
import json, os, time
import greengrasssdk

client = greengrasssdk.client("iot-data")
print("my token is", os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
seen = 0


def on_demand(event, context):
    if "fail" in event:
        raise KeyError(event["fail"])
    doubled = {"v": 2 * event["v"], "at": time.time()}
    client.publish(topic="out/doubled", payload=json.dumps(doubled))
    return {"v": event["v"]}


def pinned(event, context):
    global seen
    seen += 1
    client.publish(topic="out/count", payload=str(seen))
    token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    client.publish(topic="out/token", payload=json.dumps({"token": token}))


def binary(event, context):
    return event[::-1]
"""


@pytest.fixture
def project(tmp_path):
    rows = [
        ("cloud", "in/#", "doubler"),
        ("panel", "in/#", "doubler"),
        ("doubler", "out/#", "counter"),
        ("doubler", "out/#", "cloud"),
        ("doubler", "out/#", "panel"),
        ("counter", "out/count", "cloud"),
    ]
    functions: dict[str, dict[str, Any]] = {
        "doubler": {"handler": "app.on_demand"},
        "counter": {"handler": "app.pinned", "pinned": True},
        "raw": {"handler": "app.binary", "encoding": "binary"},
    }
    folder = tmp_path / "project"
    return write_project(folder, {"app": CODE}, functions, clients=["panel"], rows=rows)


@pytest.fixture
def recorded(project, tmp_path):
    """Return the tape of a run with messages and invocations of all kinds."""
    tape = tmp_path / "tape.jsonl"
    with RunningCore(project, "--record", str(tape)) as core:
        core.publish("in/1", '{"v": 1}')
        core.publish("in/nobody/knows", '{"fail": "this"}')
        core.publish("elsewhere", status=1)
        core.command("invoke", "raw", "-", payload=b"\xff\x00")
        with Client(root=str(core.root), name="panel") as panel:
            panel.publish("in/2", {"v": 2})
            panel.receive(timeout_s=20)
            assert {"v": 3} == panel.invoke("doubler", {"v": 3}).json()
            with pytest.raises(FunctionHandledError):
                panel.invoke("doubler", {"fail": "that"})
            panel.invoke_async("doubler", {"fail": "those"})
        core.message("out/count", count=3)
        core.wait(
            lambda event: event["event"] == "invocation" and event["outcome"] == "handled", count=3
        )
    return tape


def test_a_recording_of_a_real_core_is_replayed_and_agrees(recorded):
    tape = read_tape(recorded)
    assert ["message"] * 3 + ["call", "message", "call", "call", "event"] == [
        stimulus.kind for stimulus in tape.stimuli
    ]
    with FakeCore() as core:
        replay = core.replay(recorded, ignore=["at", "token"])
        replay.check()
        assert ["1", "2", "3"] == [m.text for m in core.published("out/count")]
    assert len(tape.outputs) == len(replay.outputs)


def test_the_test_that_is_made_of_a_recording_passes_and_finds_a_change(recorded, project):
    file = recorded.parent / "test_recorded.py"
    ignore = ("--ignore", "at", "--ignore", "token")
    command = [*GREENGRASS, "tape", "to-test", str(recorded), *ignore, "-o", str(file)]
    subprocess.run(command, check=True, capture_output=True)

    def run():
        done = subprocess.run([*PYTEST, file], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert (0, True) == ((result := run())[0], "1 passed" in result[1]), result[1]
    code = project / "code" / "app.py"
    code.write_text(code.read_text().replace("2 * event", "3 * event"))
    status, text = run()
    assert (1, True) == (status, "out/doubled" in text), text


def test_no_secret_of_the_core_is_on_the_tape(recorded):
    events = [json.loads(line) for line in recorded.read_text().splitlines()]
    told = [e["message"] for e in events if e["event"] == "log" and "my token is" in e["message"]]
    published = [e["payload"] for e in events if e.get("subject") == "out/token"]

    assert {"my token is [hidden]"} == set(told)
    assert {'{"token": "[hidden]"}'} == set(published)


SECRET_CODE = """
import json
import greengrasssdk

secrets = greengrasssdk.client("secretsmanager")
client = greengrasssdk.client("iot-data")


def handler(event, context):
    value = secrets.get_secret_value(SecretId="wifi")["SecretString"]
    print("it is", value)
    client.publish(topic="leak", payload=json.loads(value)["password"])
    return value
"""


def test_no_value_of_a_secret_is_on_the_tape_whatever_a_function_does_with_it(tmp_path):
    pytest.importorskip("cryptography")
    folder = write_project(
        tmp_path / "project", {"app": SECRET_CODE}, {"app": {"secrets": ["wifi"]}}, secrets={}
    )
    group = folder / "group.toml"
    group.write_text(group.read_text().replace("[secrets]", "[secrets.wifi]"))
    value = b'{"password": "correct horse"}'
    put = [*GREENGRASS, "secret", "put", "wifi", "--root", str(folder / ".greengrass")]
    subprocess.run(put, input=value, check=True, capture_output=True)
    tape = tmp_path / "tape.jsonl"
    with RunningCore(folder, "--record", str(tape)) as core:
        answer = core.command("invoke", "app").stdout
        core.message("leak", target=None)
    assert value.decode() == json.loads(answer)
    text = tape.read_text()
    assert "correct horse" not in text
    assert {"it is [hidden]", "[hidden]", '"[hidden]"'} <= {
        event.get("message") or event.get("payload") or event["request"]["result"]["payload"]
        for event in map(json.loads, text.splitlines())
        if "hidden" in json.dumps(event)
    }


def test_payloads_stand_on_the_tape_whole(project, tmp_path):
    tape = tmp_path / "tape.jsonl"
    payload = bytes(range(256)) * 400
    with RunningCore(project, "--record", str(tape)) as core:
        core.command("publish", "nobody", "-", payload=payload, status=1)
    [message] = [
        e for e in map(json.loads, tape.read_text().splitlines()) if e["event"] == "message"
    ]
    assert payload == base64.b64decode(message["payload"])


def test_timers_of_a_pinned_function_tick_in_a_replay_as_they_did(tmp_path):
    faster = ('INTERVAL_S = "5"', 'INTERVAL_S = "0.5"')
    folder = copy_example("hello_world", tmp_path, faster)
    tape = tmp_path / "tape.jsonl"
    with RunningCore(folder, "--record", str(tape)) as core:
        core.message("hello/world", count=4)

    with FakeCore() as core:
        core.replay(tape).check()
        assert 4 <= len(core.published("hello/world")) <= 6


def test_a_zip_is_recorded_and_replayed(tmp_path, project):
    archive = tmp_path / "doubler.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(project / "code" / "app.py", "app.py")
    tape = tmp_path / "tape.jsonl"
    root = ("--root", str(tmp_path / "root"))
    with RunningCore(archive, "--handler", "app.on_demand", *root, "--record", str(tape)) as core:
        core.publish("in", '{"v": 4}')
        core.message("out/doubled")

    with FakeCore() as core:
        core.replay(tape, ignore=["at"]).check()
        assert 8 == core.published("out/doubled").one().json()["v"]

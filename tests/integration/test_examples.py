# SPDX-License-Identifier: Apache-2.0
"""
The examples do what their READMEs say, and their own tests pass on both worlds.

hello_world, counter, topic_echo and binary are what tests/conformance runs; here stands the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from running_core import EXAMPLES, RunningCore, copy_example

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]


@pytest.fixture
def invoke(tmp_path):
    return copy_example("invoke", tmp_path)


def test_one_function_invokes_another_with_a_client_context(invoke):
    with RunningCore(invoke) as core:
        core.publish("invoke/start", '{"name": "Ada", "language": "fr"}')
        result = json.loads(core.message("invoke/result")["payload"])
        called = core.wait(
            lambda event: event["event"] == "invocation" and event["function"] == "greeter"
        )
    assert {"greeting": "Bonjour, Ada !", "request": called["request_id"]} == result
    assert ("caller", "ok") == (called["caller"], called["outcome"])


def test_an_exception_of_the_called_function_reaches_its_caller_as_handled(invoke):
    with RunningCore(invoke) as core:
        core.publish("invoke/start", '{"name": "Ada", "language": "xx"}')
        result = json.loads(core.message("invoke/result")["payload"])
    expected = {"error": "Handled", "message": "no greeting in 'xx'; there is one in de, en, fr"}
    assert expected == result


def test_the_command_prints_what_the_function_returns(invoke):
    with RunningCore(invoke) as core:
        done = core.command("invoke", "caller", '{"name": "Ada"}')
    assert "Hello, Ada!" == json.loads(done.stdout)["greeting"]


def test_a_record_of_the_wrong_length_is_an_error_of_the_handler(tmp_path):
    with RunningCore(copy_example("binary", tmp_path)) as core:
        done = core.command("invoke", "decoder", "-", payload=b"\x00", status=1)
        core.log("decoder", "struct.error")
    assert b"unpack requires a buffer of 3 bytes" in done.stdout + done.stderr


def test_a_light_follows_its_shadow_and_cars_are_counted(tmp_path):
    with RunningCore(copy_example("traffic_light", tmp_path)) as core:
        for number, colour in enumerate(["G", "R"] * 3, start=1):
            core.command(
                *("shadow", "update", "GG_TrafficLight"),
                *("--desired", json.dumps({"property": colour})),
            )
            core.wait(
                lambda event: (
                    (event.get("function"), event.get("level")) == ("light", "INFO")
                    and "Light changed to" in event["message"]
                ),
                count=number,
            )
        stats = json.loads(core.message("cars/stats")["payload"])
        shadow = json.loads(core.command("shadow", "get", "GG_TrafficLight", "--json").stdout)
    assert 3 == stats["TotalGreenlights"]
    assert stats["MinCarsPassing"] <= stats["TotalTraffic"] / 3 <= stats["MaxCarsPassing"]
    assert {"property": "R"} == shadow["state"]["desired"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("world", ["fake", pytest.param("core", marks=pytest.mark.slow)])
def test_the_examples_own_tests_pass(world):
    tests = sorted(EXAMPLES.glob("*/test_*.py"))
    assert {path.parent for path in tests} == {path for path in EXAMPLES.iterdir() if path.is_dir()}
    options = ["-p", "no:cacheprovider", f"--greengrass={world}"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", *options, *tests],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert re.fullmatch(r"\d+ passed in .*", done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_example_gives_a_warning(path, tmp_path):
    with RunningCore(path, "--root", str(tmp_path / "root"), "--for", "0") as core:
        core.process.wait(30)
        told = core.told()
    assert "warning" not in told

# SPDX-License-Identifier: Apache-2.0
"""Services come to life where a test uses them, and are then the same as ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

from greengrass_sdk.testing import FakeCore

UPDATE = "$aws/things/T/shadow/update"
SIMPLE = """
import sys
from greengrass_sdk.testing import FakeCore

with FakeCore() as core:
    core.add_function("f", lambda event, context: event)
    core.subscribe("cloud", "in", "f")
    core.deliver("in", 1)
    assert 2 == core.invoke("f", 2).json()
    assert [] == core.exports()
    core.advance(days=1)
services = [m for m in sys.modules if m.startswith("greengrass_sdk.core.")]
print(*{m.split(".")[2] for m in services} & {"shadow", "secrets", "streams", "storage"})
"""


@pytest.fixture
def core():
    with FakeCore() as core:
        yield core


def test_what_no_test_uses_is_not_imported():
    run = subprocess.run(
        [sys.executable, "-c", SIMPLE], check=False, capture_output=True, text=True
    )
    assert ("", "\n") == (run.stderr, run.stdout)


def test_each_starts_once_and_keeps_what_it_has(core):
    core.add_secret("s", "1")
    core.add_function("f", lambda event, context: event, secrets=["s"])
    for n in range(3):
        assert n + 1 == core.shadow("T").update(reported={"n": n}).version
    core.stream("readings").create()
    assert [0, 1] == [core.stream("readings").append(b"x") for _ in range(2)]
    with core.acting_as("f"):
        from greengrass_sdk import Client

        assert ["1", "1"] == [Client().secret("s").text for _ in range(2)]


def test_a_stream_manager_may_export_before_it_is_asked_for_anything(core):
    core.send_exports("http")
    core.stream("readings").create()
    assert 0 == core.stream("readings").append(b"x")


@pytest.mark.parametrize("is_late", [False, True])
def test_one_that_rows_name_takes_the_first_message_as_any_later_one(core, is_late):
    got = []

    def listener(event, context):
        got.append(context.client_context.custom["subject"])

    core.add_function("f", listener, pinned=True)
    if is_late:
        core.advance(1)
    core.subscribe("cloud", UPDATE, "GGShadowService")
    core.subscribe("cloud", UPDATE, "f")
    core.subscribe("GGShadowService", f"{UPDATE}/accepted", "f")
    rounds = []
    for n in range(2):
        got.clear()
        core.deliver(UPDATE, {"state": {"reported": {"n": n}}})
        rounds.append(tuple(got))
    assert [(UPDATE, f"{UPDATE}/accepted")] * 2 == rounds

# SPDX-License-Identifier: Apache-2.0
"""The process of a core, from its start to its end."""

from __future__ import annotations

import os
import signal

import pytest

from greengrass_sdk.client.tools import CoreTools
from greengrass_sdk.errors import CoreUnavailableError, PackageError
from greengrass_sdk.model.group import parse_group
from greengrass_sdk.testing.coreprocess import CoreProcess

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(90)]

GROUP = """
schema = 1
group = { name = "g", core = "c" }
functions.f = { code = "code", handler = "app.handler", pinned = true }
subscriptions = [{ source = "f", subject = "t", target = "cloud" }]
"""
CODE = """
import greengrasssdk
client = greengrasssdk.client("iot-data")
def handler(event, context):
    for number in range(200):
        print(number)
        client.publish(topic="t", payload=str(number))
"""


@pytest.fixture
def group(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(CODE)
    return parse_group(GROUP, base=tmp_path, file="group.toml")


@pytest.fixture
def events():
    return []


@pytest.fixture
def process(group, events):
    process = CoreProcess(group, events.append)
    yield process
    process.stop()


def test_it_is_ready_when_it_is_made_and_everything_is_told_by_a_sync(process, events):
    assert "started" == events[0]["event"]
    with CoreTools(process.root) as tools:
        assert "ok" == tools.invoke("f", b"{}")["outcome"]
    process.sync()
    wanted = [str(number) for number in range(200)]
    assert wanted == [event["payload"] for event in events if event["event"] == "message"]
    assert wanted == [e["message"] for e in events if e["event"] == "log" and e["function"]]


def test_it_leaves_nothing_behind(group, events):
    process = CoreProcess(group, events.append)
    pid, root = events[0]["pid"], process.root
    with CoreTools(process.root) as tools:
        tools.invoke("f", b"{}")
    process.stop()
    process.stop()
    assert not root.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_news_and_time_are_waited_for(process, events):
    process.wait_for_news(-1, 60)
    process.pass_time(0.001)
    process.sync()
    assert process.count == len(events)


def test_a_core_that_died_is_told_with_its_last_words(process, events):
    os.kill(events[0]["pid"], signal.SIGKILL)
    with pytest.raises(CoreUnavailableError, match="the core of this test has ended"):
        process.pass_time(60)
    with pytest.raises(CoreUnavailableError, match="has ended"):
        process.sync()
    with pytest.raises(CoreUnavailableError, match="has ended"):
        process.wait_for_news(process.count, 60)


def test_what_goes_wrong_before_the_start_leaves_nothing_behind(group, events):
    roots = []

    def prepare(root):
        roots.append(root)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        CoreProcess(group, events.append, prepare)
    assert not roots[0].parent.exists()


def test_a_core_that_refuses_its_group_says_why(tmp_path, events):
    (tmp_path / "code.zip").write_bytes(b"no zip")
    group = parse_group(GROUP.replace('"code"', '"code.zip"'), base=tmp_path, file="group.toml")
    with pytest.raises(PackageError, match=r"code\.zip"):
        CoreProcess(group, events.append)

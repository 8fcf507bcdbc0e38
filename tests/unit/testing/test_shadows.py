# SPDX-License-Identifier: Apache-2.0
"""Shadows on the double: the core's service, in memory and on virtual time."""

from __future__ import annotations

import json

import pytest

import greengrasssdk
from greengrass_sdk import Client, errors
from greengrass_sdk.testing import FakeCore

START = 1_700_000_000
UPDATE = "$aws/things/T/shadow/update"


@pytest.fixture
def core():
    with FakeCore(start=START) as core:
        yield core


def test_timestamps_are_those_of_the_virtual_clock(core):
    shadow = core.shadow("T")
    assert START == shadow.update(reported={"a": 1}).timestamp
    core.advance(minutes=1)
    assert START + 60 == shadow.document.timestamp
    assert {"reported": {"a": {"timestamp": START}}} == shadow.document.metadata


def test_functions_reach_shadows_by_both_sdks(core):
    def v1(event, context):
        sdk = greengrasssdk.client("iot-data")
        state = {"state": {"reported": {"n": event["n"]}}}
        sdk.update_thing_shadow(thingName="T", payload=json.dumps(state))
        try:
            sdk.get_thing_shadow(thingName="nothing")
        except greengrasssdk.IoTDataPlane.ShadowError as error:
            return str(error)
        return json.loads(sdk.get_thing_shadow(thingName="T")["payload"])["state"]

    def ours(event, context):
        shadow = Client().shadow("T")
        shadow.modify(lambda found: {"reported": {"n": found.reported["n"] + 1}})
        return shadow.get().reported

    core.add_function("v1", v1)
    core.add_function("ours", ours)
    expected = (
        'Request for shadow state returned error code 404 with message "No shadow exists with'
        ' name: nothing"'
    )
    assert expected == core.invoke("v1", {"n": 7}).json()
    assert {"n": 8} == core.invoke("ours", {}).json()
    assert {"n": 8} == core.shadow("T").reported


def test_rows_bring_requests_and_take_answers(core):
    seen = []

    def light(event, context):
        seen.append((context.client_context.custom["subject"], event["state"]))
        greengrasssdk.client("iot-data").update_thing_shadow(
            thingName="T", payload=json.dumps({"state": {"reported": event["state"]}})
        )

    core.add_device("switch")
    core.add_function("light", light, pinned=True)
    core.subscribe("switch", UPDATE, "GGShadowService")
    core.subscribe("GGShadowService", f"{UPDATE}/delta", "light")
    core.subscribe("GGShadowService", f"{UPDATE}/accepted", "cloud")
    core.subscribe("GGShadowService", f"{UPDATE}/rejected", "cloud")
    core.deliver(UPDATE, {"state": {"desired": {"on": True}}, "clientToken": "c"}, source="switch")
    assert [(f"{UPDATE}/delta", {"on": True})] == seen
    assert {"on": True} == core.shadow("T").reported
    accepted = core.cloud.received.json()
    assert [(1, "c"), (2, None)] == [(one["version"], one.get("clientToken")) for one in accepted]
    core.deliver(UPDATE, b"no JSON", source="switch")
    refused = core.messages[-1]
    assert (f"{UPDATE}/rejected", "GGShadowService") == (refused.subject, refused.source)
    assert ("Invalid JSON", ("cloud",)) == (refused.json()["message"], refused.targets)


def test_rows_that_come_later_are_seen(core):
    shadow = core.shadow("T")
    shadow.update(desired={"n": 1})
    core.subscribe("GGShadowService", f"{UPDATE}/delta", "cloud")
    shadow.update(desired={"n": 2})
    assert [{"n": 2}] == [one["state"] for one in core.cloud.received.json()]


def test_an_update_that_causes_updates_is_told_before_them(core):
    def follow(event, context):
        if event["version"] < 4:
            Client().shadow("T").update(desired={"n": event["version"]})

    core.add_function("follow", follow, pinned=True)
    core.subscribe("GGShadowService", f"{UPDATE}/delta", "follow")
    core.subscribe("GGShadowService", f"{UPDATE}/#", "cloud")
    core.shadow("T").update(desired={"n": 0})
    told = [(m.subject.rpartition("/")[2], m.json().get("version")) for m in core.cloud.received]
    order = [each for each in told if each[0] != "documents"]
    assert [(kind, n) for n in (1, 2, 3, 4) for kind in ("delta", "accepted")] == order


def test_only_members_have_shadows_if_the_group_says_so(tmp_path):
    (tmp_path / "group.toml").write_text(
        'schema = 1\n[group]\nname = "g"\ncore = "the-core"\n[devices.lamp]\n'
        "[shadows]\nmembers_only = true\nstate_bytes = 16\n"
    )
    with FakeCore() as core:
        core.load(tmp_path)
        for thing in ("the-core", "lamp"):
            assert 1 == core.shadow(thing).update(desired={"a": 1}).version
        with pytest.raises(errors.ShadowTooLargeError):
            core.shadow("lamp").update(desired={"a": "x" * 16})
        with pytest.raises(errors.ShadowNotFoundError, match="Thing not found"):
            core.shadow("later").update(desired={})
        core.add_device("later")
        assert 1 == core.shadow("later").update(desired={}).version

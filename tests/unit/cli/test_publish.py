# SPDX-License-Identifier: Apache-2.0
"""`greengrass publish`: who got the message, or why nobody did."""

from __future__ import annotations

import io
import json

import pytest

from greengrass_sdk.errors import CoreUnavailableError

DELIVERED = {"target": "hello", "outcome": "delivered", "reason": None}
DROPPED = {"target": "slow", "outcome": "dropped", "reason": "queue full"}
NEAREST = {
    "id": "row-2",
    "source": "cloud",
    "subject": "hello/ask",
    "target": "hello",
    "why": "its subject differs at level 2",
}


@pytest.fixture(autouse=True)
def _delivered(core):
    core.answers["publish"] = {"deliveries": [DELIVERED], "nearest": None}


def test_the_message_is_sent_as_the_cloud_and_untouched(core, run):
    run("publish", "hello/ask", '{"name": "Ada"}')

    fields = {"topic": "hello/ask", "payload": b'{"name": "Ada"}', "as": "cloud"}
    assert core.asked == [(None, "publish", fields)]


def test_another_sender_and_root_can_be_named(core, run):
    run("publish", "t", "x", "--as", "thermometer", "--root", "/r")

    [(root, _op, fields)] = core.asked
    assert (root, fields["as"]) == ("/r", "thermometer")


def test_a_dash_reads_the_payload_from_standard_input(core, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00raw")))
    run("publish", "t", "-")

    assert core.asked[0][2]["payload"] == b"\xff\x00raw"


def test_one_line_says_who_got_it(run):
    assert run("publish", "t", "x") == (0, "delivered to hello\n", "")


def test_a_drop_at_one_target_is_no_failure_while_another_got_it(core, run):
    core.answers["publish"] = {"deliveries": [DELIVERED, DROPPED], "nearest": None}

    expected = "delivered to hello\ndropped at slow: queue full\n"
    assert run("publish", "t", "x") == (0, expected, "")


def test_a_message_dropped_everywhere_is_a_failure(core, run):
    core.answers["publish"] = {"deliveries": [DROPPED], "nearest": None}

    assert run("publish", "t", "x") == (1, "dropped at slow: queue full\n", "")


def test_nobody_is_a_failure_that_names_the_nearest_row_and_what_differs(core, run):
    core.answers["publish"] = {"deliveries": [], "nearest": NEAREST}
    code, out, _err = run("publish", "hello/aks", "x")

    assert code == 1
    assert out.splitlines() == [
        "nobody got it: no subscription has source 'cloud' and a subject matching 'hello/aks'",
        f"the nearest is 'row-2' (cloud -> hello): {NEAREST['why']}",
    ]


def test_nobody_and_no_row_near_says_what_to_do(core, run):
    core.answers["publish"] = {"deliveries": [], "nearest": None}
    code, out, _err = run("publish", "t", "x")

    assert code == 1
    assert out.endswith("matching 't'; add one to the group file\n")


def test_json_is_one_document(core, run):
    core.answers["publish"] = {"deliveries": [], "nearest": NEAREST}
    code, out, err = run("publish", "t", "x", "--json")

    assert (code, err) == (1, "")
    assert json.loads(out) == {
        "schema": 1,
        "topic": "t",
        "source": "cloud",
        "deliveries": [],
        "nearest": NEAREST,
    }


def test_without_a_core_the_command_says_so(core, run):
    core.answers["publish"] = CoreUnavailableError("no core of yours is running")

    assert run("publish", "t", "x") == (7, "", "error: no core of yours is running\n")

# SPDX-License-Identifier: Apache-2.0
"""`greengrass status`: what a running core does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greengrass_sdk.cli.status import duration_text, wait_text

STATUS = {
    "ok": True,
    "root": "/p/.greengrass",
    "pid": 41,
    "version": "0.1.0",
    "started_at_ms": 1,
    "native": "c",
    "group": "greenhouse",
    "core": "greenhouse-core",
    "uptime_s": 75.2,
    "work_items": {"used": 1, "limit": 1024},
    "functions": [
        {
            "name": "climate",
            "arn": "arn:aws:lambda:us-east-1:000000000000:function:climate:1",
            "pinned": True,
            "state": "running",
            "workers": [
                {"pid": 43, "state": "ready", "since_ms": 1, "stalled": False},
                {"pid": 44, "state": "ready", "since_ms": 1, "stalled": True},
            ],
            "waits": {"count": 3, "p50_us": 64, "p99_us": 2048, "buckets_us": []},
            "waiting": 0,
            "running": 1,
            "ok": 7,
            "handled": 1,
            "unhandled": 0,
            "timeouts": 0,
            "restarts": 2,
            "last_error": "exit status 1",
        }
    ],
    "zygotes": [{"python": "python3.11", "pid": 42}],
    "clients": [{"name": "panel", "connected": True}],
    "subscriptions": [
        {
            "id": "1",
            "source": "cloud",
            "subject": "greenhouse/+/temperature",
            "target": "climate",
            "delivered": 8,
            "dropped": {"queue full": 2},
        },
        {
            "id": "2",
            "source": "climate",
            "subject": "#",
            "target": "cloud",
            "delivered": 0,
            "dropped": {},
        },
    ],
}


@pytest.fixture(autouse=True)
def _running(core):
    core.answers["status"] = STATUS


def test_the_head_says_which_core_this_is(run):
    code, out, _err = run("status")

    assert code == 0
    assert out.splitlines()[:5] == [
        "greenhouse (core greenhouse-core), up 1 min 15 s",
        "  pid      41, version 0.1.0, C extension",
        "  root     /p/.greengrass",
        "  work     1 of 1024 items",
        "  zygotes  42 (python3.11)",
    ]


def test_each_function_has_a_line_and_its_last_error(run):
    lines = [line.split() for line in run("status")[1].splitlines()]

    line = "climate pinned running 43, 44 0 1 7 1 handled 2 <64 us, p99 <2.0 ms"
    assert line.split() in lines
    assert ["climate:", "last", "error:", "exit", "status", "1"] in lines


def test_a_worker_that_does_not_read_is_told(run):
    text = "climate: pid 44 stalled: it is stopped, or does not read what is sent to it"
    assert text in run("status")[1].splitlines()


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(1, "1 us"), (512, "512 us"), (1024, "1.0 ms"), (16384, "16 ms"), (2**20, "1.0 s")],
)
def test_waits_are_said_in_their_largest_unit(microseconds, text):
    assert wait_text(microseconds) == text


def test_a_core_that_measures_no_waits_shows_none(core, run):
    functions: Any = STATUS["functions"]
    core.answers["status"] = {**STATUS, "functions": [{**functions[0], "waits": {"count": 0}}]}

    assert "  -" in run("status")[1]


def test_each_row_counts_what_it_delivered_and_dropped(run):
    lines = [line.split() for line in run("status")[1].splitlines()]

    assert ["cloud", "greenhouse/+/temperature", "climate", "8", "2", "queue", "full"] in lines
    assert ["climate", "#", "cloud", "0", "0"] in lines


def test_clients_are_listed(run):
    assert "panel   yes" in run("status")[1]


def test_a_group_with_nothing_in_it_says_so(core, run):
    empty: dict[str, list[object]] = {
        "functions": [],
        "subscriptions": [],
        "clients": [],
        "zygotes": [],
    }
    core.answers["status"] = {**STATUS, **empty}
    out = run("status")[1]

    assert "no functions" in out
    assert "no subscriptions: nothing is routed" in out
    assert "zygotes  none" in out


def test_json_is_the_whole_answer(run):
    document = json.loads(run("status", "--json")[1])

    assert document == {"schema": 1, **{k: v for k, v in STATUS.items() if k != "ok"}}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3700, "1 h 1 min"), (90061, "1 d 1 h")],
)
def test_durations_are_said_in_their_two_largest_units(seconds, text):
    assert duration_text(seconds) == text

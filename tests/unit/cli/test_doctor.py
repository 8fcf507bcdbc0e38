# SPDX-License-Identifier: Apache-2.0
"""`greengrass doctor`: one line per check."""

from __future__ import annotations

import json

import pytest

from greengrass_sdk.cli import doctor
from greengrass_sdk.cli._checks import FAIL, OK, WARN, Check

FINE = Check("python", OK, "3.11")
WEAK = Check("isolation", WARN, "one user", "use greengrassd")
BROKEN = Check("pidfd", FAIL, "not available")


@pytest.fixture
def found(monkeypatch):
    checks = [FINE, WEAK]
    monkeypatch.setattr(doctor, "all_checks", lambda: checks)
    return checks


def test_each_check_has_a_line_and_its_advice_below(run, found):
    assert run("doctor") == (
        0,
        "ok    python     3.11\nwarn  isolation  one user\n                 use greengrassd\n",
        "",
    )


def test_a_check_that_fails_fails_the_command(run, found):
    found.append(BROKEN)

    assert run("doctor")[0] == 1


def test_json_is_one_document(run, found):
    document = json.loads(run("doctor", "--json")[1])

    assert document == {"schema": 1, "checks": [FINE._asdict(), WEAK._asdict()]}

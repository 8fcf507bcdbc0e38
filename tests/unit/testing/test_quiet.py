# SPDX-License-Identifier: Apache-2.0
"""When a core has nothing to do."""

from __future__ import annotations

import pytest

from greengrass_sdk.testing.quiet import Quiet

PID = 7


def status(used=0, **function):
    default = {
        "name": "f",
        "pinned": True,
        "state": "running",
        "running": 0,
        "waiting": 0,
        "workers": [{"pid": PID, "state": "starting"}],
    }
    return {"work_items": {"used": used}, "functions": [{**default, **function}]}


@pytest.fixture
def process(tmp_path):
    """Write what the kernel says of a process."""
    folder = tmp_path / str(PID)
    folder.mkdir()

    def process(state="S", used=100):
        (folder / "stat").write_text(f"7 (a) b) {state} 1 7 7 0")
        (folder / "schedstat").write_text(f"{used} 5 3\n")

    process()
    return process


@pytest.fixture
def quiet(tmp_path):
    return Quiet(tmp_path)


@pytest.mark.parametrize("state", ["running", "idle", "waiting", "stopped"])
def test_a_core_without_work_is_not_busy(quiet, state):
    assert quiet.busy(status(state=state)) == ""


def test_work_items_keep_a_core_busy_and_are_named(quiet):
    assert "f runs 1 and has 2 waiting" == quiet.busy(status(used=3, running=1, waiting=2))
    assert "3 work items" == quiet.busy(status(used=3))


def test_a_function_on_demand_that_starts_keeps_it_busy(quiet, process):
    for _ in range(10):
        assert "f starts" == quiet.busy(status(state="starting", pinned=False))


def test_a_pinned_function_that_starts_does_until_it_sleeps_for_some_looks(quiet, process):
    starting = status(state="starting")
    assert ["f starts"] * 3 + [""] == [quiet.busy(starting) for _ in range(4)]
    process(used=101)
    assert "f starts" == quiet.busy(starting)


@pytest.mark.parametrize("state", ["R", "D"])
def test_a_process_that_works_or_reads_its_disk_does_not_sleep(quiet, process, state):
    process(state)
    assert ["f starts"] * 9 == [quiet.busy(status(state="starting")) for _ in range(9)]


@pytest.mark.parametrize("workers", [[], [{"pid": None, "state": "starting"}]])
def test_a_worker_that_is_not_born_yet_is_busy(quiet, workers):
    starting = status(state="starting", workers=workers)
    assert ["f starts"] * 9 == [quiet.busy(starting) for _ in range(9)]


def test_a_process_that_has_ended_is_left_to_the_next_status(quiet):
    assert "f starts" == quiet.busy(
        status(state="starting", workers=[{"pid": 8, "state": "starting"}])
    )

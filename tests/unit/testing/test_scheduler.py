# SPDX-License-Identifier: Apache-2.0
"""One thread at a time, in an order that does not depend on speed."""

from __future__ import annotations

import pytest

from greengrass_sdk.testing import SimulationError
from greengrass_sdk.testing.clock import VirtualClock
from greengrass_sdk.testing.failures import Killed
from greengrass_sdk.testing.scheduler import Scheduler, Task, current_task


class Owner:
    name = "owner"

    def __init__(self) -> None:
        self.inside = 0

    def enter(self) -> None:
        self.inside += 1

    def leave(self) -> None:
        self.inside -= 1


def me() -> Task:
    task = current_task()
    assert task is not None
    return task


@pytest.fixture
def scheduler():
    return Scheduler(VirtualClock(0.0), busy_s=5.0)


def run(scheduler):
    while scheduler.turn():
        pass


def test_what_became_ready_first_runs_first(scheduler):
    seen, owner = [], Owner()
    for n in range(3):
        scheduler.spawn(owner, "t", lambda n=n: seen.append((n, owner.inside)))
    run(scheduler)
    assert [(0, 1), (1, 1), (2, 1)] == seen
    assert 0 == owner.inside


def test_a_task_that_pauses_goes_behind_those_that_are_ready(scheduler):
    seen = []

    def body(name):
        for n in range(2):
            seen.append((name, n))
            me().pause()

    for name in ("a", "b"):
        scheduler.spawn(Owner(), name, lambda name=name: body(name))
    run(scheduler)
    assert [("a", 0), ("b", 0), ("a", 1), ("b", 1)] == seen


def test_a_task_waits_for_a_condition_a_wake_up_or_a_time(scheduler):
    seen: list[bool] = []
    flag: list[int] = []

    def body(**how):
        seen.append(me().wait(**how))

    scheduler.spawn(Owner(), "condition", lambda: body(predicate=lambda: bool(flag)))
    woken = scheduler.spawn(Owner(), "wake-up", body)
    scheduler.spawn(Owner(), "time", lambda: body(deadline=scheduler.clock.now + 5))
    run(scheduler)
    assert [] == seen
    flag.append(1)
    run(scheduler)
    scheduler.wake(woken)
    run(scheduler)
    assert [True, True] == seen
    assert scheduler.clock.now + 5 == scheduler.next_deadline()
    scheduler.clock.now += 5
    scheduler.fire()
    run(scheduler)
    assert [True, True, False] == seen
    assert scheduler.next_deadline() is None


def test_the_threads_of_a_dead_owner_unwind(scheduler):
    seen, owner = [], Owner()

    def body():
        try:
            me().wait()
        except Killed:
            seen.append("killed")
            raise

    scheduler.spawn(owner, "waits", body)
    run(scheduler)
    never = scheduler.spawn(owner, "never started", body)
    scheduler.kill(owner)
    run(scheduler)
    assert ["killed"] == seen
    assert never.done


def test_a_thread_that_swallows_its_end_is_left_behind(scheduler):
    owner = Owner()

    def body():
        while True:
            try:
                me().wait()
            except BaseException:  # noqa: BLE001 - what careless code does
                continue

    task = scheduler.spawn(owner, "stubborn", body)
    run(scheduler)
    scheduler.kill(owner)
    run(scheduler)
    assert task.done


def test_a_turn_that_does_not_end_breaks_the_scheduler():
    scheduler = Scheduler(VirtualClock(0.0), busy_s=0.05)
    stop: list[int] = []

    def spin():
        while not stop:
            pass

    scheduler.spawn(Owner(), "spin", spin)
    with pytest.raises(SimulationError, match=r"'owner' has run for 0.05 s of real time"):
        scheduler.turn()
    stop.append(1)
    assert scheduler.broken


def test_threads_that_belong_to_no_function_are_no_tasks():
    assert current_task() is None

# SPDX-License-Identifier: Apache-2.0
"""Time inside functions is virtual, and only there."""

from __future__ import annotations

import datetime as dt
import pickle
import time
from datetime import UTC, date, datetime
from time import monotonic, sleep, time as wall

import pytest

from greengrass_sdk import Client, FunctionHandledError, FunctionTimeoutError
from greengrass_sdk.testing import FakeCore
from greengrass_sdk.testing.clock import VirtualClock, VirtualDate, VirtualDatetime

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
client = Client()


@pytest.fixture
def core():
    with FakeCore(start=START) as fake:
        yield fake


def run(core, body, **options):
    """Run a function and return what it returns."""
    core.add_function("f", lambda _event, _context: body(), **options)
    return core.invoke("f").json()


def test_all_clocks_read_the_virtual_one(core):
    def look():
        begin = time.monotonic(), time.perf_counter(), time.time_ns(), time.monotonic_ns()
        time.sleep(2)
        end = time.monotonic(), time.perf_counter(), time.time_ns(), time.monotonic_ns()
        return [*(b - a for a, b in zip(begin, end, strict=True)), time.time(), time.gmtime()[3]]

    expected = [2, 2, 2 * 10**9, 2 * 10**9, START.timestamp() + 2, 12]
    assert expected == run(core, look)


def test_dates_read_the_virtual_clock_too(core):
    def look():
        now = dt.datetime.now(UTC)
        naive = getattr(dt.datetime, "utcnow")()  # noqa: B009 - deprecated, and what functions do
        here = dt.datetime.now().astimezone(UTC)
        return [
            now.isoformat(),
            naive.isoformat(),
            here.isoformat(),
            dt.date.today() == date.fromtimestamp(time.time()),  # noqa: DTZ011, DTZ012 - the same
        ]

    iso = "2026-01-01T12:00:00"
    assert [f"{iso}+00:00", iso, f"{iso}+00:00", True] == run(core, look)


def test_what_a_module_imported_by_name_is_virtual_while_a_function_of_it_runs(core):
    def look():
        sleep(1)
        return [wall(), monotonic() > 0, datetime.now(UTC).isoformat()]

    assert [START.timestamp() + 1, True, "2026-01-01T12:00:01+00:00"] == run(core, look)


def test_the_test_and_its_libraries_keep_their_own_time(core):
    before = time.time
    kind = dt.datetime
    run(core, lambda: time.sleep(1))
    assert before is time.time
    assert kind is dt.datetime
    assert abs(time.time() - START.timestamp()) > 1
    core.shut_down()
    assert datetime is dt.datetime


def test_instances_are_real_ones(core):
    def look():
        made = dt.datetime(2026, 5, 5, tzinfo=UTC)
        assert type(made) is type(dt.datetime.now(UTC))
        assert isinstance(made, dt.datetime)
        assert isinstance(made, dt.date)
        assert issubclass(dt.datetime, dt.date)
        assert made == pickle.loads(pickle.dumps(made))
        assert not isinstance(dt.date(2026, 1, 1), dt.datetime)

        class Own(dt.datetime):
            pass

        assert type(Own.now(UTC)) is Own
        return Own.now(UTC).isoformat()

    assert "2026-01-01T12:00:00+00:00" == run(core, look)


def test_a_stand_in_outside_of_functions_is_the_real_thing():
    assert abs(VirtualDatetime.now(UTC) - datetime.now(UTC)) < dt.timedelta(seconds=60)
    assert abs(VirtualDate.today() - date.today()) <= dt.timedelta(days=1)  # noqa: DTZ011
    assert type(VirtualDatetime.now(UTC)) is dt.datetime


def test_a_sleep_moves_the_clock_and_takes_no_time(core):
    run(core, lambda: time.sleep(3600), timeout_s=4000)
    assert 3600 == (core.now - START).total_seconds()


def test_a_negative_sleep_is_an_error_as_ever(core):
    with pytest.raises(FunctionHandledError, match="must be non-negative"):
        run(core, lambda: time.sleep(-1))


def test_a_handler_that_sleeps_too_long_times_out(core):
    with pytest.raises(FunctionTimeoutError, match=r"2026-01-01T12:00:03.000Z .* after 3.00 sec"):
        run(core, lambda: time.sleep(10))
    assert 3 == (core.now - START).total_seconds()


def test_a_loop_that_looks_at_the_clock_ends(core):
    def wait():
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass

    run(core, wait)
    assert 1 <= (core.now - START).total_seconds() < 1.1


def test_the_remaining_time_of_a_handler_shrinks(core):
    def remaining(_event, context):
        time.sleep(1)
        return context.get_remaining_time_in_millis()

    core.add_function("f", remaining)
    assert 2000 == core.invoke("f").json()


def test_time_passes_only_when_the_test_lets_it(core):
    def loop(_event, _context):
        raise NotImplementedError

    core.add_function("f", loop)
    core.deliver("t")
    assert START == core.now
    core.advance(1.5, minutes=1, hours=1, days=1)
    assert START + dt.timedelta(days=1, hours=1, minutes=1, seconds=1.5) == core.now


def test_a_timer_can_be_cancelled():
    clock, fired = VirtualClock(0.0), []
    clock.call_later(1, lambda: fired.append(1))
    clock.call_later(1, lambda: fired.append(2)).cancel()
    clock.call_later(0.5, lambda: fired.append(3)).cancel()
    assert clock.now + 1 == clock.next_timer()
    clock.now += 1
    clock.fire()
    assert [1] == fired
    assert clock.next_timer() is None


def test_a_clock_that_was_stopped_fires_nothing():
    clock, fired = VirtualClock(0.0), []
    clock.call_later(1.0, lambda: fired.append(1))
    clock.stop()
    clock.now += 2.0
    clock.fire()
    assert [] == fired
    assert clock.next_timer() is None

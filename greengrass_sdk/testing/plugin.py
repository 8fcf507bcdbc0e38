# SPDX-License-Identifier: Apache-2.0
"""
The pytest plugin: the fixture `greengrass`, and the option that says on which world.

pytest loads it into every run, so it imports nothing of this package before a test asks for the
fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from greengrass_sdk.testing.greengrass import Greengrass

__all__ = ["greengrass", "greengrass_world"]

_KEY: pytest.StashKey[Greengrass] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    parser.getgroup("greengrass").addoption(
        "--greengrass",
        dest="greengrass_world",
        choices=("fake", "core"),
        default="fake",
        help="what tests with the fixture `greengrass` run on: a double in their own process"
        " (fake, the default), or a real core with real workers for each test (core)",
    )


@pytest.fixture(scope="session")
def greengrass_world(request: pytest.FixtureRequest) -> str:
    """What this test runs on, `fake` or `core`; override it to run tests on both."""
    return str(request.config.getoption("greengrass_world"))


@pytest.fixture
def greengrass(request: pytest.FixtureRequest, greengrass_world: str) -> Iterator[Greengrass]:
    """A core for this test: a double in its process and in virtual time, or a real one."""
    core = _new(greengrass_world)
    request.node.stash[_KEY] = core
    try:
        yield core
    finally:
        del request.node.stash[_KEY]  # pytest keeps all tests until the end
        core.shut_down()


def _new(world: str) -> Greengrass:
    if world == "core":
        from greengrass_sdk.testing.realcore import RealCore

        return RealCore()
    from greengrass_sdk.testing.fakecore import FakeCore

    return FakeCore()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Skip a test whose fixtures ask a real core for what it has not."""
    yield from _skipping(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that has not looked at errors of its functions."""
    result = yield from _skipping(item)
    core = item.stash.get(_KEY, None)
    if core is not None:
        _check_errors(core)
    return result


def _check_errors(core: Greengrass) -> None:
    """Fail without a traceback: that of the test's own would say nothing."""
    try:
        core.check_errors()
    except AssertionError as error:
        text = f"{type(error).__name__}: {error}"
    else:
        return
    pytest.fail(text, pytrace=False)


def _skipping(item: pytest.Item) -> Generator[None, Any, Any]:
    """Turn what a real core cannot do into a skip with the reason; shorten other tracebacks."""
    try:
        return (yield)
    except Exception as error:
        if item.stash.get(_KEY, None) is None:
            raise
        from greengrass_sdk.testing.differences import WorldDifference

        if isinstance(error, WorldDifference):
            pytest.skip(str(error))
        if not item.config.getoption("fulltrace"):
            from greengrass_sdk.testing.tracebacks import shorten

            shorten(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened in the core of a test that failed."""
    report = yield
    core = item.stash.get(_KEY, None)
    if core is not None and report.when == "call" and report.failed:
        try:
            text = core.describe()
        except Exception as error:  # noqa: BLE001 - the failure of the test is what matters
            text = f"cannot be shown: {error}"
        report.sections.append(("greengrass", text))
    return report

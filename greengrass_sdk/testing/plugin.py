# SPDX-License-Identifier: Apache-2.0
"""
The pytest plugin: the fixture `greengrass`.

pytest loads it into every run, so it imports nothing of this package before a test asks for the
fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from greengrass_sdk.testing.greengrass import Greengrass

__all__ = ["greengrass"]

_KEY: pytest.StashKey[Greengrass] = pytest.StashKey()


@pytest.fixture
def greengrass(request: pytest.FixtureRequest) -> Iterator[Greengrass]:
    """A core for this test, without processes or sockets: functions run here, in virtual time."""
    from greengrass_sdk.testing.fakecore import FakeCore

    core = FakeCore()
    request.node.stash[_KEY] = core
    try:
        yield core
    finally:
        core.shut_down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that has not looked at errors of its functions."""
    result = yield
    core = item.stash.get(_KEY, None)
    if core is not None:
        core.check_errors()
    return result


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

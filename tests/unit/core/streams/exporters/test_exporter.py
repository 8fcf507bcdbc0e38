# SPDX-License-Identifier: Apache-2.0
"""What exporters tell."""

from __future__ import annotations

import pytest
from fake_exports import setting

from greengrass_sdk.core.streams.exporters.exporter import ExportError, missing_extra, one_line


def test_an_error_says_how_many_arrived():
    error = ExportError("why", done=3)
    assert ("why", 3, 0) == (str(error), error.done, ExportError("why").done)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("x" * 1000), "x" * 500),
    ],
    ids=range(3),
)
def test_an_exception_is_one_line(error, line):
    assert line == one_line(error)


def test_a_missing_package_says_how_to_have_it():
    error = missing_extra("kafka", ImportError(name="kafka"))
    assert "kafka is not installed: pip install greengrass-core[kafka], then restart" == str(error)


def test_a_setting_does_nothing_by_itself():
    given = setting()
    given.pause(5)
    given.append("s", b"x")
    assert not given.stopping.is_set()

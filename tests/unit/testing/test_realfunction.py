# SPDX-License-Identifier: Apache-2.0
"""What a function and the cloud of a real core refuse."""

from __future__ import annotations

import pytest

from greengrass_sdk.testing.differences import DIFFERENCES, WorldDifference
from greengrass_sdk.testing.realfunction import RealCloud, RealFunction
from greengrass_sdk.testing.records import LogRecord, Messages


class Core:
    def arn_of(self, name: str) -> str:
        return f"arn of {name}"

    def workers_of(self, name: str) -> int:
        return len(name)

    def logs(self, function: str) -> list[LogRecord]:
        return [LogRecord("INFO", function, "a.py:1", 0)]


@pytest.mark.parametrize("fault", ["crash", "exit", "timeout", "out_of_memory", "queue_full"])
def test_a_process_fails_by_itself_only(fault):
    with pytest.raises(WorldDifference) as caught:
        getattr(RealFunction("f", Core()), fault)()
    assert DIFFERENCES["faults"] == caught.value.difference


@pytest.mark.parametrize(
    ("fault", "arguments"), [("down", ()), ("up", ()), ("latency", (1,)), ("drop", (0.5,))]
)
def test_the_stand_in_has_no_link(fault, arguments):
    with pytest.raises(WorldDifference) as caught:
        getattr(RealCloud(lambda: Messages((), str)), fault)(*arguments)
    assert DIFFERENCES["link"] == caught.value.difference


def test_it_is_asked_for_what_it_is():
    function = RealFunction("echo", Core())
    assert ("arn of echo", 4, "echo") == (
        function.arn,
        function.workers,
        function.logs[0].message,
    )


def test_the_cloud_has_what_arrived():
    received = Messages((), str)
    assert RealCloud(lambda: received).received is received

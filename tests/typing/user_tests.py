# SPDX-License-Identifier: Apache-2.0
"""
Tests as users write them who check types, for mypy and pyright in their strict modes.

Nothing here runs; what is asserted is what a checker infers. `nox -s typecheck` does it, and
tests/integration/test_typing.py where the checkers are installed.
"""

from __future__ import annotations

import unittest
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import greengrasssdk
from greengrass_sdk import FunctionHandledError, InvokeResult
from greengrass_sdk.testing import (
    Delivery,
    FakeCore,
    FakeFunction,
    FunctionFailure,
    Greengrass,
    GreengrassCloud,
    GreengrassFunction,
    LogRecord,
    Message,
    Messages,
    Replay,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

client = greengrasssdk.client("iot-data")


def typed_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return event


def test_what_exists(greengrass: Greengrass, tmp_path: Path) -> None:
    function = greengrass.add_function("echo", typed_handler, pinned=True, timeout_s=2.5)
    assert_type(function, GreengrassFunction)
    greengrass.add_function("typed", typed_handler, environment={"A": "1"}, encoding="json")
    greengrass.add_function("inline", lambda event, context: event)
    greengrass.add_function("module", "app.handler", code=tmp_path)
    greengrass.add_function("folder", "app.handler", code="code/")
    greengrass.add_device("lamp")
    greengrass.subscribe("cloud", "in/#", function)
    greengrass.subscribe(function, "out", "cloud", id="row")
    greengrass.load("group.toml")
    greengrass.load(tmp_path)
    assert_type(greengrass.function("echo"), GreengrassFunction)
    greengrass.add_function("wrong", typed_handler, timeout="3")  # type: ignore[call-arg]
    greengrass.add_function("wrong", typed_handler, pinned="yes")  # type: ignore[arg-type]


def test_driving(greengrass: Greengrass) -> None:
    for payload in ("text", b"bytes", {"a": 1}, [1], 7, 1.5, True, None):
        assert_type(greengrass.deliver("in", payload), Message)
    greengrass.deliver("in", source="lamp")
    result = greengrass.invoke("echo", {"a": 1}, client_context={"custom": {"k": "v"}})
    assert_type(result, InvokeResult)
    assert_type(result.payload, bytes)
    assert_type(greengrass.invoke_async("echo"), str)
    greengrass.advance(1.5)
    greengrass.advance(days=8, hours=1)
    with greengrass.acting_as("echo"):
        client.publish(topic="out", payload="x")
    with pytest.raises(FunctionHandledError) as caught:
        greengrass.invoke("echo", {})
    assert_type(caught.value, FunctionHandledError)


def test_asking(greengrass: Greengrass) -> None:
    assert_type(greengrass.published("out/+"), Messages)
    assert_type(greengrass.published().one(), Message)
    assert_type(greengrass.published()[0], Message)
    assert_type(greengrass.published()[1:], Messages)
    assert_type(greengrass.published().payloads, list[bytes])
    assert_type(greengrass.messages.json(), list[Any])
    for message in greengrass.messages:
        assert_type(message, Message)
        assert_type(message.subject, str)
        assert_type(message.targets, tuple[str, ...])
        assert_type(message.deliveries, tuple[Delivery, ...])
        assert message.outcome == "delivered" or message.reason
    assert_type(greengrass.logs("echo"), list[LogRecord])
    assert_type(greengrass.errors, list[FunctionFailure])
    assert_type(greengrass.errors[0].exception, BaseException | None)
    assert_type(greengrass.now, datetime)
    assert greengrass.world == "fake"


def test_faults(greengrass: Greengrass) -> None:
    function = greengrass.add_function("echo", typed_handler)
    function.crash()
    function.exit(3)
    function.timeout()
    function.out_of_memory()
    function.queue_full()
    function.queue_full(False)
    assert_type(function.logs, list[LogRecord])
    assert_type(function.workers, int)
    assert_type(greengrass.cloud, GreengrassCloud)
    assert_type(greengrass.cloud.received, Messages)
    greengrass.cloud.down()
    greengrass.cloud.up()
    greengrass.cloud.latency(0.5)
    greengrass.cloud.drop(0.1, seed=7)


def test_tapes(greengrass: Greengrass) -> None:
    greengrass.begin_at(datetime(2030, 1, 1, tzinfo=UTC))
    replay = greengrass.replay("tape.jsonl", ignore=["at"])
    assert_type(replay, Replay)
    assert_type(replay.differences, str)
    replay.check()
    assert_type([output.payload for output in replay.outputs], list[bytes])


@pytest.fixture
def core() -> Iterator[FakeCore]:
    with FakeCore(strict=True, start=datetime(2026, 1, 1, tzinfo=UTC), name="mine") as core:
        assert_type(core, FakeCore)
        yield core


def test_without_the_plugin(core: FakeCore) -> None:
    function = core.add_function("echo", typed_handler)
    assert_type(function, FakeFunction)
    assert_type(function.starts, int)
    assert_type(core.cloud.is_up, bool)


class WithUnittest(unittest.TestCase):
    def setUp(self) -> None:
        self.core = FakeCore()
        self.addCleanup(self.core.close)

    def test_it(self) -> None:
        self.core.add_function("echo", typed_handler)
        self.assertEqual({"a": 1}, self.core.invoke("echo", {"a": 1}).json())  # noqa: PT009

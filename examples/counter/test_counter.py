# SPDX-License-Identifier: Apache-2.0
import pytest


@pytest.fixture(params=["pinned", "on demand"])
def counter(request, greengrass):
    greengrass.add_function(
        "counter",
        "counter.function_handler",
        code="counter/",
        pinned=request.param == "pinned",
        environment={"PAUSE_S": "0.1"},
    )
    greengrass.subscribe("cloud", "hello/world/counter/trigger", "counter")
    greengrass.subscribe("counter", "hello/world/counter", "cloud")


@pytest.mark.usefixtures("counter")
def test_it_counts_its_invocations(greengrass):
    for _ in range(3):
        greengrass.deliver("hello/world/counter/trigger", {"message": "count, please"})
    counts = [message["message"][-1] for message in greengrass.published().json()]
    assert counts == ["1", "2", "3"]
    assert greengrass.function("counter").workers == 1  # which is reused when it is idle


@pytest.mark.parametrize("group", ["group.toml", "on-demand.toml"])
def test_its_groups_load(greengrass, group):
    greengrass.load(group)
    assert greengrass.published() == []

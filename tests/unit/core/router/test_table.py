# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest

from greengrass_sdk import _native
from greengrass_sdk._native import Flag, Frame, Kind
from greengrass_sdk._native._py.router.events import Send
from greengrass_sdk._native._py.router.machine import Router
from greengrass_sdk._native._py.router.state import CORE, FunctionTarget, PeerTarget
from greengrass_sdk.core.router.table import TOOL, Table
from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.arn import SECRETS_ARN, SHADOW_ARN
from greengrass_sdk.model.group import parse_group

GROUP = """
schema = 1
[group]
name = "greenhouse"
core = "greenhouse-core"
[functions.climate]
code = "code"
handler = "climate.handler"
[functions.pump]
code = "code"
handler = "pump.handler"
pinned = true
version = "3"
[devices.thermometer]
[clients.panel]
[[subscriptions]]
id = "measure"
source = "thermometer"
subject = "greenhouse/+/temperature"
target = "climate"
[[subscriptions]]
id = "act"
source = "climate"
subject = "greenhouse/pump"
target = "pump"
[[subscriptions]]
id = "tell"
source = "climate"
subject = "greenhouse/state"
target = "cloud"
"""


@pytest.fixture(params=["python", "c"])
def machine(request):
    """Each machine that a table may be installed in."""
    bounds: Any = {"work_items": 10, "topic_payload_bytes": 100, "invoke_payload_bytes": 100}
    if request.param == "python":
        return Router(**bounds)
    if _native.impl == "python":
        pytest.skip("the Python implementation has no machine in C")
    from greengrass_sdk._native._c_router import Router as CRouter

    return CRouter(**bounds)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "code").mkdir()
    return Table(parse_group(GROUP, base=tmp_path, file="group.toml"))


def test_every_address_of_the_group_has_one_number(table):
    numbers = [table.number(name) for name in ("climate", "pump", "thermometer", "panel", "cloud")]
    assert 5 == len(set(numbers))
    assert ["climate", "pump", "thermometer", "panel", "cloud"] == [table.name(n) for n in numbers]
    assert TOOL == table.name(table.numbers[TOOL])


def test_a_row_becomes_a_route_that_the_index_finds(table):
    assert [0] == table.index.match(table.number("thermometer"), b"greenhouse/1/temperature")
    assert [] == table.index.match(table.number("climate"), b"greenhouse/1/temperature")
    assert table.number("climate") == table.routes[0].target
    assert "measure" == table.subscription(table.routes[0]).id


def test_install_defines_functions_clients_and_devices(table, machine):
    table.install(machine)
    pump = machine.target_state(table.number("pump"))
    assert isinstance(pump, FunctionTarget)
    assert (True, 1) == (pump.rules.pinned, pump.rules.max_workers)
    assert isinstance(machine.target_state(table.number("panel")), PeerTarget)


@pytest.mark.parametrize(
    "name",
    [
        "pump",
        "pump:3",
        "arn:aws:lambda:us-east-1:000000000000:function:pump",
        "arn:aws:lambda:us-east-1:000000000000:function:pump:3",
    ],
)
def test_a_function_is_invoked_by_every_one_of_its_names(table, name, machine):
    table.install(machine)
    tool = table.numbers[TOOL]
    machine.define_service(tool)
    machine.receive(CORE, Frame(Kind.INVOKE, Flag.EVENT, tool, 1, name.encode(), b"", b""), 0.0)
    assert (1, 10) == machine.work_items


@pytest.mark.parametrize("name", [SHADOW_ARN, f"{SHADOW_ARN}:1", "GGShadowService"])
def test_the_shadow_service_is_invoked_as_a_function_is(table, name, machine):
    table.install(machine)
    tool = table.numbers[TOOL]
    machine.define_service(tool)
    machine.receive(CORE, Frame(Kind.INVOKE, Flag.EVENT, tool, 1, name.encode(), b"", b""), 0.0)
    service = machine.target_state(table.number("GGShadowService"))
    assert isinstance(service, FunctionTarget)
    assert 1 == service.items


@pytest.mark.parametrize("name", [SECRETS_ARN, SECRETS_ARN.removesuffix(":1")])
def test_the_secret_service_is_told_who_asks(table, name, machine):
    table.install(machine)
    tool = table.numbers[TOOL]
    service = table.numbers[SECRETS_ARN]
    assert "GGSecretManager" == table.name(service)
    machine.define_service(tool)
    machine.attach_worker(7, service, 0.0)
    machine.receive(7, Frame(Kind.READY, 0, service), 0.0)
    machine.receive(CORE, Frame(Kind.INVOKE, 0, tool, 1, name.encode(), b"", b"?"), 0.0)
    [item] = [each for each in machine.step(0.0) if isinstance(each, Send)]
    assert (7, tool, b"?") == (item.peer, item.endpoint, item.payload)


def test_the_nearest_row_is_the_one_with_another_source(table):
    row = table.nearest_row(table.number("climate"), "greenhouse/7/temperature")
    assert {
        "id": "measure",
        "source": "thermometer",
        "subject": "greenhouse/+/temperature",
        "target": "climate",
        "why": "its source is 'thermometer'",
    } == row


def test_the_nearest_row_is_else_the_most_similar_one_of_the_source(table):
    row = table.nearest_row(table.number("climate"), "greenhouse/pumps")
    assert row is not None
    assert ("act", "its subject is 'greenhouse/pump'") == (row["id"], row["why"])


def test_a_source_without_rows_is_shown_another_ones(table):
    row = table.nearest_row(table.number("pump"), "greenhouse/states")
    assert row is not None
    assert "its source is 'climate' and its subject is 'greenhouse/state'" == row["why"]


def test_a_group_without_rows_has_no_nearest_one(tmp_path):
    text = 'schema = 1\n[group]\nname = "g"\ncore = "c"\n'
    table = Table(parse_group(text, base=tmp_path, file="group.toml"))
    assert table.nearest_row(table.number("cloud"), "a") is None


def test_a_tool_publishes_as_the_cloud_or_a_device_only(table):
    assert table.number("cloud") == table.sender("cloud")
    assert table.number("thermometer") == table.sender("thermometer")
    with pytest.raises(InvalidInputError, match="cannot publish as 'climate', only as the cloud"):
        table.sender("climate")


ROWS = """
[functions.alarm]
code = "code"
handler = "alarm.handler"
[[subscriptions]]
id = "warn"
source = "climate"
subject = "greenhouse/state"
target = "alarm"
[[subscriptions]]
id = "tell"
source = "climate"
subject = "greenhouse/state"
target = "cloud"
"""


def test_a_changed_table_takes_over_while_workers_and_counters_stay(tmp_path, table, machine):
    table.install(machine)
    machine.define_service(table.number("cloud"))
    climate = table.number("climate")
    machine.attach_worker(7, climate, 0.0)
    machine.receive(7, Frame(Kind.READY, 0, climate, 0, b"", b"", b""), 0.0)
    machine.receive(0, Frame(Kind.INVOKE, 0, table.numbers[TOOL], 1, b"climate", b"", b""), 0.0)
    publish = Frame(Kind.PUBLISH, 0, climate, 0, b"greenhouse/state", b"", b"x")
    machine.receive(7, publish, 0.0)
    machine.step(0.0)

    text = GROUP.partition("[[subscriptions]]")[0] + ROWS
    group = parse_group(text, base=tmp_path, file="group.toml")
    after = table.successor(group)
    after.install(machine)
    machine.receive(7, publish, 0.0)
    machine.step(0.0)

    assert {name: table.number(name) for name in ("climate", "pump", "panel", "cloud")} == {
        name: after.number(name) for name in ("climate", "pump", "panel", "cloud")
    }
    assert after.number("alarm") not in table.addresses
    assert [("warn", 1), ("tell", 2)] == [(route.id, route.delivered) for route in after.routes]
    assert machine.is_busy(7)
    after.successor(group).install(machine)  # nothing changed: nothing is defined again

# SPDX-License-Identifier: Apache-2.0
"""
A switch, a traffic light and a function that counts cars, as in the guide's modules 5 and 6.

Two local clients stand in for the devices. The function writes to DynamoDB with a boto3 of its own;
moto stands in for DynamoDB. Both are installed from the registry at test time.

Ref: Greengrass V1 guide, "Module 5: Interacting with device shadows", "Module 6: Accessing other
AWS services"
"""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
import urllib.request
from typing import Any

import pytest
from projects import write_project
from running_core import RunningCore

from greengrass_sdk import Client
from greengrass_sdk.errors import RequestTimeoutError

pytestmark = [pytest.mark.needs_core, pytest.mark.timeout(600)]  # it installs

RECEIVE_S = 20
THING = "GG_TrafficLight"
UPDATE = f"$aws/things/{THING}/shadow/update"
ROWS = [
    ("GG_Switch", UPDATE, "GGShadowService"),
    ("GGShadowService", f"{UPDATE}/accepted", "GG_Switch"),
    ("GGShadowService", f"{UPDATE}/rejected", "GG_Switch"),
    (THING, UPDATE, "GGShadowService"),
    ("GGShadowService", f"{UPDATE}/delta", THING),
    ("GGShadowService", f"{UPDATE}/accepted", THING),
    ("GGShadowService", f"{UPDATE}/rejected", THING),
]
AGGREGATOR = """
    import datetime
    import os
    import random

    import boto3

    cars, greens, fewest, most = 0, 0, None, None
    table = boto3.resource("dynamodb", region_name="us-east-1").create_table(
        TableName="CarStats",
        KeySchema=[{"AttributeName": "Time", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Time", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    table.wait_until_exists()
    assert boto3.__file__.startswith(os.path.dirname(__file__))


    def function_handler(event, context):
        global cars, greens, fewest, most
        if event["current"]["state"]["reported"]["property"] != "G":
            return
        passed = random.randint(1, 20)
        cars, greens = cars + passed, greens + 1
        fewest = passed if fewest is None else min(fewest, passed)
        most = passed if most is None else max(most, passed)
        if greens % 3:
            return
        item = {"TotalTraffic": cars, "TotalGreenlights": greens,
                "MinCarsPassing": fewest, "MaxCarsPassing": most}
        table.put_item(Item={"Time": str(datetime.datetime.now()), **item})
        print("written", greens)
        cars, fewest, most = 0, None, None
"""
MOTO = """
import sys
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class Light:
    """A device that shows what its shadow desires, and reports it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.versions: list[int] = []

    def follow(self) -> str:
        """Take the delta of one change, report, and hear that both updates were accepted."""
        delta = self.client.receive(RECEIVE_S)
        assert f"{UPDATE}/delta" == delta.topic
        colour: str = delta.json()["state"]["property"]
        assert delta.json()["metadata"]["property"]["timestamp"] <= delta.json()["timestamp"]
        self.client.publish(UPDATE, {"state": {"reported": {"property": colour}}})
        accepted = [self.client.receive(RECEIVE_S) for _ in range(2)]
        assert [f"{UPDATE}/accepted"] * 2 == [one.topic for one in accepted]
        assert {"reported": {"property": colour}} == accepted[1].json()["state"]
        self.versions += [one.json()["version"] for one in accepted]
        return colour


def switch_to(switch: Client, colour: str) -> None:
    """Desire a colour as a device's SDK does, which waits for the answer with its own token."""
    token = f"token-{colour}"
    switch.publish(UPDATE, {"state": {"desired": {"property": colour}}, "clientToken": token})
    accepted = switch.receive(RECEIVE_S)
    assert (f"{UPDATE}/accepted", token) == (accepted.topic, accepted.json()["clientToken"])


def test_a_light_follows_a_switch_and_rests_when_the_switch_does(tmp_path):
    project = write_project(tmp_path, {}, {}, clients=["GG_Switch", THING], rows=ROWS)
    with (
        RunningCore(project) as core,
        Client(root=core.root, name="GG_Switch") as switch,
        Client(root=core.root, name=THING) as client,
    ):
        client.publish("not/routed", b"")  # connects before the first delta
        light = Light(client)
        for colour in "GYRG":
            switch_to(switch, colour)
            assert colour == light.follow()
            assert {"reported": {"property": colour}} == switch.receive(RECEIVE_S).json()["state"]
        with pytest.raises(RequestTimeoutError):
            client.receive(0.2)
        shadow = json.loads(core.command("shadow", "get", THING, "--json").stdout)
    assert [1, 2, 3, 4, 5, 6, 7, 8] == light.versions
    expected = {"desired": {"property": "G"}, "reported": {"property": "G"}}
    assert expected == shadow["state"]


@pytest.fixture(scope="module")
def installed(registry, tmp_path_factory):
    """Return a Python that has moto, and the function's zip with a boto3 of its own."""
    folder = tmp_path_factory.mktemp("aggregator")
    subprocess.run(
        [registry, "install", "-q", "moto[dynamodb,server]"], check=True, capture_output=True
    )
    install = ["install", "-q", "--target", folder, "boto3"]
    subprocess.run([registry, *install], check=True, capture_output=True)
    (folder / "carAggregator.py").write_text(textwrap.dedent(AGGREGATOR))
    archive = shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "cars"), "zip", folder)
    return registry.with_name("python"), archive


@pytest.fixture
def dynamodb(installed):
    """Return the address of a DynamoDB."""
    with subprocess.Popen(
        [installed[0], "-c", MOTO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()  # closes its standard input: that is its end


def rows_of(address: str) -> list[dict[str, Any]]:
    """Return what is in the table, by its totals."""
    request = urllib.request.Request(
        address,
        json.dumps({"TableName": "CarStats"}).encode(),
        {
            "X-Amz-Target": "DynamoDB_20120810.Scan",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/dynamodb/a, a=b",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        items = json.load(answer)["Items"]
    numbers = [
        {key: int(value["N"]) for key, value in item.items() if key != "Time"} for item in items
    ]
    return sorted(numbers, key=lambda row: row["TotalGreenlights"])


@pytest.mark.needs_network
def test_every_third_green_light_is_a_row_in_dynamodb(tmp_path, installed, dynamodb):
    function = {
        "code": installed[1],
        "handler": "carAggregator.function_handler",
        "pinned": True,
        "timeout_s": 30,
        "environment": {
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        },
    }
    rows = [*ROWS, ("GGShadowService", f"{UPDATE}/documents", "GG_Car_Aggregator")]
    project = write_project(
        tmp_path, {}, {"GG_Car_Aggregator": function}, clients=["GG_Switch", THING], rows=rows
    )
    with (
        RunningCore(project) as core,
        Client(root=core.root, name="GG_Switch") as switch,
        Client(root=core.root, name=THING) as client,
    ):
        client.publish("not/routed", b"")
        light = Light(client)
        for _ in range(6):
            for colour in "GYR":
                switch_to(switch, colour)
                assert colour == light.follow()
                switch.receive(RECEIVE_S)
        core.log("GG_Car_Aggregator", "written 12")  # a green is seen until the next is reported
        core.log("GG_Car_Aggregator", "KeyError: 'reported'")  # the first update only desires
        log = core.root / "ggc/var/log/user/us-east-1/000000000000/GG_Car_Aggregator.log"
        assert "KeyError: 'reported'" in log.read_text()
    found = rows_of(dynamodb)
    assert [3, 6, 9, 12] == [row["TotalGreenlights"] for row in found]
    for row in found:
        assert 1 <= row["MinCarsPassing"] <= row["TotalTraffic"] / 3 <= row["MaxCarsPassing"] <= 20

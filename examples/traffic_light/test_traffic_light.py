# SPDX-License-Identifier: Apache-2.0
import pytest

UPDATE = "$aws/things/GG_TrafficLight/shadow/update"


@pytest.fixture(autouse=True)
def group(greengrass):
    greengrass.load("group.toml")
    greengrass.subscribe("cloud", UPDATE, "GGShadowService")  # what the command does otherwise


def switch(greengrass, colour):
    greengrass.deliver(UPDATE, {"state": {"desired": {"property": colour}}})


def test_the_light_follows_its_shadow_and_reports(greengrass):
    switch(greengrass, "G")
    assert [record.message for record in greengrass.logs("light")] == ["Light changed to: G"]
    switch(greengrass, "R")
    assert greengrass.logs("light")[-1].message == "Light changed to: R"


def test_cars_are_counted_at_every_third_green_light(greengrass):
    for colour in ["G", "R"] * 3:
        switch(greengrass, colour)
    stats = greengrass.published("cars/stats").one().json()
    assert stats["TotalGreenlights"] == 3
    assert stats["MinCarsPassing"] <= stats["TotalTraffic"] / 3 <= stats["MaxCarsPassing"]

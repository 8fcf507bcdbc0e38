# SPDX-License-Identifier: Apache-2.0
"""Names to addresses and back."""

import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.directory import Directory

LED = "arn:aws:lambda:us-east-1:000000000000:function:led:3"
LAMP = "arn:aws:iot:us-east-1:000000000000:thing/lamp"
APP = "arn:aws:greengrass:us-east-1:000000000000:client/app"


@pytest.fixture
def directory():
    return Directory.of(
        "us-east-1", "000000000000", functions={"led": "3"}, devices=["lamp"], clients=["app"]
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("led", LED),
        (LED, LED),
        (LED.removesuffix(":3"), LED),
        ("lamp", LAMP),
        (LAMP, LAMP),
        ("app", APP),
        (APP, APP),
        ("cloud", "cloud"),
        ("GGShadowService", "GGShadowService"),
        ("arn:aws:lambda:::function:GGShadowService", "GGShadowService"),
        ("arn:aws:lambda:::function:GGShadowService:1", "GGShadowService"),
    ],
)
def test_a_name_and_a_full_arn_give_the_address(directory, text, address):
    assert address == directory.address(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lad", "no function, device or client 'lad'; did you mean 'led'?"),
        ("xyzzy", "'xyzzy'; it has: app, lamp, led, cloud, GGShadowService"),
        (LED[:-1] + "4", r"its 'led' is '.*:led:3'; write the name"),
        (LED.replace("000000000000", "123456789012"), "write the name, or give region"),
        (LAMP.replace("lamp", "lump"), "did you mean 'lamp'?"),
        (
            "arn:aws:greengrass:us-east-1::/connectors/SNS/versions/1",
            "connectors are not supported",
        ),
        ("", "no function, device or client ''"),
    ],
)
def test_what_is_unknown_is_refused_with_the_nearest(directory, text, reason):
    with pytest.raises(InvalidInputError, match=reason):
        directory.address(text)


def test_addresses_have_names_for_people(directory):
    assert ["led", "lamp", "app", "cloud", "other"] == [
        directory.name_of(address)
        for address in (LED, LAMP, APP, "cloud", LED.replace("led", "other"))
    ]

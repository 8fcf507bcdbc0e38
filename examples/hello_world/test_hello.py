# SPDX-License-Identifier: Apache-2.0


def test_it_greets_at_once_and_then_every_five_seconds(greengrass):
    greengrass.load("group.toml")
    greengrass.advance(seconds=12)
    greetings = greengrass.published("hello/world")
    assert len(greetings) == 3
    assert greetings[0].text.startswith("Hello world! Sent from Greengrass Core")
    assert greetings[0].targets == ("cloud",)

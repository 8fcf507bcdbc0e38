# SPDX-License-Identifier: Apache-2.0
import pytest

from greengrass_sdk import FunctionHandledError


@pytest.fixture(autouse=True)
def group(greengrass):
    greengrass.load("group.toml")


def test_a_record_is_decoded(greengrass):
    greengrass.deliver("sensor/raw", b"\xd7\x00\x37")
    reading = {"temperature_c": 21.5, "humidity_percent": 55}
    assert greengrass.published("sensor/decoded").one().json() == reading


def test_bytes_come_back_as_they_are(greengrass):
    assert greengrass.invoke("decoder", b"\xff\xfe\x00").payload == b"\xff\xfe\x00"


def test_a_record_of_the_wrong_length_is_an_error(greengrass):
    with pytest.raises(FunctionHandledError, match="requires a buffer of 3 bytes"):
        greengrass.invoke("decoder", b"\x00")

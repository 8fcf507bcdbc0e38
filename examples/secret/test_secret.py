# SPDX-License-Identifier: Apache-2.0
import pytest


@pytest.fixture(autouse=True)
def group(greengrass):
    greengrass.load("group.toml")


def test_the_function_reads_its_secret_and_tells_nobody_its_value(greengrass):
    greengrass.add_secret("greengrass-TestSecret", '{"test": "abcdefghi"}')
    greengrass.deliver("secrets/input", {})
    assert greengrass.published("secrets/output").one().text == "Success! Retrieved secret."
    said = [record.message for record in greengrass.logs("SecretTest")]
    assert said == ["published: Success! Retrieved secret."]


def test_without_the_secret_it_says_so(greengrass):
    greengrass.deliver("secrets/input", {})
    assert greengrass.published("secrets/output").one().text == "Failed to retrieve secret."

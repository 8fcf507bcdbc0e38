# SPDX-License-Identifier: Apache-2.0
import pytest


@pytest.fixture(autouse=True)
def group(greengrass):
    greengrass.load("group.toml")


@pytest.mark.parametrize(
    ("language", "greeting"), [("en", "Hello, Ada!"), ("fr", "Bonjour, Ada !")]
)
def test_the_greeter_greets_in_the_callers_language(greengrass, language, greeting):
    greengrass.deliver("invoke/start", {"name": "Ada", "language": language})
    result = greengrass.published("invoke/result").one().json()
    assert result["greeting"] == greeting


def test_the_caller_publishes_an_error_of_the_greeter(greengrass):
    result = greengrass.invoke("caller", {"language": "xx"}).json()
    assert result["error"] == "Handled"
    assert result["message"].startswith("no greeting in 'xx'")
    assert greengrass.published("invoke/result").one().json() == result

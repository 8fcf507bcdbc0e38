# SPDX-License-Identifier: Apache-2.0


def test_it_tells_the_topic_and_the_message(greengrass):
    greengrass.load("group.toml")
    greengrass.deliver("test/input_message", {"test-key": "Some string value"})
    expected = b'Invoked on topic "test/input_message" with message "Some string value"'
    assert greengrass.published("test/topic_results").one().payload == expected


def test_it_logs_an_error_without_a_key(greengrass):
    greengrass.load("group.toml")
    greengrass.deliver("test/input_message", {"another-key": 1})
    [record] = greengrass.logs("echo")
    assert record.level == "ERROR"
    assert greengrass.published() == []

# SPDX-License-Identifier: Apache-2.0
"""The words of the router, and reading those of functions."""

import json

import pytest

from greengrass_sdk._native._py.router.texts import (
    error_document,
    message_of,
    timeout_text,
    too_large,
)


def test_an_error_document_is_the_json_that_lambda_answers_with():
    document = error_document("no", "Timeout")
    assert json.loads(document) == {"errorMessage": "no", "errorType": "Timeout"}
    assert message_of(document) == "no"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"plain", "plain"),
        (b"\xff", "�"),
        (b'{"errorType": "E"}', '{"errorType": "E"}'),
        (b"[1]", "[1]"),
        (b'{"errorMessage": 3}', "3"),
        (b"", ""),
    ],
)
def test_what_is_no_error_document_is_read_as_text(document, message):
    assert message_of(document) == message


def test_a_document_that_is_nested_too_deep_is_read_as_text():
    assert message_of(b"[" * 100_000).startswith("[[[")


def test_lone_surrogates_in_a_message_are_replaced_because_no_log_can_hold_them():
    assert message_of(b'{"errorMessage": "a\\ud800b"}') == "a?b"


def test_a_long_message_is_cut():
    message = message_of(error_document("x" * 5000, "E"))
    assert message == "x" * 4096 + "..."


def test_a_timeout_is_told_in_lambdas_words():
    text = timeout_text(1_700_000_000.1234, "ID", 0.5)
    assert text == "2023-11-14T22:13:20.123Z ID Task timed out after 0.50 seconds"


def test_a_size_beyond_its_limit_is_told_with_both_numbers():
    assert (
        too_large("result", bytes(3), 2) == "result of 3 bytes is larger than the limit of 2 bytes"
    )

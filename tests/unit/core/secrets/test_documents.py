# SPDX-License-Identifier: Apache-2.0
"""Requests for secrets and the answers, as bytes."""

import json

import pytest

from greengrass_sdk.core.secrets.access import Grant
from greengrass_sdk.core.secrets.documents import (
    BadRequestError,
    Request,
    head,
    parse,
    refused,
    told,
)
from greengrass_sdk.core.secrets.store import Version


@pytest.mark.parametrize(
    ("document", "request_"),
    [
        ({"SecretId": "wifi"}, Request("wifi")),
        ({"SecretId": "wifi", "VersionStage": "a"}, Request("wifi", "a")),
        ({"SecretId": "wifi", "VersionId": "1"}, Request("wifi", None, "1")),
        ({"SecretId": "wifi", "VersionStage": None, "more": 1}, Request("wifi")),
    ],
)
def test_a_request_names_a_secret_and_maybe_a_version(document, request_):
    assert request_ == parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"wifi"', "not a JSON object"),
        (b"{}", "SecretId is missing"),
        (b'{"SecretId": null}', "SecretId is missing"),
        (b'{"SecretId": ""}', "SecretId must be text"),
        (b'{"SecretId": 1}', "SecretId must be text"),
        (b'{"SecretId": ["wifi"]}', "SecretId must be text"),
        (b'{"SecretId": "' + b"x" * 2049 + b'"}', "SecretId must be text"),
        (b'{"SecretId": "x", "VersionStage": 1}', "VersionStage must be text"),
        (b'{"SecretId": "x", "VersionId": ""}', "VersionId must be text"),
    ],
)
def test_what_is_no_request_is_told_so(payload, why):
    with pytest.raises(BadRequestError, match=why):
        parse(payload)


def test_a_refusal_is_an_answer_with_status_and_message():
    assert {"Status": 404, "Message": "no"} == json.loads(refused(404, "no"))


GRANT = Grant("key", "name", "arn", ("AWSCURRENT", "blue"))


def test_text_is_told_as_it_is_and_bytes_in_base64():
    begun = head(GRANT, Version("s", "1", ("AWSCURRENT", "hidden", "blue"), 1000))
    for value in ("gehëim", '"}', "\\ud83d", "\n\0"):
        assert {
            "ARN": "arn",
            "Name": "name",
            "VersionId": "1",
            "VersionStages": ["AWSCURRENT", "blue"],
            "CreatedDate": 1000,
            "SecretString": value,
        } == json.loads(told(begun, value.encode(), binary=False))
    begun = head(GRANT, Version("s", "1", ("AWSCURRENT",), 1000, binary=True))
    document = json.loads(told(begun, b"\0\xff", binary=True))
    assert ("AP8=", False) == (document["SecretBinary"], "SecretString" in document)

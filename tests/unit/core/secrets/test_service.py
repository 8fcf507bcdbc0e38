# SPDX-License-Identifier: Apache-2.0
"""The secret service: what it answers, and what it tells the log."""

import json
import logging
from pathlib import Path

import pytest

from greengrass_sdk.core.secrets.access import Access
from greengrass_sdk.core.secrets.service import SecretService
from greengrass_sdk.core.secrets.store import CURRENT, PREVIOUS, MemoryStore, Version
from greengrass_sdk.model.group import parse_group

GROUP = """
schema = 1
[group]
name = "g"
core = "c"
[functions.reader]
code = "/"
handler = "a.b"
secrets = ["wifi", "empty"]
[functions.other]
code = "/"
handler = "a.b"
[secrets.wifi]
stages = ["AWSPREVIOUS"]
[secrets.empty]
"""
READER = "arn:aws:lambda:us-east-1:000000000000:function:reader:1"
OTHER = "arn:aws:lambda:us-east-1:000000000000:function:other:1"
NOT_FOUND = {"Status": 404, "Message": "Resource not found"}
LOGGER = "greengrass_sdk.core.secrets.service"


class Broken(MemoryStore):
    def reveal(self, version):
        raise OSError("the disk is gone")


def service(store=None):
    store = store or MemoryStore()
    store.put(Version("wifi", "1", (CURRENT,), 1000), b"hunter1")
    store.put(Version("wifi", "2", ("hidden",), 2000), b"hunter2")
    store.put(Version("wifi", "3", (CURRENT, "hidden too"), 3000), b"hunter3")
    return SecretService(store, Access.of(parse_group(GROUP, base=Path("/"))))


def ask(caller, asked=None, **request):
    return json.loads((asked or service()).answer(caller, json.dumps(request).encode()))


def test_the_current_version_is_told_unless_another_is_asked_for():
    answer = ask(READER, SecretId="wifi")
    assert ("hunter3", "3", [CURRENT], 3000) == (
        answer["SecretString"],
        answer["VersionId"],
        answer["VersionStages"],
        answer["CreatedDate"],
    )


@pytest.mark.parametrize(
    ("version", "value"),
    [
        ({"VersionStage": CURRENT}, "hunter3"),
        ({"VersionStage": PREVIOUS}, "hunter1"),
        ({"VersionId": "1"}, "hunter1"),
        ({"VersionId": "1", "VersionStage": PREVIOUS}, "hunter1"),
    ],
)
def test_a_version_is_asked_for_by_label_or_id(version, value):
    assert value == ask(READER, SecretId="wifi", **version)["SecretString"]


@pytest.mark.parametrize(
    ("caller", "request_", "why"),
    [
        (READER, {"SecretId": "nope"}, "reader gets no secret 'nope': the group has no such"),
        (OTHER, {"SecretId": "wifi"}, "[functions.other] does not have 'wifi'"),
        ("tool", {"SecretId": "wifi"}, "only functions may read secrets"),
        (READER, {"SecretId": "empty"}, "put one: greengrass secret put empty"),
        (
            READER,
            {"SecretId": "wifi", "VersionStage": "hidden"},
            "the label 'hidden' is not among the `stages` of [secrets.wifi]",
        ),
        (READER, {"SecretId": "wifi", "VersionId": "2"}, "no version that may be read has the id"),
        (READER, {"SecretId": "wifi", "VersionId": "9"}, "no version that may be read has the id"),
        (
            READER,
            {"SecretId": "wifi", "VersionId": "1", "VersionStage": CURRENT},
            "the label 'AWSCURRENT' and the id '1'",
        ),
    ],
)
def test_every_refusal_looks_the_same_and_the_log_says_why(caplog, caller, request_, why):
    with caplog.at_level(logging.WARNING, LOGGER):
        assert NOT_FOUND == ask(caller, service(), **request_)
    assert why in caplog.text


def test_a_refusal_is_told_to_the_log_once(caplog):
    asked = service()
    for _ in range(3):
        ask(OTHER, asked, SecretId="wifi")
    assert 1 == len(caplog.records)


def test_what_asks_for_nothing_is_refused_as_such():
    assert 400 == json.loads(service().answer(READER, b"?"))["Status"]


def test_a_store_that_cannot_be_read_is_an_error_of_the_core(caplog):
    assert 500 == ask(READER, service(Broken()), SecretId="wifi")["Status"]
    assert "the disk is gone" in caplog.text


def test_no_value_is_ever_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        asked = service()
        ask(READER, asked, SecretId="wifi")
        ask(OTHER, asked, SecretId="wifi")
    assert "hunter" not in caplog.text

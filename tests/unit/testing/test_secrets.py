# SPDX-License-Identifier: Apache-2.0
"""Secrets on the double: the core's service, in memory."""

from __future__ import annotations

import asyncio
import json

import pytest

import greengrasssdk
from greengrass_sdk import AsyncClient, Client
from greengrass_sdk.errors import (
    FunctionHandledError,
    InvalidInputError,
    LimitExceededError,
    SecretNotFoundError,
)
from greengrass_sdk.testing import FakeCore

START = 1_700_000_000
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-Test-abcdef"


@pytest.fixture
def core():
    with FakeCore(start=START) as core:
        yield core


def reader(event, context):
    """Read a secret by both SDKs."""
    try:
        secret = Client().secret(event["id"], event.get("stage", "AWSCURRENT"))
    except SecretNotFoundError:
        return None
    asked = {"SecretId": event["id"], "VersionStage": event.get("stage")}
    old = greengrasssdk.client("secretsmanager").get_secret_value(**asked)
    assert (old["Name"], old["ARN"]) == (secret.name, secret.arn)
    return secret.value.decode("latin-1")


def read(core, name="reader", **event):
    return core.invoke(name, event).json()


def test_a_function_reads_what_it_is_granted(core):
    core.add_secret("wifi", "hunter2")
    core.add_function("reader", reader, secrets=["wifi"])
    core.add_function("other", reader)
    assert "hunter2" == read(core, id="wifi")
    assert read(core, "other", id="wifi") is None
    assert read(core, id="none") is None


def test_a_secret_may_be_bytes_and_have_an_arn(core):
    core.add_secret("wifi", b"\0\xff", arn=ARN)
    core.add_function("reader", reader, secrets=["wifi"])
    for name in ("wifi", ARN, "greengrass-Test"):
        assert "\0\xff" == read(core, id=name)


def test_a_new_version_is_seen_at_the_next_read(core):
    core.add_secret("wifi", "one")
    core.add_function("reader", reader, secrets=["wifi"])
    assert "one" == read(core, id="wifi")
    core.add_secret("wifi", "two", stages=["AWSCURRENT", "blue"])
    assert ("two", "two") == (read(core, id="wifi"), read(core, id="wifi", stage="blue"))
    assert read(core, id="wifi", stage="AWSPREVIOUS") is None


def test_a_secret_may_come_while_the_core_runs(core):
    core.add_function("early", reader)
    assert read(core, "early", id="wifi") is None
    core.add_secret("wifi", "late")
    core.add_function("reader", reader, secrets=["wifi"])
    assert "late" == read(core, id="wifi")
    assert read(core, "early", id="wifi") is None


def test_a_group_file_says_who_may_read_and_the_test_the_values(core, tmp_path):
    (tmp_path / "app.py").write_text(
        "from greengrass_sdk import Client\n"
        "def handler(event, context):\n"
        "    return Client().secret('wifi', event).text\n"
    )
    (tmp_path / "group.toml").write_text(
        'schema = 1\n[group]\nname = "g"\ncore = "c"\n[functions.app]\ncode = "."\n'
        'handler = "app.handler"\nsecrets = ["wifi"]\n[secrets.wifi]\n'
    )
    core.load(tmp_path)
    core.add_secret("wifi", "one", stages=["AWSCURRENT", "blue"])
    assert "one" == core.invoke("app", json.dumps("AWSCURRENT")).json()
    with pytest.raises(FunctionHandledError, match="Resource not found"):
        core.invoke("app", json.dumps("blue"))


def test_a_group_file_may_be_loaded_after_other_things(core, tmp_path):
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return 1\n")
    (tmp_path / "group.toml").write_text(
        'schema = 1\n[group]\nname = "g"\ncore = "c"\n[functions.app]\ncode = "."\n'
        'handler = "app.handler"\n[secrets.wifi]\n'
    )
    core.add_function("reader", reader, secrets=["wifi"])
    core.load(tmp_path)
    core.add_secret("wifi", "one")
    assert "one" == read(core, id="wifi")


def test_a_function_that_names_no_secret_of_the_group_is_told_of_it(core):
    core.add_function("reader", reader, secrets=["wifi"])
    with pytest.raises(InvalidInputError, match=r"add_secret\('wifi', VALUE\)"):
        read(core, id="wifi")
    core.add_secret("wifi", "one")
    assert "one" == read(core, id="wifi")


def test_time_and_ids_are_the_same_in_every_run(core):
    def times(event, context):
        secret = Client().secret("wifi")
        return [secret.version_id, secret.created.timestamp()]

    core.add_secret("wifi", "one")
    core.add_function("times", times, secrets=["wifi"])
    assert ["00000000-0000-4000-8000-000000000001", START] == core.invoke("times").json()


def test_it_works_in_asyncio(core):
    async def main():
        return (await AsyncClient().secret("wifi")).text

    core.add_secret("wifi", "one")
    core.add_function("reader", lambda event, context: asyncio.run(main()), secrets=["wifi"])
    assert "one" == core.invoke("reader").json()


def test_a_test_itself_may_read_nothing(core):
    core.add_secret("wifi", "one")
    answer = core.invoke("arn:aws:lambda:::function:GGSecretManager:1", {"SecretId": "wifi"})
    assert {"Status": 404, "Message": "Resource not found"} == answer.json()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "why"),
    [
        (("wi fi", "x"), {}, InvalidInputError, "secret name 'wi fi'"),
        (("wifi", ""), {}, InvalidInputError, "must not be empty"),
        (("wifi", "x"), {"stages": []}, InvalidInputError, "at least one staging label"),
        (("wifi", "x"), {"arn": "arn:x"}, InvalidInputError, "no secret ARN"),
        (("wifi", b"x" * 65537), {}, LimitExceededError, "at most 65536"),
    ],
)
def test_what_is_no_secret_is_refused(core, arguments, options, error, why):
    with pytest.raises(error, match=why):
        core.add_secret(*arguments, **options)


def test_a_single_label_may_be_given_as_text(core):
    core.add_secret("wifi", "one", stages="blue")
    core.add_function("reader", reader, secrets=["wifi"])
    assert "one" == read(core, id="wifi", stage="blue")

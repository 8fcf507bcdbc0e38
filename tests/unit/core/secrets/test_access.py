# SPDX-License-Identifier: Apache-2.0
"""Who may read which secret, and by which names."""

from pathlib import Path

import pytest

from greengrass_sdk.core.secrets.access import Access, secret_arn
from greengrass_sdk.model.group import parse_group

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-Test-abcdef"
GROUP = f"""
schema = 1
[group]
name = "g"
core = "c"
[functions.reader]
code = "/"
handler = "a.b"
secrets = ["wifi", "token"]
[functions.other]
code = "/"
handler = "a.b"
secrets = ["greengrass-Test"]
[functions.none]
code = "/"
handler = "a.b"
[secrets.wifi]
[secrets.token]
arn = "{ARN}"
stages = ["blue", "AWSCURRENT"]
[secrets.greengrass-Test]
"""
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:{}:1"
READER, OTHER, NONE = (FUNCTION.format(name) for name in ("reader", "other", "none"))
WIFI = secret_arn("us-east-1", "000000000000", "wifi")


@pytest.fixture(scope="module")
def access():
    return Access.of(parse_group(GROUP, base=Path("/")))


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ("wifi", "wifi"),
        (WIFI, "wifi"),
        ("token", "token"),
        (ARN, "token"),
        ("greengrass-Test", "token"),
    ],
)
def test_a_secret_is_asked_for_by_its_names_and_arn(access, asked, key):
    assert key == access.find(READER, asked).key


@pytest.mark.parametrize(
    "asked", ["", "WIFI", "wifi ", ARN[:-1], ARN.removesuffix("-abcdef"), "arn:aws:lambda:::x"]
)
def test_nothing_else_names_it(access, asked):
    assert access.find(READER, asked) is None


def test_the_same_name_may_mean_another_secret_to_another_function(access):
    assert "greengrass-Test" == access.find(OTHER, "greengrass-Test").key
    assert access.find(OTHER, ARN) is None


@pytest.mark.parametrize("caller", [NONE, "cloud", "tool", "", FUNCTION.format("reader")[:-1]])
def test_who_was_not_granted_a_secret_finds_none(access, caller):
    assert [None] * 3 == [access.find(caller, asked) for asked in ("wifi", WIFI, ARN)]


def test_the_current_label_may_always_be_read(access):
    assert ("AWSCURRENT",) == access.find(READER, "wifi").stages
    assert ("AWSCURRENT", "blue") == access.find(READER, "token").stages


def test_a_secret_of_aws_has_the_name_that_it_has_there(access):
    grant = access.find(READER, "token")
    assert ("greengrass-Test", ARN) == (grant.name, grant.arn)
    grant = access.find(READER, "wifi")
    assert ("wifi", WIFI) == (grant.name, grant.arn)


def test_a_made_up_arn_looks_like_one_of_aws_and_depends_on_the_name_alone():
    arn = secret_arn("eu-west-1", "123456789012", "a/b")
    head, _, suffix = arn.rpartition("-")
    assert "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b" == head
    assert (6, True) == (len(suffix), suffix.isalnum())
    assert arn == secret_arn("eu-west-1", "123456789012", "a/b")
    assert arn != secret_arn("eu-west-1", "123456789012", "a/c")[: len(arn)]


@pytest.mark.parametrize(
    ("caller", "asked", "why"),
    [
        (READER, "nope", "the group has no such secret"),
        (NONE, "wifi", "[functions.none] does not have 'wifi' among its `secrets`"),
        (OTHER, ARN, "[functions.other] does not have 'token' among its `secrets`"),
        ("cloud", "wifi", "only functions may read secrets"),
    ],
)
def test_the_log_is_told_what_is_missing(access, caller, asked, why):
    assert why == access.why_not(caller, asked)


def test_who_asks_has_a_name_in_the_log(access):
    assert ("reader", "tool") == (access.name(READER), access.name("tool"))

# SPDX-License-Identifier: Apache-2.0
"""ARNs: built, taken apart, refused with a reason."""

import subprocess
import sys

import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import arn as arns
from greengrass_sdk.model.arn import LambdaArn, ThingArn, parse_lambda_arn, parse_thing_arn

FUNCTION = "arn:aws:lambda:us-west-2:123456789012:function:led"
THING = "arn:aws:iot:us-west-2:123456789012:thing/lamp"


class TestFunctionArns:
    @pytest.mark.parametrize(
        "text",
        [
            FUNCTION,
            f"{FUNCTION}:3",
            f"{FUNCTION}:PROD_1",
            f"{FUNCTION}:$LATEST",
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:led:1",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:led:1",
            "arn:aws:lambda:us-west-2:aws:function:MLFeedback",
            arns.ROUTER_ARN,
            arns.SHADOW_ARN,
            arns.SECRETS_ARN,
        ],
    )
    def test_an_arn_taken_apart_reads_as_before(self, text):
        assert text == str(parse_lambda_arn(text))

    def test_its_parts_have_names(self):
        found = parse_lambda_arn(f"{FUNCTION}:3")
        assert ("us-west-2", "123456789012", "led", "3", FUNCTION) == (
            found.region,
            found.account,
            found.name,
            found.qualifier,
            found.unqualified,
        )
        assert parse_lambda_arn(FUNCTION).qualifier is None

    def test_equal_arns_are_equal(self):
        arn = LambdaArn("us-west-2", "123456789012", "led", "3")
        assert arn == parse_lambda_arn(f"{FUNCTION}:3")
        assert arn != parse_lambda_arn(f"{FUNCTION}:4")
        assert arn != f"{FUNCTION}:3"
        assert 1 == len({arn, parse_lambda_arn(f"{FUNCTION}:3")})
        assert f"LambdaArn('{FUNCTION}:3')" == repr(arn)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is no function ARN"),
            ("led", "is no function ARN"),
            (THING, "is no function ARN"),
            (f"{FUNCTION}:3:4", "is no function ARN"),
            ("arn:aws:lambda:us-west-2:123456789012:layer:led:1", "is no function ARN"),
            ("arn:azure:lambda:us-west-2:123456789012:function:led", "is no function ARN"),
            ("arn:aws-:lambda:us-west-2:123456789012:function:led", "is no function ARN"),
            ("urn:aws:lambda:us-west-2:123456789012:function:led", "is no function ARN"),
            ("arn:aws:lambda:nowhere:123456789012:function:led", "region 'nowhere'"),
            ("arn:aws:lambda::123456789012:function:led", "region ''"),
            ("arn:aws:lambda:us-west-2::function:led", "account ''"),
            ("arn:aws:lambda:us-west-2:12 3:function:led", "account '12 3'"),
            (f"{FUNCTION} ", "function name 'led '"),
            ("arn:aws:lambda:us-west-2:123456789012:function:", "function name ''"),
            (f"{FUNCTION}:", "qualifier ''"),
            (f"{FUNCTION}:a b", "qualifier 'a b'"),
            (None, "must be str, not NoneType"),
        ],
    )
    def test_what_is_no_function_arn_is_refused_with_the_part(self, text, reason):
        with pytest.raises(InvalidInputError, match=reason):
            parse_lambda_arn(text)


class TestThingArns:
    @pytest.mark.parametrize("name", ["lamp", "lamp:1", "a-b_c"])
    def test_an_arn_taken_apart_reads_as_before(self, name):
        text = f"arn:aws:iot:us-west-2:123456789012:thing/{name}"
        assert (text, name) == (str(parse_thing_arn(text)), parse_thing_arn(text).name)

    def test_equal_arns_are_equal(self):
        arn = ThingArn("us-west-2", "123456789012", "lamp")
        assert arn == parse_thing_arn(THING)
        assert arn != THING
        assert 1 == len({arn, parse_thing_arn(THING)})
        assert f"ThingArn('{THING}')" == repr(arn)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (FUNCTION, "is no thing ARN"),
            ("lamp", "is no thing ARN"),
            ("arn:aws:iot:us-west-2:123456789012:thinggroup/lamp", "is no thing ARN"),
            ("arn:aws:iot:us-west-2:123456789012:thing/", "thing name ''"),
            ("arn:aws:iot:us-west-2:123456789012:thing/a/b", "thing name 'a/b'"),
            ("arn:aws:iot:us-west-2:1:thing/a", "account '1'"),
            ("arn:aws:iot:usa:123456789012:thing/a", "region 'usa'"),
            (7, "must be str, not int"),
        ],
    )
    def test_what_is_no_thing_arn_is_refused_with_the_part(self, text, reason):
        with pytest.raises(InvalidInputError, match=reason):
            parse_thing_arn(text)


class TestAddresses:
    def test_addresses_are_built_from_names(self):
        assert f"{FUNCTION}:3" == arns.function_arn("us-west-2", "123456789012", "led", "3")
        assert THING == arns.thing_arn("us-west-2", "123456789012", "lamp")
        assert "arn:aws:greengrass:us-west-2:123456789012:client/app" == arns.client_arn(
            "us-west-2", "123456789012", "app"
        )

    @pytest.mark.parametrize(
        ("region", "partition"),
        [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
    )
    def test_the_partition_follows_the_region(self, region, partition):
        assert partition == arns.partition_of(region)
        arn = arns.function_arn(region, "123456789012", "led", "3")
        assert partition == parse_lambda_arn(arn).partition

    @pytest.mark.parametrize(
        ("address", "name"),
        [
            (f"{FUNCTION}:3", "led"),
            (FUNCTION, "led"),
            (THING, "lamp"),
            ("arn:aws:iot:us-west-2:123456789012:thing/a:b", "a:b"),
            ("arn:aws:greengrass:us-west-2:123456789012:client/app", "app"),
            ("cloud", "cloud"),
            (arns.SHADOW_ARN, "GGShadowService"),
            ("arn:aws:lambda", "lambda"),
        ],
    )
    def test_the_short_name_is_the_last_part_without_version(self, address, name):
        assert name == arns.short_name(address)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 64])
    def test_good_names_are_returned(self, name):
        assert name == arns.check_function_name(name) == arns.check_client_name(name)
        assert f"{name}:1" == arns.check_thing_name(f"{name}:1")

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "x" * 65, "ä", "..", "a\n"])
    def test_bad_names_are_refused(self, name):
        with pytest.raises(InvalidInputError, match="function name"):
            arns.check_function_name(name)
        with pytest.raises(InvalidInputError, match="client name"):
            arns.check_client_name(name)

    def test_a_thing_name_may_be_longer(self):
        assert "x" * 128 == arns.check_thing_name("x" * 128)
        with pytest.raises(InvalidInputError, match="thing name of 129 characters"):
            arns.check_thing_name("x" * 129)

    @pytest.mark.parametrize(
        "region", ["us-east-1", "ap-southeast-2", "us-gov-west-1", "eu-home-1"]
    )
    def test_a_region_need_not_exist(self, region):
        assert region == arns.check_region(region)

    @pytest.mark.parametrize(
        "region",
        ["", "us", "us-east", "us-east-", "us-east-12", "use-east-1", "us--1", "US-east-1"],
    )
    def test_a_region_must_look_like_one(self, region):
        with pytest.raises(InvalidInputError, match="must look like 'us-east-1'"):
            arns.check_region(region)

    @pytest.mark.parametrize("account", ["", "1", "1234567890123", "12345678901a"])
    def test_an_account_has_twelve_digits(self, account):
        with pytest.raises(InvalidInputError, match="12 digits"):
            arns.check_account(account)

    @pytest.mark.parametrize("version", ["1", "42", "9999999999"])
    def test_a_version_is_a_number(self, version):
        assert version == arns.check_version(version)

    @pytest.mark.parametrize(
        "version", ["", "0", "01", "1.0", "PROD", "-1", "10000000000", "\u0661"]
    )
    def test_other_versions_are_refused(self, version):
        with pytest.raises(InvalidInputError, match="whole number from 1"):
            arns.check_version(version)

    def test_latest_is_refused_by_name(self):
        with pytest.raises(InvalidInputError, match="'\\$LATEST' is not supported"):
            arns.check_version("$LATEST")


def test_the_leaves_import_nothing_but_each_other():
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; before = set(sys.modules);"
        "import greengrass_sdk.model.arn, greengrass_sdk.model.topic;"
        "print(sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True
    )
    expected = [
        "__future__",
        "greengrass_sdk",
        "greengrass_sdk.errors",
        "greengrass_sdk.model",
        "greengrass_sdk.model.arn",
        "greengrass_sdk.model.limits",
        "greengrass_sdk.model.topic",
    ]
    assert str(expected) == found.stdout.strip()

# SPDX-License-Identifier: Apache-2.0
"""A group as a value."""

from pathlib import Path

import attrs
import pytest

from greengrass_sdk.errors import FunctionNotFoundError, InvalidInputError
from greengrass_sdk.model.definition import Group
from greengrass_sdk.model.function import Function, RunAs
from greengrass_sdk.model.parts import Device, LocalClient, Logger

ARN = "arn:aws:lambda:us-east-1:000000000000:function:led"


def function(name="led", **changes):
    return Function(
        **{"name": name, "code": Path("/c"), "handler": "a.f", "version": "3", **changes}
    )


def group(**changes):
    defaults = {"name": "g", "core": "core", "functions": {"led": function()}}
    return Group(**{**defaults, **changes})


class TestAddresses:
    def test_members_get_their_arns_from_region_and_account(self):
        found = group(
            region="eu-west-1",
            account="123456789012",
            devices={"lamp": Device(name="lamp")},
            clients={"app": LocalClient(name="app")},
        )
        assert [
            "arn:aws:lambda:eu-west-1:123456789012:function:led:3",
            "arn:aws:iot:eu-west-1:123456789012:thing/lamp",
            "arn:aws:greengrass:eu-west-1:123456789012:client/app",
            "arn:aws:iot:eu-west-1:123456789012:thing/core",
        ] == [
            found.functions["led"].arn,
            found.devices["lamp"].arn,
            found.clients["app"].arn,
            found.core_thing_arn,
        ]

    def test_arns_follow_a_changed_region(self):
        found = attrs.evolve(group(), region="eu-west-1")
        assert "arn:aws:lambda:eu-west-1:000000000000:function:led:3" == found.address("led")
        assert found.address("led") == found.functions["led"].arn

    def test_names_and_addresses_lead_to_each_other(self):
        assert (f"{ARN}:3", "led") == (group().address("led"), group().name_of(f"{ARN}:3"))

    @pytest.mark.parametrize(
        "members",
        [
            {"devices": {"led": Device(name="led")}},
            {"clients": {"led": LocalClient(name="led")}},
            {"functions": {"cloud": function("cloud")}},
            {"clients": {"GGShadowService": LocalClient(name="GGShadowService")}},
        ],
    )
    def test_names_are_unique_and_not_reserved(self, members):
        with pytest.raises(InvalidInputError, match="must differ"):
            group(**members)


class TestFunctions:
    @pytest.mark.parametrize(
        ("name", "qualifier"),
        [
            ("led", None),
            ("led", "3"),
            (ARN, None),
            (ARN, "3"),
            (f"{ARN}:3", None),
            (f"{ARN}:3", "3"),
        ],
    )
    def test_a_function_is_found_by_name_or_arn_in_its_version(self, name, qualifier):
        assert f"{ARN}:3" == group().function(name, qualifier).arn

    @pytest.mark.parametrize(
        ("name", "qualifier", "reason"),
        [
            ("lad", None, "function 'lad' is not in group 'g'; its functions: led"),
            ("led", "4", "function 'led' has version '3' in group 'g', not '4'"),
            ("led", "$LATEST", r"not '\$LATEST'"),
            (f"{ARN}:4", None, "has version '3'"),
            (f"{ARN}:3", "4", "names another version than the qualifier '4'"),
            (ARN.replace("east", "west"), None, "is not in group"),
            ("arn:aws:lambda:::function:GGRouter", None, "is not in group"),
            ("arn:aws:iot:x", None, "is no function ARN"),
        ],
    )
    def test_another_one_is_not_found(self, name, qualifier, reason):
        with pytest.raises(FunctionNotFoundError, match=reason) as caught:
            group().function(name, qualifier)
        assert name == caught.value.function

    def test_a_group_without_functions_says_so(self):
        with pytest.raises(FunctionNotFoundError, match="its functions: none"):
            group(functions={}).function("led")


class TestRoot:
    def test_functions_that_run_as_root_are_refused_in_the_words_of_v1(self):
        found = group(
            functions={
                "led": function(run_as=RunAs(uid=0)),
                "fan": function("fan", run_as=RunAs(uid=1000, gid=0)),
                "pump": function("pump", run_as=RunAs(uid=1000)),
            }
        )
        fan = ARN.replace("led", "fan")
        assert (
            f"lambda(s) [{ARN}:3 {fan}:3] are configured to run as root while Greengrass is not "
            "configured to run lambdas with root permissions"
        ) == found.root_refusal()

    def test_without_such_functions_there_is_nothing_to_refuse(self):
        assert (None, []) == (group().root_refusal(), group().root_functions)


def test_a_component_without_logger_has_the_defaults():
    found = group(loggers=[Logger(component="Lambda", level="DEBUG")])
    assert (Logger(component="Lambda", level="DEBUG"), Logger(component="GreengrassSystem")) == (
        found.logger("Lambda"),
        found.logger("GreengrassSystem"),
    )

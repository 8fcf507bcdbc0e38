# SPDX-License-Identifier: Apache-2.0
"""ARNs by AWS's names."""

from __future__ import annotations

import pytest

import greengrass_common
from greengrass_common.function_arn_fields import FunctionArnFields

UNQUALIFIED = "arn:aws:lambda:us-east-1:123456789012:function:my-Function_1"


@pytest.mark.parametrize("qualifier", ["", "1", "$LATEST", "alias"])
def test_an_arn_is_taken_apart_and_put_together(qualifier):
    arn = FunctionArnFields.build_function_arn(UNQUALIFIED, qualifier)
    fields = FunctionArnFields(arn)
    assert ("us-east-1", "123456789012", "my-Function_1", qualifier, UNQUALIFIED) == (
        *(fields.region, fields.account_id, fields.name),
        *(fields.qualifier, fields.unqualified_arn),
    )
    assert arn == fields.to_arn_string()


def test_other_partitions_and_the_account_of_connectors_are_known():
    fields = FunctionArnFields("arn:aws-us-gov:lambda:us-gov-west-1:aws:function:GG-ML-INF:1")
    assert ("us-gov-west-1", "aws") == (fields.region, fields.account_id)


@pytest.mark.parametrize(
    "text", ["", "f", "arn:aws:lambda:::function:GGRouter", "arn:aws:s3:::bucket"]
)
def test_what_is_no_arn_of_a_function_is_refused_in_the_words_of_v1(text):
    with pytest.raises(ValueError, match=r"^Cannot parse given string as a function ARN\.$"):
        FunctionArnFields(text)


def test_the_old_way_to_build_one_is_deprecated():
    with pytest.warns(DeprecationWarning, match="use build_function_arn"):
        arn = FunctionArnFields.build_arn_string("us-east-1", "123456789012", "f", "1")
    assert "arn:aws:lambda:us-east-1:123456789012:function:f:1" == arn


def test_the_package_has_the_class_too():
    assert greengrass_common.FunctionArnFields is FunctionArnFields
    assert greengrass_common.GreengrassMessage is not None

# SPDX-License-Identifier: Apache-2.0
"""The ARN of a function, taken apart."""

from __future__ import annotations

import warnings

from greengrass_sdk.client.v1 import split_function_arn

__all__ = ["FunctionArnFields"]


class FunctionArnFields:
    """
    The fields of a function's ARN.

    Raises:
        ValueError: The text is none. ARNs of system functions, which lack region and account, are
            none either, as in V1.
    """

    def __init__(self, function_arn_string: str) -> None:
        self.unqualified_arn, self.region, self.account_id, self.name, self.qualifier = (
            split_function_arn(function_arn_string)
        )

    @staticmethod
    def build_function_arn(unqualified_arn: str, qualifier: str | None) -> str:
        """Return the ARN with its qualifier, if there is one."""
        return f"{unqualified_arn}:{qualifier}" if qualifier else unqualified_arn

    @staticmethod
    def build_arn_string(region: str, account_id: str, name: str, qualifier: str | None) -> str:
        """Return an ARN from its fields. Deprecated: it knows one partition only."""
        warnings.warn(
            "build_arn_string is deprecated, use build_function_arn", DeprecationWarning, 2
        )
        unqualified = f"arn:aws:lambda:{region}:{account_id}:function:{name}"
        return FunctionArnFields.build_function_arn(unqualified, qualifier)

    def to_arn_string(self) -> str:
        """Return the whole ARN."""
        return self.build_function_arn(self.unqualified_arn, self.qualifier)

# SPDX-License-Identifier: Apache-2.0
"""What the core of V1 gave to AWS's `greengrasssdk`: variables, ARNs, versions, logging."""

from __future__ import annotations

from greengrass_common.function_arn_fields import FunctionArnFields
from greengrass_common.greengrass_message import GreengrassMessage

__all__ = ["FunctionArnFields", "GreengrassMessage"]

# SPDX-License-Identifier: Apache-2.0
"""
Groups: start here.

`load_group` reads the group file of a folder into a `Group`; `parse_group` does so with a text;
`lint_group` says what is allowed and probably not meant. A `Group` holds functions, devices, local
clients and the rows between them, and turns names into addresses and back.

This module only gathers what others define: `definition` (Group), `parts`, `function` and
`subscription` (what is in it), `groupfile` (reading), `lint`, `schema`.
"""

from __future__ import annotations

from greengrass_sdk.errors import Problem
from greengrass_sdk.model.definition import Group
from greengrass_sdk.model.function import Function, RunAs
from greengrass_sdk.model.groupfile import FILE_NAME, load_group, parse_group
from greengrass_sdk.model.lint import lint_group
from greengrass_sdk.model.parts import (
    CloudSettings,
    Device,
    Limits,
    LocalClient,
    Logger,
    Secret,
    Shadows,
    Streams,
)
from greengrass_sdk.model.schema import group_json_schema
from greengrass_sdk.model.subscription import Subscription

__all__ = [
    "FILE_NAME",
    "CloudSettings",
    "Device",
    "Function",
    "Group",
    "Limits",
    "LocalClient",
    "Logger",
    "Problem",
    "RunAs",
    "Secret",
    "Shadows",
    "Streams",
    "Subscription",
    "group_json_schema",
    "lint_group",
    "load_group",
    "parse_group",
]

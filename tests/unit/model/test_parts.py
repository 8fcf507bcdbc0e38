# SPDX-License-Identifier: Apache-2.0
"""The smaller tables as values: their defaults and bounds are those of the group file."""

import attrs
import pytest

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import parts
from greengrass_sdk.model.tables import table

CLASSES = [
    (parts.Limits, "limits", {}),
    (parts.CloudSettings, "cloud", {"url": "mqtt://x"}),
    (parts.Device, "devices", {"name": "lamp"}),
    (parts.LocalClient, "clients", {"name": "app"}),
    (parts.Secret, "secrets", {"name": "wifi"}),
    (parts.Shadows, "shadows", {}),
    (parts.Streams, "streams", {}),
    (parts.Logger, "loggers", {"component": "Lambda"}),
]


@pytest.mark.parametrize(("cls", "name", "needed"), CLASSES)
def test_defaults_are_those_of_the_group_file(cls, name, needed):
    declared = {key.name: key.default for key in table(name).keys if not key.required}
    found = cls(**needed)
    assert declared == {key: getattr(found, key) for key in declared}


@pytest.mark.parametrize(("cls", "name", "needed"), CLASSES)
def test_every_key_of_the_file_is_an_attribute(cls, name, needed):
    keys = {key.name for key in table(name).keys}
    assert keys <= {attribute.name for attribute in attrs.fields(cls)}


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: parts.Limits(work_items=0), r"\[limits\] work_items: must be"),
        (lambda: parts.CloudSettings(url="x"), r"\[cloud\] url: must be"),
        (lambda: parts.Logger(component="lambda"), r"\[loggers\] component: must be"),
        (lambda: parts.Streams(port=-1), r"\[streams\] port: must be"),
        (lambda: parts.Secret(name="x", arn="y"), r"\[secrets\] arn: 'y' is no secret ARN"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(build, reason):
    with pytest.raises(InvalidInputError, match=reason):
        build()

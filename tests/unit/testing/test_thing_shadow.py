# SPDX-License-Identifier: Apache-2.0
"""What a test says to a shadow, and what it finds there."""

from __future__ import annotations

import pytest

from greengrass_sdk import errors
from greengrass_sdk.testing import FakeCore


@pytest.fixture
def core():
    with FakeCore() as core:
        yield core


def test_a_shadow_that_is_not_there_is_empty(core):
    shadow = core.shadow("T")
    assert ({}, {}, {}, 0) == (shadow.desired, shadow.reported, shadow.delta, shadow.version)
    assert "ThingShadow('T')" == repr(shadow)
    with pytest.raises(errors.ShadowNotFoundError):
        shadow.delete()


def test_what_a_test_writes_it_reads(core):
    shadow = core.shadow("T")
    assert 1 == shadow.update(desired={"on": True}, reported={"on": False, "n": [1]}).version
    assert ({"on": True}, {"on": False, "n": [1]}) == (shadow.desired, shadow.reported)
    assert ({"on": True}, 1) == (shadow.delta, shadow.version)
    with pytest.raises(errors.ShadowVersionConflictError):
        shadow.update(desired={}, version=7)
    assert 1 == shadow.delete().version
    assert 0 == shadow.version


def test_named_shadows_are_apart(core):
    core.shadow("T", "config").update(desired={"a": 1})
    assert {} == core.shadow("T").desired
    shadow = core.shadow("T", "config")
    assert ("T", "config", {"a": 1}) == (shadow.thing, shadow.name, shadow.desired)
    assert "ThingShadow('T', 'config')" == repr(shadow)

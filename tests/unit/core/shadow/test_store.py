# SPDX-License-Identifier: Apache-2.0
"""What every store does; the one of the core has more tests in test_database."""

import pytest

from greengrass_sdk.core.shadow.database import Database
from greengrass_sdk.core.shadow.requests import ShadowId
from greengrass_sdk.core.shadow.store import MemoryStore, Record


@pytest.fixture(params=["memory", "database"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryStore()
        return
    database = Database.open(tmp_path / "shadows.db")
    yield database
    database.close()


def test_what_never_was_is_not_there(store):
    assert store.load(ShadowId("T")) is None
    assert [] == store.names("T")


def test_what_was_committed_is_there(store):
    changes = {
        ShadowId("T"): Record(1, b"classic"),
        ShadowId("T", "N"): Record(2, b"named"),
        ShadowId("U", "N"): Record(3, None),
    }
    store.commit(changes)
    assert changes == {shadow: store.load(shadow) for shadow in changes}


def test_the_last_commit_counts(store):
    store.commit({ShadowId("T"): Record(1, b"first")})
    store.commit({ShadowId("T"): Record(2, b"second")})
    store.commit({})
    assert Record(2, b"second") == store.load(ShadowId("T"))


def test_names_are_those_of_one_thing_sorted_and_without_deleted_and_classic_ones(store):
    store.commit(
        {
            ShadowId("T"): Record(1, b""),
            ShadowId("T", "b"): Record(1, b""),
            ShadowId("T", "a"): Record(1, b""),
            ShadowId("T", "gone"): Record(1, None),
            ShadowId("U", "c"): Record(1, b""),
        }
    )
    assert ["a", "b"] == store.names("T")

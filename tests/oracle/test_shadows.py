# SPDX-License-Identifier: Apache-2.0
"""
Shadows as others understood them: ours beside moto's IoT data plane (`nox -s oracle`).

What differs on purpose stands in docs/reference/shadows.md, "Not as at AWS", and is kept out of
what is drawn, or levelled out by `comparable`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from greengrass_sdk.core.shadow.requests import Operation, ShadowId
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.shadow.store import MemoryStore

moto_models = pytest.importorskip("moto.iotdata.models", reason="moto is not installed")

T = ShadowId("T")

# No booleans: moto takes 1 for True. A key is always an object or never: moto fails where an
# object takes the place of a value. No null in the place of a section, which moto ignores.
leaves = st.one_of(st.integers(0, 3), st.sampled_from(["x", "y", 0.5]), st.none())
arrays = st.lists(st.integers(0, 2), max_size=2)
inner = st.dictionaries(st.sampled_from(["b", "c"]), st.one_of(leaves, arrays), max_size=2)
sections = st.fixed_dictionaries(
    {}, optional={"a": st.one_of(leaves, arrays), "o": st.one_of(inner, st.none()), "z": leaves}
)
states = st.fixed_dictionaries({}, optional={"desired": sections, "reported": sections})


def pruned(delta: Any) -> Any:
    """Return a delta without the objects inside of which nothing differs."""
    if not isinstance(delta, dict):
        return delta
    found = {key: pruned(value) for key, value in delta.items()}
    return {key: value for key, value in found.items() if value != {}}


def shape(metadata: Any) -> Any:
    """Return metadata without its timestamps."""
    if isinstance(metadata, dict):
        if metadata.keys() == {"timestamp"}:
            return None
        return {key: shape(value) for key, value in metadata.items()}
    return [shape(each) for each in metadata] if isinstance(metadata, list) else metadata


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    state = dict(document["state"])
    delta = pruned(state.pop("delta", {}))
    return {
        "state": state,
        "delta": delta,
        "version": document["version"],
        "metadata": shape(document["metadata"]),
    }


@settings(max_examples=1000, deadline=None)
@given(st.lists(states, min_size=1, max_size=6))
def test_merge_and_delta_are_those_of_moto(updates):
    service = ShadowService(MemoryStore())
    theirs = None
    for number, state in enumerate(updates, start=1):
        request = {"state": state}
        payload = json.dumps(request).encode()
        ours = json.loads(service.serve(T, Operation.UPDATE, payload, 1, by_topic=False).reply)
        theirs = moto_models.FakeShadow.create_from_previous_version(theirs, json.loads(payload))
        # Its answer to the update is not compared: it is made of the request as the merge left it.
        assert (state, number) == (ours["state"], ours["version"])
        got = json.loads(service.serve(T, Operation.GET, b"", 1, by_topic=False).reply)
        assert comparable(theirs.to_dict()) == comparable(got)

# SPDX-License-Identifier: Apache-2.0
"""
The shadow service against a model that knows no documents, only paths.

A section is here a dict from paths to what stands there: a value with the time it was set, or the
mark of an object. So merge, delta, metadata and versions are worked out in another way than by the
service, which recurses. Updates, deletions, conflicts, restarts and commits that fail are drawn.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greengrass_sdk.core.shadow.requests import Operation, ShadowId
from greengrass_sdk.core.shadow.service import ShadowService
from greengrass_sdk.core.shadow.store import MemoryStore

OBJECT = object()
SHADOWS = [ShadowId("T"), ShadowId("T", "N"), ShadowId("U")]

keys = st.sampled_from(["a", "b", "timestamp"])
scalars = st.one_of(st.booleans(), st.integers(-1, 2), st.sampled_from([0.5, 1.0, "", "é"]))
leaves = st.one_of(scalars, st.none())
arrays = st.lists(st.one_of(scalars, st.dictionaries(keys, leaves, max_size=2)), max_size=2)
values = st.recursive(
    st.one_of(leaves, arrays), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
sections = st.one_of(st.none(), st.dictionaries(keys, values, max_size=3))
states = st.one_of(
    st.none(), st.fixed_dictionaries({}, optional={"desired": sections, "reported": sections})
)


class Section:
    """One section, as paths."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, ...], Any] = {}

    def put(self, patch: dict[str, Any] | None, now: int) -> None:
        if patch is None:
            self.found.clear()
            return
        waiting: list[tuple[tuple[str, ...], Any]] = [((key,), patch[key]) for key in patch]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, dict):
                if self.found.get(path) is not OBJECT:
                    self.remove(path)
                    self.found[path] = OBJECT
                waiting += [((*path, key), value[key]) for key in value]
                continue
            self.remove(path)
            if value is not None:
                self.found[path] = (value, now)

    def remove(self, path: tuple[str, ...]) -> None:
        for other in [other for other in self.found if other[: len(path)] == path]:
            del self.found[other]

    def values(self) -> dict[tuple[str, ...], Any]:
        """Return the values, and the empty objects."""
        return {
            path: OBJECT if found is OBJECT else found[0]
            for path, found in self.found.items()
            if found is not OBJECT or not any(other[:-1] == path for other in self.found)
        }

    def missing(self, reported: Section) -> dict[tuple[str, ...], Any]:
        there = reported.values()
        return {
            path: value
            for path, value in self.values().items()
            if (
                reported.found.get(path) is not OBJECT
                if value is OBJECT
                else path not in there or not same(value, there[path])
            )
        }


def same(one: Any, other: Any) -> bool:
    """Compare by JSON text, in which only 1 and 1.0 differ and should not."""

    def text(value: Any) -> str:
        return json.dumps(value, sort_keys=True).replace(".0", "")

    return other is not OBJECT and text(one) == text(other)


def paths(value: Any, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return the values and the empty objects of a document by their paths."""
    if not isinstance(value, dict):
        return {prefix: value}
    if not value and prefix:
        return {prefix: OBJECT}
    found: dict[tuple[str, ...], Any] = {}
    for key, inner in value.items():
        found.update(paths(inner, (*prefix, key)))
    return found


def stamped(value: Any, now: int) -> Any:
    if isinstance(value, list):
        return [stamped(each, now) for each in value]
    if isinstance(value, dict):
        return {key: stamped(each, now) for key, each in value.items()}
    return {"timestamp": now}


def at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


class Model:
    def __init__(self) -> None:
        self.version = 0
        self.exists = False
        self.sections = {"desired": Section(), "reported": Section()}

    def put(self, state: dict[str, Any] | None, now: int) -> None:
        self.version += 1
        self.exists = True
        if state is None:
            state = {"desired": None, "reported": None}
        for name, patch in state.items():
            self.sections[name].put(patch, now)


class Shadows(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.service = ShadowService(self.store)
        self.models = {shadow: Model() for shadow in SHADOWS}
        self.now = 0

    def ask(self, shadow: ShadowId, operation: Operation, document: Any = None) -> Any:
        payload = b"" if document is None else json.dumps(document).encode()
        outcome = self.service.serve(shadow, operation, payload, self.now, by_topic=False)
        return json.loads(outcome.reply), dict(outcome.outputs)

    @rule(
        shadow=st.sampled_from(SHADOWS), state=states, offset=st.sampled_from([None, 0, 0, 1, -1])
    )
    def update(self, shadow, state, offset):
        self.now += 1
        model = self.models[shadow]
        request = {"state": state, "clientToken": str(self.now)}
        current = model.version if model.exists else 0
        if offset is not None:
            request["version"] = max(0, current + offset)
        answer, outputs = self.ask(shadow, Operation.UPDATE, request)
        assert str(self.now) == answer["clientToken"]
        if offset is not None and request["version"] != current:
            assert (409, {}) == (answer["code"], outputs)
            return
        model.put(state, self.now)
        assert (state, model.version) == (answer["state"], answer["version"])
        delta = outputs.get(f"{shadow.topic}update/delta")
        missing = model.sections["desired"].missing(model.sections["reported"])
        assert bool(missing) == (delta is not None)
        if delta is not None:
            found = json.loads(delta)
            assert missing == paths(found["state"])
            whole, _ = self.ask(shadow, Operation.GET)
            for path in missing:
                stamp = at(whole["metadata"]["desired"], path)
                assert stamp == at(found["metadata"], path)

    @rule(shadow=st.sampled_from(SHADOWS))
    def delete(self, shadow):
        model = self.models[shadow]
        answer, _ = self.ask(shadow, Operation.DELETE)
        if not model.exists:
            assert 404 == answer["code"]
            return
        assert model.version == answer["version"]
        version = model.version
        self.models[shadow] = Model()
        self.models[shadow].version = version

    @rule()
    def restart(self):
        self.service = ShadowService(self.store)

    @rule(shadow=st.sampled_from(SHADOWS), state=states)
    def fail(self, shadow, state):
        """What is not committed never was."""
        payload = json.dumps({"state": state}).encode()
        self.service.handle(shadow, Operation.UPDATE, payload, self.now, by_topic=False)
        self.service.revert()

    @invariant()
    def tells_the_same(self):
        for shadow, model in self.models.items():
            answer, _ = self.ask(shadow, Operation.GET)
            if not model.exists:
                assert 404 == answer["code"]
                continue
            assert model.version == answer["version"]
            state = answer["state"]
            for name, section in model.sections.items():
                assert (name in state) == bool(section.found)
                assert section.values() == paths(state.get(name, {}))
                stamps = answer["metadata"].get(name, {})
                for path, found in section.found.items():
                    if found is not OBJECT:
                        assert stamped(*found) == at(stamps, path)
            missing = model.sections["desired"].missing(model.sections["reported"])
            assert missing == paths(state.get("delta", {}))


TestShadows = Shadows.TestCase
TestShadows.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

# SPDX-License-Identifier: Apache-2.0
"""
The rules of shadow documents, as functions of plain JSON values.

A state has the sections `desired` and `reported`, each an object and there only if it has keys.
The metadata has the same shape, with `{"timestamp": seconds}` in the place of every value that is
neither object nor array. Nothing here changes a value in place, so that the document before an
update and the one after it can share what they have in common.

* An update merges: objects key by key, `null` removes a key, everything else replaces, arrays too;
  a `null` in an array is refused before.
* An object that has lost its last key stays, as an empty object; a section does not.
* The delta holds what is in `desired` and not, or not the same, in `reported`; an object inside of
  which nothing differs is left out, an array that differs is there as a whole.
* Two values are the same if JSON says so: 1 and 1.0 are, 1 and true are not.

Ref: AWS IoT developer guide, "Device Shadow service documents"
"""

from __future__ import annotations

from typing import Any, TypeAlias

from attrs import field, frozen

__all__ = [
    "DESIRED",
    "MAX_LEVELS",
    "REPORTED",
    "SECTIONS",
    "Document",
    "has_null_in_array",
    "is_deeper_than",
    "metadata_of",
]

JsonObject: TypeAlias = dict[str, Any]

DESIRED = "desired"
REPORTED = "reported"
SECTIONS = (DESIRED, REPORTED)
MAX_LEVELS = 6  # objects and arrays inside each other, the section itself included


@frozen
class Document:
    """
    The content of one shadow.

    Attributes:
        state: `desired` and `reported`, those that have keys.
        metadata: When each value was set, in the shape of `state`.
    """

    state: JsonObject = field(factory=dict)
    metadata: JsonObject = field(factory=dict)

    def updated(self, patch: JsonObject | None, timestamp: int) -> Document:
        """
        Return the document after an update.

        Args:
            patch: The `state` of the update, valid; None removes both sections, as does None in the
                place of a section.
        """
        if patch is None:
            return Document()
        state = dict(self.state)
        metadata = dict(self.metadata)
        for section, values in patch.items():
            before = state.pop(section, {})
            stamps = metadata.pop(section, {})
            if values is None:
                continue
            merged = _merge(before, values)
            if merged:
                state[section] = merged
                metadata[section] = _merge_stamps(stamps, before, values, timestamp)
        return Document(_ordered(state), _ordered(metadata))

    def delta(self) -> JsonObject:
        """Return what of `desired` is not yet `reported`; empty if nothing."""
        return _difference(self.state.get(DESIRED, {}), self.state.get(REPORTED, {}))

    def delta_metadata(self, delta: JsonObject) -> JsonObject:
        """Return the metadata of the values in `delta`."""
        return _pick(self.metadata.get(DESIRED, {}), delta)


def metadata_of(patch: JsonObject | None, timestamp: int) -> JsonObject:
    """Return the metadata of an update itself, in which a removed key has its timestamp, too."""
    stamps = _stamp(patch, timestamp)
    return stamps if isinstance(stamps, dict) else {}


def is_deeper_than(value: Any, levels: int) -> bool:
    """Tell whether a value has more than `levels` objects and arrays inside each other."""
    if isinstance(value, dict):
        return not levels or any(is_deeper_than(each, levels - 1) for each in value.values())
    if isinstance(value, list):
        return not levels or any(is_deeper_than(each, levels - 1) for each in value)
    return False


def has_null_in_array(value: Any) -> bool:
    """Tell whether an array somewhere in a value has a null, which has no meaning there."""
    if isinstance(value, dict):
        return any(map(has_null_in_array, value.values()))
    if isinstance(value, list):
        return any(each is None or has_null_in_array(each) for each in value)
    return False


def _ordered(sections: JsonObject) -> JsonObject:
    return {name: sections[name] for name in SECTIONS if name in sections}


def _merge(before: JsonObject, patch: JsonObject) -> JsonObject:
    merged = dict(before)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = _merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _merge_stamps(
    stamps: JsonObject, before: JsonObject, patch: JsonObject, timestamp: int
) -> JsonObject:
    """Return the metadata of `_merge(before, patch)`, where `stamps` is that of `before`."""
    merged = dict(stamps)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = before.get(key)
            # Only the state tells an object with a key "timestamp" from the stamp of a value.
            known = (stamps[key], inner) if isinstance(inner, dict) else ({}, {})
            merged[key] = _merge_stamps(known[0], known[1], value, timestamp)
        else:
            merged[key] = _stamp(value, timestamp)
    return merged


def _stamp(value: Any, timestamp: int) -> Any:
    if isinstance(value, dict):
        return {key: _stamp(each, timestamp) for key, each in value.items()}
    if isinstance(value, list):
        return [_stamp(each, timestamp) for each in value]
    return {"timestamp": timestamp}


def _difference(desired: JsonObject, reported: JsonObject) -> JsonObject:
    delta = {}
    for key, wanted in desired.items():
        found = reported.get(key)  # None is no value of a state
        if isinstance(wanted, dict) and isinstance(found, dict):
            inner = _difference(wanted, found)
            if inner:
                delta[key] = inner
        elif not _is_same(wanted, found):
            delta[key] = wanted
    return delta


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_is_same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(_is_same(*pair) for pair in zip(one, other, strict=True))
        )
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _pick(stamps: JsonObject, delta: JsonObject) -> JsonObject:
    return {
        key: _pick(stamps[key], value) if isinstance(value, dict) else stamps[key]
        for key, value in delta.items()
    }

# SPDX-License-Identifier: Apache-2.0

import pytest

from greengrass_sdk.core.shadow.documents import Document, is_deeper_than, metadata_of

T1 = {"timestamp": 1}
T2 = {"timestamp": 2}


def updated(*states):
    document = Document()
    for timestamp, state in enumerate(states, start=1):
        document = document.updated(state, timestamp)
    return document


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        pytest.param({}, {"a": 1}, {"a": 1}, id="a-new-key"),
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="other-keys-stay"),
        pytest.param({"a": 1}, {"a": "x"}, {"a": "x"}, id="a-value-replaces"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="objects-merge"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="arrays-replace"),
        pytest.param({"a": 1, "b": 2}, {"a": None}, {"b": 2}, id="null-deletes"),
        pytest.param({"a": 1}, {"b": None}, {"a": 1}, id="null-of-no-key"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}, id="an-emptied-object-stays"),
        pytest.param({}, {"a": {"b": None}}, {"a": {}}, id="null-in-a-new-object"),
        pytest.param(
            {"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}, id="an-empty-object-says-nothing"
        ),
        pytest.param({"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="object-for-value"),
        pytest.param({"a": {"b": 1}}, {"a": 5}, {"a": 5}, id="value-for-object"),
        pytest.param({}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}, id="in-arrays"),
        pytest.param({"a": 1}, {}, {"a": 1}, id="nothing"),
        pytest.param({"z": 1}, {"a": False}, {"z": 1, "a": False}, id="false-is-a-value"),
    ],
)
@pytest.mark.parametrize("section", ["desired", "reported"])
def test_an_update_merges(section, before, patch, after):
    document = updated({section: {"keep": 0, **before}}, {section: patch})
    assert {section: {"keep": 0, **after}} == document.state


@pytest.mark.parametrize("patch", [{"desired": {"a": None}}, {"desired": None}, None])
def test_a_section_without_keys_vanishes(patch):
    document = updated({"desired": {"a": 1}}, patch)
    assert ({}, {}) == (document.state, document.metadata)


def test_only_the_sections_of_an_update_change():
    document = updated({"desired": {"a": 1}, "reported": {"a": 2}}, {"reported": {"a": 1}})
    assert {"desired": {"a": 1}, "reported": {"a": 1}} == document.state
    assert {"desired": {"a": T1}, "reported": {"a": T2}} == document.metadata


def test_an_update_leaves_the_document_before_it_alone():
    before = updated({"desired": {"a": {"b": [1]}}})
    before.updated({"desired": {"a": {"b": None, "c": 1}}}, 2)
    assert ({"desired": {"a": {"b": [1]}}}, {"desired": {"a": {"b": [T1]}}}) == (
        before.state,
        before.metadata,
    )


@pytest.mark.parametrize(
    ("first", "second", "stamps"),
    [
        ({"a": 1, "b": 1}, {"b": 1}, {"a": T1, "b": T2}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"c": 2}}, {"a": {"b": T1, "c": T2}}),
        ({"a": [1, {"b": 1}]}, {}, {"a": [T1, {"b": T1}]}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [T2]}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": T2}}),
        ({"a": {"timestamp": 9}}, {"a": {"b": 1}}, {"a": {"timestamp": T1, "b": T2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
        ({"a": 1, "b": 1}, {"a": None}, {"b": T1}),
        ({"a": []}, {"b": {}}, {"a": [], "b": {}}),
    ],
)
def test_every_value_has_the_time_at_which_it_was_set(first, second, stamps):
    assert {"desired": stamps} == updated({"desired": first}, {"desired": second}).metadata


@pytest.mark.parametrize(
    ("desired", "reported", "delta"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 1}),
        ({}, {"a": 1}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, {}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": {"b": 1}}),
        ({"a": {}}, {}, {"a": {}}),
        ({"a": {}}, {"a": {"b": 1}}, {}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 2]}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1, 2]}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}]}, {}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 1}]}, {"a": [{"b": 1}]}),
        ({"a": [1]}, {"a": 1}, {"a": [1]}),
        ({"a": [{}]}, {"a": [1]}, {"a": [{}]}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": True}, {"a": 1}),
        ({"a": [0]}, {"a": [False]}, {"a": [0]}),
        ({"a": "1"}, {"a": 1}, {"a": "1"}),
        ({"a": False}, {}, {"a": False}),
    ],
)
def test_the_delta_is_what_is_desired_and_not_reported(desired, reported, delta):
    assert delta == updated({"desired": desired, "reported": reported}).delta()


def test_the_metadata_of_a_delta_is_that_of_the_desired_values():
    document = updated(
        {"desired": {"a": {"b": 1, "c": [1]}, "d": 1}},
        {"reported": {"a": {"b": 1}}},
        {"desired": {"d": {"e": 1}}},
    )
    delta = document.delta()
    assert {"a": {"c": [1]}, "d": {"e": 1}} == delta
    assert {"a": {"c": [T1]}, "d": {"e": {"timestamp": 3}}} == document.delta_metadata(delta)


def test_the_metadata_of_an_update_stamps_what_it_removes_too():
    patch = {"desired": {"a": None, "b": [1, {"c": 2}]}, "reported": None}
    stamps = {"desired": {"a": T1, "b": [T1, {"c": T1}]}, "reported": T1}
    assert (stamps, T1) == (metadata_of(patch, 1), metadata_of(None, 1))


@pytest.mark.parametrize(
    ("value", "levels"), [(1, 0), ({}, 1), ([], 1), ({"a": 1}, 1), ({"a": [{"b": {}}]}, 4)]
)
def test_levels_are_objects_and_arrays_inside_each_other(value, levels):
    assert not is_deeper_than(value, levels)
    assert not levels or is_deeper_than(value, levels - 1)

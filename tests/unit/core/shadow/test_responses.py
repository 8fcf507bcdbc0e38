# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from greengrass_sdk.core.shadow import responses


def test_json_is_compact_and_utf_8():
    assert '{"ä":[1,true]}'.encode() == responses.encode({"ä": [1, True]})


def test_the_size_of_a_state_is_that_of_its_sections_alone():
    state = {"desired": {"ä": 12}, "reported": {"b": 345}}
    assert 9 + 9 == responses.state_bytes(state, responses.encode(state))
    del state["desired"]
    assert 9 == responses.state_bytes(state, responses.encode(state))
    assert 0 == responses.state_bytes({}, b"{}")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            responses.accepted({"desired": {"a": 1}}, {"desired": {}}, 2, 3, None),
            {
                "state": {"desired": {"a": 1}},
                "metadata": {"desired": {}},
                "version": 2,
                "timestamp": 3,
            },
        ),
        (
            responses.delta({"a": 1}, {"a": {"timestamp": 3}}, 2, 3, None),
            {
                "state": {"a": 1},
                "metadata": {"a": {"timestamp": 3}},
                "version": 2,
                "timestamp": 3,
            },
        ),
        (
            responses.documents(b'{"a":1}', b'{"b":2}', 3, None),
            {"previous": {"a": 1}, "current": {"b": 2}, "timestamp": 3},
        ),
        (
            responses.rejected(404, "none", 3, None),
            {"code": 404, "message": "none", "timestamp": 3},
        ),
        (responses.names(["N"], "", 3), {"results": ["N"], "timestamp": 3}),
        (responses.names(["N"], "N", 3), {"results": ["N"], "timestamp": 3, "nextToken": "N"}),
        (responses.finished(b'{"version":2', 3, None), {"version": 2, "timestamp": 3}),
    ],
)
def test_a_document(document, expected):
    assert expected == json.loads(document)


@pytest.mark.parametrize(
    "document",
    [
        responses.accepted({}, {}, 1, 1, 'c"'),
        responses.delta({}, {}, 1, 1, 'c"'),
        responses.documents(b"{}", b"{}", 1, 'c"'),
        responses.rejected(400, "no", 1, 'c"'),
        responses.finished(b'{"version":2', 1, 'c"'),
    ],
)
def test_the_client_token_is_echoed(document):
    assert 'c"' == json.loads(document)["clientToken"]


@pytest.mark.parametrize(
    "value", [{}, [], {"a": [1, 0.5, True, None, 'ä\n"\u2028']}, {"": {"b": {}}}, -1, 1e300, "\x00"]
)
def test_json_is_what_the_library_writes(value):
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert expected.encode() == responses.encode(value)
    assert value == json.loads(responses.encode(value))


def test_what_is_not_json_is_not_written():
    with pytest.raises(ValueError, match="Out of range"):
        responses.encode({"a": float("nan")})

# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from greengrass_sdk.core.shadow.requests import (
    Operation,
    Refusal,
    Request,
    ShadowId,
    parse_payload,
    parse_topic,
)

OTHERS = [Operation.GET, Operation.DELETE, Operation.LIST]


def nested(levels):
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("topic", "shadow", "operation"),
    [
        ("$aws/things/T/shadow/get", ShadowId("T"), Operation.GET),
        ("$aws/things/T/shadow/update", ShadowId("T"), Operation.UPDATE),
        ("$aws/things/T/shadow/delete", ShadowId("T"), Operation.DELETE),
        ("$aws/things/T/shadow/list", ShadowId("T"), Operation.LIST),
        ("$aws/things/T/shadow/name/N/get", ShadowId("T", "N"), Operation.GET),
        ("$aws/things/a b/shadow/get", ShadowId("a b"), Operation.GET),
    ],
)
def test_a_topic_names_shadow_and_operation(topic, shadow, operation):
    assert (shadow, operation) == parse_topic(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "a",
        "$aws/things/T/shadow",
        "$aws/things/T/shadow/",
        "$aws/things/T/shadow/update/accepted",
        "$aws/things/T/shadow/name/N",
        "$aws/things/T/shadow/name//get",
        "$aws/things/T/U/shadow/get",
        "x$aws/things/T/shadow/get",
        "$aws/things/T/shadow/get\n",
    ],
)
def test_other_topics_are_none_of_requests(topic):
    assert parse_topic(topic) is None


@pytest.mark.parametrize(
    ("shadow", "topic", "shown"),
    [
        (ShadowId("T"), "$aws/things/T/shadow/", "T"),
        (ShadowId("T", "N"), "$aws/things/T/shadow/name/N/", "T~N"),
    ],
)
def test_a_shadow_knows_its_topics_and_how_it_is_called(shadow, topic, shown):
    assert (topic, shown) == (shadow.topic, shadow.shown)


@pytest.mark.parametrize(
    "shadow",
    [ShadowId("a-Z:_9"), ShadowId("T" * 128), ShadowId("T", "$a-Z:_9"), ShadowId("T", "N" * 64)],
)
def test_good_names(shadow):
    shadow.check()


@pytest.mark.parametrize(
    ("shadow", "what"),
    [
        (ShadowId(""), "thing"),
        (ShadowId("T" * 129), "thing"),
        (ShadowId("a b"), "thing"),
        (ShadowId("ä"), "thing"),
        (ShadowId("T", "N" * 65), "shadow"),
        (ShadowId("T", "a.b"), "shadow"),
    ],
)
def test_names_that_nothing_can_have(shadow, what):
    with pytest.raises(Refusal, match=f"Invalid {what} name") as caught:
        shadow.check()
    assert 400 == caught.value.code


@pytest.mark.parametrize(
    ("document", "request_"),
    [
        ({"state": {}}, Request({})),
        ({"state": {"desired": {"a": 1}}}, Request({"desired": {"a": 1}})),
        ({"state": {"desired": None, "reported": {}}}, Request({"desired": None, "reported": {}})),
        ({"state": None}, Request(None)),
        ({"state": {}, "clientToken": "x" * 64}, Request({}, "x" * 64)),
        ({"state": {}, "clientToken": ""}, Request({}, "")),
        ({"state": {}, "clientToken": None, "version": None}, Request({})),
        ({"state": {}, "version": 7}, Request({}, None, 7)),
        ({"state": {}, "more": 1}, Request({})),
        ({"state": {"desired": nested(6)}}, Request({"desired": nested(6)})),
        ({"state": {"desired": {"a": [1, 2]}}}, Request({"desired": {"a": [1, 2]}})),
    ],
)
def test_an_update(document, request_):
    assert request_ == parse_payload(Operation.UPDATE, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"{", 400, "Invalid JSON"),
        (b"\xef\xbb\xbf{}", 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b"null", 400, "Invalid JSON"),
        (b'"text"', 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": NaN}}}', 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": 1e999}}}', 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": "\\ud800"}}}', 400, "Invalid JSON"),
        (b'{"state": {"desired": {"a": ' + b"9" * 5000 + b"}}}", 400, "Invalid JSON"),
        (b"{}", 400, "Missing required node: state"),
        (b'{"state": 1}', 400, "State node must be an object"),
        (b'{"state": []}', 400, "State node must be an object"),
        (b'{"state": {"desired": 1}}', 400, "Desired node must be an object"),
        (b'{"state": {"desired": []}}', 400, "Desired node must be an object"),
        (b'{"state": {"reported": "x"}}', 400, "Reported node must be an object"),
        (b'{"state": {"delta": {}}}', 400, "State contains an invalid node"),
        (b'{"state": {}, "version": "1"}', 400, "Invalid version"),
        (b'{"state": {}, "version": 1.0}', 400, "Invalid version"),
        (b'{"state": {}, "version": true}', 400, "Invalid version"),
        (b'{"state": {}, "version": -1}', 400, "Invalid version"),
        (b'{"state": {}, "clientToken": 1}', 400, "Invalid clientToken"),
        (b'{"state": {}, "clientToken": "%s"}' % (b"x" * 65), 400, "Invalid clientToken"),
        (
            '{"state": {}, "clientToken": "%s"}'.replace("%s", "ä" * 33).encode(),
            400,
            "Invalid clientToken",
        ),
        (
            json.dumps({"state": {"desired": nested(7)}}).encode(),
            400,
            "JSON contains too many levels of nesting; maximum is 6",
        ),
        (
            json.dumps({"state": {"reported": {"a": [[[[[[1]]]]]]}}}).encode(),
            400,
            "JSON contains too many levels of nesting; maximum is 6",
        ),
        (
            b'{"state": {"desired": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}}",
            400,
            "JSON contains too many levels of nesting; maximum is 6",
        ),
        (b" " * 262_145, 413, "The payload exceeds the maximum size allowed"),
        (
            '{"state": {}}'.encode("utf-16"),
            415,
            "Unsupported documented encoding; supported encoding is UTF-8",
        ),
        (b'"\xff"', 415, "Unsupported documented encoding; supported encoding is UTF-8"),
    ],
    ids=lambda value: None if isinstance(value, bytes) and len(value) > 60 else str(value),
)
def test_an_update_that_is_refused(payload, code, message):
    with pytest.raises(Refusal) as caught:
        parse_payload(Operation.UPDATE, payload)
    assert (code, message) == (caught.value.code, caught.value.message)


@pytest.mark.parametrize("array", [[None], [1, [None]], [{"b": [None]}], [{"b": None}]])
def test_a_null_in_an_array_is_refused_and_in_an_object_inside_of_one_not(array):
    payload = json.dumps({"state": {"desired": {"o": {"a": array}}}}).encode()
    if array == [{"b": None}]:
        assert {"desired": {"o": {"a": array}}} == parse_payload(Operation.UPDATE, payload).state
        return
    with pytest.raises(Refusal) as raised:
        parse_payload(Operation.UPDATE, payload)
    assert (400, "State contains an invalid node") == (raised.value.code, raised.value.message)


@pytest.mark.parametrize(
    "text", ['{"state": {}}', ' \n{"state": {}}', '{"state": {}}\t ', "{}}", " "]
)
def test_blanks_around_a_document_are_none_of_it(text):
    if "state" in text:
        assert Request({}) == parse_payload(Operation.UPDATE, text.encode())
        return
    with pytest.raises(Refusal, match="Invalid JSON"):
        parse_payload(Operation.UPDATE, text.encode())


def test_a_refusal_knows_the_client_token():
    with pytest.raises(Refusal) as caught:
        parse_payload(Operation.UPDATE, b'{"state": 1, "clientToken": "c"}')
    assert "c" == caught.value.client_token


@pytest.mark.parametrize("operation", OTHERS)
def test_other_requests_may_be_empty_or_have_a_client_token(operation):
    assert Request() == parse_payload(operation, b"")
    assert Request() == parse_payload(operation, b"{}")
    assert Request(client_token="c") == parse_payload(operation, b'{"clientToken": "c"}')


@pytest.mark.parametrize("operation", OTHERS)
@pytest.mark.parametrize("payload", [b"x", b"[]", b'{"clientToken": 1}'])
def test_other_requests_are_refused_if_they_are_not_json(operation, payload):
    with pytest.raises(Refusal) as caught:
        parse_payload(operation, payload)
    assert 400 == caught.value.code

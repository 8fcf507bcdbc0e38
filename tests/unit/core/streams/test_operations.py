# SPDX-License-Identifier: Apache-2.0
"""Requests as they travelled: what is done, and what is refused with which words."""

from __future__ import annotations

import asyncio

import cbor2
import pytest
from fake_streams import FakeStreams

from greengrass_sdk.core.streams import operations
from greengrass_sdk.errors import (
    InvalidStreamRequestError,
    StreamNotFoundError,
    StreamReadError,
)
from greengrass_sdk.wire.streams import Call, Operation

S = {"name": "s", "strategyOnFull": 1}


def perform(*requests, manager=None):
    """Return the answer to the last request."""

    async def run():
        streams = manager or FakeStreams()
        answer = None
        for operation, body in requests:
            if operation == Operation.APPEND:
                told = asyncio.get_running_loop().create_future()
                streams.append(operations.append_of(body), told.set_result)
                answer = (await told).first
            else:
                asked = {"requestId": "r", **body}
                if operation == Operation.READ:
                    frame = await operations.read(streams, Call(operation, "r", asked))
                    answer = cbor2.loads(frame[5:])["messages"]
                    continue
                answer = await operations.perform(streams, operation, asked)
        return answer

    return asyncio.run(run())


CREATE = (Operation.CREATE, {"definition": S})
APPEND = (Operation.APPEND, {"name": "s", "payload": b"a"})
NAMED = {"streamName": "s"}


def test_a_stream_lives():
    assert {} == perform(CREATE)
    assert 1 == perform(CREATE, APPEND, APPEND)
    assert {"streams": ["s"]} == perform(CREATE, (Operation.LIST, {}))
    assert {} == perform(CREATE, (Operation.UPDATE, {"definition": {**S, "maxSize": 5000}}))
    assert {} == perform(CREATE, (Operation.DELETE, {"name": "s"}))


def test_messages_are_read():
    read = (Operation.READ, {"streamName": "s"})
    (message,) = perform(CREATE, APPEND, APPEND, read)
    assert {
        "streamName": "s",
        "sequenceNumber": 0,
        "ingestTime": 1000,
        "payload": b"a",
    } == message


def test_describe_answers_with_numbers_for_enumerations():
    info = perform(CREATE, APPEND, (Operation.DESCRIBE, {"name": "s"}))["messageStreamInfo"]
    assert {"oldestSequenceNumber": 0, "newestSequenceNumber": 0, "totalBytes": 1} == info[
        "storageStatus"
    ]
    assert (1, 268435456) == (info["definition"]["strategyOnFull"], info["definition"]["maxSize"])
    assert int is type(info["definition"]["strategyOnFull"])


@pytest.mark.parametrize("options", [{"minMessageCount": 1.0}, {"minMessageCount": [1]}])
def test_options_are_checked_also_when_others_that_are_equal_were_good(options):
    perform(
        CREATE, APPEND, (Operation.READ, {**NAMED, "readMessagesOptions": {"minMessageCount": 1}})
    )
    with pytest.raises(InvalidStreamRequestError, match="min_message_count"):
        perform((Operation.READ, {**NAMED, "readMessagesOptions": options}))


def test_options_that_nobody_knows_are_a_newer_clients():
    read = (Operation.READ, {**NAMED, "readMessagesOptions": {"newer": 5}})
    assert 1 == len(perform(CREATE, APPEND, read))


@pytest.mark.parametrize(
    ("asked", "passed_s"), [(0, 0.0), (500, 0.45), (100, 0.09), (1000, 0.9), (60_000, 59.0)]
)
def test_a_read_ends_before_its_client_gives_up(asked, passed_s):
    manager = FakeStreams()
    read = (
        Operation.READ,
        {"streamName": "s", "readMessagesOptions": {"readTimeoutMillis": asked}},
    )
    perform(CREATE, APPEND, read, manager=manager)
    assert [pytest.approx(passed_s)] == manager.waits


NAME = "Property name"


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        (Operation.CREATE, {}, "Property definition is required, but was None"),
        (Operation.CREATE, {"definition": 5}, "must be of type MessageStreamDefinition"),
        (
            Operation.CREATE,
            {"definition": {"name": "a/b", "strategyOnFull": 1}},
            "Property definition is invalid because Property name must match regex",
        ),
        (Operation.CREATE, {"definition": {"name": "a"}}, "strategy_on_full is required"),
        (Operation.CREATE, {"definition": {**S, "strategyOnFull": 7}}, "one of 0, 1"),
        (Operation.CREATE, {"definition": {**S, "maxSize": 1023}}, "at least 1024"),
        (Operation.CREATE, {"definition": {**S, "maxSize": "x"}}, "of type int"),
        (Operation.CREATE, {"definition": {**S, "exportDefinition": []}}, "ExportDefinition"),
        (
            Operation.CREATE,
            {"definition": {**S, "exportDefinition": {"kinesis": [{"identifier": "i"}]}}},
            "kinesis_stream_name is required",
        ),
        (Operation.CREATE, {"definition": {**S, "exportDefinition": {"http": 5}}}, "type list"),
        (Operation.UPDATE, {}, "Property definition is required, but was None"),
        (Operation.DELETE, {}, f"{NAME} is required, but was None"),
        (Operation.DELETE, {"name": 5}, f"{NAME} is invalid because it must be of type str"),
        (Operation.DELETE, {"name": ""}, f"{NAME} must have a minimum length of 1"),
        (Operation.DELETE, {"name": "x" * 256}, f"{NAME} must have a maximum length of 255"),
        (Operation.DESCRIBE, {"name": "../x"}, f"{NAME} must match regex"),
        (Operation.APPEND, {"name": "s"}, "Property payload is required, but was None"),
        (Operation.APPEND, {"name": "s", "payload": "text"}, "of type bytes"),
        (Operation.APPEND, {"name": "s", "payload": b""}, "minimum length of 1, but found"),
        (Operation.READ, {}, "Property stream_name is required, but was None"),
        (Operation.READ, {"streamName": "s", "readMessagesOptions": 5}, "ReadMessagesOptions"),
        (
            Operation.READ,
            {"streamName": "s", "readMessagesOptions": {"minMessageCount": 0}},
            "min_message_count must be at least 1",
        ),
        (
            Operation.READ,
            {
                "streamName": "s",
                "readMessagesOptions": {"minMessageCount": 3, "maxMessageCount": 2},
            },
            "min_message_count must be less than or equal to max_message_count",
        ),
        (
            Operation.READ,
            {"streamName": "s", "readMessagesOptions": {"readTimeoutMillis": -1}},
            "at least 0",
        ),
        (
            Operation.READ,
            {"streamName": "s", "readMessagesOptions": {"desiredStartSequenceNumber": 2**63}},
            "at most 9223372036854775807",
        ),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused(operation, body, text):
    with pytest.raises(InvalidStreamRequestError) as refused:
        perform((operation, body))
    assert text in str(refused.value)
    assert 3 == refused.value.status


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (StreamNotFoundError("stream 's' does not exist"), 5, "stream 's' does not exist"),
        (StreamReadError("damaged"), 14, "damaged"),
        (MemoryError(), 15, "the core is out of memory"),
        (RuntimeError("odd"), 1, "the request failed: RuntimeError: odd"),
    ],
)
def test_an_error_is_told_by_its_number_and_text(error, status, text):
    assert (status, text) == operations.refusal(error)


def test_an_answer_that_is_too_large_says_what_to_do():
    assert operations.check_response(10, 10) is None
    refused = operations.check_response(11, 10)
    assert refused is not None
    assert 7 == refused[0]
    assert "read fewer messages" in refused[1]


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({}, 0.0),
        ({"readMessagesOptions": None}, 0.0),
        ({"readMessagesOptions": {}}, 0.0),
        ({"readMessagesOptions": {"readTimeoutMillis": "soon"}}, 0.0),
        ({"readMessagesOptions": {"readTimeoutMillis": 1500}}, 1.5),
    ],
)
def test_the_timeout_of_a_read_tells_how_long_its_client_waits(body, seconds):
    assert seconds == operations.wait_s(body)

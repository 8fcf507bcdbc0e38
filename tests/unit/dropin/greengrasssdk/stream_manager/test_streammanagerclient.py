# SPDX-License-Identifier: Apache-2.0
"""The client over links by script; real ones are in tests/integration/test_stream_clients.py."""

from __future__ import annotations

import pytest

from greengrass_sdk.client import streamlink
from greengrass_sdk.errors import AuthorizationError, CoreUnavailableError, StreamsDisabledError
from greengrasssdk import stream_manager as sm
from greengrasssdk.stream_manager.data import ResponseStatusCode


class Link:
    """What a client has instead of a connection."""

    connected = True

    def __init__(self):
        self.asked = []
        self.answers = []

    def call(self, operation, body):
        self.asked.append((operation, body))
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        number, answer = answer if isinstance(answer, tuple) else (operation, answer)
        return number, {"requestId": "r", "status": 0, **answer}

    def close(self):
        self.asked.append("close")


@pytest.fixture
def link(monkeypatch):
    link = Link()
    monkeypatch.setattr(streamlink, "in_function", lambda: True)
    monkeypatch.setattr(streamlink, "NativeLink", lambda timeout: link)
    return link


@pytest.fixture
def client(link):
    with sm.StreamManagerClient() as client:
        yield client


def definition(**more):
    return sm.MessageStreamDefinition(
        name="s", strategy_on_full=sm.StrategyOnFull.RejectNewData, **more
    )


def test_each_operation_is_asked_for(client, link):
    link.answers = [{}, {}, {"sequenceNumber": 7}, {"streams": ["s"]}]
    client.create_message_stream(definition())
    client.update_message_stream(definition())
    assert 7 == client.append_message("s", b"x")
    assert ["s"] == client.list_streams()
    client.delete_message_stream(stream_name="s")
    wire = definition().as_dict()
    assert [
        (2, {"definition": wire}),
        (15, {"definition": wire}),
        (4, {"name": "s", "payload": b"x"}),
        (11, {}),
        (3, {"name": "s"}),
    ] == link.asked


def test_messages_are_read(client, link):
    message = {"streamName": "s", "sequenceNumber": 3, "ingestTime": 5, "payload": b"x"}
    link.answers = [{"messages": [message]}, {}]
    (read,) = client.read_messages("s", sm.ReadMessagesOptions(desired_start_sequence_number=3))
    assert (3, b"x") == (read.sequence_number, read.payload)
    assert [] == client.read_messages("s")
    options = {"desiredStartSequenceNumber": 3, "minMessageCount": 1, "readTimeoutMillis": 0}
    assert [
        (5, {"streamName": "s", "readMessagesOptions": options}),
        (5, {"streamName": "s"}),
    ] == link.asked


def test_a_stream_is_described(client, link):
    info = {"definition": definition().as_dict(), "storageStatus": {"totalBytes": 5}}
    link.answers = [{"messageStreamInfo": info}]
    assert 5 == client.describe_message_stream("s").storage_status.total_bytes


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (1, "UnknownFailureException"),
        (2, "UnauthorizedException"),
        (3, "InvalidRequestException"),
        (4, "RequestPayloadTooLargeException"),
        (5, "ResourceNotFoundException"),
        (6, "ServerTimeoutException"),
        (7, "ResponsePayloadTooLargeException"),
        (13, "NotEnoughMessagesException"),
        (14, "MessageStoreReadErrorException"),
        (15, "ServerOutOfMemoryException"),
        (16, "UpdateFailedException"),
        (17, "UpdateNotAllowedException"),
        (18, "UnknownOperationException"),
    ],
)
def test_a_status_is_an_exception(client, link, status, name):
    link.answers = [{"status": status, "errorMessage": "why"}]
    with pytest.raises(sm.StreamManagerException) as error:
        client.list_streams()
    assert (name, "why", ResponseStatusCode(status), "r") == (
        type(error.value).__name__,
        error.value.message,
        error.value.status,
        error.value.request_id,
    )


@pytest.mark.parametrize("status", [8, 9, 10, 11, 12, 99, None])
def test_a_status_without_an_exception_is_the_base(client, link, status):
    link.answers = [{"status": status}]
    with pytest.raises(sm.StreamManagerException) as error:
        client.list_streams()
    assert (sm.StreamManagerException, "Unrecognized") == (type(error.value), error.value.status)


def test_an_operation_that_it_does_not_know_is_an_exception(client, link):
    link.answers = [(0, {})]
    with pytest.raises(sm.ClientException, match="unknown operation from server"):
        client.list_streams()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda c: c.append_message("s", "x"),
            "payload is invalid because it must be of type byte",
        ),
        (lambda c: c.append_message("s", b""), "Property payload must have a minimum length of 1"),
        (lambda c: c.append_message("a/b", b"x"), "Property name must match regex"),
        (lambda c: c.delete_message_stream(""), "Property name must have a minimum length of 1"),
        (lambda c: c.describe_message_stream(None), "Property name is required, but was None"),
        (lambda c: c.read_messages("a/b"), "Property stream_name must match regex"),
        (lambda c: c.read_messages("s", 5), "options argument to read_messages must be"),
        (
            lambda c: c.read_messages("s", sm.ReadMessagesOptions(min_message_count=0)),
            "Property min_message_count must be at least 1",
        ),
        (
            lambda c: c.read_messages("s", sm.ReadMessagesOptions(None, 3, 2)),
            "min_message_count must be less than or equal to max_message_count",
        ),
        (
            lambda c: c.read_messages("s", sm.ReadMessagesOptions(read_timeout_millis=60_001)),
            "less than or equal to the client's request_timeout",
        ),
        (lambda c: c.create_message_stream("s"), "definition argument to create_stream must be"),
        (lambda c: c.update_message_stream("s"), "argument to update_message_stream must be"),
        (
            lambda c: c.create_message_stream(definition(max_size=5)),
            "Property definition is invalid because Property max_size must be at least 1024",
        ),
    ],
    ids=range(13),
)
def test_what_breaks_a_rule_is_not_sent(client, link, call, text):
    with pytest.raises(sm.ValidationException) as error:
        call(client)
    assert text in error.value.message
    assert [] == link.asked


def test_a_closed_client_says_so(link):
    client = sm.StreamManagerClient()
    assert client.connected
    client.close()
    client.close()
    assert ["close"] == link.asked
    assert [False] == [client.connected]
    with pytest.raises(sm.StreamManagerException, match=r"Client is closed\. Create a"):
        client.list_streams()


def test_its_attributes_are_its_arguments(link, monkeypatch):
    monkeypatch.setenv("STREAM_MANAGER_SERVER_PORT", "1234")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "T")
    client = sm.StreamManagerClient(request_timeout=5)
    assert ("127.0.0.1", 1234, 3, 5, "T") == (
        client.host,
        client.port,
        client.connect_timeout,
        client.request_timeout,
        client.auth_token,
    )


@pytest.mark.parametrize("arguments", [{"port": 9}, {"host": "127.0.0.2"}])
def test_a_host_or_port_means_a_connection(link, monkeypatch, arguments):
    made = []

    def make(*where, **how):
        made.append(where)
        return link

    monkeypatch.setattr(streamlink, "StreamLink", make)
    monkeypatch.delenv("STREAM_MANAGER_SERVER_PORT", raising=False)
    sm.StreamManagerClient(**arguments)
    assert [(arguments.get("host", "127.0.0.1"), arguments.get("port", 8088))] == made


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConnectionRefusedError("no"), ConnectionRefusedError),
        (TimeoutError("late"), TimeoutError),
        (AuthorizationError("who?"), sm.ConnectFailedException),
    ],
)
def test_a_failed_connection_is_what_it_was_in_v1(monkeypatch, raised, expected):
    def fail(*where, **how):
        raise raised

    monkeypatch.setattr(streamlink, "StreamLink", fail)
    with pytest.raises(expected):
        sm.StreamManagerClient(port=9)


@pytest.mark.parametrize("error", [CoreUnavailableError("gone"), StreamsDisabledError("off")])
def test_a_core_that_is_gone_is_a_connection_error(client, link, error):
    link.answers = [error]
    with pytest.raises(ConnectionError):
        client.list_streams()

# SPDX-License-Identifier: Apache-2.0
"""
The stream manager, by what it says.

Functions use `greengrasssdk.stream_manager` as in V1; how other processes reach it over TCP is
tested with AWS's clients.

Ref: Greengrass V1 guide, "Manage data streams", "Use StreamManagerClient to work with streams",
"Export data streams (CLI)", "Configure stream manager"
"""

from __future__ import annotations

import contextlib

from greengrasssdk.stream_manager import (
    ExportDefinition,
    InvalidRequestException,
    KinesisConfig,
    MessageStreamDefinition,
    NotEnoughMessagesException,
    ReadMessagesOptions,
    ResourceNotFoundException,
    StrategyOnFull,
    StreamManagerClient,
    StreamManagerException,
)

STREAM = "SomeStream"


def transfer(event, context):
    """Begin anew, append two messages, read them, as the guide's example does."""
    with StreamManagerClient() as client:
        with contextlib.suppress(ResourceNotFoundException):
            client.delete_message_stream(stream_name=STREAM)
        kinesis = KinesisConfig(
            identifier="KinesisExport" + STREAM, kinesis_stream_name="MyKinesisStream"
        )
        client.create_message_stream(
            MessageStreamDefinition(
                name=STREAM,
                strategy_on_full=StrategyOnFull.OverwriteOldestData,
                export_definition=ExportDefinition(kinesis=[kinesis]),
            )
        )
        numbers = [client.append_message(STREAM, each) for each in (b"ABCDEFGHIJKLMNO", b"PQR")]
        read = client.read_messages(
            STREAM, ReadMessagesOptions(min_message_count=2, read_timeout_millis=1000)
        )
        return {
            "numbers": numbers,
            "read": [(message.sequence_number, message.payload.decode()) for message in read],
            "streams": client.list_streams(),
        }


def fill(event, context):
    """Append to a small stream until something is in the way; return what that is."""
    strategy = StrategyOnFull(event["strategy"])
    with StreamManagerClient() as client:
        client.create_message_stream(
            MessageStreamDefinition(name=STREAM, max_size=4096, strategy_on_full=strategy)
        )
        refused = None
        try:
            for _ in range(100):
                client.append_message(STREAM, b"x" * 100)
        except StreamManagerException as error:
            refused = [type(error).__name__, STREAM in error.message]
        status = client.describe_message_stream(STREAM).storage_status
        oldest = client.read_messages(STREAM)[0].sequence_number
        return {
            "refused": refused,
            "oldest": [oldest, status.oldest_sequence_number],
            "newest": status.newest_sequence_number,
            "fits": status.total_bytes <= 4096,
        }


def refusals(event, context):
    """Ask for what cannot be; return what was raised."""
    with StreamManagerClient() as client:
        definition = MessageStreamDefinition(
            name=STREAM, strategy_on_full=StrategyOnFull.RejectNewData
        )
        client.create_message_stream(definition)
        raised = []
        for ask, expected in (
            (lambda: client.create_message_stream(definition), InvalidRequestException),
            (lambda: client.delete_message_stream("no"), ResourceNotFoundException),
            (lambda: client.append_message("no", b"x"), ResourceNotFoundException),
            (lambda: client.describe_message_stream("no"), ResourceNotFoundException),
            (lambda: client.read_messages(STREAM), NotEnoughMessagesException),
        ):
            try:
                ask()
            except expected as error:
                raised.append(type(error).__name__)
        return raised


def connect(event, context):
    try:
        with StreamManagerClient() as client:
            return client.list_streams()
    except ConnectionRefusedError:
        return "refused"


def test_a_function_makes_a_stream_appends_and_reads(greengrass):
    """GG-SM-01"""
    greengrass.add_function("TransferStream", transfer, timeout_s=30)
    expected = {
        "numbers": [0, 1],
        "read": [[0, "ABCDEFGHIJKLMNO"], [1, "PQR"]],
        "streams": [STREAM],
    }
    assert expected == greengrass.invoke("TransferStream").json()
    assert expected == greengrass.invoke("TransferStream").json()


def test_a_full_stream_rejects_new_data(greengrass):
    """GG-SM-02"""
    greengrass.add_function("fill", fill, timeout_s=30)
    found = greengrass.invoke("fill", {"strategy": 0}).json()
    assert (["InvalidRequestException", True], [0, 0], True) == (
        found["refused"],
        found["oldest"],
        found["fits"],
    )


def test_a_full_stream_loses_its_oldest_data(greengrass):
    """GG-SM-03"""
    greengrass.add_function("fill", fill, timeout_s=30)
    found = greengrass.invoke("fill", {"strategy": 1}).json()
    oldest, told = found["oldest"]
    assert (None, 99, True, True) == (
        found["refused"],
        found["newest"],
        found["fits"],
        0 < oldest == told,
    )


def test_what_cannot_be_raises_the_exceptions_of_the_sdk(greengrass):
    """GG-SM-04"""
    greengrass.add_function("refusals", refusals, timeout_s=30)
    assert [
        "InvalidRequestException",
        "ResourceNotFoundException",
        "ResourceNotFoundException",
        "ResourceNotFoundException",
        "NotEnoughMessagesException",
    ] == greengrass.invoke("refusals").json()


def test_a_group_without_a_stream_manager_refuses_connections(greengrass, tmp_path):
    """GG-SM-05"""
    (tmp_path / "group.toml").write_text('schema = 1\n[group]\nname = "g"\ncore = "c"\n')
    greengrass.load(tmp_path / "group.toml")
    greengrass.add_function("connect", connect, timeout_s=30)
    assert "refused" == greengrass.invoke("connect").json()

# SPDX-License-Identifier: Apache-2.0
"""Keeps a stream that is exported to Kinesis, and appends a number each second."""

import logging
import os
import random
import threading

from greengrasssdk.stream_manager import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    ReadMessagesOptions,
    ResourceNotFoundException,
    StrategyOnFull,
    StreamManagerClient,
    StreamManagerException,
)

STREAM = "SomeStream"

logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)
client = StreamManagerClient()


def make_stream():
    try:
        client.delete_message_stream(STREAM)
    except ResourceNotFoundException:
        log.info("there was no stream yet")
    kinesis = KinesisConfig(
        identifier=f"KinesisExport{STREAM}", kinesis_stream_name=os.environ["KINESIS_STREAM"]
    )
    client.create_message_stream(
        MessageStreamDefinition(
            name=STREAM,
            strategy_on_full=StrategyOnFull.OverwriteOldestData,
            export_definition=ExportDefinition(kinesis=[kinesis]),
        )
    )


def append(data):
    number = client.append_message(STREAM, data)
    log.info("Successfully appended message to stream with sequence number %d", number)


def append_and_go_on():
    try:
        number = random.randint(0, 1000)  # noqa: S311 - it stands for a measurement
        append(number.to_bytes(length=4, signed=True, byteorder="big"))
    except StreamManagerException:
        log.exception("the number could not be appended; the next one may be")
    timer = threading.Timer(1.0, append_and_go_on)
    timer.daemon = True  # a stopping core does not wait for the next number
    timer.start()


make_stream()
append(b"ABCDEFGHIJKLMNO")
append(b"PQRSTUVWXYZ")
both = ReadMessagesOptions(min_message_count=2, read_timeout_millis=1000)
log.info("Successfully read 2 messages: %s", client.read_messages(STREAM, both))
log.info("Now going to start writing random integers between 0 and 1000 to the stream")
append_and_go_on()


def function_handler(event, context):
    """Do nothing: the work is done by the timer, from the moment of import."""

# SPDX-License-Identifier: Apache-2.0
"""Tells which topic invoked it, and with what."""

import logging

import greengrasssdk

log = logging.getLogger(__name__)
client = greengrasssdk.client("iot-data")


def function_handler(event, context):
    topic = context.client_context.custom["subject"]
    if "test-key" not in event:
        log.error('the message on "%s" has no "test-key"', topic)
        return
    message = event["test-key"]
    client.publish(
        topic="test/topic_results",
        payload=f'Invoked on topic "{topic}" with message "{message}"',
    )

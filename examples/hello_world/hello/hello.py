# SPDX-License-Identifier: Apache-2.0
"""A pinned function that greets from a timer and is never invoked."""

import logging
import os
import platform
import threading

import greengrasssdk

log = logging.getLogger(__name__)
client = greengrasssdk.client("iot-data")
interval_s = float(os.environ.get("INTERVAL_S", "5"))


def greeting(system):
    if system:
        return f"Hello world! Sent from Greengrass Core running on platform: {system}"
    return "Hello world! Sent from Greengrass Core."


def greet():
    try:
        client.publish(
            topic="hello/world",
            queueFullPolicy="AllOrException",
            payload=greeting(platform.platform()),
        )
    except Exception:
        log.exception("the greeting could not be published; the next one may be")
    timer = threading.Timer(interval_s, greet)
    timer.daemon = True  # a stopping core does not wait for the next greeting
    timer.start()


greet()


def function_handler(event, context):
    """Do nothing: the work is done by the timer, from the moment of import."""

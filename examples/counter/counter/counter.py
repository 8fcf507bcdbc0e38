# SPDX-License-Identifier: Apache-2.0
"""Counts its invocations in module state, and takes its time over each."""

import json
import os
import platform
import time

import greengrasssdk

client = greengrasssdk.client("iot-data")
pause_s = float(os.environ.get("PAUSE_S", "20"))
invocations = 0


def function_handler(event, context):
    global invocations
    invocations += 1
    message = (
        f"Hello world! Sent from Greengrass Core running on platform: {platform.platform()}."
        f"  Invocation Count: {invocations}"
    )
    client.publish(
        topic="hello/world/counter",
        queueFullPolicy="AllOrException",
        payload=json.dumps({"message": message}),
    )
    time.sleep(pause_s)

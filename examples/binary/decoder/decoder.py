# SPDX-License-Identifier: Apache-2.0
"""Unpacks a sensor's binary record."""

import json
import struct

import greengrasssdk

client = greengrasssdk.client("iot-data")
RECORD = struct.Struct("<hB")  # tenths of a degree, then per cent of humidity


def function_handler(event, context):
    tenths, humidity = RECORD.unpack(event)
    reading = {"temperature_c": tenths / 10, "humidity_percent": humidity}
    client.publish(topic="sensor/decoded", payload=json.dumps(reading))
    return event  # bytes go back as they are

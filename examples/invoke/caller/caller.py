# SPDX-License-Identifier: Apache-2.0
"""Invokes another function, with a client context, and publishes what came back."""

import base64
import json
import os

import greengrasssdk

iot = greengrasssdk.client("iot-data")
functions = greengrasssdk.client("lambda")
greeter = os.environ["GREETER"]


def encoded(custom):
    """Wrap `custom` the way a client context travels: JSON, then base64, as bytes."""
    return base64.b64encode(json.dumps({"custom": custom}).encode())


def function_handler(event, context):
    answer = functions.invoke(
        FunctionName=greeter,
        InvocationType="RequestResponse",
        ClientContext=encoded({"language": event.get("language", "en")}),
        Payload=json.dumps({"name": event.get("name", "world")}),
    )
    if answer["FunctionError"]:  # "Handled" or "Unhandled"; the payload is then bytes
        error = json.loads(answer["Payload"])
        result = {"error": answer["FunctionError"], "message": error["errorMessage"]}
    else:
        result = json.loads(answer["Payload"].read())
    iot.publish(topic="invoke/result", payload=json.dumps(result))
    return result

# SPDX-License-Identifier: Apache-2.0
# The light: it shows the colour that its shadow desires, and reports it.

import json

import greengrasssdk

client = greengrasssdk.client("iot-data")


def function_handler(event, context):
    colour = event["state"]["property"]
    print(f"Light changed to: {colour}")
    reported = {"state": {"reported": {"property": colour}}}
    client.update_thing_shadow(thingName="GG_TrafficLight", payload=json.dumps(reported))

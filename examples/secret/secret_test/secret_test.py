# SPDX-License-Identifier: Apache-2.0
"""Reads a secret, and publishes whether it got it; the value itself goes nowhere."""

import json

import greengrasssdk

iot = greengrasssdk.client("iot-data")
secrets = greengrasssdk.client("secretsmanager")

NAME = "greengrass-TestSecret"


def value():
    """Return the secret, or None."""
    try:
        answer = secrets.get_secret_value(SecretId=NAME)
    except greengrasssdk.SecretsManager.SecretsManagerError as error:
        print(f"{NAME}: {error}")
        return None
    return json.loads(answer["SecretString"])


def function_handler(event, context):
    message = "Failed to retrieve secret." if value() is None else "Success! Retrieved secret."
    iot.publish(topic="secrets/output", payload=message)
    print(f"published: {message}")

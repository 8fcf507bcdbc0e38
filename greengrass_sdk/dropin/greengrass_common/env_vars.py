# SPDX-License-Identifier: Apache-2.0
"""Who this function is and where the core's services are; None outside of functions."""

from __future__ import annotations

from os import environ

__all__ = [
    "AUTH_TOKEN",
    "ENCODING_TYPE",
    "GGC_MAX_INTERFACE_VERSION",
    "GG_DAEMON_PORT",
    "MY_FUNCTION_ARN",
    "ROUTER_FUNCTION_ARN",
    "SECRETS_MANAGER_FUNCTION_ARN",
    "SHADOW_FUNCTION_ARN",
]

AUTH_TOKEN = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
MY_FUNCTION_ARN = environ.get("MY_FUNCTION_ARN")
SHADOW_FUNCTION_ARN = environ.get("SHADOW_FUNCTION_ARN")
ROUTER_FUNCTION_ARN = environ.get("ROUTER_FUNCTION_ARN")
SECRETS_MANAGER_FUNCTION_ARN = environ.get("SECRETS_MANAGER_FUNCTION_ARN")
GGC_MAX_INTERFACE_VERSION = environ.get("GGC_MAX_INTERFACE_VERSION")
GG_DAEMON_PORT = environ.get("GG_DAEMON_PORT")
ENCODING_TYPE = environ.get("ENCODING_TYPE")

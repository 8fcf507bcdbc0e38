# SPDX-License-Identifier: Apache-2.0
"""
The keys of V1's `config.json`, with the ranges that V1 gives them.

A dictionary is an object of the file; everything else is the kind of a value. Keys of every
version of V1 are here, also those that this core accepts and has no use for: a file of the field
must load without a word about keys that V1 knew.

Ref: Greengrass V1 guide, "AWS IoT Greengrass core configuration file"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model import limits
from greengrass_sdk.model.arn import parse_thing_arn
from greengrass_sdk.model.kinds import Choice, Flag, Integer, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIG_KEYS", "UNKNOWN_SCHEME", "file_of"]

UNKNOWN_SCHEME = "Error occurred while generating TLS config: ErrUnknownURIScheme"


def file_of(uri: str) -> str | None:
    """
    Return the path of a `file:///` URI, or None for a key in a hardware module (`pkcs11:`).

    Raises:
        InvalidInputError: Another scheme (V1's text), or a path that is not absolute.
    """
    if uri.startswith("pkcs11:"):
        if "object=" not in uri:
            raise InvalidInputError(
                f"{uri!r} names no key; its form is pkcs11:object=LABEL;type=private"
            )
        return None
    if not uri.startswith("file:"):
        raise InvalidInputError(f"{UNKNOWN_SCHEME} ({uri!r}; use file:///PATH or pkcs11:...)")
    if not uri.startswith("file:///"):
        raise InvalidInputError(f"{uri!r} must be file:///PATH, with an absolute path")
    return unquote(uri.removeprefix("file://"))


def _check_file(uri: str) -> None:
    # Guide: certificates are files only, never in a hardware module.
    if file_of(uri) is None:
        raise InvalidInputError(f"{uri!r} must be file:///PATH; only keys are in hardware modules")


def _check_proxy(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInputError(
            f"must be http://[USER:PASSWORD@]HOST[:PORT] or https://..., not {_without_user(url)!r}"
        )


def _without_user(url: str) -> str:
    """Return a URL without user and password, which belong in no message."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _check_absolute(path: str) -> None:
    if not path.startswith("/"):
        raise InvalidInputError(f"must be an absolute path, not {path!r}")


_YES_NO = Choice(("yes", "no"))
_NAME = Text("text")
_ANY = Text("text", empty=True)
_POSITIVE = Integer(1, 2**31 - 1)
_CLOUD_HTTPS = Choice((8443, 443))
_LOCAL_PORT = Integer(1024, 65535)
_KEY = Text("a file:/// or pkcs11: URI", file_of)
_FILE = Text("a file:/// URI", _check_file)
_PATH = Text("an absolute path", _check_absolute)

CONFIG_KEYS: Final[Mapping[str, Any]] = {
    "coreThing": {
        "caPath": _NAME,
        "certPath": _NAME,
        "keyPath": _NAME,
        "thingArn": Text("the ARN of the core's thing", parse_thing_arn),
        "iotHost": _NAME,
        "ggHost": _NAME,
        "iotMqttPort": Choice((8883, 443)),
        "iotHttpPort": _CLOUD_HTTPS,
        "ggMqttPort": _LOCAL_PORT,
        "ggHttpPort": _CLOUD_HTTPS,
        "ggDaemonPort": _LOCAL_PORT,
        "keepAlive": Integer(limits.KEEP_ALIVE_S_MIN, limits.KEEP_ALIVE_S_MAX),
        "mqttMaxConnectionRetryInterval": _POSITIVE,
        "mqttOperationTimeout": _POSITIVE,
        "coreClientId": Text("a client id", limit=limits.LABEL_CHARS),
        "networkProxy": {
            "noProxyAddresses": _ANY,
            "proxy": {
                "url": Text("a URL", _check_proxy),
                "username": _ANY,
                "password": _ANY,
            },
        },
    },
    "runtime": {
        "maxWorkItemCount": Integer(1, limits.WORK_ITEMS_MAX),
        "maxConcurrentLimit": _POSITIVE,
        "lruSize": _POSITIVE,
        "mountAllBlockDevices": _YES_NO,
        "postStartHealthCheckTimeout": _POSITIVE,
        "schedulingFrequency": _POSITIVE,
        "systemComponentAuthTimeout": _POSITIVE,
        "allowFunctionsToRunAsRoot": _YES_NO,
        "cgroup": {"useSystemd": _YES_NO},
    },
    "system": {"shadowSyncTimeout": _POSITIVE},
    "mqttMaxConnectionRetryInterval": _POSITIVE,
    "managedRespawn": Flag(),
    "writeDirectory": _PATH,
    "crypto": {
        "caPath": _FILE,
        "PKCS11": {
            "OpenSSLEngine": _ANY,
            "P11Provider": _NAME,
            "slotLabel": _NAME,
            "slotUserPin": _NAME,
        },
        "principals": {
            "IoTCertificate": {"privateKeyPath": _KEY, "certificatePath": _FILE},
            "MQTTServerCertificate": {"privateKeyPath": _KEY},
            "SecretsManager": {"privateKeyPath": _KEY},
        },
    },
}

# SPDX-License-Identifier: Apache-2.0
"""
MQTT: each message is published on the topic, and arrived when the broker has acknowledged it.

The URL is `mqtt://host:1883` or `mqtts://host:8883`, with `user:password@` before the host if the
broker wants a login. With `qos` 0 a message has arrived when it was written to the connection.
"""

from __future__ import annotations

import ssl
import time
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import Message, MQTTConfig

__all__ = ["MQTTExporter"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class MQTTExporter:
    """One topic of a broker."""

    def __init__(self, config: MQTTConfig, setting: Setting) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        url = urlsplit(config.url or "")
        if url.scheme not in _PORTS or not url.hostname:
            raise ExportError(f"{config.url!r} is no URL such as mqtt://host:1883")
        self._name = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        self._topic = config.topic or ""
        self._qos = 1 if config.qos is None else config.qos
        self._timeout_s = setting.timeout_s
        self._answered = Event()
        self._refusal = ""
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(1000)
        self._client.max_queued_messages_set(0)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = lambda *_: self._answered.set()
        if url.username is not None:
            self._client.username_pw_set(unquote(url.username), unquote(url.password or ""))
        if url.scheme == "mqtts":
            self._client.tls_set_context(ssl.create_default_context())
        self._client.connect_timeout = min(setting.timeout_s, 10.0)
        try:
            self._client.connect(url.hostname, url.port or _PORTS[url.scheme])
        except (OSError, ValueError) as error:
            raise ExportError(f"{self._name}: {one_line(error)}") from error
        self._client.loop_start()
        if not self._answered.wait(setting.timeout_s) or self._refusal:
            self._client.loop_stop()
            raise ExportError(f"{self._name}: {self._refusal or 'no answer to the connection'}")

    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages and wait for their acknowledgements."""
        sent = []
        deadline = time.monotonic() + self._timeout_s
        try:
            for message in messages:
                one = self._client.publish(self._topic, message.payload, self._qos)
                sent.append(one)  # those before an error count
            for number, one in enumerate(sent):
                one.wait_for_publish(max(0.0, deadline - time.monotonic()))
                if not one.is_published():
                    text = f"{self._name}: no acknowledgement within {self._timeout_s:g} s"
                    raise ExportError(text, done=number)
        except (RuntimeError, ValueError) as error:
            done = sum(1 for one in sent if one.rc == 0 and one.is_published())
            raise ExportError(f"{self._name}: {one_line(error)}", done=done) from error

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        del client, data, flags, properties
        self._refusal = str(reason) if reason.is_failure else ""
        self._answered.set()

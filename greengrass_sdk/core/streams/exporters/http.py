# SPDX-License-Identifier: Apache-2.0
"""
HTTP: a POST for each message, or one for a batch as a JSON list.

`RAW_NOT_BATCHED`, the default: the body is the payload, headers tell the rest. `JSON_BATCHED`: the
body is a list of messages with AWS's names, payloads in base64. Any 2xx is an acknowledgement.

Ref: `HTTPConfig` of AWS's SDK; unspecified by the guide
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line
from greengrass_sdk.model.stream import ExportFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import HTTPConfig, Message

__all__ = ["HTTPExporter", "message_document"]

_ANSWER_BYTES = 65_536  # of an answer that anybody looks at


class HTTPExporter:
    """One server; the connection is kept."""

    def __init__(self, config: HTTPConfig, setting: Setting) -> None:
        url = urlsplit(config.uri or "")
        try:
            port = url.port
        except ValueError:
            port = -1
        if url.scheme not in ("http", "https") or not url.hostname or port == -1:
            raise ExportError(f"{config.uri!r} is no URI such as http://host:8080/path")
        self._name = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._batched = config.export_format == ExportFormat.JSON_BATCHED
        self._headers = {"User-Agent": "greengrass-core"}
        if url.username is not None:
            login = f"{url.username}:{url.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.hostname, port, timeout=setting.timeout_s)

    def send(self, messages: Sequence[Message]) -> None:
        """POST messages."""
        if self._batched:
            body = json.dumps([message_document(message) for message in messages]).encode()
            self._post(body, {"Content-Type": "application/json"}, 0)
            return
        for number, message in enumerate(messages):
            headers = {
                "Content-Type": "application/octet-stream",
                "X-Stream-Name": message.stream_name,
                "X-Sequence-Number": str(message.sequence_number),
                "X-Ingest-Time": str(message.ingest_time),
            }
            self._post(message.payload, headers, number)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _post(self, body: bytes, headers: Mapping[str, str], done: int) -> None:
        fresh = self._connection.sock is None
        try:
            status, said = self._exchange(body, headers)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self._connection.close()
            if fresh:
                raise self._failed(error, done) from error
            try:  # a connection that was kept may have been closed meanwhile
                status, said = self._exchange(body, headers)
            except (OSError, http.client.HTTPException) as again:
                raise self._failed(again, done) from again
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error, done) from error
        if not 200 <= status < 300:
            text = " ".join(said.decode("utf-8", "replace").split())[:200]
            raise ExportError(f"{self._name} answered {status} {text}".strip(), done=done)

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self._connection.request("POST", self._path, body, {**self._headers, **headers})
        response = self._connection.getresponse()
        said = response.read(_ANSWER_BYTES)
        if not response.isclosed():
            self._connection.close()
        return response.status, said

    def _failed(self, error: Exception, done: int) -> ExportError:
        self._connection.close()
        return ExportError(f"{self._name}: {one_line(error)}", done=done)


def message_document(message: Message) -> dict[str, object]:
    """Return a message with AWS's names, its payload in base64."""
    return {
        "streamName": message.stream_name,
        "sequenceNumber": message.sequence_number,
        "ingestTime": message.ingest_time,
        "payload": base64.b64encode(message.payload).decode(),
    }

# SPDX-License-Identifier: Apache-2.0
"""
NATS JetStream: each message is published on the subject, and arrived when JetStream has stored it.

Its id is stream and sequence number: what is sent twice within JetStream's window is stored once.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import Message, NATSConfig

__all__ = ["NATSExporter"]

_CLOSE_S = 5.0


class NATSExporter:
    """One subject; the client has an event loop in a thread of its own."""

    def __init__(self, config: NATSConfig, setting: Setting) -> None:
        import nats

        self._url = config.url or ""
        # Without a login that stands in it.
        self._name = ", ".join(each.rpartition("@")[2] for each in self._url.split(","))
        self._subject = config.subject or ""
        self._timeout_s = setting.timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        self._client: Any = None
        self._trouble: BaseException | None = None
        try:
            self._client = self._run(
                nats.connect(
                    self._url.split(","),
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=max(1, int(min(setting.timeout_s, 10.0))),
                    error_cb=self._note,
                    name="greengrass-core",
                )
            )
        except BaseException:
            self.close()
            raise

    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages and wait until they are stored."""
        self._run(self._publish(messages))

    def close(self) -> None:
        """End the connection and the thread."""
        if self._client is not None:
            closing = asyncio.run_coroutine_threadsafe(self._client.close(), self._loop)
            try:
                closing.result(_CLOSE_S)
            except Exception:  # noqa: BLE001 - it is of no use any more
                closing.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _publish(self, messages: Sequence[Message]) -> None:
        """Send all, then see how many acknowledgements came before the first that did not."""
        stream = self._client.jetstream()
        headers = [
            {"Nats-Msg-Id": f"{message.stream_name}:{message.sequence_number}"}
            for message in messages
        ]
        results = await asyncio.gather(
            *(
                stream.publish(
                    self._subject, message.payload, timeout=self._timeout_s, headers=header
                )
                for message, header in zip(messages, headers, strict=True)
            ),
            return_exceptions=True,
        )
        for number, result in enumerate(results):
            if isinstance(result, Exception):
                raise ExportError(self._text(result), done=number) from result

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(self._timeout_s + 5)
        except ExportError:
            raise
        except Exception as error:
            raise ExportError(self._text(error)) from error

    async def _note(self, error: Exception) -> None:
        self._trouble = error

    def _text(self, error: BaseException) -> str:
        from nats.errors import NoServersError
        from nats.js.errors import NoStreamResponseError

        if isinstance(error, NoStreamResponseError):
            return f"{self._name}: no JetStream keeps subject {self._subject}"
        if isinstance(error, NoServersError) and self._trouble is not None:
            error = self._trouble
        return f"{self._name}: {one_line(error)}"

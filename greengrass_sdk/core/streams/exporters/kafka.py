# SPDX-License-Identifier: Apache-2.0
"""
Kafka: each message is a record of the topic, acknowledged by all replicas in step.

Its key is the name of the stream, so that all are in one partition, which keeps their order.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greengrass_sdk.core.streams.exporters.exporter import Setting
    from greengrass_sdk.model.stream import KafkaConfig, Message

__all__ = ["KafkaExporter"]

# A broker that is there answers sooner; the library tries until then, and only then tells why not.
_ANSWER_S = 10.0
_RECORD_BYTES = 64 * 1024 * 1024  # what is left to the broker to refuse


class KafkaExporter:
    """One topic."""

    def __init__(self, config: KafkaConfig, setting: Setting) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        self._servers = config.servers or ""
        self._topic = config.topic or ""
        self._key = setting.stream.encode()
        self._timeout_s = min(setting.timeout_s, _ANSWER_S)
        milliseconds = int(self._timeout_s * 1000)
        try:
            self._producer = KafkaProducer(
                bootstrap_servers=[each.strip() for each in self._servers.split(",")],
                client_id="greengrass-core",
                acks="all",
                max_in_flight_requests_per_connection=1,
                max_request_size=_RECORD_BYTES,
                max_block_ms=milliseconds,
                request_timeout_ms=milliseconds,
                bootstrap_timeout_ms=milliseconds,
                delivery_timeout_ms=milliseconds + 1000,
            )
        except (KafkaError, ValueError, OSError) as error:
            raise self._failed(error) from error

    def send(self, messages: Sequence[Message]) -> None:
        """Produce records and wait for their acknowledgements."""
        from kafka.errors import KafkaError

        deadline = time.monotonic() + self._timeout_s
        pending = []
        try:
            for message in messages:
                sent = self._producer.send(
                    self._topic,
                    key=self._key,
                    value=message.payload,
                    timestamp_ms=message.ingest_time,
                )
                pending.append(sent)  # those before an error count
            self._producer.flush(self._timeout_s)
            for one in pending:
                one.get(max(0.0, deadline - time.monotonic()))
        except (KafkaError, OSError, ValueError) as error:
            arrived = 0
            while arrived < len(pending) and pending[arrived].succeeded():
                arrived += 1
            raise self._failed(error, arrived) from error

    def close(self) -> None:
        """End the connections."""
        self._producer.close(timeout=0)

    def _failed(self, error: Exception, done: int = 0) -> ExportError:
        return ExportError(f"kafka {self._servers}: {one_line(error)}", done=done)

# SPDX-License-Identifier: Apache-2.0
"""Which class serves which kind of destination; it is imported when a stream names the kind."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from greengrass_sdk.core.streams.exporters.exporter import ExportError, missing_extra, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.streams.exporters.exporter import Exporter, Setting

__all__ = ["BATCHES", "GROUP", "make"]

GROUP = "greengrass_sdk.exporters"

# Kind -> largest batch, which is also the default, in messages and in bytes of them.
BATCHES = {
    "http": (500, 4 << 20),
    "iot_analytics": (100, 450 << 10),
    "kinesis": (500, 4 << 20),
    "iot_sitewise": (10, 1 << 20),
    "s3_task_executor": (1, 1 << 20),
    "mqtt": (500, 4 << 20),
    "kafka": (500, 4 << 20),
    "nats": (500, 4 << 20),
    "file": (500, 4 << 20),
    "custom": (500, 4 << 20),
}
_OURS = {
    "http": ("http", "HTTPExporter", ""),
    "iot_analytics": ("iot_analytics", "AnalyticsExporter", "aws"),
    "kinesis": ("kinesis", "KinesisExporter", "aws"),
    "iot_sitewise": ("sitewise", "SiteWiseExporter", "aws"),
    "s3_task_executor": ("s3", "S3Exporter", "aws"),
    "mqtt": ("mqtt", "MQTTExporter", ""),
    "kafka": ("kafka", "KafkaExporter", "kafka"),
    "nats": ("nats", "NATSExporter", "nats"),
    "file": ("file", "FileExporter", ""),
}


def make(kind: str, config: Any, setting: Setting) -> Exporter:
    """
    Return an exporter for a destination.

    Raises:
        ExportError: There is none of that kind, its package is missing, or it refuses its
            configuration.
    """
    factory, extra = _factory(kind, config)
    try:
        return factory(config, setting)
    except ImportError as error:
        raise missing_extra(extra, error) if extra else ExportError(one_line(error)) from error


def _factory(kind: str, config: Any) -> tuple[Callable[[Any, Setting], Exporter], str]:
    if kind in _OURS:
        module, name, extra = _OURS[kind]
        found = import_module(f"greengrass_sdk.core.streams.exporters.{module}")
        return getattr(found, name), extra
    wanted = config.exporter
    for entry in metadata.entry_points(group=GROUP, name=wanted):
        try:
            return entry.load(), ""
        except Exception as error:
            raise ExportError(f"exporter {wanted} cannot be loaded: {one_line(error)}") from error
    known = sorted(entry.name for entry in metadata.entry_points(group=GROUP))
    raise ExportError(
        f"no exporter {wanted} is installed (entry point group {GROUP}); there are: "
        f"{', '.join(known) or 'none'}"
    )
